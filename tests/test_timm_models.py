"""The family timm:NAME against timm itself: its transforms, pooled vectors and feature lists."""

import sys

import numpy as np
import pytest
from conftest import picture
from PIL import Image

torch = pytest.importorskip("torch")
timm = pytest.importorskip("timm")

from features.encoders import timm_models  # noqa: E402 - only where torch and timm are
from features.encoders.base import Batch  # noqa: E402
from features.encoders.timm_models import timm_encoder  # noqa: E402
from features.errors import InputError, UsageError  # noqa: E402
from features.names import Request  # noqa: E402
from features.networks import Normalise  # noqa: E402
from features.runtime import Runtime  # noqa: E402
from features.views import fitted  # noqa: E402
from features.weights import MissingWeights  # noqa: E402

SIZES = [(64, 48), (301, 200), (33, 101), (7, 300), (160, 160)]
# Small networks: a plain ViT, ResNet, ConvNeXt (its maps pass a norm before the head), an
# EfficientNet, whose pooled vector is wider than its last stage, and a Swin, whose maps lie
# channels-last.
NETWORKS = [
    "test_vit.r160_in1k",
    "test_resnet.r160_in1k",
    "test_convnext.r160_in1k",
    "mobilenetv3_small_050.lamb_in1k",
    "test_efficientnet.r160_in1k",
]
LEVELS = NETWORKS[1:]


def write(folder, name, seed=0, **options):
    """Write a network with random weights as its published file; return the network."""
    from safetensors.torch import save_file

    torch.manual_seed(seed)
    network = timm.create_model(name, pretrained=False, **options)
    with torch.no_grad():
        for key, values in network.state_dict().items():
            if values.ndim == 1 and key.endswith(("weight", "running_var")):
                values.uniform_(0.5, 1.5)  # norms that do something
    path = folder / "timm" / f"{name}.safetensors"
    path.parent.mkdir(exist_ok=True)
    save_file(network.state_dict(), path)
    return network.eval()


def load(folder, name, runtime=Runtime(), **options):
    """Build the encoder from its file in a weights folder."""
    encoder = timm_encoder(name)
    values = {key: option.default for key, option in encoder.options.items()} | options
    files = {file.role: file.find(folder) for file in encoder.files(values)}
    return encoder.build(values, files, runtime)


@pytest.fixture(scope="module", params=NETWORKS)
def written(request, tmp_path_factory):
    """A folder with a network's file, its name, and the network."""
    folder = tmp_path_factory.mktemp("weights")
    return folder, request.param, write(folder, request.param)


def inputs(network, pictures):
    """The pictures through timm's own transform."""
    data = timm.data.resolve_model_data_config(network)
    transform = timm.data.create_transform(**data, is_training=False)
    return torch.stack([transform(Image.fromarray(one)) for one in pictures])


def same(ours, expected):
    """Shape, and numbers to 1e-5 of the largest."""
    assert ours.dtype == np.float32
    assert ours.shape == expected.shape
    return np.abs(ours - expected).max() <= 1e-5 * np.abs(expected).max()


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(
    "name",
    [
        "resnet18.a1_in1k",  # bicubic, center, .95
        "dla34.in1k",  # bilinear, center, .875
        "convnext_tiny.fb_in22k_ft_in1k_384",  # squash, 1
        "dm_nfnet_f0.dm_in1k",  # squash, .9
        "vit_base_patch14_dinov2.lvd142m",  # center, 1, 518 pixels
    ],
)
def test_views_are_timm_s(name, size):
    """Every number that enters the network, for the data configurations that timm has."""
    _views_are_timm_s(timm.data.resolve_data_config(pretrained_cfg=_config(name)), size)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("mode", ["center", "squash", "border"])
@pytest.mark.parametrize(
    ("height", "width", "share"), [(64, 64, 0.9), (51, 50, 0.875), (50, 73, 1.0), (96, 40, 0.95)]
)
def test_every_crop_mode_is_timm_s(mode, height, width, share, size):
    """Also for inputs that are not square."""
    data = {"input_size": (3, height, width), "crop_pct": share, "crop_mode": mode}
    data |= {"interpolation": "bicubic", "mean": (0.48, 0.46, 0.4), "std": (0.27, 0.26, 0.28)}
    _views_are_timm_s(data, size)


