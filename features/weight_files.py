"""The weight files of encoders as they lie on this disk: what is there, who looks for it, where."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from features import weight_record
from features.encoders import ENCODERS
from features.encoders.base import Encoder
from features.errors import InputError, UsageError
from features.names import Request, parse
from features.weights import MissingWeights, WeightFile, what_else

PRESENT, ABSENT, WRONG, IN_PACKAGE = "present", "absent", "wrong", "in a package"


@dataclass(frozen=True)
class Found:
    """One file of one encoder, and what is known of it without reading all of it.

    Attributes
    ----------
    state : present, absent, wrong, in a package
    path : where it lies; None when absent
    reason : why it is wrong, in one line
    known : its record, where it has one
    """

    encoder: Encoder
    file: WeightFile
    state: str
    path: Path | None = None
    reason: str = ""
    known: weight_record.Known | None = None


def survey(encoders: Iterable[Encoder], weights: Path) -> list[Found]:
    """Return every file of the encoders. A file is read only when it may have changed."""
    return [_found(encoder, file, weights) for encoder in encoders for file in encoder.weights]


def survey_of(requests: Iterable[Request], weights: Path) -> list[Found]:
    """Return the files that encoders with their options need; as `survey`."""
    return [
        _found(request.encoder, file, weights)
        for request in requests
        for file in request.encoder.files(request.values)
    ]


def _found(encoder: Encoder, file: WeightFile, weights: Path) -> Found:
    try:
        path = file.locate(weights)
    except MissingWeights:
        path = None
    if path is None:
        return Found(encoder, file, ABSENT)
    if file.package:
        return Found(encoder, file, IN_PACKAGE, path)
    _, known = weight_record.lookup(path) or (None, None)
    reason = _wrong(file, path)
    return Found(encoder, file, WRONG if reason else PRESENT, path, reason, known)


def _wrong(file: WeightFile, path: Path) -> str:
    kind = what_else(path)
    if kind:
        return f"{path} is {kind}, no weight file"
    size = path.stat().st_size
    if file.size and file.is_published_format(path) and size != file.size:
        return f"{path} has {size:,} bytes, published are {file.size:,}"
    return weight_record.change(path)


def requests_of(names: Sequence[str]) -> list[Request]:
    """Return the encoders that feature-set names ask for, each once, in order."""
    requests = [request for name in names for request in parse(name)]
    return list({request.name: request for request in requests}.values())


def all_requests() -> list[Request]:
    """Return every encoder of the table in every variant that reads another choice of files."""
    requests = [
        request_with(encoder, file)
        for encoder in ENCODERS.values()
        for file in (None, *encoder.weights)
        if encoder.weights
    ]
    return list({request.name: request for request in requests}.values())


def request_with(encoder: Encoder, file: WeightFile | None = None) -> Request:
    """Return an encoder with its defaults, but for the option that asks for `file`."""
    defaults = {name: option.default for name, option in encoder.options.items()}
    chosen = [file.when] if file and file.when else []
    return request_for(encoder, defaults | dict(chosen))


def request_for(encoder: Encoder, values: Mapping[str, str]) -> Request:
    """Return an encoder with all its options given."""
    return Request(encoder, tuple(sorted(values.items())))


def file_of(request: Request, path: Path, role: str = "") -> WeightFile:
    """Return which of an encoder's files a path is meant as: the only one, or by role or name.

    Raises
    ------
    UsageError
        When that is not clear, or the encoder reads no such file.
    """
    files = [file for file in request.encoder.files(request.values) if not file.package]
    by_role = [file for file in files if file.role == role] if role else files
    names = [{_stem(name) for name in (file.filename, *file.also)} for file in by_role]
    by_name = [f for f, stems in zip(by_role, names, strict=True) if _stem(path.name) in stems]
    for choice in (by_role, by_name):
        if len(choice) == 1:
            return choice[0]
    known = ", ".join(f"{file.filename} (--role {file.role})" for file in files)
    raise UsageError(f"which file of {request.name} is {path}? It reads {known or 'none of yours'}")


def _stem(name: str) -> str:
    return Path(name).stem.lower()


def owner(
    path: Path, weights: Path, requests: Iterable[Request]
) -> tuple[Request, WeightFile, Path]:
    """Return the encoder that looks for a file, which of its files it is, and where it looks.

    Raises
    ------
    InputError
        When none does.
    """
    for request in requests:
        for file in request.encoder.files(request.values):
            for place in () if file.package else file.places(weights):
                if place.is_file() and place.samefile(path):
                    return request, file, place
    raise InputError(
        f"no encoder looks for {path}: python -m pipeline.weights lists where they look; one of a "
        "family, such as timm:NAME, is named beside it"
    )
