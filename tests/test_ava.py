"""AVA: means of histograms, the test list, a quarter of a million rows."""

import time

import numpy as np
import pytest
from trees import write_text
from trees_other import AVA_PICTURES, AVA_ROWS, build_ava, move_into

from features.errors import InputError
from pipeline.databases.ava import AVA
from pipeline.databases.known import open_labels
from pipeline.databases.tree import Tree

# 2 people gave 4, 5 gave 5 and 3 gave 10; 1 gave 1 and 1 gave 10
ROW = "1 953619 0 0 0 2 5 0 0 0 0 3 1 22 1396"
EVEN = "2 953958 1 0 0 0 0 0 0 0 0 1 0 0 7"


def read(root):
    """Read AVA as the commands do."""
    tree = Tree(root)
    return open_labels("ava", AVA, tree, AVA.labels(tree))


def one_picture(root, *lines, folder="images", end="\n"):
    """Write a label file and the picture of its first row."""
    write_text(root / "AVA.txt", lines, end)
    (root / folder).mkdir(exist_ok=True)
    (root / folder / "953619.jpg").write_bytes(b"")


def test_every_field(tmp_path):
    """Names, means, deviations, contests, split, and no target but the mean."""
    build_ava(tmp_path)
    database = read(tmp_path)
    table = database.table
    assert list(table.columns) == [
        *("name", "image", "row", "mos", "mos_std", "challenge", "split", "group")
    ]
    assert len(table) == AVA_PICTURES and len(database.missing) == AVA_ROWS - AVA_PICTURES
    assert list(table["name"][:2]) == ["953000.jpg", "953001.jpg"]
    assert list(table["image"][:2]) == ["images/953000.jpg", "images/953001.jpg"]
    assert list(table["row"]) == list(range(AVA_PICTURES))
    # level 0: 60 gave 9, 15 gave 8 and 15 gave 10
    assert table["mos"][0] == 9
    assert table["mos_std"][0] == pytest.approx(np.sqrt(30 / 90))
    assert table["mos"][9] == 2
    assert list(table["challenge"][:5]) == ["1396"] * 4 + ["1397"]
    assert list(table["split"][:4]) == ["train", "train", "train", "test"]
    assert table["split"].value_counts().to_dict() == {"train": 30, "test": 10}
    assert (table["group"] == table["name"]).all() and database.group_by == "picture"
    assert list(database.targets) == ["mos"] and database.targets["mos"].higher_is_better
    assert (database.targets["mos"].low, database.targets["mos"].high) == (1, 10)
    assert [path.name for path in database.labels] == ["AVA.txt", "generic_test.jpgl"]
    assert database.problems == () and database.unlabelled == ()


def test_the_score_is_the_mean_rating_and_not_of_the_counts(tmp_path):
    """By hand: (2*4 + 5*5 + 3*10)/10 = 6.3, and (1 + 10)/2 = 5.5."""
    one_picture(tmp_path, ROW, EVEN)
    table = AVA.labels(Tree(tmp_path)).table
    assert list(table["mos"]) == [6.3, 5.5]
    variance = (2 * 2.3**2 + 5 * 1.3**2 + 3 * 3.7**2) / 10
    np.testing.assert_allclose(table["mos_std"], [np.sqrt(variance), 4.5])


def test_without_the_test_list_there_is_no_split(tmp_path):
    """Nothing is said about a split that is not there."""
    one_picture(tmp_path, ROW)
    database = read(tmp_path)
    assert "split" not in database.table
    assert [path.name for path in database.labels] == ["AVA.txt"]


def test_a_list_that_names_others_is_doubted(tmp_path):
    """The list and the label file are of one release, or a line says so."""
    one_picture(tmp_path, ROW, EVEN)
    write_text(tmp_path / "aesthetics_image_lists" / "generic_test.jpgl", ["953619", "12", "13"])
    database = read(tmp_path)
    assert list(database.table["split"]) == ["test"]
    assert database.problems[0].startswith(
        "2 of 3 pictures of generic_test.jpgl are not in AVA.txt"
    )
    write_text(tmp_path / "aesthetics_image_lists" / "generic_test.jpgl", ["953619.jpg"])
    with pytest.raises(InputError, match=r"generic_test.jpgl: expected whole numbers"):
        read(tmp_path)


@pytest.mark.parametrize("folder", ["images", "image", "ava_images", ""])
@pytest.mark.parametrize("nested", [False, True])
def test_both_layouts_and_all_names_of_the_folder(tmp_path, folder, nested):
    """Labels in AVA_dataset/ or at the top, pictures beside them."""
    one_picture(tmp_path, ROW, EVEN, folder=folder)
    if nested:
        move_into(tmp_path, "AVA_dataset")
    database = read(tmp_path)
    start = "AVA_dataset/" if nested else ""
    image = f"{start}{folder}/953619.jpg".replace("//", "/").lstrip("/")
    assert list(database.table["image"]) == [image]
    assert list(database.table["name"]) == ["953619.jpg"]
    assert database.missing == ("953958.jpg",)


