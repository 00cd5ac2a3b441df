"""Near-duplicates share a group, and nothing else does."""

import numpy as np
import pytest
from conftest import picture
from PIL import Image

from features.duplicates import joined, near_duplicates, spanning, thumbnail

pytest.importorskip("imagehash")


def duplicate_groups(paths) -> np.ndarray:
    """The groups of pictures that are each their own."""
    alone = np.arange(len(paths))
    return joined(alone, near_duplicates(paths, alone))


def photograph(seed: int) -> Image.Image:
    """A picture of broad shapes, unlike that of any other seed."""
    shapes = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), np.uint8)
    return Image.fromarray(shapes).resize((160, 120), Image.Resampling.BICUBIC)


def groups_of(folder, **images) -> list[int]:
    """Write images by name, and return their groups."""
    paths = []
    for name, image in images.items():
        paths.append(folder / name.replace("_", "."))
        if isinstance(image, bytes):
            paths[-1].write_bytes(image)
        elif image is not None:
            image.save(paths[-1])
    return duplicate_groups(paths).tolist()


def test_copies_join(tmp_path):
    """An exact, a resized and a recompressed copy are one group, whatever stands between."""
    one, two = photograph(1), photograph(2)
    one.save(tmp_path / "low.jpg", quality=20)
    low = Image.open(tmp_path / "low.jpg")
    grey = one.convert("L")
    assert groups_of(
        tmp_path, a_png=one, b_png=two, c_png=one, d_png=one.resize((90, 70)), e_jpg=low, f_png=grey
    ) == [0, 1, 0, 0, 0, 0]


