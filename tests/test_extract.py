"""Extraction: only what is missing is computed, and no kill at any moment changes a number."""

import os
import random
import shutil

import numpy as np
import pytest
from conftest import assert_same, assert_tidy, picture, plan_of, write_pictures
from PIL import Image
from tiny import plain

from features import files, reading
from features.encoders import ENCODERS
from features.errors import InputError, UsageError
from features.plan import BLOCK_ROWS, Picture, blocks
from features.way import Way

# --- what is computed, and what is not


def test_embeddings_are_the_encoder_s(plan, run, load):
    """Each name has the numbers that the encoder gives for its own picture."""
    from features.encoders.nss import nss_embedding

    done = run(plan)
    assert (done.encoder, done.n_dims, done.n_new, done.n_cached) == ("nss", 36, 20, 20)
    loaded = load()
    assert loaded.names == [p.name for p in plan if p.name != plan[3].name]
    for name, embedding in zip(loaded.names, loaded.embeddings, strict=True):
        pixels = np.asarray(Image.open(plan[0].path.parent / name))
        np.testing.assert_array_equal(embedding, nss_embedding(pixels))


def test_a_second_run_computes_nothing(plan, run, monkeypatch):
    """Not a picture is opened when all are cached and unchanged."""
    run(plan)

    def opened(*arguments):
        raise AssertionError("a cached picture was read")

    monkeypatch.setattr(reading, "read_picture", opened)
    again = run(plan)
    assert (again.n_new, again.n_cached) == (0, 20)


def test_only_a_new_picture_is_computed(plan, run, load):
    """One more picture is one more row, and the others keep their bits."""
    run(plan[:-1])
    before = load()
    assert run(plan).n_new == 1
    after = load()
    rows = [after.names.index(name) for name in before.names]
    np.testing.assert_array_equal(after.embeddings[rows], before.embeddings)
    assert set(after.names) - set(before.names) == {plan[-1].name}


def bmp(path, seed):
    """Write a picture whose file has the same size for every seed."""
    Image.fromarray(picture(seed)).save(path)


def test_a_changed_file_is_computed_again(tmp_path, run, load):
    """Other bytes of the same size, at another time, are another picture."""
    path = tmp_path / "pictures" / "a.bmp"
    path.parent.mkdir()
    bmp(path, 1)
    run([Picture("a.bmp", path)])
    before, size = load().embeddings, path.stat().st_size
    bmp(path, 2)
    os.utime(path, (1, 1))
    assert path.stat().st_size == size
    assert run([Picture("a.bmp", path)]).n_new == 1
    assert not np.array_equal(load().embeddings, before)
    assert run([Picture("a.bmp", path)]).n_new == 0


def test_a_vanished_file_keeps_its_embedding(plan, run, load):
    """A disk that is not mounted costs no work already done."""
    run(plan)
    before = load()
    for one in plan[5:9]:
        one.path.unlink()
    assert run(plan).n_new == 0
    assert_same(load(), before)


def test_a_touched_file_is_not(plan, run):
    """A copied folder has new times and the same bytes."""
    run(plan)
    for one in plan:
        os.utime(one.path, (1, 1))
    assert run(plan).n_new == 0


def test_a_moved_folder_is_not(tmp_path, plan, run):
    """Rows belong to names; where the files lie does not matter."""
    run(plan)
    shutil.copytree(tmp_path / "pictures", tmp_path / "moved")
    assert run(plan_of(tmp_path / "moved")).n_new == 0


def test_failures_are_rows_with_their_reason(plan, run, load):
    """What failed is counted and named, not tried again, and tried again when asked to."""
    done = run(plan)
    assert done.failures == {plan[3].name: "no picture in a format that Pillow knows"}
    assert load().failures == done.failures
    assert run(plan).n_new == 0
    retried = run(plan, retry=True)
    assert (retried.n_new, retried.failures) == (1, done.failures)
    Image.fromarray(picture(3)).save(plan[3].path)
    mended = run(plan)  # another file than the one that failed
    assert (mended.n_new, mended.failures) == (1, {})
    assert load().failures == {}