def _config(name):
    return timm.get_pretrained_cfg(name).to_dict()


def _views_are_timm_s(data, size):
    one = picture(3, *size)
    theirs = timm.data.create_transform(**data, is_training=False)(Image.fromarray(one))
    _, height, width = data["input_size"]
    border = data["crop_mode"] == "border"
    fill = tuple(round(255 * v) if border else 0 for v in data["mean"])
    ours = fitted(
        one, height, width, data["crop_pct"], data["crop_mode"], data["interpolation"], fill
    )
    ours = Normalise(data["mean"], data["std"])(torch.from_numpy(ours[None].copy()))[0]
    np.testing.assert_array_equal(ours.numpy(), theirs.numpy())


@pytest.mark.slow
def test_the_embedding_is_timm_s_pooled_vector(written):
    """num_classes=0, on timm's own input; its width is known before any weight is read."""
    folder, name, network = written
    pictures = np.stack([picture(seed, 90, 70) for seed in range(3)])
    ours = load(folder, name)(Batch(pictures))
    with torch.inference_mode():
        features = network.forward_features(inputs(network, pictures))
        expected = network.forward_head(features, pre_logits=True).numpy()
    assert same(ours, expected)
    assert ours.shape[1] == timm_encoder(name).n_dims({"pool": "last"})
    assert len(np.unique(ours, axis=0)) == 3


@pytest.mark.slow
@pytest.mark.parametrize("name", [*NETWORKS, "tf_mobilenetv3_small_minimal_100.in1k"])
def test_openvino_computes_the_same(name, tmp_path):
    """Batches of any number; pooled vectors, and the stages where there are some."""
    pytest.importorskip("openvino", reason="the extra cpu installs it")
    write(tmp_path, name)
    for pool in ("last", "levels") if name != NETWORKS[0] else ("last",):
        torchs, other = (
            load(tmp_path, name, Runtime(engine), pool=pool) for engine in ("torch", "openvino")
        )
        for n in (2, 1, 3):
            pictures = np.stack([picture(seed, 90, 70) for seed in range(n)])
            assert same(other(Batch(pictures)), torchs(Batch(pictures)))


@pytest.mark.slow
@pytest.mark.parametrize("name", LEVELS)
def test_levels_are_timm_s_feature_lists(name, tmp_path):
    """timm's features_only network gives the same maps; then comes the pooled vector."""
    network = write(tmp_path, name)
    pictures = np.stack([picture(seed, 90, 70) for seed in range(2)])
    ours = load(tmp_path, name, pool="levels")(Batch(pictures))
    maps = timm.create_model(name, pretrained=False, features_only=True).eval()
    missing, _ = maps.load_state_dict(
        {_flattened(maps, key): value for key, value in network.state_dict().items()}, strict=False
    )
    assert not missing
    parts = []
    with torch.inference_mode():
        for level in maps(inputs(network, pictures)):
            level = level.numpy().astype(np.float64)
            parts += [level.mean((2, 3)), level.std((2, 3))]
    expected = np.concatenate([*parts, load(tmp_path, name)(Batch(pictures))], axis=1)
    assert same(ours, expected.astype(np.float32))
    assert ours.shape[1] == timm_encoder(name).n_dims({"pool": "levels"})


def _flattened(maps, key):
    """Where features_only flattens a Sequential: stages.0 -> stages_0."""
    head, _, rest = key.partition(".")
    index, _, tail = rest.partition(".")
    flat = f"{head}_{index}"
    return f"{flat}.{tail}" if flat in dict(maps.named_children()) else key


@pytest.mark.slow
@pytest.mark.parametrize("pool", ["last", "levels"])
def test_batches_change_nothing(pool, tmp_path):
    """The same bits twice; alone or together, in any order, next to the same numbers."""
    name = "test_resnet.r160_in1k"
    write(tmp_path, name)
    encode = load(tmp_path, name, pool=pool)
    pictures = np.stack([picture(seed) for seed in range(4)])
    together = encode(Batch(pictures))
    assert np.isfinite(together).all()
    np.testing.assert_array_equal(encode(Batch(pictures)), together)
    assert same(encode(Batch(pictures[::-1]))[::-1], together)
    alone = np.concatenate([encode(Batch(one[None])) for one in pictures])
    assert same(alone, together)


