"""CLIP RN50 against the published code's numbers, and open_clip's networks against open_clip."""

import json
import logging
import sys

import numpy as np
import pytest
from conftest import picture
from known import GOLDEN, reference_picture, same

torch = pytest.importorskip("torch")
open_clip = pytest.importorskip("open_clip")

from PIL import Image  # noqa: E402 - only where torch is

from features.encoders import clip  # noqa: E402
from features.encoders.base import Batch  # noqa: E402
from features.encoders.clip import CLIP, prompt_features  # noqa: E402
from features.encoders.open_clip import open_clip_encoder  # noqa: E402
from features.engine import load_encoder  # noqa: E402
from features.errors import InputError, UsageError  # noqa: E402
from features.names import Request  # noqa: E402
from features.runtime import Runtime  # noqa: E402

PROMPTS = ("statue of a man", "a tray of sushi, watercolor style, highly detailed")
PICTURES = ("astronaut_455x301", "coffee_600x400")
STAGES = 2 * (64 + 256 + 512 + 1024 + 2048)


def load(encoder, folder, runtime=Runtime(), **options):
    """Build an encoder with some options."""
    values = {key: option.default for key, option in encoder.options.items()} | options
    return load_encoder(Request(encoder, tuple(sorted(values.items()))), folder, runtime)


def build(encoder, path, **options):
    """Build an encoder from one file, whatever it is called and holds."""
    values = {key: option.default for key, option in encoder.options.items()} | options
    return encoder.build(values, {"network": path}, Runtime())


@pytest.fixture(scope="module")
def golden():
    """What the published code returned, run once on a CPU."""
    return np.load(GOLDEN / "ipiqa.npz")


@pytest.fixture(scope="module")
def weights(known_weights):
    """A folder with RN50, filled with known weights."""
    return known_weights("clip")


@pytest.fixture(scope="module")
def rn50(weights):
    """The encoder with its defaults."""
    return load(CLIP, weights)


@pytest.mark.slow
def test_clip_is_the_published_code(rn50, golden):
    """Picture and prompt are those of encode_image and encode_text; the cosine is theirs."""
    batches = [reference_picture(name)[None] for name in PICTURES]
    ours = np.concatenate([rn50.encode(*item) for item in zip(batches, zip(PROMPTS), strict=True)])
    pictures, prompts = golden["clip_image_features"], golden["clip_text_features"]
    assert same(ours[:, :1024], pictures)
    assert same(ours[:, 1024:2048], prompts)
    lengths = np.linalg.norm(pictures, axis=1) * np.linalg.norm(prompts, axis=1)
    np.testing.assert_allclose(ours[:, 2048], (pictures * prompts).sum(1) / lengths, atol=1e-5)


class Spelling(torch.nn.Module):
    """In place of a text tower: keeps the tokens that it is given."""

    def __init__(self) -> None:
        super().__init__()
        self.tokens = []

    def forward(self, tokens):
        """Keep (1, 77) tokens, return (1, 1)."""
        self.tokens.append(tokens)
        return tokens[:, :1].float()


def test_tokens_are_the_published_ones(golden):
    """The same numbers; each text alone, and once."""
    tower = Spelling()
    prompts = prompt_features(tower, "clip", Runtime())
    assert prompts([*PROMPTS, PROMPTS[0]]).shape == (3, 1)
    np.testing.assert_array_equal(torch.cat(tower.tokens), golden["tokens"])


def test_a_long_prompt_keeps_its_end():
    """77 tokens at most: the beginning, and the end token in the last place."""
    tower = Spelling()
    prompt_features(tower, "clip", Runtime())(["cat " * 200, "cat " * 75, "cat"])
    long, full, short = torch.cat(tower.tokens)
    assert long.tolist() == full.tolist() == [49406, *[2368] * 75, 49407]
    assert short.tolist() == [49406, 2368, 49407, *[0] * 74]


@pytest.mark.slow
def test_a_prompt_depends_on_no_other(rn50):
    """The numbers of a prompt are the same to the bit, whatever stands beside it."""
    pictures = np.stack([picture(seed) for seed in range(3)])
    texts = ["a fox", "a very long text, " * 20, ""]
    together = rn50.encode(pictures, texts)[:, 1024:2048]
    alone = [rn50.encode(pictures[:1], [text])[:, 1024:2048] for text in texts]
    np.testing.assert_array_equal(together, np.concatenate(alone))
    np.testing.assert_array_equal(together[::-1], rn50.encode(pictures, texts[::-1])[:, 1024:2048])


