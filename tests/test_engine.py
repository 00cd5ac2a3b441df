"""Blocks become rows: shared views, batches by shape, memory that is given back."""

import threading
import time
from pathlib import Path

import numpy as np
import pytest
from conftest import picture
from PIL import Image
from tiny import plain

from features import engine, reading
from features.engine import Worker, embed
from features.loading import Loaded
from features.names import Request
from features.plan import Block, Picture
from features.reading import Room
from features.runtime import IN_LANE, Runtime

SIZES = [(40, 30), (64, 48), (33, 50)]


def square(pixels: np.ndarray, side: int) -> np.ndarray:
    """A view of one size whatever the picture."""
    return np.asarray(Image.fromarray(pixels).resize((side, side)))


def loaded(name: str, encode, views=(), runtime: Runtime = Runtime()) -> Loaded:
    """An encoder of three numbers; without views it takes the whole picture."""
    if views:
        encode.views = views
    return Loaded(Request(plain(name, encode), ()), encode, runtime)


def mean_of(*view):
    """Return an encoder's function, the mean colour of a view, and the shapes of its batches."""
    seen = []

    def encode(batch):
        array = batch.view(*view) if view else batch.pictures
        seen.append(array.shape)
        return array.mean(axis=(1, 2), dtype=np.float64).astype(np.float32)

    return encode, seen


@pytest.fixture
def block(tmp_path) -> Block:
    """Eight pictures of three sizes, the last one unreadable."""
    pictures = []
    for number in range(8):
        path = tmp_path / f"{number}.png"
        Image.fromarray(picture(number, *SIZES[number % 3])).save(path)
        pictures.append(Picture(path.name, path))
    pictures[-1].path.write_bytes(b"none")
    return Block(tuple(pictures))


def embedded(done, name: str) -> dict[str, np.ndarray | str]:
    """The results of an encoder by picture."""
    return {row.name: row.result for row in done.rows[name]}


def test_batches_are_of_one_shape(block):
    """Whole pictures meet those of their size; views of one size meet whatever the picture."""
    whole, seen_whole = mean_of()
    view = (square, 16)
    small, seen_small = mean_of(*view)
    (done,) = embed([block], [loaded("whole", whole), loaded("small", small, [view])])
    assert sorted(seen_whole) == [(2, 48, 64, 3), (2, 50, 33, 3), (3, 30, 40, 3)]
    assert seen_small == [(7, 16, 16, 3)]
    rows = embedded(done, "whole")
    assert list(rows) == [one.name for one in block.pictures]
    assert rows["7.png"] == "no picture in a format that Pillow knows"
    for number in range(7):
        pixels = picture(number, *SIZES[number % 3])
        np.testing.assert_allclose(rows[f"{number}.png"], pixels.mean((0, 1)), rtol=1e-6)
        expected = square(pixels, 16).mean((0, 1))
        np.testing.assert_allclose(embedded(done, "small")[f"{number}.png"], expected, rtol=1e-6)
    assert (done.files, done.pixels) == (8, 3 * 1200 + 2 * 3072 + 2 * 1650)
    assert set(done.seconds) == {"decode", "compute", "idle"}


def test_the_budget_cuts_batches(block, monkeypatch):
    """No batch has more pixels; a picture that is larger goes alone."""
    monkeypatch.setitem(engine.BATCH_PIXELS, False, 2500)
    whole, seen = mean_of()
    list(embed([block], [loaded("whole", whole)]))
    assert max(shape[0] * shape[1] * shape[2] for shape in seen if shape[0] > 1) <= 2500
    assert sorted(shape[0] for shape in seen) == [1, 1, 1, 1, 1, 2]


def test_shapes_of_their_own_go_in_lanes(block, monkeypatch):
    """Two at once where the engine can; the rows are those of one after another."""
    monkeypatch.setattr(Runtime, "lanes", 2)
    both = threading.Barrier(2)
    seen = []

    def encode(batch):
        lane = IN_LANE.get()
        seen.append((len(batch), lane))
        if lane and batch.pictures.shape[1] != 50:
            both.wait(10)  # breaks unless two are computed at once
        return batch.pictures.mean(axis=(1, 2), dtype=np.float64).astype(np.float32)

    encoder = loaded("whole", encode)
    done = list(embed([Block(block.pictures[:3]), block, Block(block.pictures[:1])], [encoder]))
    assert seen[:3] == [(1, True)] * 3
    assert sorted(seen[3:]) == [(1, False), (2, False), (2, False), (3, False)]
    for one in done:
        for name, embedding in embedded(one, "whole").items():
            if name != "7.png":
                number = int(name[0])
                pixels = picture(number, *SIZES[number % 3])
                np.testing.assert_allclose(embedding, pixels.mean((0, 1)), rtol=1e-6)


