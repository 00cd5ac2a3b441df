"""TorchScript archives against torch.jit itself, and forged ones."""

import collections
import os
import pickle
import re
import sys
import types
import zipfile

import pytest

torch = pytest.importorskip("torch")

from features.errors import InputError  # noqa: E402 - only where torch is
from features.torchscript import is_torchscript, read_torchscript  # noqa: E402
from features.weights import load_state  # noqa: E402

# newer torch calls torch.jit deprecated; the files that it wrote stay
pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit.*", "ignore:.*Unused.*")


class Block(torch.nn.Module):
    """A convolution and a normalisation, with its counter."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = torch.nn.Conv2d(3, 3, 3, padding=1, bias=False)
        self.norm = torch.nn.BatchNorm2d(3)
        self.kernel = [3, 3]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return x's shape."""
        return self.norm(self.conv(x))


class Network(torch.nn.Module):
    """Modules in modules, one of them under two names; several types; views of one storage."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks = torch.nn.Sequential(Block(), torch.nn.Sequential(Block(), Block()))
        self.head = torch.nn.Linear(3, 3)
        self.tied = self.head
        self.scale = torch.nn.Parameter(torch.tensor(2.5))
        numbers = torch.arange(30.0)
        self.register_buffer("part", numbers[3:15].view(3, 4).t())
        self.register_buffer("other", numbers[10:])
        self.register_buffer("positions", torch.arange(5).expand(2, 5))
        self.register_buffer("mask", torch.tensor([True, False]))
        self.register_buffer("empty", torch.zeros(0, 3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return (n, 3)."""
        pooled = self.tied(self.head(self.blocks(x).mean((2, 3)))) * self.scale
        return pooled + self.part.sum() + self.other.sum() + self.positions.sum() + self.mask.sum()


SAVERS = {
    "script": torch.jit.script,
    "trace": lambda network: torch.jit.trace(network, torch.ones(1, 3, 4, 4)),
}


@pytest.fixture(params=SAVERS)
def archive(request, tmp_path):
    """A network, and the archive that torch.jit writes of it."""
    torch.manual_seed(0)
    network = Network().eval()
    path = tmp_path / "network.pt"
    SAVERS[request.param](network).save(str(path))
    return network, path


def assert_same_state(ours, expected):
    """The same names, types, sizes and numbers."""
    assert ours.keys() == expected.keys()
    for name, tensor in expected.items():
        assert ours[name].dtype == tensor.dtype
        assert ours[name].shape == tensor.shape
        assert torch.equal(ours[name], tensor)


def test_the_state_is_the_module_s(archive):
    """Every parameter and buffer, as the module has them; through load_state too."""
    network, path = archive
    assert is_torchscript(path)
    assert_same_state(read_torchscript(path), network.state_dict())
    assert_same_state(load_state(path), network.state_dict())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_types(tmp_path, dtype):
    """The official archive of CLIP is in half precision."""
    network = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Linear(4, 2)).to(dtype)
    path = tmp_path / "network.pt"
    torch.jit.script(network).save(str(path))
    assert_same_state(read_torchscript(path), network.state_dict())


def test_names_of_one_storage_share_it(archive):
    """What is one piece of memory in the file is one here."""
    state = read_torchscript(archive[1])
    assert state["head.weight"].data_ptr() == state["tied.weight"].data_ptr()
    state["other"][0] = -1  # numbers[10], at (3, 1) of the transposed part
    assert state["part"][3, 1] == -1


def test_other_files_are_no_archives(tmp_path):
    """A plain checkpoint is a zip too; other bytes are not even that."""
    plain = tmp_path / "plain.pth"
    torch.save({"a": torch.ones(2)}, plain)
    page = tmp_path / "page.pt"
    page.write_bytes(b"not a zip")
    assert not is_torchscript(plain)
    assert not is_torchscript(page)
    assert not is_torchscript(tmp_path / "missing.pt")
    assert load_state(plain)["a"].tolist() == [1, 1]
    with pytest.raises(InputError, match=r"page.pt is not a TorchScript archive"):
        read_torchscript(page)


