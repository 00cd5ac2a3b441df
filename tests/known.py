"""Known weights: the files that the reference numbers were made with, in the published layouts.

Every tensor is a function of its own name and shape, so that any network can be filled key by key.
"""

import json
import string
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest

GOLDEN = Path(__file__).parent / "golden"
# the reference pictures, as parts of scikit-image's photographs: top, left, height, width
PICTURES = {
    "astronaut_455x301": ("astronaut", 37, 20, 301, 455),
    "coffee_600x400": ("coffee", 0, 0, 400, 600),
    "coffee_208x160": ("coffee", 100, 200, 160, 208),
    "hubble_1000x872": ("hubble_deep_field", 0, 0, 872, 1000),
}


def known_tensor(name: str, shape: list[int]) -> np.ndarray:
    """The tensor that the reference numbers were made with: a function of its name and shape."""
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    leaf = name.rsplit(".", 1)[-1]
    if leaf == "num_batches_tracked":
        return np.zeros(shape, np.int64)
    z = rng.standard_normal(shape)
    if leaf == "running_var":
        z = 1 + 0.2 * np.abs(z)
    elif leaf == "running_mean":
        z = 0.1 * z
    elif not shape:
        z = np.asarray(1.0)
    elif len(shape) == 1:
        z = 1 + 0.1 * z if leaf == "weight" else 0.05 * z
    else:
        z = z * np.sqrt((2 if len(shape) == 4 else 1) / np.prod(shape[1:]))
    return np.asarray(z, np.float32)


def layout_of(name: str, part: str = "") -> dict[str, list]:
    """A published checkpoint's keys with their shapes and types."""
    layout = json.loads((GOLDEN / f"{name}.layout.json").read_text())
    return layout[part] if part else layout


def known_state(
    layout: Mapping[str, list],
    prefix: str = "",
    integers: Callable[[str, list[int]], np.ndarray] = known_tensor,
) -> dict:
    """A state dict of that layout: `prefix + key` names each tensor; `integers` makes the others.

    `integers` is (key, shape) -> array, for buffers such as positions, which keep their own values.
    """
    torch = pytest.importorskip("torch")
    state = {}
    for key, (shape, dtype) in layout.items():
        whole = "int" in dtype and not key.endswith("num_batches_tracked")
        array = integers(key, shape) if whole else known_tensor(prefix + key, shape)
        state[key] = torch.from_numpy(array).to(getattr(torch, dtype))
    return state


def reference_picture(name: str) -> np.ndarray:
    """A picture that the reference numbers were made on, (height, width, 3) uint8."""
    photograph, top, left, height, width = PICTURES[name]
    data = pytest.importorskip("skimage.data")
    return getattr(data, photograph)()[top : top + height, left : left + width]


def same(ours: np.ndarray, expected: np.ndarray, tolerance: float = 1e-4) -> bool:
    """Tell whether two arrays agree to a share of the largest expected number."""
    return (
        ours.shape == expected.shape
        and np.abs(ours - expected).max() <= tolerance * np.abs(expected).max()
    )


REIQA_FILES = {"quality": "quality_aware_r50.pth", "content": "content_aware_r50.pth"}


def write_reiqa(folder: Path) -> None:
    """Both branches of Re-IQA."""
    torch = pytest.importorskip("torch")
    layout = layout_of("reiqa_r50", "model")
    for branch, filename in REIQA_FILES.items():
        torch.save({"model": known_state(layout, f"{branch}:")}, folder / filename)


def write_uiqa(folder: Path) -> None:
    """UIQA's three networks and head; the tables of window positions are Swin-T's own."""
    torch = pytest.importorskip("torch")
    swin = pytest.importorskip("torchvision").models.swin_t(weights=None).state_dict()
    state = known_state(
        layout_of("uiqa"), integers=lambda key, shape: swin[key.partition(".")[2]].numpy()
    )
    torch.save(state, folder / "UIQA.pth")


def write_promptiqa(folder: Path) -> None:
    """PromptIQA's network, as DistributedDataParallel named it."""
    torch = pytest.importorskip("torch")
    state = known_state(layout_of("promptiqa", "state_dict"))
    torch.save({"state_dict": state}, folder / "best_model.pth.tar")


# Words with their numbers in bert-base-uncased: those of the reference prompts, and every letter as
# the beginning of a word. The letters inside of words have other numbers there.
VOCABULARY = {
    **{"[PAD]": 0, "[UNK]": 100, "[CLS]": 101, "[SEP]": 102, "[MASK]": 103},
    **{"of": 1997, "man": 2158, "statue": 6231, "su": 10514, "tray": 11851},
    **{letter: 1037 + n for n, letter in enumerate(string.ascii_lowercase)},
    **{f"##{letter}": 20000 + n for n, letter in enumerate(string.ascii_lowercase)},
}


def write_imagereward(folder: Path) -> None:
    """ImageReward's network, converted as CLIP's, and few words in as many lines as BERT has."""
    save_file = pytest.importorskip("safetensors.torch").save_file
    tokens = [f"[unused{number}]" for number in range(30522)]
    for token, number in VOCABULARY.items():
        tokens[number] = token
    (folder / "vocab.txt").write_text("\n".join(tokens) + "\n", encoding="utf-8")
    places = {"integers": lambda key, shape: np.arange(shape[-1])[None]}
    state = known_state(layout_of("imagereward"), "imagereward:", **places)
    save_file(state, folder / "ImageReward.safetensors")


def write_clip(folder: Path) -> None:
    """CLIP's RN50, converted: a file called RN50.pt would have to be the published one."""
    save_file = pytest.importorskip("safetensors.torch").save_file
    save_file(known_state(layout_of("clip_rn50"), "clip:"), folder / "RN50.safetensors")


def write_ipiqa(folder: Path) -> None:
    """IP-IQA's network with its text tower and its head of two outputs."""
    torch = pytest.importorskip("torch")
    state = known_state(layout_of("ipiqa"), "ipiqa:")
    torch.save({"model": state, "epoch": 99}, folder / "checkpoint_best.pth")


# encoder -> what writes its files, in the published layout, into a folder
WRITERS: dict[str, Callable[[Path], None]] = {
    "reiqa-quality": write_reiqa,
    "reiqa-content": write_reiqa,
    "uiqa": write_uiqa,
    "promptiqa": write_promptiqa,
    "imagereward": write_imagereward,
    "clip": write_clip,
    "ipiqa": write_ipiqa,
}
