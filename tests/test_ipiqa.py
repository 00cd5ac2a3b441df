"""IP-IQA against the published code's numbers, and with the files that its training writes."""

import numpy as np
import pytest
from conftest import picture
from known import GOLDEN, reference_picture, same

torch = pytest.importorskip("torch")
pytest.importorskip("open_clip")

from features.encoders import ipiqa  # noqa: E402 - only where torch is
from features.encoders.base import Batch  # noqa: E402
from features.encoders.ipiqa import IPIQA  # noqa: E402
from features.engine import load_encoder  # noqa: E402
from features.errors import InputError, UsageError  # noqa: E402
from features.names import Request  # noqa: E402
from features.runtime import Runtime  # noqa: E402
from features.weights import load_state  # noqa: E402

PROMPTS = ("statue of a man", "a tray of sushi, watercolor style, highly detailed")
PICTURES = ("astronaut_455x301", "coffee_600x400")
DEFAULTS = {key: option.default for key, option in IPIQA.options.items()}


@pytest.fixture(scope="module")
def golden():
    """What the published code returned, run once on a CPU."""
    return np.load(GOLDEN / "ipiqa.npz")


@pytest.fixture(scope="module")
def state(known_weights):
    """The tensors of the file with known weights."""
    return load_state(known_weights("ipiqa") / "checkpoint_best.pth")["model"]


@pytest.fixture
def build(monkeypatch, tmp_path, state):
    """Builds the encoder from files of these tensors, as if they had been read."""

    def build(change=lambda state: state, clip=None, **options):
        path, clip_path = tmp_path / "checkpoint_best.pth", tmp_path / "RN50.pt"
        files = {path: {"model": change(dict(state))}, clip_path: clip}
        monkeypatch.setattr(ipiqa, "load_state", files.get)
        located = {"network": path, "clip": clip and clip_path}
        return IPIQA.build(DEFAULTS | options, located, Runtime())

    return build


@pytest.fixture(scope="module")
def loaded(known_weights):
    """The encoder with its defaults, from the file."""
    return load_encoder(Request(IPIQA, tuple(DEFAULTS.items())), known_weights("ipiqa"))


@pytest.mark.slow
def test_ipiqa_is_the_published_code(loaded, golden):
    """Both pooled vectors, one after the other."""
    pairs = zip(PICTURES, PROMPTS, strict=True)
    ours = np.concatenate([loaded.encode(reference_picture(p)[None], [t]) for p, t in pairs])
    assert ours.shape == (2, 2048) == (2, IPIQA.n_dims(DEFAULTS))
    assert same(ours[:, :1024], golden["visual_pooled"])
    assert same(ours[:, 1024:], golden["text_pooled"])


@pytest.mark.slow
def test_the_head_is_the_published_one(build, golden):
    """Quality and alignment."""
    encode = build(head="agiqa3k")
    pairs = zip(PICTURES, PROMPTS, strict=True)
    ours = np.concatenate([encode(Batch(reference_picture(p)[None], [t])) for p, t in pairs])
    assert ours.shape == (2, 2) == (2, IPIQA.n_dims(DEFAULTS | {"head": "agiqa3k"}))
    assert same(ours, golden["score"])


@pytest.mark.slow
def test_text_features_are_the_published_ones(state, golden, tmp_path):
    """The text tower under IP-IQA's own names."""
    from features.encoders.clip import prompt_features

    parts = ipiqa._split({"model": state}, tmp_path)
    tower = ipiqa._text_tower(parts["text"], tmp_path, None)
    with torch.inference_mode():
        features = prompt_features(tower, "ipiqa", Runtime())(PROMPTS).numpy()
    assert same(features, golden["text_features"])


@pytest.mark.slow
def test_levels_come_first(loaded, build):
    """Five stages, mean and standard deviation each; the final vectors stay as they are."""
    batch = Batch(picture(1)[None], ["a fox"])
    levels = build(pool="levels")(batch)
    assert levels.shape == (1, 7808 + 2048) == (1, IPIQA.n_dims(DEFAULTS | {"pool": "levels"}))
    np.testing.assert_array_equal(levels[:, 7808:], loaded.encode(picture(1)[None], ["a fox"]))
    assert (levels[:, 64:128] >= 0).all()  # standard deviations of the stem


@pytest.mark.slow
def test_the_whole_picture_is_seen(loaded):
    """Resized, not cropped: a change in a corner of a wide picture changes the embedding."""
    wide = picture(2, 120, 40)
    corner = wide.copy()
    corner[:8, :8] = 255 - corner[:8, :8]
    one, other = loaded.encode(np.stack([wide, corner]), ["a fox"] * 2)
    assert not np.allclose(one, other, rtol=1e-3)