def test_a_truncated_archive(archive):
    """Cut anywhere, it is one line."""
    path = archive[1]
    whole = path.read_bytes()
    for length in (len(whole) - 30, len(whole) // 2, 100):
        path.write_bytes(whole[:length])
        with pytest.raises(InputError, match=r"network.pt .*download it again") as error:
            load_state(path)
        assert "\n" not in str(error.value)


def test_a_damaged_archive(archive):
    """A changed byte in a storage is noticed."""
    path = archive[1]
    whole = path.read_bytes()
    with zipfile.ZipFile(path) as file:
        entry = next(e for e in file.infolist() if re.search(r"/data/\d+$", e.filename))
        data = file.read(entry)
    place = whole.index(data, entry.header_offset)
    path.write_bytes(whole[:place] + bytes([data[0] ^ 1]) + whole[place + 1 :])
    with pytest.raises(InputError, match="Bad CRC"):
        read_torchscript(path)


class Numbers:
    """A storage of `count` numbers, in a forged pickle."""

    def __init__(self, count: int, key: str = "0") -> None:
        self.count, self.key = count, key


class Tensor:
    """A tensor in a forged pickle."""

    def __init__(self, storage, offset, size, stride) -> None:
        self.parts = (storage, offset, size, stride, False, collections.OrderedDict())


class Forger(pickle.Pickler):
    """Writes what torch.jit's own pickler writes, whatever the numbers."""

    def persistent_id(self, thing):
        """Name a storage as torch does."""
        if isinstance(thing, Numbers):
            return ("storage", torch.FloatStorage, thing.key, "cpu", thing.count)
        return None

    def reducer_override(self, thing):
        """Call the function that rebuilds a tensor."""
        if isinstance(thing, Tensor):
            return torch._utils._rebuild_tensor_v2, thing.parts
        return NotImplemented


@pytest.fixture
def forge(tmp_path, monkeypatch):
    """Writes an archive of one module with the given attributes and storage bytes."""
    generated = types.ModuleType("__torch__")
    generated.Module = type("Module", (), {"__module__": "__torch__"})
    monkeypatch.setitem(sys.modules, "__torch__", generated)

    def forge(attributes, data=bytes(40), pickled=None, compression=zipfile.ZIP_STORED):
        module = generated.Module()
        module.__dict__.update(attributes)
        for name, value in attributes.items():
            if value == "itself":
                module.__dict__[name] = module
        path = tmp_path / "forged.pt"
        with zipfile.ZipFile(path, "w", compression) as file, file.open("f/data.pkl", "w") as out:
            if pickled is None:
                Forger(out, protocol=2).dump(module)
            else:
                out.write(pickled)
            out.close()
            file.writestr("f/data/0", data)
            file.writestr("f/constants.pkl", b"")
        return path

    return forge


def test_a_forged_archive_of_plain_tensors_is_read(forge):
    """What the refusals below differ from."""
    data = torch.arange(10.0).numpy().tobytes()
    path = forge({"a": Tensor(Numbers(10), 2, (2, 3), (3, 1)), "note": "text"}, data)
    state = read_torchscript(path)
    assert_same_state(state, {"a": torch.arange(2.0, 8.0).view(2, 3)})


@pytest.mark.parametrize(
    ("size", "stride", "offset"),
    [
        ((11,), (1,), 0),
        ((10,), (1,), 1),
        ((2, 2), (9, 1), 0),
        ((2,), (10**30,), 0),
        ((2,), (-1,), 5),
        ((2,), (1,), -1),
        ((-2,), (1,), 0),
        ((2, 2), (1,), 0),
        ((10**12,), (0,), 0),
        ((0.5,), (1,), 0),
    ],
)
def test_a_tensor_beyond_its_storage(forge, size, stride, offset):
    """No size or stride reaches other memory, or asks for absurd amounts of it."""
    path = forge({"a": Tensor(Numbers(10), offset, size, stride)})
    with pytest.raises(InputError, match=r"forged.pt is not a TorchScript archive .*a tensor of"):
        read_torchscript(path)


@pytest.mark.parametrize("storage", [Numbers(11), Numbers(10**15), Numbers(10, "1"), (1, 2, 3)])
def test_a_storage_that_is_not_there(forge, storage):
    """A storage has the bytes that the pickle says."""
    with pytest.raises(InputError, match="forged.pt is not a TorchScript archive"):
        read_torchscript(forge({"a": Tensor(storage, 0, (2,), (1,))}))


class Bomb:
    """Unpickled, it makes a folder."""

    def __init__(self, marker) -> None:
        self.marker = str(marker)

    def __reduce__(self):
        """Call os.mkdir."""
        return os.mkdir, (self.marker,)


def test_nothing_in_an_archive_is_run(forge, tmp_path):
    """Any name beyond modules and tensors is refused before it is called."""
    marker = tmp_path / "marker"
    for attributes in ({"a": Bomb(marker)}, {"a": [Bomb(marker)]}):
        path = forge(attributes)
        for read in (read_torchscript, load_state):
            with pytest.raises(InputError, match=r"it names (posix|nt)\.mkdir; nothing in it was"):
                read(path)
    assert not marker.exists()
    pickle.loads(pickle.dumps(Bomb(marker)))
    assert marker.exists()  # it would have


@pytest.mark.parametrize("name", ["builtins eval", "torch.hub load", "torch load", "__torch__x y"])
def test_other_names_are_refused(forge, name):
    """Neither a function of torch nor a module whose name only begins alike."""
    pickled = b"\x80\x02c" + name.replace(" ", "\n").encode() + b"\n."
    with pytest.raises(InputError, match=f"it names {name.replace(' ', '.')}"):
        read_torchscript(forge({}, pickled=pickled))


def test_one_file_changes_nothing_for_the_next(forge, archive):
    """A pickle may set attributes of the classes that it names: they are its own."""
    # what rebuilds tensors, and (None, {"__init__": None}): attributes to set on it
    pickled = b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\nN}X\x08\x00\x00\x00__init__Ns\x86b."
    with pytest.raises(InputError):
        read_torchscript(forge({}, pickled=pickled))
    network, path = archive
    assert_same_state(read_torchscript(path), network.state_dict())