@pytest.mark.slow
def test_clip_is_open_clip_s(weights):
    """Another implementation agrees: final vectors, and the maps of every stage."""
    from safetensors.torch import load_file

    theirs = open_clip.create_model("RN50-quickgelu").eval()
    theirs.load_state_dict(load_file(weights / "RN50.safetensors"))
    view = picture(1, 224, 224)
    mean, std = (np.array(clip.NORMALISATION[key], np.float32) for key in ("mean", "std"))
    batch = torch.from_numpy((view / np.float32(255) - mean) / std).permute(2, 0, 1)[None]
    maps = []
    for name in ("avgpool", "layer1", "layer2", "layer3", "layer4"):
        stage = getattr(theirs.visual, name)
        stage.register_forward_hook(lambda *call: maps.append(call[-1].flatten(2)[0].numpy()))
    with torch.inference_mode():
        final = theirs.encode_image(batch)
        text = theirs.encode_text(open_clip.tokenize(["a red fox"]))
    expected = [n for stage in maps for n in (stage.mean(1), stage.std(1))]
    expected += [final[0].numpy(), text[0].numpy()]
    ours = load(CLIP, weights, pool="levels").encode(view[None], ["a red fox"])[0]
    assert len(ours) == STAGES + 2049 == CLIP.n_dims({"pool": "levels", "prompt": "yes"})
    start = 0
    for part in expected:
        assert same(ours[start : start + len(part)], part, 1e-5)
        start += len(part)


@pytest.mark.slow
def test_options(rn50, weights):
    """Without the prompt no text is asked for; levels come first, the rest stays the same."""
    pictures = picture(2)[None]
    whole = rn50.encode(pictures, ["a fox"])
    alone = load(CLIP, weights, prompt="no")
    assert rn50.prompted and not alone.prompted
    np.testing.assert_array_equal(alone.encode(pictures), whole[:, :1024])
    levels = load(CLIP, weights, prompt="no", pool="levels").encode(pictures)
    assert levels.shape == (1, STAGES + 1024)
    np.testing.assert_array_equal(levels[:, STAGES:], whole[:, :1024])


def module_of(state):
    """A tree of modules without any code, whose state_dict() is `state`."""
    root = torch.nn.Module()
    for name, tensor in state.items():
        *path, leaf = name.split(".")
        module = root
        for part in path:
            if part not in module._modules:
                module.add_module(part, torch.nn.Module())
            module = module._modules[part]
        module.register_buffer(leaf, tensor)
    return root


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*torch.jit.*")
def test_other_layouts_of_the_file(weights, tmp_path):
    """The official archive (half precision, with its extra numbers), state dicts, wrappings."""
    from safetensors.torch import load_file, save_file

    state = load_file(weights / "RN50.safetensors")
    half = {key: value.half() for key, value in state.items()}
    save_file(half, tmp_path / "half.safetensors")
    extra = {key: torch.tensor(224) for key in ("input_resolution", "context_length", "vocab_size")}
    torch.jit.script(module_of(half | extra)).save(str(tmp_path / "RN50.pt"))
    wrapped = {f"module.{key}": value for key, value in half.items()}
    torch.save({"epoch": 3, "state_dict": wrapped}, tmp_path / "wrapped.bin")
    batch = Batch(picture(3)[None], ["a fox"])
    expected = build(CLIP, tmp_path / "half.safetensors")(batch)
    for name in ("RN50.pt", "wrapped.bin"):
        np.testing.assert_array_equal(build(CLIP, tmp_path / name)(batch), expected)


def test_another_file(tmp_path):
    """One line with the file and the official page; RN50.pt has to be the published file."""
    from safetensors.torch import save_file

    save_file({"visual.conv1.weight": torch.zeros(3)}, tmp_path / "RN50.safetensors")
    with pytest.raises(InputError, match=r"RN50.safetensors is not CLIP's .*com/openai/CLIP"):
        load(CLIP, tmp_path)
    state = {"visual.attnpool.positional_embedding": torch.zeros(3)}
    (tmp_path / "RN50.safetensors").unlink()
    torch.save(state, tmp_path / "RN50.pt")
    with pytest.raises(InputError, match=r"RN50.pt is not the published file"):
        load(CLIP, tmp_path)
    with pytest.raises(InputError, match=r"RN50.pt is not the expected network: .* missing"):
        build(CLIP, tmp_path / "RN50.pt")


def test_without_open_clip(monkeypatch):
    """The extra that brings it is named."""
    monkeypatch.setitem(sys.modules, "open_clip", None)
    with pytest.raises(InputError, match=r"^clip needs open_clip, .*meanopinion\[clip\]"):
        prompt_features(Spelling(), "clip", Runtime())
    with pytest.raises(InputError, match=r"^clip:a/b needs open_clip, .*meanopinion\[clip\]"):
        open_clip_encoder("a/b")


