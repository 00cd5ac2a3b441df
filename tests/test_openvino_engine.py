"""OpenVINO computes what torch computes."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from conftest import picture

openvino = pytest.importorskip("openvino", reason="the extra cpu installs it")
torch = pytest.importorskip("torch")

from features import networks, openvino_engine  # noqa: E402 - only where torch is
from features.errors import InputError  # noqa: E402
from features.openvino_engine import Compiled  # noqa: E402
from features.runtime import IN_LANE, Runtime  # noqa: E402

HINT = "INFERENCE_PRECISION_HINT"


def small() -> torch.nn.Module:
    """Two convolutions and a mean: (n, h, w, 3) uint8 -> (n, 8)."""
    torch.manual_seed(0)
    layers = [torch.nn.Conv2d(3, 32, 3, 2, 1), torch.nn.ReLU(), torch.nn.Conv2d(32, 8, 3)]

    class Small(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.prepare = networks.Normalise((0.4, 0.5, 0.6), (0.2, 0.3, 0.4))
            self.layers = torch.nn.Sequential(*layers)

        def forward(self, view):
            return self.layers(self.prepare(view)).mean((2, 3))

    return Small().eval()


def batch(n: int, width: int, height: int) -> np.ndarray:
    """Pictures of one size."""
    return np.stack([picture(seed, width, height) for seed in range(n)])


SHAPES = [(1, 64, 48), (3, 64, 48), (2, 31, 97), (1, 128, 128)]


@pytest.mark.parametrize("precision, tolerance", [("fp32", 1e-6), ("bf16", 2e-2)])
def test_every_shape_is_torch_s(precision, tolerance):
    """Batches and sizes that were not there when it was converted; the same bits twice."""
    module = small()
    compiled = Compiled(small(), precision, lanes=2)
    for shape in SHAPES:
        pictures = batch(*shape)
        with torch.inference_mode():
            expected = module(torch.from_numpy(pictures)).numpy()
            try:
                ours = compiled(pictures).numpy()
            except InputError as error:  # a processor without bf16
                pytest.skip(str(error))
        assert np.abs(ours - expected).max() <= tolerance * np.abs(expected).max()
        assert np.array_equal(compiled(pictures).numpy(), ours)


def test_the_precision_is_what_was_asked_for():
    """Read back from OpenVINO: float32 is float32, which it is not by itself on every processor."""
    for precision, kind in (("fp32", openvino.Type.f32), ("bf16", openvino.Type.bf16)):
        compiled = Compiled(small(), precision, lanes=2)
        try:
            compiled(batch(1, 32, 32))
        except InputError as error:
            assert precision == "bf16" and "does not offer it on this processor" in str(error)
            continue
        assert compiled.models[1].get_property(HINT) == kind
        assert compiled.models[1].get_property("NUM_STREAMS") == 1


def test_a_precision_that_it_does_not_keep(monkeypatch):
    """A processor without it is an error, not a quiet float32."""
    other = {"bf16": openvino.Type.f32}
    compile_model = openvino.Core.compile_model

    def without(core, model, device, settings):
        return compile_model(core, model, device, settings | {HINT: other["bf16"]})

    monkeypatch.setattr(openvino.Core, "compile_model", without)
    with pytest.raises(InputError, match="--precision bf16: OpenVINO does not offer it"):
        Compiled(small(), "bf16", lanes=2)(batch(1, 32, 32))


def test_a_network_that_it_cannot_take():
    """One line that says what to do."""

    class Odd(torch.nn.Module):
        def forward(self, view):
            raise RuntimeError("no such operation")

    with pytest.raises(InputError, match=r"cannot take this network \(.*\): use --engine torch"):
        Compiled(Odd(), "fp32", lanes=2)(batch(1, 32, 32))


def in_lanes(compiled: Compiled, views: list[np.ndarray]) -> list[np.ndarray]:
    """What it gives in two threads at once."""
    with ThreadPoolExecutor(2, initializer=IN_LANE.set, initargs=(True,)) as threads:
        return [one.numpy() for one in threads.map(compiled, views)]


def test_lanes_compute_the_same():
    """Two at once, of many shapes, beside one with the whole processor; the same bits twice."""
    compiled = Compiled(small(), "fp32", lanes=2)
    views = [batch(1, 40 + 3 * n, 30 + n) for n in range(20)]
    alone = [compiled(view).numpy() for view in views]
    found = in_lanes(compiled, views)
    np.testing.assert_array_equal(in_lanes(compiled, views[::-1])[::-1], found)
    assert np.abs(np.subtract(alone, found)).max() <= 1e-6 * np.abs(alone).max()
    streams = {n: model.get_property("NUM_STREAMS") for n, model in compiled.models.items()}
    assert streams == {1: 1, 2: 2}


def test_results_are_not_overwritten():
    """What a batch gave stays when the next one comes."""
    compiled = Compiled(small(), "fp32", lanes=2)
    first = compiled(batch(1, 32, 32))
    before = first.clone()
    compiled(255 - batch(1, 32, 32))
    assert torch.equal(first, before)


def test_several_inputs_and_outputs():
    """A tuple comes back; further inputs go beside the pictures, tensors or arrays."""

    class Two(torch.nn.Module):
        def forward(self, view, scale):
            return view.float().mean((1, 2)) * scale, view.float().amax((1, 2))

    compiled = Compiled(Two(), "fp32", lanes=2)
    for n in (1, 4):
        pictures, scale = batch(n, 20, 10), torch.arange(1.0, n + 1)[:, None]
        mean, largest = compiled(pictures, scale)
        expected = pictures.mean((1, 2), dtype=np.float64) * scale.numpy()
        np.testing.assert_allclose(mean.numpy(), expected, rtol=1e-6)
        np.testing.assert_array_equal(largest.numpy(), pictures.max((1, 2)))


def test_tensorflow_s_padding_is_the_convolution_s():
    """Sizes of either parity, kernels of either, groups: timm's numbers, and no map is copied."""
    layer = pytest.importorskip("timm.layers", reason="the extra lite installs it").Conv2dSame
    torch.manual_seed(0)

    class Same(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = torch.nn.Sequential(
                layer(3, 8, 3, 2),
                torch.nn.BatchNorm2d(8),
                layer(8, 8, 5, 2, groups=8, bias=False),
                torch.nn.ReLU(),
                torch.nn.ZeroPad2d((0, 1, 2, 3)),  # no such padding: it stays, and so does the next
                layer(8, 4, 2, 3, dilation=2),
            )

        def forward(self, view):
            return self.layers(view.permute(0, 3, 1, 2).float() / 255)

    module = Same().eval()
    compiled = Compiled(Same(), "fp32", lanes=2)
    compiled._module.load_state_dict(module.state_dict())
    for width, height in ((32, 32), (33, 47), (47, 32), (31, 31), (9, 64)):
        view = batch(2, width, height)
        with torch.inference_mode():
            expected = module(torch.from_numpy(view)).numpy()
        ours = compiled(view).numpy()
        assert ours.shape == expected.shape
        assert np.abs(ours - expected).max() <= 1e-6 * np.abs(expected).max()
    kinds = [str(node.get_rt_info()["layerType"].astype(str))
             for node in compiled.models[1].get_runtime_model().get_ops()]  # fmt: skip
    assert kinds.count("Pad") == 2  # the explicit one, and the one after it


def test_tiles_are_the_same():
    """The maps of tiles join to what the whole picture gives."""
    torch.manual_seed(0)
    layers = torch.nn.ModuleList(torch.nn.Conv2d(c, 8, 3, 2, 1) for c in (3, 8, 8))

    def stages(x):
        for layer in layers:
            x = layer(x).relu()
            yield x
        yield x

    network = networks.Network(stages, (2, 4, 8, 8), radius=16, module=layers)
    prepare = networks.Normalise((0.5,) * 3, (0.5,) * 3)
    view = batch(2, 300, 200)
    with torch.inference_mode():
        whole, tiled = (
            networks.Pooling(network, prepare, True, Runtime(engine), most)(view).numpy()
            for engine, most in (("torch", None), ("openvino", 20_000))
        )
    assert whole.shape == tiled.shape == (2, 3 * 16 + 8)
    assert np.abs(whole - tiled).max() <= 1e-5 * np.abs(whole).max()


def test_the_network_is_let_go_of():
    """Once compiled for all that may come, the weights are not held twice."""
    for lanes in (0, 1, 2):
        compiled = Compiled(small(), "fp32", lanes)
        compiled(batch(1, 32, 32))
        assert compiled._module is None
        assert (compiled._converted is None) == (lanes < 2)
    in_lanes(compiled, [batch(1, 32, 32)])
    assert compiled._converted is None
    assert set(openvino_engine._HINTS) == {"fp32", "bf16"}
