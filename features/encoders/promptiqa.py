"""PromptIQA (Chen et al., ECCV 2024): a ViT whose requirement is shown by a few scored pictures.

The embedding is the vector of 128 that its convolutions make of a picture, before any score is
shown. `FewShot` is the whole system: 3 to 10 pictures with scores in 0..1 say what is asked for,
and every other picture gets a score on that scale, without training.
"""

import itertools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from features.encoders.base import Batch, Encode, Encoder
from features.errors import InputError, UsageError
from features.runtime import Runtime
from features.weights import WeightFile, fill, load_state

if TYPE_CHECKING:
    from features.encoders.promptiqa_network import PromptIQA

_PAGE = "https://huggingface.co/Zevin2023/PromptIQA"
_SIDE = 224
_HALF = (0.5, 0.5, 0.5)
PAIRS = range(3, 11)  # how many scored pictures a prompt may have, as in the paper


def opencv_bicubic(picture: np.ndarray, side: int) -> np.ndarray:
    """Resize to (side, side) as OpenCV's INTER_CUBIC: four taps, a = -0.75, no antialiasing.

    OpenCV itself computes this in floating point or in fixed point, as the processor has it; the
    two differ by one level here and there. This is the former, which x86 has, to its last rounding.

    Parameters
    ----------
    picture : (height, width, 3) uint8
    """
    rows, columns = (_taps(length, side) for length in picture.shape[:2])
    total = np.zeros((side, side, 3))
    for (y, down), (x, across) in itertools.product(rows, columns):
        total += np.outer(down, across)[..., None] * picture[y[:, None], x]
    return np.rint(total).clip(0, 255).astype(np.uint8)