TOWER = {"image_size": 32, "layers": 2, "width": 64, "head_width": 16, "patch_size": 8}
TEXT = {"context_length": 12, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 2}
RESNET = {"image_size": 64, "layers": [1, 1, 1, 1], "width": 8, "head_width": 32}
WEIGHTS = {
    "url": "",
    "hf_hub": "timm/tiny/",
    "mean": (0.4, 0.5, 0.6),
    "std": (0.2, 0.25, 0.3),
    "interpolation": "bicubic",
    "resize_mode": "shortest",
}


@pytest.fixture
def tiny(tmp_path, monkeypatch):
    """Makes open_clip know a small network and its weights; returns it, its views and its file."""

    def make(change=(), wrap=lambda state: state, quick=False, **config):
        config = {"embed_dim": 24, "vision_cfg": TOWER, "text_cfg": TEXT} | config
        path = tmp_path / "tiny.json"
        path.write_text(json.dumps(config))
        open_clip.add_model_config(path)
        weights = WEIGHTS | dict(change)
        for name in ("tiny", "tiny-quickgelu")[: 1 + quick]:
            monkeypatch.setitem(open_clip.pretrained._PRETRAINED, name, {"known": weights})
        torch.manual_seed(0)
        network, _, view = open_clip.create_model_and_transforms(
            "tiny",
            force_quick_gelu=quick,
            image_mean=weights["mean"],
            image_std=weights["std"],
            image_interpolation=weights["interpolation"],
            image_resize_mode=weights["resize_mode"],
        )
        network.eval()
        (tmp_path / "clip").mkdir()
        torch.save(wrap(network.state_dict()), tmp_path / "clip" / "tiny-known.bin")
        return network, view

    yield make
    open_clip.factory._MODEL_CONFIGS.pop("tiny", None)


def as_before(state):
    """A checkpoint's text tower as it was before it became a module of its own."""
    return {key.removeprefix("text."): value for key, value in state.items()}


CASES = {
    "plain": {},
    "squash": {"change": {"resize_mode": "squash", "interpolation": "bilinear"}},
    "quickgelu": {"quick": True},
    "resnet": {"vision_cfg": RESNET},
    "wrapped": {"wrap": lambda state: {"state_dict": {f"module.{k}": v for k, v in state.items()}}},
    "half": {"wrap": lambda state: {key: value.half() for key, value in state.items()}},
    "own text tower": {"custom_text": True},
    "older names": {"custom_text": True, "wrap": as_before},
    "without the loss": {
        "init_logit_bias": -10,
        "wrap": lambda state: {k: v for k, v in state.items() if "logit" not in k},
    },
}


@pytest.mark.parametrize("case", CASES)
def test_open_clip_s_networks(tiny, tmp_path, case):
    """Views, networks, tokens and both features are open_clip's own."""
    network, view = tiny(**CASES[case])
    if case == "half":
        network = network.half().float()
    encoder = open_clip_encoder("tiny/known")
    pictures = np.stack([picture(seed, 75, 50) for seed in range(2)])
    prompts = ["a red fox", "a text that is longer than twelve tokens, so that it is cut somewhere"]
    with torch.inference_mode():
        batch = torch.stack([view(Image.fromarray(one)) for one in pictures])
        theirs = network.encode_image(batch)
        texts = network.encode_text(open_clip.get_tokenizer("tiny")(prompts))
        cosines = torch.nn.functional.cosine_similarity(theirs, texts)[:, None]
    ours = load(encoder, tmp_path).encode(pictures, prompts)
    assert ours.shape == (2, 49) == (2, encoder.n_dims({"prompt": "yes"}))
    assert same(ours[:, :24], theirs.numpy(), 1e-5)
    assert same(ours[:, 24:48], texts.numpy(), 1e-5)
    assert same(ours[:, 48:], cosines.numpy(), 1e-5)
    alone = load(encoder, tmp_path, prompt="no")
    assert not alone.prompted
    np.testing.assert_array_equal(alone.encode(pictures), ours[:, :24])


@pytest.mark.slow
@pytest.mark.parametrize("case", ["plain", "resnet", "own text tower"])
def test_openvino_computes_the_same(tiny, tmp_path, case):
    """Picture, prompt and cosine, in batches of any number."""
    pytest.importorskip("openvino", reason="the extra cpu installs it")
    tiny(**CASES[case])
    encoder = open_clip_encoder("tiny/known")
    torchs, other = (load(encoder, tmp_path, Runtime(engine)) for engine in ("torch", "openvino"))
    for n in (2, 1, 3):
        pictures = np.stack([picture(seed, 75, 50) for seed in range(n)])
        prompts = ["a red fox", "", "two cats"][:n]
        assert same(other.encode(pictures, prompts), torchs.encode(pictures, prompts), 1e-5)


