"""An encoder with its weights in place, and the pictures that it can take."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from features.cache.settings import runtime_of
from features.encoders.base import WHOLE, Batch, Encode, View
from features.names import Request
from features.runtime import LEAST_BUDGET, Runtime

_MEMORY = re.compile(r"out of memory|not enough memory|allocate memory|bad_alloc", re.IGNORECASE)


@dataclass(frozen=True)
class Loaded:
    """An encoder with its weights in place."""

    request: Request
    function: Encode
    runtime: Runtime = Runtime()

    @property
    def name(self) -> str:
        """The canonical name."""
        return self.request.name

    @property
    def views(self) -> tuple[View, ...]:
        """What it asks a batch for."""
        return getattr(self.function, "views", (WHOLE,))

    @property
    def prompted(self) -> bool:
        """Whether every picture needs a text."""
        return self.request.prompted

    def refusal(self, shape: tuple[int, ...], prompt: str) -> str | None:
        """Return why it cannot take a picture, if so."""
        encoder = self.request.encoder
        side, most = encoder.min_side(self.request.values), encoder.max_pixels
        height, width = shape[:2]
        if self.prompted and not prompt:
            return f"it has no prompt, which {self.name} needs"
        if min(height, width) < side:
            return f"{width}x{height} is too small: {self.name} needs {side}x{side}"
        if most is not None and height * width > most:
            return f"{width}x{height} is beyond what {self.name} takes ({most / 1e6:g} megapixels)"
        return None

    def no_memory(self, shape: tuple[int, ...]) -> str:
        """Return the reason for a picture of that shape that memory did not suffice for."""
        height, width = shape[:2]
        at_once = min(self.runtime.budget, height * width / 1e6)
        less = max(LEAST_BUDGET, round(at_once / 3, 1))
        hint = f": --budget {less:g} takes less at once" if less < at_once else ""
        return f"not enough memory for {self.name} at {width}x{height}{hint}"

    def encode(self, pictures: np.ndarray | Batch, prompts: Sequence[str] = ()) -> np.ndarray:
        """Return the (n, n_dims) float32 embeddings of (n, height, width, 3) uint8 pictures."""
        batch = pictures if isinstance(pictures, Batch) else Batch(pictures, prompts)
        return self.function(batch)


def load_encoder(
    request: Request,
    weights: Path,
    runtime: Runtime = Runtime(),
    few_shot: bool = False,
) -> Loaded:
    """Build an encoder from its weight files.

    With `few_shot` its function is the one that learns from pairs; see `Encoder.few_shot`.
    """
    encoder = request.encoder
    files = {file.role: file.find(weights) for file in encoder.files(request.values)}
    build = encoder.few_shot if few_shot else encoder.build
    runtime = runtime_of(request, runtime).check()
    return Loaded(request, build(request.values, files, runtime), runtime)


def lacks_memory(error: Exception) -> bool:
    """Tell whether an error is a lack of memory; torch has a RuntimeError of several texts."""
    return isinstance(error, MemoryError) or bool(_MEMORY.search(str(error)))