def test_labels_and_pictures_apart(tmp_path):
    """AVA_dataset/ as cloned, and images/ beside it."""
    one_picture(tmp_path, ROW)
    (tmp_path / "AVA_dataset").mkdir()
    (tmp_path / "AVA.txt").rename(tmp_path / "AVA_dataset" / "ava.TXT")
    assert list(read(tmp_path).table["image"]) == ["images/953619.jpg"]


def test_names_in_other_case_and_files_without_rows(tmp_path):
    """A picture in capitals is found; one without a row is named."""
    one_picture(tmp_path, ROW, EVEN)
    (tmp_path / "images" / "953619.jpg").rename(tmp_path / "images" / "953619.JPG")
    (tmp_path / "images" / "12.jpg").write_bytes(b"")
    database = read(tmp_path)
    assert list(database.table["image"]) == ["images/953619.JPG"]
    assert database.unlabelled == ("images/12.jpg",)


def test_tabs_windows_lines_and_an_empty_last_one(tmp_path):
    """The file as editors leave it."""
    one_picture(tmp_path, ROW.replace(" ", "\t"), "  " + EVEN + "  ", "", end="\r\n")
    assert list(AVA.labels(Tree(tmp_path)).table["mos"]) == [6.3, 5.5]


BAD = {
    "fourteen": ([ROW.rpartition(" ")[0]], "expected 15 numbers in a line, found 14"),
    "a longer line": ([ROW, EVEN + " 3"], "cannot be read as lines of 15 numbers"),
    "a shorter line": ([ROW, "2 953958 1 1"], "expected whole numbers in the column 5.*in row 2"),
    "words": ([ROW, EVEN.replace("2 953958", "2 x")], "whole numbers in the column 2, found 'x'"),
    "half a vote": ([ROW, EVEN.replace(" 1 0", " 0.5 0")], "whole numbers in the column 3"),
    "nobody": ([ROW, "2 953958" + " 0" * 13], "1 pictures have no ratings, the first is 953958"),
    "web page": (["<!DOCTYPE html>", "<html>"], "is a web page and no label file"),
    "empty": ([], "AVA.txt is empty"),
    "spaces": ([" "] * 200, "AVA.txt is empty"),
}


@pytest.mark.parametrize("case", BAD)
def test_another_file_is_one_clear_line(tmp_path, case):
    """What was expected, what came."""
    lines, message = BAD[case]
    one_picture(tmp_path, *lines)
    with pytest.raises(InputError, match=message) as error:
        read(tmp_path)
    assert "\n" not in str(error.value)


def test_not_text(tmp_path):
    """A picture under the name of the label file."""
    (tmp_path / "AVA.txt").write_bytes(b"\xff\xd8\xff\xe0" * 100)
    with pytest.raises(InputError, match="cannot be read as lines of 15 numbers"):
        read(tmp_path)


def test_wrong_roots_are_told(tmp_path):
    """Too deep, too high, nothing there, not unpacked."""
    build_ava(tmp_path / "data" / "AVA", n=12)
    with pytest.raises(InputError, match=rf"give --root {tmp_path / 'data' / 'AVA'}$"):
        read(tmp_path / "data")
    with pytest.raises(InputError, match=rf"give --root {tmp_path / 'data' / 'AVA'}$"):
        read(tmp_path / "data" / "AVA" / "images")
    empty = tmp_path / "empty"
    empty.mkdir()
    (empty / "images.7z").write_bytes(b"7z\xbc\xaf'\x1c".ljust(32, b"\0"))
    with pytest.raises(InputError, match=r"AVA.txt .*imfing/ava_downloader.*images.7z is an arch"):
        read(empty)
    write_text(empty / "AVA.txt", [ROW])
    with pytest.raises(InputError, match="AVA: no picture found: none of 1 labelled"):
        read(empty)


def test_full_size_is_read_within_seconds(tmp_path):
    """All 255,530 rows, each mean against numpy's average of the written-out ratings."""
    n = AVA.n_pictures
    rng = np.random.default_rng(0)
    kinds = rng.multinomial(210, np.full(10, 0.1), size=50)
    ends = [" ".join(map(str, counts)) + " 1 0 1396" for counts in kinds]
    write_text(tmp_path / "AVA.txt", (f"{i + 1} {i + 5} {ends[i % 50]}" for i in range(n)))
    write_text(
        tmp_path / "aesthetics_image_lists" / "generic_test.jpgl", map(str, range(5, 240005, 12))
    )
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "5.jpg").write_bytes(b"")
    start = time.perf_counter()
    labels = AVA.labels(Tree(tmp_path))
    assert time.perf_counter() - start < 3
    expected = [np.repeat(np.arange(1, 11), counts) for counts in kinds]
    np.testing.assert_allclose(labels.table["mos"][:50], [np.mean(votes) for votes in expected])
    np.testing.assert_allclose(labels.table["mos_std"][:50], [np.std(votes) for votes in expected])
    assert len(labels.table) == n and labels.table["name"].is_unique
    assert labels.table["split"].value_counts().to_dict() == AVA.split
    assert len(read(tmp_path).missing) == n - 1