def test_the_activation_is_part_of_the_record(tiny, monkeypatch):
    """The same shapes with another activation are another network."""
    tiny()
    plain = open_clip_encoder("tiny/known").views
    monkeypatch.setitem(open_clip.pretrained._PRETRAINED, "tiny-quickgelu", {"known": WEIGHTS})
    quick = open_clip_encoder("tiny/known").views
    assert plain["activation"] == "gelu" and quick["activation"] == "quickgelu"


def test_nothing_is_said_of_missing_weights(tiny, tmp_path, caplog):
    """open_clip would warn that the network is initialized randomly, before it is filled."""
    tiny()
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        load(open_clip_encoder("tiny/known"), tmp_path)
    assert not caplog.records
    assert logging.root.manager.disable == logging.NOTSET


def test_another_network_s_file(tiny, tmp_path):
    """Missing tensors are one line."""
    tiny(wrap=lambda state: dict(list(state.items())[:5]))
    with pytest.raises(InputError, match=r"tiny-known.bin is not the expected network: .* missing"):
        load(open_clip_encoder("tiny/known"), tmp_path)


def test_a_tokenizer_that_is_not_here(tiny, tmp_path, monkeypatch):
    """What the hub's client raises is one line; without the prompt, no tokenizer is needed."""

    def offline(model):
        raise OSError("we could not connect\nto the hub")

    tiny()
    monkeypatch.setattr(open_clip, "get_tokenizer", offline)
    encoder = open_clip_encoder("tiny/known")
    with pytest.raises(
        InputError, match=r"cannot make clip:tiny/known here: we could not connect$"
    ):
        load(encoder, tmp_path)
    load(encoder, tmp_path, prompt="no")


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("ViT-B32/openai", r"no model named 'ViT-B32', the nearest are ViT-B-32, "),
        ("ViT-B-32/laion2b_s34", r"no weights for ViT-B-32 named .* are laion2b_s34b_b79k, "),
        ("ViT-B-32", r"no weights for ViT-B-32 named '', the nearest are "),
    ],
)
def test_unknown_names(name, reason):
    """The nearest names are offered."""
    with pytest.raises(UsageError, match=reason):
        open_clip_encoder(name)


def test_every_network_of_open_clip_has_a_record():
    """All of open_clip's weights have a file, an address and a width."""
    for model, tag in open_clip.list_pretrained():
        encoder = open_clip_encoder(f"{model}/{tag}")
        (file,) = encoder.weights
        assert encoder.name == f"clip:{model}/{tag}"
        assert encoder.n_dims({"prompt": "no"}) == open_clip.get_model_config(model)["embed_dim"]
        assert file.filename.startswith(f"{model}-{tag}.")
        assert file.url.startswith("https://") and file.url.endswith(
            (".pt", ".bin", ".safetensors", ".pth")
        )
        assert file.page.startswith("https://") and encoder.seen


def test_addresses():
    """Where open_clip itself would fetch from; OpenAI's address has the SHA-256."""
    hub = "https://huggingface.co"
    expected = {
        "RN50/openai": clip.RN50.url,
        "ViT-B-32/laion2b_s34b_b79k": (
            f"{hub}/laion/CLIP-ViT-B-32-laion2B-s34B-b79K/resolve/main/open_clip_pytorch_model.bin"
        ),
        "ViT-B-16-SigLIP/webli": (
            f"{hub}/timm/ViT-B-16-SigLIP/resolve/main/open_clip_model.safetensors"
        ),
        "ViTamin-S/datacomp1b": f"{hub}/jienengchen/ViTamin-S/resolve/main/pytorch_model.bin",
    }
    known = open_clip.list_pretrained()
    for name, url in expected.items():
        if tuple(name.split("/")) in known:  # older ones do not know them all
            assert open_clip_encoder(name).weights[0].url == url
    assert open_clip_encoder("RN50/openai").weights[0].sha256 == clip.RN50.sha256


@pytest.mark.slow
def test_the_family_s_rn50_is_clip(rn50, weights):
    """From the same file, and whether open_clip's name has the activation in it or not."""
    pictures = np.stack([picture(seed, 90, 70) for seed in range(2)])
    expected = rn50.encode(pictures, PROMPTS)
    for model in ("RN50", "RN50-quickgelu"):
        ours = load(open_clip_encoder(f"{model}/openai"), weights).encode(pictures, PROMPTS)
        assert same(ours, expected, 1e-5)
        assert same(ours[:, 1024:], expected[:, 1024:], 1e-5)
