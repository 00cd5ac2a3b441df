"""TorchScript archives: their tensors, without running a line of their code.

`torch.jit.save` writes a zip. ROOT/data.pkl pickles the tree of modules, ROOT/data/KEY holds the
bytes of one storage, ROOT/code/ is the program, ROOT/constants.pkl its constants. Only the first
two are read here; every class and function that the pickle names is replaced by one that does
nothing but keep what it was given.
"""

import io
import math
import pickle
import pickletools
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from features.errors import InputError

# A storage's class names the type of its numbers.
_TYPES = {
    "BFloat16Storage": "bfloat16",
    "BoolStorage": "bool",
    "ByteStorage": "uint8",
    "CharStorage": "int8",
    "DoubleStorage": "float64",
    "FloatStorage": "float32",
    "HalfStorage": "float16",
    "IntStorage": "int32",
    "LongStorage": "int64",
    "ShortStorage": "int16",
}
# Far above any network, far below what would fill a memory.
_MOST_NAMES = 1_000_000
_LONGEST_NAME = 1000
_EXPANDED = 1 << 24  # numbers of a tensor that repeats those of a smaller storage


def is_torchscript(path: Path) -> bool:
    """Tell whether a file is a zip that holds what `torch.jit.save` writes."""
    try:
        with zipfile.ZipFile(path) as archive:
            return _root(archive) is not None
    except Exception:  # what zipfile raises on foreign bytes is no fixed list
        return False