@pytest.mark.slow
@pytest.mark.parametrize("size", [(1, 1), (1, 300), (300, 7), (20_000, 1)])
def test_any_size(size, tmp_path):
    """Finite from the smallest picture to a line."""
    name = "test_vit.r160_in1k"
    write(tmp_path, name)
    assert np.isfinite(load(tmp_path, name)(Batch(picture(1, *size)[None]))).all()


@pytest.mark.slow
def test_the_classifier_does_not_matter(tmp_path):
    """A file with one, with another, and without one are the same encoder."""
    from safetensors.torch import save_file

    name = "test_convnext.r160_in1k"
    state = write(tmp_path, name).state_dict()
    expected = load(tmp_path, name)(Batch(picture(1)[None]))
    others = {
        "another": state | {"head.fc.bias": state["head.fc.bias"] + 1},
        "none": {key: v for key, v in state.items() if not key.startswith("head.fc.")},
    }
    for other, tensors in others.items():
        folder = tmp_path / other
        folder.mkdir()
        save_file(tensors, folder / f"{name}.safetensors")
        np.testing.assert_array_equal(load(folder, name)(Batch(picture(1)[None])), expected)


@pytest.mark.slow
def test_layouts_that_timm_converts(tmp_path):
    """The authors' own ConvNeXt file, in its wrapping and under its own names, as timm reads it."""
    name = "test_convnext.r160_in1k"
    network = write(tmp_path, name)
    expected = load(tmp_path, name)(Batch(picture(1)[None]))
    (tmp_path / "timm" / f"{name}.safetensors").unlink()
    original = {}
    for key, value in network.state_dict().items():
        key = key.replace("stem.", "downsample_layers.0.").replace("head.fc.", "head.")
        key = key.replace("head.norm.", "norm.").replace(".conv_dw.", ".dwconv.")
        key = key.replace(".mlp.fc1.", ".pwconv1.").replace(".mlp.fc2.", ".pwconv2.")
        for stage in range(4):
            key = key.replace(f"stages.{stage}.blocks.", f"stages.{stage}.")
            key = key.replace(f"stages.{stage}.downsample.", f"downsample_layers.{stage}.")
        original[f"module.{key}"] = value
    assert original.keys().isdisjoint(network.state_dict())
    torch.save({"model": original, "epoch": 3}, tmp_path / "timm" / f"{name}.pth")
    np.testing.assert_array_equal(load(tmp_path, name)(Batch(picture(1)[None])), expected)


@pytest.mark.parametrize(
    "place",
    [
        "timm/test_vit.r160_in1k.pth",
        "timm/test_vit.pth",
        "test_vit.r160_in1k.bin",
        "timm/test_vit.r160_in1k/model.safetensors",
    ],
)
def test_where_files_are_found(place, tmp_path):
    """With and without the tag, of each kind, in timm/ or beside it, or a repository as it is."""
    path = tmp_path / place
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    assert timm_encoder("test_vit").weights[0].find(tmp_path) == path


def test_missing_weights_are_said(tmp_path):
    """Never random ones; the message has the file and its page."""
    with pytest.raises(MissingWeights, match=r"resnet18\.a1_in1k\.safetensors .*huggingface\.co"):
        timm_encoder("resnet18").weights[0].find(tmp_path)


def broken(state):
    """States that must not be taken for the network: key -> tensor changed in one way each."""
    first, *_, last = state
    return {
        "a tensor is missing": {key: v for key, v in state.items() if key != first},
        "a tensor too many": state | {"blocks.99.weight": state[last]},
        "another shape": state | {first: torch.zeros(2, 3)},
        "nothing at all": {},
        "nothing but the classifier": {key: v for key, v in state.items() if "head" in key},
        "no tensors": {"model": {"epoch": 3}},
    }


@pytest.mark.parametrize("case", broken({"a": torch.zeros(1), "b": torch.zeros(1)}))
def test_files_of_something_else_are_one_line(case, tmp_path):
    """Whatever does not fill the network to the last tensor is an error that names the file."""
    name = "test_vit.r160_in1k"
    state = write(tmp_path, name).state_dict()
    (tmp_path / "timm" / f"{name}.safetensors").unlink()
    torch.save(broken(state)[case], tmp_path / "timm" / f"{name}.pth")
    with pytest.raises(InputError, match=r"test_vit\.r160_in1k\.pth") as caught:
        load(tmp_path, name)
    assert "\n" not in str(caught.value)


