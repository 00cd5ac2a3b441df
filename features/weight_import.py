"""A published weight file as safetensors: tensors alone, read fast, with nothing that could run.

The converted file takes the place of the published one only when its encoder gives the very same
numbers with it. It is on record as converted from that file, so that cache keys stay as they are.
"""

import contextlib
import fcntl
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np

from features.errors import InputError, UsageError
from features.fetch import put_in_place
from features.names import Request
from features.weight_checks import Verdict, verify
from features.weight_files import file_of
from features.weight_record import accept, check_published, content_sha256
from features.weights import WeightFile, load_state, weight_sha256

_SUFFIX = ".safetensors"
_DEPTH = 4  # of dictionaries in each other, as in {"state_dict": {"model": {...}}}


def import_file(source: Path, request: Request, weights: Path, role: str = "") -> Path:
    """Convert a file for an encoder, and return where it lies now.

    Parameters
    ----------
    source : as published, anywhere; it stays
    role : of the file, where the encoder reads several and its name does not tell

    Raises
    ------
    InputError
        When the file is not the encoder's, another file is in its place, or the disk is full.
    """
    file = file_of(request, source, role)
    target = file.places(weights)[0]
    if target.suffix != _SUFFIX:
        raise UsageError(f"{file.filename} is no file of tensors: put it into {weights} as it is")
    identity = weight_sha256(source)
    if file.is_published_format(source):
        check_published(source, file.sha256, identity)
    if target.is_file():
        if weight_sha256(target) != identity:
            raise InputError(f"{target} is there already and is another file: remove it first")
        return target
    expected = verify(request, weights, {file.role: source})
    if expected.faults:
        raise InputError(expected.faults[0])
    with _aside(target) as aside:
        if source.suffix == _SUFFIX:
            shutil.copyfile(source, aside)
        else:
            _convert(
                source, aside, identity, lambda: _same(expected, request, weights, file, aside)
            )
        same = content_sha256(aside) == identity
        accept(target, weights, "" if same else identity, aside)
        put_in_place(aside, target)
    return target


def import_all(request: Request, weights: Path) -> list[Path]:
    """Convert every file of an encoder that lies in the weights folder as published.

    Raises
    ------
    MissingWeights
        When one is not there.
    """
    found = [(file, file.find(weights)) for file in request.encoder.files(request.values)]
    chosen = [
        (f, path) for f, path in found if not f.package and f.places(weights)[0].suffix == _SUFFIX
    ]
    if not chosen:
        raise UsageError(f"{request.name} reads no file of yours that could be converted")
    return [import_file(path, request, weights, file.role) for file, path in chosen]


def _same(
    expected: Verdict, request: Request, weights: Path, file: WeightFile, aside: Path
) -> bool:
    """Tell whether the encoder gives the very same numbers with the file that lies aside."""
    found = verify(request, weights, {file.role: aside})
    return found.numbers.keys() == expected.numbers.keys() and all(
        np.array_equal(found.numbers[name], expected.numbers[name]) for name in found.numbers
    )


def _convert(source: Path, aside: Path, identity: str, is_right: Callable[[], bool]) -> None:
    """Write the tensors in the first layout that is right."""
    for keys in _places_of_tensors(load_state(source)):
        state = load_state(source)  # mapped from the disk; let go before a network is built
        for key in keys:
            state = state[key]
        _save(state, aside, {"format": "pt", "converted_from": identity})
        del state
        if is_right():
            return
    raise InputError(
        f"{source} cannot be converted: the encoder does not give the same numbers with its "
        "tensors alone; use the file as it is"
    )


def _places_of_tensors(state: Mapping, depth: int = _DEPTH) -> list[tuple]:
    """Return the keys that lead to each dictionary of tensors in a checkpoint, the usual first.

    What a training leaves beside them (an optimizer, an epoch) is no dictionary that an encoder
    takes, or no tensor at all.
    """
    import torch  # here: the command lists files where torch is not

    inner = [key for key, value in state.items() if isinstance(value, Mapping) and depth > 1]
    usual = ("model", "state_dict", "params")
    found = [()] if any(isinstance(value, torch.Tensor) for value in state.values()) else []
    for key in sorted(inner, key=lambda key: key not in usual):
        found += [(key, *rest) for rest in _places_of_tensors(state[key], depth - 1)]
    return found


def _save(tensors: Mapping, path: Path, metadata: dict[str, str]) -> None:
    """Write tensors as safetensors, which refuses shared and scattered memory: those are copied."""
    import torch
    from safetensors.torch import save_file

    storages: set[int] = set()
    plain = {}
    try:
        for key, tensor in tensors.items():
            if not isinstance(tensor, torch.Tensor):
                continue
            storage = tensor.untyped_storage()
            whole = storage.nbytes() == tensor.nbytes and tensor.is_contiguous()
            alone = whole and storage.data_ptr() not in storages
            storages.add(storage.data_ptr())
            own = tensor if alone else tensor.clone(memory_format=torch.contiguous_format)
            plain[str(key)] = own.detach()
        mode = path.stat().st_mode
        save_file(plain, path, metadata)
        path.chmod(mode)  # safetensors puts a file there that only its owner may read
    except Exception as error:  # a full disk, or a kind of tensor that the format lacks
        raise InputError(f"cannot write {path} ({error}): nothing was imported") from error


@contextlib.contextmanager
def _aside(target: Path) -> Iterator[Path]:
    """Lend a file beside the target to one process; the next one writes over what a kill left."""
    aside = target.with_name(f".{target.stem}.importing{_SUFFIX}")  # loaders go by the suffix
    aside.parent.mkdir(parents=True, exist_ok=True)
    folder = os.open(aside.parent, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(folder)
        raise InputError(f"another process is importing into {target.parent}: wait") from None
    try:
        aside.unlink(missing_ok=True)
        aside.touch()
        yield aside
    finally:
        aside.unlink(missing_ok=True)
        os.close(folder)
