"""Tiles: cores that part a view, and the same numbers as from the whole view."""

import dataclasses
import functools
import importlib.util
import math
from pathlib import Path

import numpy as np
import pytest
from conftest import picture
from known import same

from features.encoders import ENCODERS
from features.encoders.nss import NSS
from features.engine import embed, load_encoder
from features.names import Request, parse
from features.plan import Picture
from features.tiles import spans, tiles

torch = pytest.importorskip("torch")

from features import networks  # noqa: E402 - only where torch is
from features.encoders.trunks import trunk  # noqa: E402

STRIDES = (2, 4, 8, 16, 32)
SIDES = (1, 31, 32, 33, 63, 64, 65, 500, 511, 1000, 1023, 1777)


# --- where the tiles lie


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("core, halo", [(32, 0), (32, 32), (64, 96), (160, 64), (4096, 448)])
def test_cores_part_an_axis(side, core, halo):
    """Each cell of each stride is in one core; halos are cut by nothing but the view's own edge."""
    cut = spans(side, core, halo, 32)
    assert [span.core_start for span in cut] == [0, *(span.core_stop for span in cut[:-1])]
    assert cut[-1].core_stop == cut[-1].stop == side
    for span in cut:
        assert span.start % 32 == 0
        assert (span.stop - span.start) % 32 == side % 32
        assert span.start in (0, span.core_start - halo)
        assert span.stop == side or span.stop >= span.core_stop + halo
    for stride in STRIDES:
        cells = [
            span.start // stride + cell
            for span in cut
            for cell in range(math.ceil((span.stop - span.start) / stride))[span.cells(stride)]
        ]
        assert cells == list(range(math.ceil(side / stride)))


@pytest.mark.parametrize("height, width", [(2000, 3000), (1777, 2999), (31, 5000), (5000, 1)])
@pytest.mark.parametrize("most", [400_000, 2_000_000])
def test_no_tile_is_larger_than_the_most(height, width, most):
    """Every tile fits, and a larger budget never means more work."""
    work = []
    for budget in (most, 2 * most):
        sizes = [
            (rows.stop - rows.start) * (columns.stop - columns.start)
            for rows, columns in tiles(height, width, 213, 32, budget)
        ]
        assert max(sizes) <= budget
        work.append(sum(sizes))
    assert height * width <= work[1] <= work[0]


def test_a_long_strip_is_cut_across_only():
    """A view that is thinner than a tile has one row of tiles, and nearly no halo to compute."""
    cut = list(tiles(31, 1_000_000, 425, 32, 4_000_000))
    assert {rows for rows, _ in cut} == {spans(31, 32, 448, 32)[0]}
    assert sum(columns.stop - columns.start for _, columns in cut) < 1_010_000


def test_a_budget_without_room_for_the_halo():
    """No layout is made up where none fits."""
    with pytest.raises(ValueError, match="halo of 448 pixels has more than 500000"):
        next(tiles(3000, 2000, 425, 32, 500_000))


# --- what the tiles give


def seeded(*shape: int) -> "torch.Tensor":
    """Weights of a convolution that keep a signal's size."""
    generator = torch.Generator().manual_seed(sum(shape))
    weights = torch.randn(*shape, generator=generator, dtype=torch.float64)
    return weights / math.sqrt(math.prod(shape[1:]) / 2)


