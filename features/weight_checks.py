"""Whether weight files are right: each encoder is built from its files, and takes one picture.

Nothing that is stored in a file is executed. It happens on the CPU, one network at a time.
"""

import gc
import itertools
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from features import weight_record
from features.encoders.base import FLAG, Batch
from features.errors import InputError, UsageError
from features.names import Request
from features.runtime import Runtime
from features.weight_files import all_requests, owner, request_for
from features.weights import MissingWeights, WrongLayout, is_zip

_SIDE = 64  # pixels of the picture


@dataclass(frozen=True)
class Verdict:
    """What came of building one encoder.

    Attributes
    ----------
    name : of the feature set that was built, or that could not be
    paths : the files that were read
    problems : one line for each thing that is wrong
    absent : why nothing could be built, where a file is not there
    numbers : the embedding of one picture, by the name of each variant that was built
    """

    name: str
    paths: tuple[Path, ...] = ()
    problems: tuple[str, ...] = ()
    absent: str = ""
    numbers: Mapping[str, np.ndarray] = field(default_factory=dict)

    @property
    def faults(self) -> tuple[str, ...]:
        """The problems, with an absent file among them."""
        return (*self.problems, self.absent) if self.absent else self.problems


def verify_all(weights: Path) -> list[Verdict]:
    """Verify every encoder of the table whose files are there.

    A file that one variant of its encoder can be built from is right, whatever another says of it.
    """
    verdicts = []
    for _, group in itertools.groupby(all_requests(), lambda request: request.encoder.name):
        found = [verify(request, weights) for request in group]
        right = {path for verdict in found if not verdict.problems for path in verdict.paths}
        verdicts += [v for v in found if not (v.problems and v.paths and right >= set(v.paths))]
    return verdicts


def verify(request: Request, weights: Path, given: Mapping[str, Path] | None = None) -> Verdict:
    """Build an encoder from its files, and say what is wrong with them.

    Parameters
    ----------
    given : role of a file -> a path to take for it, wherever it lies
    """
    paths: dict[Path, None] = {}
    numbers: dict[str, np.ndarray] = {}
    for variant in variants(request):
        try:
            files = files_of(variant, weights, given or {})
            fresh = [path for path in files.values() if path not in paths]
            paths |= dict.fromkeys(fresh)
            problems = _damage(fresh)
            if not problems:
                numbers[variant.name] = _embedding(variant, files)
        except MissingWeights as error:
            return Verdict(request.name, absent=str(error))
        except UsageError:
            if variant == request:
                raise
            continue  # a flag that does not go with another option
        except WrongLayout as error:
            problems = error.details
        except InputError as error:
            problems = [str(error)]
        if problems:
            return Verdict(variant.name, tuple(paths), tuple(problems))
    return Verdict(request.name, tuple(paths), numbers=numbers)


def files_of(request: Request, weights: Path, given: Mapping[str, Path]) -> dict[str, Path]:
    """Return role -> path of every file that a request needs; some may be given.

    Raises
    ------
    MissingWeights, InputError
        As `WeightFile.find`.
    """
    return {
        file.role: given[file.role] if file.role in given else file.find(weights)
        for file in request.encoder.files(request.values)
    }


def _embedding(request: Request, files: Mapping[str, Path]) -> np.ndarray:
    """Build an encoder, and return its embedding of one picture.

    Raises
    ------
    InputError
        When it cannot be built from these files, or gives numbers that are not finite.
    """
    names = ", ".join(map(str, files.values()))
    side = max(_SIDE, request.encoder.min_side(request.values))
    picture = np.random.default_rng(0).integers(0, 256, (1, side, side, 3), dtype=np.uint8)
    try:
        encode = request.encoder.build(request.values, files, Runtime())
        embedding = encode(Batch(picture, ("a photograph",)))
    except (InputError, MemoryError):
        raise
    except Exception as error:  # a foreign file can trip an encoder's own reading of it anywhere
        text = next(iter(str(error).splitlines()), "")
        raise InputError(
            f"{names} cannot be read as {request.name} ({type(error).__name__}: {text})"
        ) from error
    finally:
        encode = None
        gc.collect()  # the network, before the next one is built
    if not np.isfinite(embedding).all():
        raise InputError(
            f"{names} hold numbers with which {request.name} gives none that is finite"
        )
    return embedding


def _damage(paths: Iterable[Path]) -> list[str]:
    """Compare the bytes of archives with the checksums inside them, which torch does not read."""
    problems = []
    for path in paths:
        try:
            with zipfile.ZipFile(path) as archive:
                part = archive.testzip() if is_zip(path) else None
        except (zipfile.BadZipFile, NotImplementedError, EOFError, RuntimeError):
            continue  # no archive that can be read at all: building says so
        if part:
            problems.append(f"{path} is damaged (in {part}): download it again")
    return problems


def variants(request: Request) -> list[Request]:
    """Return the request itself, and it with each flag that reads more of the same files."""
    encoder, values = request.encoder, request.values
    flags = [name for name, option in encoder.options.items() if option.choices == FLAG]
    choices = [values, *(values | {name: "yes"} for name in flags)]
    same = [choice for choice in choices if encoder.files(choice) == encoder.files(values)]
    return list({v.name: v for v in (request_for(encoder, choice) for choice in same)}.values())


def accept(paths: Sequence[Path], weights: Path, requests: Sequence[Request]) -> list[Verdict]:
    """Put what files hold now on record, where they were changed on purpose and are right.

    Parameters
    ----------
    paths : files of one encoder that changed together are given together

    Raises
    ------
    InputError
        When no encoder looks for one of them.
    """
    owned: dict[str, tuple[Request, dict[str, Path]]] = {}
    verdicts = []
    for path in paths:
        request, file, place = owner(path, weights, requests)
        if file.is_published_format(place):
            weight_record.check_published(place, file.sha256)
        owned.setdefault(request.name, (request, {}))[1][file.role] = place
    for request, given in owned.values():
        verdicts.append(verify(request, weights, given))
        if not verdicts[-1].faults:
            for place in given.values():
                weight_record.accept(place, weights)
    return verdicts
