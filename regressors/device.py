"""Arrays of other libraries, on other devices, through the array API standard.

A caller may hold embeddings as an array of PyTorch or CuPy, say on a GPU. What is heavy is then
computed where that array lies, by its own library; what is small, on the host by NumPy. No such
library is imported here: the array brings it along. Such an array must allow assignment to slices.
"""

from dataclasses import dataclass
from typing import Any

import array_api_compat
import numpy as np

Array = Any  # of any library that follows the standard
_CPU = 1  # kDLCPU, in DLPack's numbering of devices


@dataclass(frozen=True)
class Place:
    """Where an array lies: its library's namespace, and its device."""

    xp: Any
    device: Any

    @classmethod
    def of(cls, array: Array) -> "Place":
        """Return the place of an array."""
        return cls(array_api_compat.array_namespace(array), array_api_compat.device(array))

    @property
    def is_host(self) -> bool:
        """Whether arrays are NumPy's."""
        return self.xp is HOST.xp

    def put(self, array: Array, dtype: type) -> Array:
        """Return an array of the host or of this place here, copied only where it must be."""
        if self.is_host:
            return np.asarray(host(array), dtype)
        if isinstance(array, np.ndarray):
            return self.xp.asarray(np.asarray(array, dtype), device=self.device)
        return self.xp.astype(array, self._own(dtype), copy=False)

    def empty(self, shape: tuple[int, ...], dtype: type) -> Array:
        """Return an array of this shape, with anything in it."""
        return self.xp.empty(shape, dtype=self._own(dtype), device=self.device)

    def exact(self) -> "Place":
        """Return this place where it knows float64, else the host."""
        try:
            self.empty((1,), np.float64)
        except (AttributeError, RuntimeError, TypeError, ValueError):  # each library has its own
            return HOST
        return self

    def double(self, array: Array) -> Array:
        """Return a copy here, in float64, of an array of a place whose `exact` this is."""
        if self.is_host:
            return host(array).astype(float)
        return self.xp.astype(array, self.xp.float64)

    def contiguous(self, array: Array) -> Array:
        """Return an array in C order where NumPy needs it; other libraries see to it themselves."""
        return np.ascontiguousarray(array) if self.is_host else array

    def _own(self, dtype: type) -> Any:
        return getattr(self.xp, np.dtype(dtype).name)


HOST = Place.of(np.empty(0))


def host(array: Array) -> np.ndarray:
    """Return an array as NumPy's, which shares its memory where that is the host's."""
    if isinstance(array, np.ndarray):
        return array
    if array.__dlpack_device__()[0] != _CPU:
        array = array_api_compat.to_device(array, "cpu")
    return array if isinstance(array, np.ndarray) else np.from_dlpack(array)
