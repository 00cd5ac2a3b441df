"""ImageReward against the published code's numbers, and against itself."""

import numpy as np
import pytest
from conftest import picture
from known import GOLDEN, VOCABULARY, reference_picture, same

from features.encoders import imagereward
from features.encoders.base import Batch
from features.encoders.clip import NORMALISATION
from features.encoders.imagereward import IMAGEREWARD
from features.encoders.wordpiece import WordPiece, read_vocabulary
from features.errors import InputError, UsageError
from features.runtime import Runtime
from features.views import resized_centre
from features.weights import MissingWeights

PICTURES = ("astronaut_455x301", "coffee_600x400")
# texts whose tokens, with their numbers in the published vocabulary, are the reference ones
PROMPTS = ("Statue of a MAN", "a tray of su")


@pytest.fixture(scope="module")
def files(known_weights):
    """The network's file, in the published layout, and a small vocabulary."""
    pytest.importorskip("torch")
    folder = known_weights("imagereward")
    return {file.role: file.locate(folder) for file in IMAGEREWARD.files({})}


@pytest.fixture(scope="module")
def network(files):
    """The network with known weights."""
    return imagereward._load(files["network"])


@pytest.fixture(scope="module")
def encode(files, network):
    """The encoding function, as the record builds it."""
    tokenize = WordPiece(read_vocabulary(files["vocabulary"]))
    return imagereward._encoding(network, tokenize, Runtime())


@pytest.fixture(scope="module")
def golden():
    """What the published code returned, run once on a CPU."""
    return np.load(GOLDEN / "imagereward.npz")


@pytest.fixture(scope="module")
def inputs():
    """The reference pictures as the network takes them."""
    torch = pytest.importorskip("torch")
    from features.networks import Normalise

    views = [resized_centre(reference_picture(name), 224, 224, "bicubic") for name in PICTURES]
    return Normalise(**NORMALISATION)(torch.from_numpy(np.stack(views)))


@pytest.mark.slow
def test_the_published_numbers(network, inputs, golden):
    """Picture tokens, feature and reward, from the published tokens; and what came in."""
    import torch

    np.testing.assert_allclose(inputs.mean((1, 2, 3)), golden["input_mean"], rtol=1e-4)
    ids, mask = (torch.from_numpy(golden[name]) for name in ("input_ids", "attention_mask"))
    with torch.inference_mode():
        tokens = network.picture(inputs)[:, 0].numpy()
        out = network(inputs, ids, mask.bool()).numpy()
        short = network(inputs, ids[:, :6], mask[:, :6].bool()).numpy()
    assert same(tokens, golden["image_embeds_cls"])
    assert same(out[:, :768], golden["features"])
    assert same(out[:, 768:], golden["reward"])
    # padding is not seen: without it the numbers are the same
    assert same(short, out, 1e-5)


@pytest.mark.slow
def test_from_prompts_to_the_published_numbers(encode, golden):
    """The same from pictures and texts: view, tokenizer and the order of the columns."""
    rows = [
        encode(Batch(reference_picture(name)[None], [prompt]))
        for name, prompt in zip(PICTURES, PROMPTS, strict=True)
    ]
    out = np.concatenate(rows)
    assert out.shape == (2, IMAGEREWARD.n_dims({})) and out.dtype == np.float32
    assert same(out[:, :768], golden["features"])
    assert same(out[:, 768:], golden["reward"])


@pytest.mark.slow
def test_the_prompt_counts(encode):
    """Another text is another embedding; what lies beyond 35 tokens is not seen."""
    pictures = np.stack([picture(1)] * 4)
    long = "of a man " * 11  # 33 tokens
    out = encode(Batch(pictures, ["a man", "a statue", long, long + "statue"]))
    assert not same(out[1], out[0], 1e-3)
    assert not same(out[2], out[0], 1e-3)
    assert same(out[3], out[2], 1e-5)


@pytest.mark.slow
def test_a_prompt_each(encode):
    """Pictures without texts are refused, not scored for nothing."""
    pictures = np.stack([picture(1)] * 2)
    for prompts in ((), ("a man",), ("a", "b", "c")):
        with pytest.raises(UsageError, match=f"2 pictures and {len(prompts)} prompts"):
            encode(Batch(pictures, prompts))


def write_vocabulary(folder):
    """A vocabulary of the right length."""
    numbers = {number: token for token, number in VOCABULARY.items()}
    path = folder / "vocab.txt"
    path.write_text("".join(f"{numbers.get(n, f'[unused{n}]')}\n" for n in range(30522)))
    return path


def test_a_file_of_another_network(tmp_path):
    """One line names the file, and the page where the right one is."""
    torch = pytest.importorskip("torch")
    path = tmp_path / "ImageReward.pt"
    files = {"network": path, "vocabulary": write_vocabulary(tmp_path)}
    torch.save({"visual.conv1.weight": torch.zeros(3)}, path)
    with pytest.raises(InputError, match=r"ImageReward.pt is not ImageReward's.*THUDM/ImageReward"):
        IMAGEREWARD.build({}, files, Runtime())
    torch.save({"blip.other": torch.zeros(3), "blip.vision_proj.bias": torch.zeros(3)}, path)
    with pytest.raises(InputError, match=r"of 620 tensors, 620 missing .*, 1 extra \(first blip.o"):
        IMAGEREWARD.build({}, files, Runtime())


def test_a_missing_vocabulary_is_named(tmp_path):
    """The network alone is not enough, and which file lacks is said."""
    (tmp_path / "ImageReward.pt").write_bytes(b"")
    by_role = {file.role: file for file in IMAGEREWARD.files({})}
    with pytest.raises(MissingWeights, match=r"vocab.txt is not in .*bert-base-uncased"):
        by_role["vocabulary"].find(tmp_path)
    folder = tmp_path / "bert-base-uncased"
    folder.mkdir()
    path = write_vocabulary(folder)
    assert by_role["vocabulary"].locate(tmp_path) == path
