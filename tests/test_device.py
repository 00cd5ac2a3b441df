"""Arrays of other libraries go to where they should, and come back as they were."""

import numpy as np
import pytest

from regressors.device import HOST, Place, host

strict = pytest.importorskip("array_api_strict", reason="the extra dev installs it")
torch = pytest.importorskip("torch")
MAKERS = [np.asarray, torch.asarray, strict.asarray]


@pytest.mark.parametrize("make", MAKERS)
def test_there_and_back(make):
    """The same numbers, in the dtype asked for, on the device of the first array."""
    own = np.arange(6.0).reshape(2, 3)
    place = Place.of(make(np.zeros(1)))
    there = place.put(own, np.float32)
    assert Place.of(there) == place
    assert host(there).dtype == np.float32 and np.array_equal(host(there), own)
    again = place.put(there, np.float64)
    assert host(again).dtype == np.float64 and np.array_equal(host(again), own)
    assert host(place.empty((2, 3), np.float32)).shape == (2, 3)


@pytest.mark.parametrize("make", MAKERS)
def test_double_is_always_a_copy(make):
    """What is changed in place must not be the caller's."""
    for dtype in (np.float32, np.float64):
        array = make(np.ones((2, 2), dtype))
        place = Place.of(array)
        assert place.exact() == place
        changed = place.double(array)
        changed += 1
        assert host(changed).dtype == np.float64
        assert np.array_equal(host(array), np.ones((2, 2)))
        assert np.array_equal(HOST.double(array), np.ones((2, 2)))


def test_numpy_s_own_are_not_copied():
    """Neither on the way there nor back."""
    array = np.ones(3, np.float32)
    assert HOST.put(array, np.float32) is array and host(array) is array
    assert Place.of(array) == HOST and HOST.is_host


def test_memory_of_the_host_is_shared():
    """A tensor on the CPU comes back without a copy, also when it is no contiguous one."""
    tensor = torch.arange(6.0).reshape(2, 3)
    assert np.shares_memory(host(tensor), tensor.numpy())
    assert np.array_equal(host(tensor.T), [[0, 3], [1, 4], [2, 5]])


@pytest.mark.parametrize("error", [AttributeError, RuntimeError, TypeError, ValueError])
def test_without_float64_the_host_is_exact(error):
    """Each library has its own error."""

    class Library:
        float64 = "float64"

        def empty(self, *_, **__):
            raise error

    place = Place(Library(), "gpu")
    assert place.exact() is HOST and not place.is_host