@pytest.mark.parametrize(
    ("attributes", "pickled", "reason"),
    [
        ({"a": "itself", "b": "itself"}, None, "lie in each other without end"),
        ({}, b"\x80\x02]r\xff\xff\xff\x0f.", "its memo is larger than itself"),  # 4 GB of places
        ({}, b"\x80\x02]p99999999\n.", "its memo is larger than itself"),  # the same as text
        ({}, b"\x80\x02X\xff\xff\xff\x7f.", "2147483647 bytes"),  # a text of 2 GB
        ({}, b"\x80\x02].", "list"),  # no module
        ({}, b"", "exhausted"),
    ],
)
def test_a_pickle_without_end(forge, attributes, pickled, reason):
    """Neither a module inside itself nor absurd counts take the memory."""
    path = forge(attributes, pickled=pickled)
    with pytest.raises(InputError, match=f"not a TorchScript archive .*{reason}"):
        read_torchscript(path)


def test_compressed_parts_are_refused(forge):
    """torch stores numbers as they are; a small zip that unpacks to a large one is not its own."""
    path = forge({"a": Tensor(Numbers(10), 0, (10,), (1,))}, compression=zipfile.ZIP_DEFLATED)
    with pytest.raises(InputError, match="not stored as torch stores it"):
        read_torchscript(path)


def test_another_byte_order_is_refused(forge):
    """Numbers of the other byte order would be read as other numbers."""
    path = forge({"a": Tensor(Numbers(10), 0, (10,), (1,))})
    other = {"little": b"big", "big": b"little"}[sys.byteorder]
    with zipfile.ZipFile(path, "a") as file:
        file.writestr("f/byteorder", other)
    with pytest.raises(InputError, match="endian"):
        read_torchscript(path)