def test_lanes_do_not_depend_on_other_encoders(block, monkeypatch):
    """Each has one picture left: whether both are asked for or one, it goes the same way."""
    monkeypatch.setattr(Runtime, "lanes", 2)
    for names in (("a", "b"), ("a",)):
        seen = []

        def encode(batch, seen=seen):
            seen.append(IN_LANE.get())
            return batch.pictures.mean(axis=(1, 2), dtype=np.float64).astype(np.float32)

        list(embed([Block(block.pictures[:1])], [loaded(name, encode) for name in names]))
        assert seen == [False] * len(names)


def test_a_view_is_made_once(block):
    """Encoders that want the same share it, and only what they want is kept."""
    calls = []

    def view(pixels):
        calls.append(pixels.shape)
        return square(pixels, 8)

    kept = []

    def encode(batch):
        kept.extend(set(made) for made in batch._made)
        return batch.view(view).mean(axis=(1, 2)).astype(np.float32)

    def other(batch):
        return encode(batch)

    done = list(embed([block], [loaded("a", encode, [(view,)]), loaded("b", other, [(view,)])]))
    assert len(calls) == 7
    assert all(views == {(view,)} for views in kept) and len(kept) == 14
    np.testing.assert_equal(embedded(done[0], "a"), embedded(done[0], "b"))


def test_what_is_decoded_ahead_is_only_a_hint(block, tmp_path):
    """Another block than the one announced is embedded all the same; no memory stays taken."""
    encoders = [loaded("whole", mean_of()[0])]
    others = Block(block.pictures[:3])
    plain = [embedded(one, "whole") for one in embed([block, others], encoders)]
    worker = Worker(encoders)
    first = worker.embed(block, ahead=others)
    again = worker.embed(block, ahead=block)  # not the one announced
    second = worker.embed(others)
    for ours, expected in ((first, plain[0]), (again, plain[0]), (second, plain[1])):
        np.testing.assert_equal(embedded(ours, "whole"), expected)
    assert worker._reader.room._held == 0
    worker.close()


def test_refused_pictures_are_not_opened(block, monkeypatch):
    """Their row has the reason; what an encoder has already is left out."""
    opened = []
    whole = reading.read_picture
    monkeypatch.setattr(
        reading, "read_picture", lambda path, *rest: opened.append(path.name) or whole(path, *rest)
    )
    names = [one.name for one in block.pictures]
    part = Block(block.pictures, {"whole": frozenset(names[1:])}, {names[2]: "it kills"})
    (done,) = embed([part], [loaded("whole", mean_of()[0])])
    rows = embedded(done, "whole")
    assert list(rows) == names[1:]
    assert rows[names[2]] == "it kills" and names[2] not in opened


def test_a_lack_of_memory_names_a_smaller_budget(block):
    """Where a smaller one helps; the others of the batch are embedded alone."""

    def encode(batch):
        if len(batch) > 1 or batch.pictures.shape[1:3] == (48, 64):
            raise MemoryError
        return batch.pictures.mean(axis=(1, 2)).astype(np.float32)

    encoder = loaded("hungry", encode)
    (done,) = embed([block], [encoder])
    rows = embedded(done, "hungry")
    assert rows["1.png"] == rows["4.png"] == "not enough memory for hungry at 64x48"
    assert all(isinstance(rows[f"{n}.png"], np.ndarray) for n in (0, 2, 3, 5, 6))
    large = encoder.no_memory((3000, 4000, 3))
    assert large == "not enough memory for hungry at 4000x3000: --budget 4 takes less at once"
    least = loaded("hungry", encode, runtime=Runtime(budget=1))
    assert least.no_memory((3000, 4000, 3)) == "not enough memory for hungry at 4000x3000"


def test_room_is_waited_for():
    """Who comes when it is full passes once it is freed, or when all is over."""
    for release in (lambda room: room.free(10), Room.close, lambda room: room.call(7)):
        room, passed = Room(10), threading.Event()
        room.take(10)
        thread = threading.Thread(target=lambda r=room, p=passed: (r.wait(7), p.set()))
        thread.start()
        time.sleep(0.05)
        assert not passed.is_set()
        release(room)
        assert passed.wait(5)
        thread.join()


def test_little_room_ends_all_the_same(block, monkeypatch):
    """With room for less than one picture nothing stands still."""
    monkeypatch.setattr(reading, "AHEAD_BYTES", 1)
    monkeypatch.setitem(engine.BATCH_PIXELS, False, 1)
    done = list(embed([block, block, Block(block.pictures[:1])], [loaded("w", mean_of()[0])]))
    assert [len(one.rows["w"]) for one in done] == [8, 8, 1]
    assert Path(block.pictures[0].path).exists()