def test_another_network_s_file_is_one_line(tmp_path):
    """The file of a ResNet under the name of a ViT."""
    write(tmp_path, "test_resnet.r160_in1k")
    path = tmp_path / "timm" / "test_resnet.r160_in1k.safetensors"
    path.rename(path.with_name("test_vit.r160_in1k.safetensors"))
    with pytest.raises(InputError, match=r"does not fit timm's test_vit: .*cls_token"):
        load(tmp_path, "test_vit")


@pytest.mark.parametrize(
    ("name", "near"), [("resnet81", "timm:resnet18"), ("resnet18.a1_in2k", "resnet18.a1_in1k")]
)
def test_unknown_names_offer_the_nearest(name, near):
    """Of networks and of tags; not all three thousand names."""
    with pytest.raises(UsageError, match=f"{name}.*did you mean .*{near}") as caught:
        timm_encoder(name)
    assert len(str(caught.value)) < 300


def test_without_timm_the_extra_is_named(monkeypatch):
    """One line, and what to install."""
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(InputError, match=r"timm:resnet18 needs timm.*meanopinion\[lite\]"):
        timm_encoder("resnet18")


def test_a_plain_vit_has_no_levels():
    """One size of maps all the way; said before any weight is read."""
    with pytest.raises(UsageError, match=r"timm:vit_base_patch16_224\[pool=levels\].*no levels"):
        timm_encoder("vit_base_patch16_224").n_dims({"pool": "levels"})


def test_widths():
    """The widths in the papers, with and without the levels; MobileNetV3 ends in a wider layer."""
    widths = {
        "resnet18": (512, 512 + 2 * (64 + 64 + 128 + 256 + 512)),
        "resnet50": (2048, 2048 + 2 * (64 + 256 + 512 + 1024 + 2048)),
        "swin_tiny_patch4_window7_224": (768, 768 + 2 * (96 + 192 + 384 + 768)),
        "mobilenetv3_large_100": (1280, 1280 + 2 * (16 + 24 + 40 + 112 + 960)),
    }
    for name, (last, levels) in widths.items():
        encoder = timm_encoder(name)
        assert encoder.n_dims({"pool": "last"}) == last
        assert encoder.n_dims({"pool": "levels"}) == levels


def test_records():
    """A sample of timm's names: all fields are filled, the canonical name is the one given."""
    for name in timm.list_models(pretrained=True)[::20] + timm.list_models()[::50]:
        record = timm_encoder(name)
        assert Request(record, (("pool", "last"),)).name == f"timm:{name}"
        assert record.summary and record.licence and record.seen
        assert record.paper.startswith("https://")
        (file,) = record.weights
        assert file.page.startswith("https://")
        assert not file.url or file.url.startswith("https://")
        assert record.views["input_size"][0] == 3


@pytest.mark.parametrize(
    ("name", "seen"),
    [
        ("resnet18", {"ImageNet"}),
        ("vit_base_patch16_224.augreg_in21k", {"ImageNet-21k"}),
        ("convnext_tiny.fb_in22k_ft_in1k_384", {"ImageNet", "ImageNet-21k"}),
        ("vit_base_patch16_clip_224.openai_ft_in1k", {"WebImageText", "YFCC100M", "ImageNet"}),
        ("vit_base_patch14_dinov2.lvd142m", {"LVD-142M"}),
        ("vit_base_patch16_224.dino", {"ImageNet"}),
        ("resnet50.fb_ssl_yfcc100m_ft_in1k", {"YFCC100M", "ImageNet"}),
        ("resnet50.bamboo", {timm_models._UNTOLD}),
    ],
)
def test_what_the_weights_have_seen(name, seen):
    """As their tags tell."""
    assert set(timm_encoder(name).seen) == seen


def test_addresses():
    """timm's own repositories hold one known file; other addresses are used as they are."""
    (file,) = timm_encoder("resnet18").weights
    assert file.url == "https://huggingface.co/timm/resnet18.a1_in1k/resolve/main/model.safetensors"
    assert file.licence == "apache-2.0"
    assert not timm_encoder("rdnet_tiny").weights[0].url
