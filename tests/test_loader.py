"""What a step takes: by the step's number alone, whoever makes it."""

import numpy as np
import pytest
from PIL import Image

torch = pytest.importorskip("torch")

from test_training import tiny  # noqa: E402

from features.errors import InputError  # noqa: E402
from features.pretraining.loader import batches, order  # noqa: E402
from features.pretraining.pictures import Pictures, large_enough, reduced  # noqa: E402
from features.pretraining.ranks import ALONE, Ranks  # noqa: E402


@pytest.fixture
def photographs(tmp_path):
    """Five pictures of 90x70 and one that is none."""
    rng = np.random.default_rng(0)
    paths = []
    for index in range(5):
        pixels = rng.integers(0, 256, (7, 9, 3), dtype=np.uint8)
        paths.append(tmp_path / f"{index}.png")
        Image.fromarray(pixels).resize((90, 70), Image.Resampling.BICUBIC).save(paths[-1])
    paths.insert(2, tmp_path / "broken.png")
    paths[2].write_bytes(b"no picture")
    return paths


def all_of(recipe, paths, start=0, ranks=ALONE, workers=0):
    return [batch.crops for batch in batches(recipe, paths, start, ranks, workers)]


def test_steps_are_the_same_whoever_makes_them(photographs):
    recipe = tiny(steps=3)
    alone = all_of(recipe, photographs)
    assert [tuple(one.shape) for one in alone] == [(4, 2, 4, 32, 32, 3)] * 3
    later = all_of(recipe, photographs, start=1)
    halves = [all_of(recipe, photographs, ranks=Ranks(rank, 2)) for rank in range(2)]
    workers = all_of(recipe, photographs, workers=2)
    for step in range(3):
        assert torch.equal(workers[step], alone[step])
        assert torch.equal(torch.cat([halves[0][step], halves[1][step]]), alone[step])
        if step:
            assert torch.equal(later[step - 1], alone[step])
    assert not torch.equal(alone[0], alone[1])


def test_unreadable_pictures_are_counted(photographs):
    found = list(batches(tiny(steps=4), photographs, 0))
    failed = {number: why for batch in found for number, why in batch.failed.items()}
    assert list(failed) == [2] and "no picture" in failed[2]


def test_nothing_to_read(photographs):
    with pytest.raises(InputError, match="none of the 1 pictures can be read"):
        all_of(tiny(), photographs[2:3])


def test_an_epoch_takes_every_picture_once():
    first, second = order(0, 0, 50), order(0, 1, 50)
    assert sorted(first) == sorted(second) == list(range(50))
    assert (first != second).any() and (order(1, 0, 50) != first).any()


def test_pictures_are_kept_within_a_budget(photographs, monkeypatch):
    decoded = []
    from features.pretraining import pictures as module

    read = module.read_picture
    monkeypatch.setattr(module, "read_picture", lambda *a: decoded.append(a[0]) or read(*a))
    pictures = Pictures(photographs, kept=2 * 90 * 70 * 3)
    for number in (0, 1, 0, 1, 3, 0):
        assert pictures.read(number).shape == (70, 90, 3)
    assert decoded == [photographs[number] for number in (0, 1, 3, 0)]
    assert pictures.read(2) is None and "no picture" in pictures.failed[2]


def test_reduced():
    picture = np.zeros((60, 90, 3), np.uint8)
    assert reduced(picture, 45).shape == (30, 45, 3)
    assert reduced(picture, 0) is picture and reduced(picture, 200) is picture


def test_small_pictures_are_enlarged(photographs):
    assert large_enough(np.zeros((100, 50, 3), np.uint8), 128).shape == (256, 128, 3)
    picture = np.zeros((300, 400, 3), np.uint8)
    assert large_enough(picture, 128) is picture
    found = list(batches(tiny(steps=3, crop=40), photographs, 0))
    assert set().union(*(batch.enlarged for batch in found)) == {0, 1, 3, 4, 5}
    assert not any(batch.enlarged for batch in batches(tiny(steps=3), photographs, 0))


def test_content_views_differ(photographs):
    from features.pretraining.recipe import chosen

    recipe = chosen("small", "content", crop=32, batch=4, group=2, steps=2, queue=64)
    first, second = all_of(recipe, photographs)
    assert first.shape == (4, 2, 1, 32, 32, 3) and first.dtype == torch.uint8
    assert not torch.equal(first[:, 0], first[:, 1])
    assert torch.equal(all_of(recipe, photographs)[0], first)
    assert not torch.equal(first, second)