def test_a_missing_file_is_tried_when_it_comes(tmp_path, run):
    """No file is a reason; once it is there, the next run takes it."""
    late = [Picture("late.png", tmp_path / "late.png")]
    assert run(late).failures == {"late.png": "cannot be opened: No such file or directory"}
    assert run(late).n_new == 0
    Image.fromarray(picture(0)).save(late[0].path)
    assert (run(late).n_new, run(late).failures) == (1, {})


def test_too_many_megapixels_and_too_few_pixels(tmp_path, run):
    """Both are rows with the number that was passed."""
    names = write_pictures(tmp_path / "pictures", 1)
    Image.new("RGB", (40, 5)).save(tmp_path / "pictures" / "thin.png")
    done = run(plan_of(tmp_path / "pictures"), max_megapixels=0.002)
    assert "over the limit of 0.002" in done.failures[names[0]]
    assert done.failures["thin.png"] == "40x5 is too small: nss needs 13x13"


def test_the_order_given_does_not_matter(plan, run, load):
    """A shuffled plan writes the same rows in the same order."""
    run(plan)
    shuffled = random.Random(0).sample(plan, len(plan))
    run(shuffled, cache="other")
    assert_same(load(cache="other"), load())
    assert run(shuffled).n_new == 0


def test_blocks_are_a_function_of_the_names(plan):
    """Sorted, whole, and of eight."""
    cut = list(blocks(plan[::-1]))
    assert [one for block in cut for one in block] == plan
    assert [len(block) for block in cut] == [8, 8, 4]
    assert BLOCK_ROWS == 8


# --- several encoders


def means(pictures):
    """The mean of each channel."""
    return pictures.mean(axis=(1, 2)).astype(np.float32)


@pytest.fixture
def table(monkeypatch):
    """Add an encoder to the table for one test."""

    def add(name, encode, **options):
        monkeypatch.setitem(ENCODERS, name, plain(name, encode, **options))

    return add


@pytest.fixture
def opened(monkeypatch):
    """The names of the pictures that were decoded, in order."""
    names = []
    whole = reading.read_picture

    def counted(path, *arguments):
        names.append(path.name)
        return whole(path, *arguments)

    monkeypatch.setattr(reading, "read_picture", counted)
    return names


def test_each_picture_is_decoded_once(plan, run, load, table, opened):
    """Two encoders share the pixels."""
    table("means", means)
    done = run(plan, "means+nss")
    assert sorted(opened) == [one.name for one in plan]
    assert [one.n_new for one in done] == [20, 20]
    loaded = load("nss+means")
    assert loaded.embeddings.shape == (19, 39)
    pixels = np.asarray(Image.open(plan[0].path))
    np.testing.assert_allclose(
        loaded.embeddings[0, loaded.columns["means"]], pixels.mean(axis=(0, 1)), rtol=1e-6
    )


def test_each_encoder_resumes_for_itself(plan, run, table, opened):
    """What one of them has already is not computed again beside the other."""
    seen = []

    def counting(pictures):
        seen.extend(pictures)
        return means(pictures)

    table("means", counting)
    run(plan[:8], "means")
    opened.clear()
    seen.clear()
    done = {one.encoder: one for one in run(plan, "means+nss")}
    assert (done["means"].n_new, done["nss"].n_new) == (12, 20)
    assert len(seen) == 12
    assert sorted(opened) == [one.name for one in plan]


def test_batches_have_one_shape_and_one_block(plan, run, load, table):
    """Pictures of one size go together, and never more than a block of them."""
    batches = []

    def recording(pictures):
        batches.append(pictures.shape)
        return means(pictures)

    table("means", recording)
    run(plan, "means")
    assert sum(shape[0] for shape in batches) == 19
    assert max(shape[0] for shape in batches) <= BLOCK_ROWS
    assert len(batches) == 3 * 3  # three sizes in each of three blocks


