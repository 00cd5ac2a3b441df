"""UIQA against the published numbers, its stages and its ImageNet weights against torchvision.

Views have tests of their own, in test_views.py and test_saliency.py.
"""

import numpy as np
import pytest
from conftest import picture
from known import GOLDEN, reference_picture, same
from PIL import Image

torch = pytest.importorskip("torch")
torchvision = pytest.importorskip("torchvision")

from torchvision.models.feature_extraction import create_feature_extractor  # noqa: E402

from features.encoders import uiqa  # noqa: E402 - only where torch is
from features.encoders.base import Batch  # noqa: E402
from features.engine import load_encoder  # noqa: E402
from features.errors import InputError, UsageError  # noqa: E402
from features.names import parse  # noqa: E402
from features.runtime import Runtime  # noqa: E402
from features.saliency import salient_crop  # noqa: E402
from features.views import centred, fragments, fragments_at  # noqa: E402
from features.weights import MissingWeights, load_state  # noqa: E402

BRANCHES = ("aesthetics", "distortion", "saliency")


@pytest.fixture(scope="module")
def weights(known_weights):
    """A weights folder with the published file, and torchvision's, with random numbers."""
    folder = known_weights("uiqa")
    torch.manual_seed(0)
    torch.save(torchvision.models.swin_t(weights=None).state_dict(), folder / uiqa._SWIN)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize(("options", "array"), [("", "features"), ("[head]", "score")])
def test_uiqa_is_the_published_code(weights, options, array, monkeypatch):
    """All three networks in order, and the score, on the published code's own patches."""
    golden = np.load(GOLDEN / "uiqa.npz")
    places = [golden[f"hubble_fragment_{axis}_offsets"] for axis in ("row", "col")]
    monkeypatch.setattr(
        uiqa, "fragments", lambda one, grid, patch: fragments_at(one, *places, patch)
    )
    encoder = load_encoder(parse(f"uiqa{options}")[0], weights)
    image = reference_picture("hubble_1000x872")[None]
    assert same(encoder.encode(image), golden[f"hubble_{array}"])


def inputs(one):
    """The three views, by torchvision's transforms where it has them: (3, 3, 480, 480)."""
    transforms = torchvision.transforms
    resize = transforms.Resize(512, transforms.InterpolationMode.BILINEAR)
    crop = transforms.CenterCrop(480)
    image = Image.fromarray(one)
    views = [np.asarray(crop(resize(image))), fragments(one, 15, 32), np.asarray(crop(image))]
    batch = torch.stack([torch.from_numpy(np.float32(view)).permute(2, 0, 1) for view in views])
    mean, std = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
    return transforms.Normalize(mean, std)(batch / 255)


@pytest.mark.slow
def test_levels_are_torchvision_s_stages(weights):
    """Mean and deviation of what Swin's four stages return, then the final vector, per view."""
    one = picture(3, 600, 200)
    ours = load_encoder(parse("uiqa[pool=levels]")[0], weights).encode(one[None])
    state = load_state(weights / "UIQA.pth")
    expected = []
    for branch, view in zip(BRANCHES, inputs(one), strict=True):
        tower = torchvision.models.swin_t(weights=None)
        tower.head = torch.nn.Identity()
        start = f"{branch}_feature_extraction."
        tower.load_state_dict({k.removeprefix(start): v for k, v in state.items() if start in k})
        stages = [f"features.{index}" for index in (1, 3, 5, 7)]
        extractor = create_feature_extractor(tower.eval(), [*stages, "flatten"])
        with torch.inference_mode():
            *maps, final = extractor(view[None]).values()
        for level in (m.numpy().astype(np.float64) for m in maps):  # (1, h, w, channels)
            expected += [level.mean((1, 2)), level.std((1, 2))]
        expected.append(final.numpy())
    assert same(ours, np.concatenate(expected, axis=1).astype(np.float32), 1e-5)


@pytest.mark.slow
def test_imagenet_weights_go_in_all_three_places(weights):
    """torchvision's own file, and its own network on each of the views."""
    one = picture(4, 300, 200)
    tower = torchvision.models.swin_t(weights=None)
    tower.load_state_dict(load_state(weights / uiqa._SWIN))
    tower.head = torch.nn.Identity()
    with torch.inference_mode():
        expected = tower.eval()(inputs(one)).reshape(1, 2304).numpy()
    ours = load_encoder(parse("uiqa[weights=imagenet]")[0], weights).encode(one[None])
    assert same(ours, expected, 1e-5)