def _taps(length: int, side: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return four (side,) indices into `length` pixels, edges repeated, each with its weights."""
    a = -0.75
    centre = (np.arange(side) + 0.5) * (length / side) - 0.5
    first = np.floor(centre).astype(int) - 1
    near, far = centre - first - 1, 2 - (centre - first)  # distances to the two inner taps
    outer = [((a * d - 5 * a) * d + 8 * a) * d - 4 * a for d in (near + 1, far + 1)]
    inner = [((a + 2) * d - (a + 3)) * d * d + 1 for d in (near, far)]
    weights = (outer[0], *inner, outer[1])
    return [(np.clip(first + k, 0, length - 1), weight) for k, weight in enumerate(weights)]


def _build(options: Mapping[str, str], files: Mapping[str, Path], runtime: Runtime) -> Encode:
    return _encoding(_load(files["network"]), runtime)


def _load(path: Path) -> "PromptIQA":
    import torch  # here and below: the table of encoders is read where torch is not

    from features.encoders.promptiqa_network import PromptIQA

    state = _plain(load_state(path), path)
    with torch.device("meta"):  # no numbers are drawn that the file replaces at once
        network = PromptIQA()
    network = network.to_empty(device="cpu")
    fill(network, state, path)
    return network.eval()


def _encoding(network: "PromptIQA", runtime: Runtime) -> Encode:
    import torch

    from features import networks

    see = networks.on_views(network, _HALF, _HALF, runtime)
    view = opencv_bicubic, _SIDE

    def encode(batch: Batch):
        # One by one: a vector is the same to the bit whatever came with it, and the maps of a
        # single picture already keep a processor busy.
        return torch.cat([see(one[None]) for one in batch.view(*view)])

    return networks.exact(encode, runtime, [view])


def _plain(checkpoint: Mapping, path: Path) -> dict:
    """Return the tensors under the network's own keys.

    The published layout is {"state_dict": {"module.KEY": tensor}}; "module." is what
    DistributedDataParallel adds.
    """
    state = checkpoint.get("state_dict", checkpoint) if isinstance(checkpoint, Mapping) else {}
    state = state if isinstance(state, Mapping) else {}
    plain = {str(key).removeprefix("module."): value for key, value in state.items()}
    if not any(key.startswith("fusion_mal.") for key in plain):
        raise InputError(
            f"{path} is not PromptIQA's file: expected tensors named state_dict/module.fusion_mal.*"
            f", found {len(plain)} others; get it from {_PAGE}"
        )
    return plain


class FewShot:
    """Scores from a few scored pictures.

    The pictures of a prompt may be of any sizes. What a prompt says is an array, which can be kept
    and used again; a picture's vector is its `promptiqa` embedding, so that cached embeddings can
    be scored without their pictures.

    Parameters
    ----------
    files : role of a weight file -> its path, as for the encoder
    """

    def __init__(self, files: Mapping[str, Path], runtime: Runtime = Runtime()) -> None:
        self._network, self._runtime = _load(files["network"]).to(runtime.device), runtime
        self._encode = _encoding(self._network, runtime)

    def embed(self, pictures: np.ndarray) -> np.ndarray:
        """Return the (n, 128) vectors of (n, height, width, 3) uint8 pictures."""
        return self._encode(Batch(pictures))

    def prompts(self, pictures: Sequence[np.ndarray], scores: Sequence[float]) -> np.ndarray:
        """Return the (k, 128) prompt of k pictures, (height, width, 3) uint8, and their scores."""
        checked_scores(len(pictures), scores)  # before the slow part
        return self.prompts_of(np.concatenate([self.embed(p[None]) for p in pictures]), scores)

    def prompts_of(self, embeddings: np.ndarray, scores: Sequence[float]) -> np.ndarray:
        """Return the (k, 128) prompt of k embeddings and their scores.

        Raises
        ------
        UsageError
            When there are not 3 to 10 of both, or a score lies outside of 0..1.
        """
        checked = checked_scores(len(embeddings), scores)
        return self._run(self._network.pairs, embeddings, checked)

    def score(self, prompts: np.ndarray, pictures: np.ndarray) -> np.ndarray:
        """Return the (n,) float32 scores, 0..1, of (n, height, width, 3) uint8 pictures.

        Each depends on its own picture and the prompt alone, to the bit.
        """
        return self.score_of(prompts, self.embed(pictures))

    def score_of(self, prompts: np.ndarray, embeddings: np.ndarray) -> np.ndarray:
        """Return the (n,) float32 scores, 0..1, of (n, 128) embeddings."""
        return self._run(self._network.scores, prompts, embeddings)

    def _run(self, function, *arrays: np.ndarray) -> np.ndarray:
        import torch

        from features.torch_engine import computing

        with computing(self._runtime):
            tensors = (torch.from_numpy(np.array(array, np.float32)) for array in arrays)
            found = function(*(tensor.to(self._runtime.device) for tensor in tensors))
            return found.float().cpu().numpy()


def _few_shot(options: Mapping[str, str], files: Mapping[str, Path], runtime: Runtime) -> Callable:
    few_shot = FewShot(files, runtime)

    def learn(pictures: Sequence[np.ndarray], scores: Sequence[float]) -> Callable:
        prompts = few_shot.prompts(pictures, scores)
        return lambda others: few_shot.score(prompts, others)

    return learn


def checked_scores(n_pictures: int, scores: Sequence[float]) -> np.ndarray:
    """Return the scores of a prompt as (k,) float32.

    Raises
    ------
    UsageError
        When there are not 3 to 10 pictures with a score each, or a score lies outside of 0..1.
    """
    array = np.asarray(scores, np.float32)
    if array.shape != (n_pictures,) or n_pictures not in PAIRS:
        raise UsageError(
            f"PromptIQA takes {PAIRS[0]} to {PAIRS[-1]} pictures with a score each: "
            f"{n_pictures} pictures and {array.size} scores were given"
        )
    if not ((array >= 0) & (array <= 1)).all():
        raise UsageError(
            "PromptIQA takes scores from 0 to 1, higher is better: "
            f"{array.min():g} to {array.max():g} were given; divide by the scale's length first"
        )
    return array


PROMPTIQA = Encoder(
    name="promptiqa",
    summary="PromptIQA's picture vector; the network of few-shot scores",
    paper="https://arxiv.org/abs/2403.04993",
    licence="MIT",
    version=1,
    views={
        "picture": "whole",
        "resize": "to 224x224, bicubic with a = -0.75 and no antialiasing, as OpenCV",
        "normalisation": {"mean": list(_HALF), "std": list(_HALF)},
    },
    n_dims=lambda options: 128,
    build=_build,
    few_shot=_few_shot,
    min_side=lambda options: 1,
    weights=(
        WeightFile(
            "best_model.pth.tar",
            _PAGE,
            ("promptiqa", "PromptIQA", "PromptIQA/checkpoints", ""),
            also=("promptiqa.pth.tar", "promptiqa.pth"),
            url=f"{_PAGE}/resolve/main/best_model.pth.tar",
            licence="MIT",
        ),
    ),
    seen=(
        *("LIVE", "CSIQ", "TID2013", "KADID-10k", "BID", "CLIVE", "SPAQ", "KonIQ-10k"),
        *("GFIQA-20k", "AGIQA-3k", "AIGCIQA2023", "UWIQA", "ImageNet"),
    ),
)