def without(*beginnings):
    """Return a function that leaves out the tensors whose names begin so."""
    return lambda state: {k: v for k, v in state.items() if not k.startswith(beginnings)}


def one_output(state):
    """A file with AGIQA-1k's head."""
    return state | {key: state[key][:1] for key in ("head.out_proj.weight", "head.out_proj.bias")}


@pytest.mark.slow
def test_a_file_without_a_head(loaded, build):
    """Image2Prompt's has none; the embedding does not need it."""
    batch = Batch(picture(3)[None], ["a fox"])
    expected = loaded.encode(batch)
    np.testing.assert_array_equal(build(without("head."))(batch), expected)
    with pytest.raises(InputError, match=r"has no head outputs, 2 were asked .*ipiqa\[head=no\]"):
        build(without("head."), head="agiqa3k")


@pytest.mark.slow
def test_the_head_of_the_other_database(build):
    """One score instead of two; each is asked for by its own name."""
    batch = Batch(picture(4)[None], ["a fox"])
    both = build(head="agiqa3k")(batch)
    one = build(one_output, head="agiqa1k")(batch)
    assert one.shape == (1, 1)
    np.testing.assert_allclose(one, both[:, :1], rtol=1e-5)
    with pytest.raises(InputError, match=r"has 2 head outputs, 1 were .*ipiqa\[head=agiqa3k\]"):
        build(head="agiqa1k")
    with pytest.raises(InputError, match=r"has 1 head outputs, 2 were .*ipiqa\[head=agiqa1k\]"):
        build(one_output, head="agiqa3k")


FROZEN = ("txt_model.", "ln_final.")  # what the official training does not save


@pytest.mark.slow
def test_a_file_without_its_frozen_tensors(loaded, build, state):
    """CLIP's file gives them; what the file has itself stays its own."""
    clip = {
        key.replace("txt_model.", "transformer."): value
        for key, value in state.items()
        if key.startswith(FROZEN)
    }
    others = {"positional_embedding": "txt_pos", "text_projection": "text_projection"}
    clip |= {name: torch.zeros_like(state[key]) for name, key in others.items()}
    clip["token_embedding.weight"] = torch.zeros_like(state["wte.weight"])
    clip["visual.attnpool.positional_embedding"] = torch.zeros(50, 2048)
    batch = Batch(picture(5)[None], ["a fox"])
    ours = build(without(*FROZEN), clip={"state_dict": clip}, text="clip")(batch)
    np.testing.assert_array_equal(ours, loaded.encode(batch))
    with pytest.raises(
        InputError, match=r"lacks 146 tensors of the text tower.*ipiqa\[text=clip\]"
    ):
        build(without(*FROZEN))


def test_the_files_that_options_ask_for():
    """RN50.pt is needed only where the text tower comes from it."""
    assert [file.filename for file in IPIQA.files(DEFAULTS)] == ["checkpoint_best.pth"]
    files = IPIQA.files(DEFAULTS | {"text": "clip"})
    assert {file.role: file.filename for file in files} == {
        "network": "checkpoint_best.pth",
        "clip": "RN50.pt",
    }


@pytest.mark.parametrize("checkpoint", [{}, {"model": {"conv1.weight": torch.zeros(1)}}, [1]])
def test_another_file(monkeypatch, tmp_path, checkpoint):
    """One line with the file and the official page."""
    monkeypatch.setattr(ipiqa, "load_state", lambda path: checkpoint)
    with pytest.raises(InputError, match=r"is not an IP-IQA file: .*github.com/Coobiw/IP-IQA"):
        IPIQA.build(DEFAULTS, {"network": tmp_path / "checkpoint_best.pth"}, Runtime())


@pytest.mark.slow
def test_a_tensor_of_no_part_is_refused(build):
    """A file of a changed network is not read as if it were this one."""
    with pytest.raises(InputError, match=r"1 extra \(first new\.weight\)"):
        build(lambda state: state | {"new.weight": torch.zeros(1)})


def test_head_and_levels_do_not_go_together():
    """The head takes the final vectors alone."""
    with pytest.raises(UsageError, match=r"ipiqa\[head=agiqa3k,pool=levels\]: .*leave out"):
        IPIQA.n_dims(DEFAULTS | {"head": "agiqa3k", "pool": "levels"})