@pytest.mark.slow
def test_saliency_moves_the_salient_crop_alone(weights):
    """The other two views stay; nothing moves where the centre is the most salient."""
    edge, flat = np.full((2, 500, 900, 3), 90, np.uint8)
    edge[100:180, 800:880] = 250
    assert (salient_crop(edge, 480) != centred(edge, 480, 480)).any()
    pictures = np.stack([edge, flat])
    centre = load_encoder(parse("uiqa")[0], weights).encode(pictures)
    moved = load_encoder(parse("uiqa[salient=saliency]")[0], weights).encode(pictures)
    np.testing.assert_array_equal(moved[:, :1536], centre[:, :1536])
    np.testing.assert_array_equal(moved[1], centre[1])
    assert not same(moved[:1, 1536:], centre[:1, 1536:])


@pytest.mark.slow
def test_any_size_and_the_same_twice(weights):
    """Tiny and long pictures, with all options; encoding does not write to the views."""
    encoder = load_encoder(parse("uiqa[pool=levels,salient=saliency]")[0], weights)
    for size in ((1, 1), (7, 300)):
        batch = Batch(picture(5, *size)[None])
        embedding = encoder.encode(batch)
        assert embedding.shape == (1, 10944)
        assert np.isfinite(embedding).all()
        np.testing.assert_array_equal(encoder.encode(batch), embedding)


def test_number_of_dimensions():
    """Three Swin-T of 768, whose stages have 96, 192, 384 and 768 channels."""
    widths = {
        "uiqa": 2304,
        "uiqa[weights=imagenet]": 2304,
        "uiqa[head]": 1,
        "uiqa[head,salient=saliency]": 1,
        "uiqa[pool=levels]": 3 * (2 * (96 + 192 + 384 + 768) + 768),
    }
    for name, width in widths.items():
        (request,) = parse(name)
        assert request.encoder.n_dims(request.values) == width


@pytest.mark.parametrize("other", ["weights=imagenet", "pool=levels"])
def test_the_head_needs_its_own_vectors(other, tmp_path):
    """Refused with and without a file, in one line."""
    with pytest.raises(UsageError, match=rf"uiqa\[head,{other}\].*leave out head") as caught:
        request = parse(f"uiqa[head,{other}]")[0]
        request.encoder.n_dims(request.values)
    assert "\n" not in str(caught.value)
    with pytest.raises(UsageError, match="leave out head"):
        request.encoder.build(request.values, {"network": tmp_path / "absent"}, Runtime())


def test_each_choice_of_weights_has_its_file(tmp_path):
    """Only the file that is used is asked for."""
    with pytest.raises(MissingWeights, match=r"UIQA\.pth .*sunwei925/UIQA"):
        load_encoder(parse("uiqa")[0], tmp_path)
    with pytest.raises(MissingWeights, match=r"swin_t-704ceda3\.pth"):
        load_encoder(parse("uiqa[weights=imagenet]")[0], tmp_path)


@pytest.mark.parametrize(
    ("options", "filename", "page"),
    [
        ("", "UIQA.pth", "sunwei925/UIQA"),
        ("[weights=imagenet]", uiqa._SWIN, "download.pytorch.org"),
    ],
)
def test_another_model_s_file_is_one_line(options, filename, page, tmp_path):
    """The file and its page are named."""
    torch.save({"model": {"module.encoder.conv1.weight": torch.zeros(1)}}, tmp_path / filename)
    with pytest.raises(InputError, match=rf"{filename} is not .*{page}") as caught:
        load_encoder(parse(f"uiqa{options}")[0], tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.slow
def test_a_file_that_lacks_a_tensor_is_refused(weights, tmp_path):
    """Of any of the three networks, and of the head where it is used."""
    state = dict(load_state(weights / "UIQA.pth"))
    del state["quality.1.bias"]
    torch.save(state, tmp_path / "UIQA.pth")
    assert load_encoder(parse("uiqa")[0], tmp_path)
    with pytest.raises(InputError, match=r"1 missing \(first quality\.1\.bias\)"):
        load_encoder(parse("uiqa[head]")[0], tmp_path)
    other = tmp_path / "other"
    other.mkdir()
    del state["saliency_feature_extraction.norm.bias"]
    torch.save(state, other / "UIQA.pth")
    with pytest.raises(InputError, match=r"1 missing \(first saliency_feature_extraction\.norm"):
        load_encoder(parse("uiqa")[0], other)