def read_torchscript(path: Path) -> dict:
    """Return the parameters and buffers of a TorchScript archive.

    Returns
    -------
    state : dotted name -> tensor, as the module's `state_dict()`. Names that share a storage in
        the file share it here. A scripted module's tensors that are neither parameter nor buffer
        are among them: the pickle does not tell them apart.

    Raises
    ------
    InputError
        When the archive is damaged, or names anything but modules and tensors.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            reader = _Reader(archive, path.stat().st_size)
            return {name: reader.tensor(stored) for name, stored in reader.tensors()}
    except Exception as error:  # as above
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise InputError(
            f"{path} is not a TorchScript archive of plain tensors ({reason}; nothing in it was "
            "run): download it again from its official page"
        ) from error


def _root(archive: zipfile.ZipFile) -> str | None:
    names = set(archive.namelist())
    roots = [name.removesuffix("/data.pkl") for name in names if name.endswith("/data.pkl")]
    roots = [root for root in roots if "/" not in root and f"{root}/constants.pkl" in names]
    return roots[0] if len(roots) == 1 else None


class _Storage(NamedTuple):
    """Where the numbers of a tensor lie; only `persistent_load` makes one."""

    key: str
    dtype: str
    count: int


class _Module:
    """Stands in for every class of the archive: its attributes, nothing else."""

    attributes: dict = {}  # noqa: RUF012 - never written to

    def __setstate__(self, state: object) -> None:
        self.attributes = state if isinstance(state, dict) else {}


class _Stored:
    """A tensor as the pickle describes it; no number of it has been read."""

    def __init__(self, storage, offset, size, stride, requires_grad=False, hooks=None, extra=None):
        if extra:  # conjugate and negative bits, which no weight file has
            raise pickle.UnpicklingError(f"a tensor with {extra}")
        self.storage, self.offset, self.size, self.stride = storage, offset, size, stride


class _Unpickler(pickle.Unpickler):
    """Knows modules and tensors, and refuses every other name."""

    def __init__(self, data: bytes) -> None:
        super().__init__(io.BytesIO(data))
        # Fresh classes for every file: a pickle can set attributes of what it names.
        self.module = type("Module", (_Module,), {})
        self.stored = type("Stored", (_Stored,), {})
        typed = ("build_intlist", "build_doublelist", "build_boollist", "build_tensorlist")
        self._known = {
            ("torch._utils", "_rebuild_tensor_v2"): self.stored,
            ("collections", "OrderedDict"): lambda *items: {},  # a tensor's hooks: always empty
            ("torch.jit._pickle", "restore_type_tag"): lambda value, tag: value,
            **{("torch.jit._pickle", name): lambda values: values for name in typed},
        }

    def find_class(self, module: str, name: str) -> object:
        """Return what stands in for a name of the pickle."""
        if f"{module}.".startswith("__torch__."):
            return self.module
        if module == "torch" and name in _TYPES:
            return _TYPES[name]
        try:
            return self._known[module, name]
        except KeyError:
            raise pickle.UnpicklingError(f"it names {module}.{name}") from None

    def persistent_load(self, pid: object) -> _Storage:
        """Return the description of a storage; its bytes are read later."""
        kind, dtype, key, _, count = pid
        if kind != "storage" or dtype not in _TYPES.values() or not _counts([count]):
            raise pickle.UnpicklingError(f"a storage {pid!r:.80}")
        return _Storage(str(key), dtype, count)


class _Reader:
    """One open archive of `limit` bytes: what it says in all cannot be longer than itself."""

    def __init__(self, archive: zipfile.ZipFile, limit: int) -> None:
        self._archive, self._left = archive, limit
        self._root = _root(archive)
        self._storages: dict[_Storage, object] = {}
        order = f"{self._root}/byteorder"
        if order in archive.namelist() and self._bytes("byteorder").decode() != sys.byteorder:
            raise ValueError(f"its numbers are not {sys.byteorder}-endian")

    def _bytes(self, name: str) -> bytes:
        entry = self._archive.getinfo(f"{self._root}/{name}")
        self._left -= entry.file_size
        if entry.compress_type != zipfile.ZIP_STORED or self._left < 0:
            raise ValueError(f"{entry.filename} is not stored as torch stores it")
        return self._archive.read(entry)  # compares the checksum

    def tensors(self) -> Iterator[tuple[str, _Stored]]:
        """Walk the modules, and yield the name and the description of each tensor."""
        data = self._bytes("data.pkl")
        for code, argument, _ in pickletools.genops(data):
            # the unpickler would reserve memory for the index
            if code.name in ("PUT", "LONG_BINPUT") and argument > len(data):
                raise pickle.UnpicklingError("its memo is larger than itself")
        unpickler = _Unpickler(data)
        waiting, names = [("", unpickler.load())], 0
        while waiting:
            prefix, module = waiting.pop()
            names += len(module.attributes)
            # modules may share modules, and a forged file may put one into itself
            if names > _MOST_NAMES or len(prefix) > _LONGEST_NAME:
                raise ValueError("its modules lie in each other without end")
            for name, value in module.attributes.items():
                if isinstance(value, unpickler.stored):
                    yield f"{prefix}{name}", value
                elif isinstance(value, unpickler.module):
                    waiting.append((f"{prefix}{name}.", value))

    def tensor(self, stored: _Stored):
        """Return the tensor, a view of its storage.

        Raises
        ------
        ValueError
            When it would reach beyond its storage, or is absurdly large.
        """
        import torch  # here: archives are recognised where torch is not

        size, stride = tuple(stored.size), tuple(stored.stride)
        if not _counts([stored.offset, *size, *stride]) or len(size) != len(stride):
            raise ValueError(f"a tensor of size {size}")
        if not isinstance(stored.storage, _Storage):
            raise ValueError("a tensor without a storage")
        count = stored.storage.count
        last = stored.offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True))
        if math.prod(size) and last >= count:
            raise ValueError(f"a tensor of size {size} reaches beyond its {count} numbers")
        if math.prod(size) > max(count, _EXPANDED):
            raise ValueError(f"a tensor of size {size} repeats {count} numbers")
        return torch.as_strided(self._storage(stored.storage), size, stride, stored.offset)

    def _storage(self, storage: _Storage):
        import torch

        if storage not in self._storages:
            dtype = getattr(torch, storage.dtype)
            data = bytearray(self._bytes(f"data/{storage.key}"))
            if len(data) != storage.count * dtype.itemsize:
                raise ValueError(f"storage {storage.key} has {len(data)} bytes")
            flat = torch.frombuffer(data, dtype=dtype) if data else torch.empty(0, dtype=dtype)
            self._storages[storage] = flat
        return self._storages[storage]


def _counts(values: list) -> bool:
    return all(isinstance(value, int) and value >= 0 for value in values)