def test_brightness_and_contrast_do_not_matter(tmp_path):
    """The same scene exposed otherwise is the same scene."""
    one = photograph(1)
    darker = one.point(lambda value: value // 2 + 10)
    assert groups_of(tmp_path, a_png=one, b_png=darker) == [0, 0]


def test_the_same_picture_as_it_is_seen(tmp_path):
    """Turned by its EXIF data, in 16 bits, or transparent where it is white."""
    one = photograph(1)
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise
    turned = one.transpose(Image.Transpose.ROTATE_90)
    turned.save(tmp_path / "turned.jpg", exif=exif, quality=95)
    deep = Image.fromarray(np.asarray(one.convert("L")).astype(np.uint16) * 257)
    deep.save(tmp_path / "deep.png")
    one.save(tmp_path / "one.png")
    paths = [tmp_path / name for name in ("one.png", "turned.jpg", "deep.png")]
    assert duplicate_groups(paths).tolist() == [0, 0, 0]


def test_many_alike_are_few_pairs(tmp_path, monkeypatch):
    """Sixty shots of one scene: blocks leave out what is joined; flat ones cost nothing."""
    photograph(1).save(tmp_path / "a.png")
    Image.new("RGB", (50, 40), "grey").save(tmp_path / "b.png")
    monkeypatch.setattr("features.duplicates._BLOCK", 10)
    paths = [tmp_path / "a.png"] * 60 + [tmp_path / "b.png"] * 60
    pairs = near_duplicates(paths, np.arange(120))
    assert len(pairs) < 60 * 59 / 2 / 2 and pairs.max() == 59
    assert joined(np.arange(120), pairs).max() == 60


def test_unrelated_pictures_stay_alone(tmp_path):
    """Twenty different pictures are twenty groups, numbered in order."""
    images = {f"p{seed:02d}_png": photograph(seed) for seed in range(20)}
    assert groups_of(tmp_path, **images) == list(range(20))


def test_groups_chain(tmp_path):
    """A like B and B like C is one group, though A is not like C."""
    one, two = (np.asarray(photograph(seed), float) for seed in (3, 4))
    steps = [
        Image.fromarray((one + share * (two - one)).astype(np.uint8)) for share in (0, 0.2, 0.4)
    ]
    flat = []
    for index, step in enumerate(steps):
        step.save(tmp_path / f"{index}.png")
        flat.append(thumbnail(tmp_path / f"{index}.png").ravel())
    correlation = np.corrcoef(flat)
    assert correlation[0, 1] > 0.95 and correlation[1, 2] > 0.95 and correlation[0, 2] < 0.95
    paths = [tmp_path / f"{index}.png" for index in range(3)]
    assert duplicate_groups(paths).tolist() == [0, 0, 0]
    assert duplicate_groups([paths[0], paths[2]]).tolist() == [0, 1]


def test_what_gives_no_thumbnail_is_alone(tmp_path):
    """Unreadable, missing and flat files are each a group of one."""
    flat = Image.new("RGB", (50, 40), "grey")
    images = {"a_png": b"<html>", "b_png": b"<html>", "c_png": None, "d_png": flat, "e_png": flat}
    assert groups_of(tmp_path, **images) == [0, 1, 2, 3, 4]


def test_no_pictures():
    """Nothing has no groups."""
    assert duplicate_groups([]).tolist() == []


def test_pairs_are_those_of_every_comparison(tmp_path, monkeypatch):
    """Block by block, in any size of blocks, the pairs are those that NumPy's correlation gives."""
    rng = np.random.default_rng(0)
    paths = []
    for index in range(30):
        base = np.asarray(photograph(index % 10), float)
        noisy = np.clip(base + rng.normal(0, 15 + 10 * (index // 10), base.shape), 0, 255)
        paths.append(tmp_path / f"{index}.png")
        Image.fromarray(noisy.astype(np.uint8)).save(paths[-1])
    all_pairs = np.corrcoef([thumbnail(path).ravel() for path in paths]) > 0.95
    expected = np.argwhere(np.triu(all_pairs, 1))
    assert len(expected) == 30
    alone = np.arange(30)
    np.testing.assert_array_equal(near_duplicates(paths, alone), expected)
    # smaller blocks leave out pairs of pictures that others have joined already
    monkeypatch.setattr("features.duplicates._BLOCK", 7)
    fewer = near_duplicates(paths, alone)
    assert {*map(tuple, fewer)} <= {*map(tuple, expected)}
    assert joined(alone, fewer).tolist() == joined(alone, expected).tolist()
    # and those of one group need no joining
    assert len(near_duplicates(paths, alone % 10)) == 0


def test_groups_that_share_a_duplicate_are_joined():
    """What was together stays together; two groups join by one pair; numbers count from 0."""
    groups = np.array(["b", "a", "a", "c", "d", "b"])
    assert joined(groups, np.empty((0, 2), int)).tolist() == [0, 1, 1, 2, 3, 0]
    assert joined(groups, np.array([[2, 3], [0, 4]])).tolist() == [0, 1, 1, 1, 0, 0]


def test_a_spanning_set_joins_the_same():
    """Of all pairs of two cliques and a chain, as few as join them; of none, none."""
    pairs = [(0, 1), (0, 2), (1, 2), (3, 4), (3, 5), (3, 6), (4, 5), (4, 6), (5, 6), (7, 8), (8, 9)]
    few = spanning(11, np.array(pairs))
    assert len(few) == 2 + 3 + 2 and {*map(tuple, few.tolist())} <= {*pairs}
    alone = np.arange(11)
    assert joined(alone, few).tolist() == joined(alone, np.array(pairs)).tolist()
    assert spanning(3, np.empty((0, 2), int)).shape == (0, 2)


def test_thumbnail_is_the_mean_of_its_area(tmp_path):
    """Each of the 32x32 numbers is the mean grey of its part, after three roundings."""
    one = picture(1, 96, 64)
    Image.fromarray(one).save(tmp_path / "a.png")
    grey = one @ np.array([0.299, 0.587, 0.114])
    expected = grey.reshape(32, 2, 32, 3).mean(axis=(1, 3))
    assert np.abs(thumbnail(tmp_path / "a.png") - expected).max() <= 1.5


@pytest.mark.slow
def test_pcuid(shared):
    """PCUID's photographs are 280 scenes, the largest of nine shots."""
    root = shared / "data" / "pcuid"
    paths = sorted(path for path in root.rglob("*") if path.suffix.lower() in (".jpg", ".png"))
    groups = duplicate_groups(paths)
    sizes = np.bincount(groups)
    assert len(sizes) == 280
    assert sizes.max() == 9