def test_numbers_that_are_not_finite_are_failures(plan, run, load, table):
    """NaN and infinity never reach a cache as embeddings."""

    def broken(pictures):
        result = means(pictures)
        result[0, 1] = np.nan
        result[1:, 2] = np.inf
        return result

    table("broken", broken)
    done = run(plan[:3], "broken")
    assert set(done.failures.values()) == {"broken gave numbers that are not finite"}
    assert load("broken").names == []


@pytest.mark.parametrize(
    "error", [MemoryError(), RuntimeError("CUDA out of memory"), RuntimeError("not enough memory")]
)
def test_too_little_memory_is_a_failure(plan, run, table, error):
    """The picture's size is named, and the others go on."""

    def encode(pictures):
        if pictures.shape[1:3] == (60, 80):
            raise error
        return means(pictures)

    table("hungry", encode)
    failures = run(plan, "hungry").failures
    del failures[plan[3].name]
    assert failures.keys() == {one.name for one in plan[2::3]}
    assert set(failures.values()) == {"not enough memory for hungry at 80x60"}


def test_an_error_of_ours_is_not_hidden(plan, run, load, table):
    """A bug stops the run; the shards before it stay, and the next run goes on from there."""
    calls = []

    def encode(pictures):
        calls.append(pictures)
        if len(calls) == 4:
            raise RuntimeError("shapes do not match")
        return means(pictures)

    table("means", encode)
    with pytest.raises(RuntimeError, match="shapes do not match"):
        run(plan, "means")
    assert len(load("means").names) == 7  # eight rows, one of them unreadable
    assert run(plan, "means").n_new == 12


# --- errors before any work


def test_wrong_names_say_so_first(plan, run, tmp_path):
    """Unknown encoders, precisions and missing weights are said before anything is made."""
    with pytest.raises(UsageError, match="did you mean nss"):
        run(plan, "nns")
    with pytest.raises(UsageError, match="--precision fp16: torch on the CPU offers fp32, bf16"):
        run(plan, way=Way(precision="fp16"))
    with pytest.raises(InputError, match=r"quality_aware_r50.pth is not in"):
        run(plan, "nss+reiqa")
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize("name", ["a\udce9.png", "a\0.png"])
def test_a_name_that_is_no_text(tmp_path, run, name):
    """A file name that no HDF5 text can hold is one plain error, before any work."""
    with pytest.raises(InputError, match="is not plain UTF-8 text: change it"):
        run([Picture(name, tmp_path / "a.png")])
    assert not (tmp_path / "cache").exists()


def test_names_of_any_script(tmp_path, run, load):
    """Names in folders, with spaces, brackets and letters of any alphabet come back."""
    names = ["图片/1 (2).png", "ä+b [c].png", "çà/é.png", "😀.png"]
    for seed, name in enumerate(names):
        path = tmp_path / "pictures" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture(seed)).save(path)
    pictures = [Picture(name, tmp_path / "pictures" / name) for name in names]
    assert run(pictures).failures == {}
    assert load().names == sorted(names)
    assert run(pictures).n_new == 0


def test_full_disk(plan, run, load, monkeypatch):
    """One plain error; what was written stays, and the next run makes the rest."""
    run(plan, cache="whole")
    before, count = files.stage, []

    def full(name):
        count.append(name)
        if count.count("before flush") == 4:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(files, "stage", full)
    with pytest.raises(InputError, match=r"cannot write .*shard.*No space left.*make room"):
        run(plan)
    monkeypatch.setattr(files, "stage", before)
    assert len(load().names) == 7
    done = run(plan)
    assert done.n_new == 12
    assert_same(load(), load(cache="whole"))
    assert_tidy(done.path)