def small_stages(batch: "torch.Tensor"):
    """Five stages: padding as TensorFlow has it, a stride, maximum and a fixed padding of zeros."""
    functional = torch.nn.functional
    maps = batch
    for stage in range(5):
        height, width = maps.shape[2:]
        pads = [(1 + side % 2) for side in (width, height)]  # of a 3x3 kernel that strides by 2
        pads = [part for total in pads for part in (total // 2, total - total // 2)]
        maps = functional.conv2d(
            functional.pad(maps, pads), seeded(6, maps.shape[1], 3, 3), None, 2
        )
        maps = maps + functional.conv2d(maps.relu(), seeded(6, 6, 3, 3), padding=1)
        maps = maps - 0.5 * functional.max_pool2d(maps, 3, 1, padding=1) + 0.1 * stage
        yield maps
    yield maps.relu()


# to the longer side of the padding: 3x3 with a stride, 3x3, and maximum
SMALL_RADIUS = sum(2 * stride // 2 + 2 * stride for stride in STRIDES) - 31
SMALL = networks.Network(small_stages, (*STRIDES, 32), SMALL_RADIUS, lambda final: final * 2)


def pooled(network, view, prepare, levels=False, most=None):
    """The embeddings of a view."""
    return networks.Pooling(network, prepare, levels, most=most)(view)


def exactly(view: "torch.Tensor") -> "torch.Tensor":
    """A view as float64, so that nothing but an error shows."""
    return (view.double() / 255 - 0.4).permute(0, 3, 1, 2)


@pytest.mark.parametrize("levels", [True, False])
@pytest.mark.parametrize(
    "height, width", [(700, 900), (701, 899), (523, 641), (1, 5000), (3000, 31), (640, 672)]
)
def test_tiles_are_the_whole(height, width, levels):
    """Beyond the budget the numbers are the same, for every picture of a batch."""
    view = np.stack([picture(seed, width, height) for seed in (1, 2)])
    most = min(height * width - 1, 300_000)
    whole = pooled(SMALL, view, exactly, levels, most=view.size)
    seen = []

    def prepare(tile):
        seen.append(tile.shape[1] * tile.shape[2])
        return exactly(tile)

    tiled = pooled(SMALL, view, prepare, levels, most)
    assert tiled.shape == whole.shape == (2, (5 * 12 if levels else 0) + 6)
    assert len(seen) > 2 and max(seen) <= most
    # the parts are joined in float64, the result is float32
    assert same(tiled.numpy(), whole.numpy(), 1e-7)


@pytest.mark.parametrize("radius", [0, SMALL_RADIUS // 2])
def test_a_halo_that_is_too_narrow_shows(radius):
    """The network of these tests tells a wrong tile from a right one."""
    narrow = dataclasses.replace(SMALL, radius=radius)
    view = picture(1, 900, 700)[None]
    whole = pooled(SMALL, view, exactly, True, most=view.size)
    tiled = pooled(narrow, view, exactly, True, most=300_000)
    assert not same(tiled.numpy(), whole.numpy(), 1e-5)


def test_up_to_the_budget_a_view_is_whole():
    """At the budget itself nothing is cut; one pixel less, and it is."""
    calls = []

    def stages(batch):
        calls.append(batch.shape)
        return small_stages(batch)

    network = dataclasses.replace(SMALL, stages=stages)
    view = picture(1, 600, 500)[None]
    pooled(network, view, exactly, True, most=300_000)
    assert calls == [(1, 3, 500, 600)]
    pooled(network, view, exactly, True, most=299_999)
    assert len(calls) > 2


def test_a_network_that_sees_everything_is_not_cut():
    """Without a radius no tile is exact."""
    network = dataclasses.replace(SMALL, radius=None)
    view = picture(1, 600, 500)[None]
    assert pooled(network, view, exactly, most=300_000).shape == (1, 6)
    with pytest.raises(ValueError, match="600x500 is too large for a network that cannot be tiled"):
        pooled(network, view, exactly, most=299_999)


def test_moments_of_parts():
    """Parts of any size give NumPy's mean and deviation of all, next to a mean far from zero."""
    rng = np.random.default_rng(0)
    parts = [
        (rng.normal(300, 1, (4, h, w)) + h).astype(np.float32)
        for h, w in ((1, 1), (50, 3), (7, 90))
    ]
    joined = functools.reduce(
        lambda a, b: a + b, (networks.Moments.of(torch.from_numpy(part)) for part in parts)
    )
    every = np.concatenate([part.reshape(4, -1) for part in parts], axis=1).astype(np.float64)
    assert joined.count == every.shape[1]
    np.testing.assert_allclose(joined.mean, every.mean(1), rtol=1e-7)
    np.testing.assert_allclose(joined.std, every.std(1), rtol=1e-5)


# --- the networks


def resnet18():
    """quality-lite's network, and how it is cut."""
    made = trunk("resnet18")
    return made.module, made.network()


def resnet50():
    """Re-IQA's network, and how it is cut."""
    made = trunk("resnet50")
    return made.module, made.network()


def lite0():
    """content-lite's network, and how it is cut."""
    timm = pytest.importorskip("timm")
    from features.encoders.content_lite import _stages

    network = timm.create_model("tf_efficientnet_lite0", pretrained=False)
    return network, _stages(network)


@pytest.fixture(params=[resnet18, resnet50, lite0], ids=lambda make: make.__name__)
def averaging(request):
    """Networks with weights that average: each number then rises with each that it sees."""
    network, cut = request.param()
    network.double().eval()
    with torch.no_grad():
        for name, tensor in network.named_parameters():
            matrix = tensor.ndim > 1
            tensor.fill_(1 / tensor[0].numel() if matrix else float(name.endswith("weight")))
    return network, cut


@torch.inference_mode()
def test_a_radius_is_how_far_a_network_sees(averaging):
    """A single bright pixel is seen by the cells up to the radius, and by no others.

    The sides of the maps are all even for one width and all odd for the other, which are the two
    ways in which TensorFlow pads.
    """
    _, cut = averaging
    reach = 0
    for width in (1024, 1025):
        pixels = 500 + torch.arange(32)
        batch = torch.zeros(32, 3, 1, width, dtype=torch.float64)
        batch[torch.arange(32), :, 0, pixels] = 1
        *_, final = cut.stages(batch)
        for pixel, cells in zip(pixels.tolist(), final.sum((1, 2)), strict=True):
            seen = cells.nonzero() * 32
            reach = max(reach, int(seen.max()) - pixel, pixel - int(seen.min()) - 31)
    assert reach == cut.radius


@torch.inference_mode()
def test_a_radius_is_that_of_the_kernels(averaging):
    """Half the receptive field: every kernel's reach, times the stride at which it lies.

    Kernels beside others, on shortcuts, are 1x1 and reach nowhere.
    """
    network, cut = averaging
    reaches = []

    def reach(module, inputs, output):
        kernel = module.kernel_size
        kernel = kernel[0] if isinstance(kernel, tuple) else kernel
        reaches.append((kernel - 1) / 2 * (64 // inputs[0].shape[2]))

    for module in network.modules():
        if isinstance(module, torch.nn.Conv2d | torch.nn.MaxPool2d):
            module.register_forward_hook(reach)
    maps = list(cut.stages(torch.zeros(1, 3, 64, 64, dtype=torch.float64)))
    assert sum(reaches) == cut.radius
    assert tuple(64 // part.shape[2] for part in maps) == cut.strides


@pytest.mark.slow
@pytest.mark.parametrize(
    "name, width, height",
    [
        ("content-lite", 3000, 2000),
        ("content-lite[scales=1]", 2999, 1777),
        ("content-lite", 5000, 31),
        ("reiqa-content[pool=levels,scales=1]", 2999, 1777),
        ("reiqa-quality[head]", 31, 5000),
    ],
)
def test_large_pictures(name, width, height, request, monkeypatch):
    """Numbers from tiles are those of the whole picture, to 1e-5 of the largest."""
    base = name.split("[")[0]
    packages = [file.package for file in ENCODERS[base].weights if file.package]
    if not all(importlib.util.find_spec(package) for package in packages):
        pytest.skip(f"the package with the weights of {name} is not installed")
    folder = Path() if packages else request.getfixturevalue("known_weights")(base)
    pictures = picture(3, width, height)[None]
    whole = load_encoder(parse(name)[0], folder).encode(pictures)
    half = functools.partial(networks.Pooling, most=width * height // 2)
    monkeypatch.setattr(networks, "Pooling", half)
    tiled = load_encoder(parse(name)[0], folder).encode(pictures)
    assert not np.array_equal(tiled, whole)  # else nothing was cut
    assert same(tiled, whole, 1e-5)


# --- encoders that take no more than so much


def test_a_picture_beyond_an_encoder_is_a_row(plan):
    """It is counted with its reason, and the others go on."""
    record = dataclasses.replace(NSS, max_pixels=64 * 48)
    encoder = load_encoder(Request(record, ()), Path())
    (done,) = embed([[Picture(p.name, p.path) for p in plan[:3]]], [encoder])
    results = [row.result for row in done.rows["nss"]]
    assert isinstance(results[0], np.ndarray) and isinstance(results[1], np.ndarray)
    assert results[2] == "80x60 is beyond what nss takes (0.003072 megapixels)"
