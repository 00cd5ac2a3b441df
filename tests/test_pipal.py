"""PIPAL: one label file for each reference, four folders of pictures under several names."""

import pytest
from trees import quality, tiny, write_text
from trees_other import (
    PIPAL_VARIANTS,
    build_pipal,
    move_into,
    pipal_names,
    pipal_references,
    write_pipal_validation,
)

from features.errors import InputError
from pipeline.databases.known import open_labels
from pipeline.databases.pipal import PIPAL
from pipeline.databases.tree import Tree


def read(root):
    """Read PIPAL as the commands do."""
    tree = Tree(root)
    return open_labels("pipal", PIPAL, tree, PIPAL.labels(tree))


def test_every_field(tmp_path):
    """All 23,200 rows: names, scores, references, classes; no level, no deviation, no split."""
    build_pipal(tmp_path)
    labels = PIPAL.labels(Tree(tmp_path))
    table = labels.table
    assert list(table.columns) == ["name", "elo", "group", "distortion"]
    assert len(table) == PIPAL.n_pictures == 23200
    assert table["group"].nunique() == PIPAL.n_groups == 200
    assert (table.groupby("group").size() == 116).all()
    # files are taken in the order of their references, whatever a folder says
    assert list(table["name"]) == [
        name for part in pipal_references() for number in part for name in pipal_names(number)
    ]
    assert list(table["elo"][:3]) == [round(quality(level, 1000, 1800), 4) for level in range(3)]
    assert table["elo"].between(1000, 1800).all()
    kinds = table["distortion"][:116].value_counts(sort=False).to_dict()
    assert kinds == dict(
        zip(
            (
                *("traditional sr", "psnr sr", "kernel mismatch sr", "gan sr"),
                *("denoising", "sr and denoising", "traditional"),
            ),
            PIPAL_VARIANTS,
            strict=True,
        )
    )
    assert len(labels.files) == 200 and labels.files[0].name == "A0001.txt"


def test_the_pictures_of_four_folders(tmp_path):
    """Each is found in its part; references have no label and lie elsewhere."""
    build_pipal(tmp_path)
    database = read(tmp_path)
    assert len(database.table) == 48 and len(database.missing) == 23200 - 48
    first = database.table.iloc[0]
    assert (first["name"], first["image"], first["group"], first["row"]) == (
        *("A0001_00_00.bmp", "Distortion_1/A0001_00_00.bmp", "A0001", 0),
    )
    folders = database.table["image"].str.partition("/")[0]
    assert folders.value_counts().to_dict() == {f"Distortion_{part}": 12 for part in (1, 2, 3, 4)}
    assert list(database.targets) == ["elo"] and database.targets["elo"].higher_is_better
    assert database.group_by == "reference"
    assert "one reference only" in database.note
    assert database.unlabelled == () and database.problems == ()


LAYOUTS = {
    "NTIRE 2022": {"distorted": "Distortion"},
    "the authors' code": {
        "labels": "training/MOS_Scores_train",
        "distorted": "training/Distortion/Distortion_",
    },
    "merged": {"distorted": "Dist_Imgs", "one_folder": True},
    "merged for the challenge": {"distorted": "Train_Distort", "one_folder": True},
    "lines with a space": {"separator": ", "},
}


@pytest.fixture(scope="module")
def usual(tmp_path_factory):
    """The table of the usual layout."""
    root = tmp_path_factory.mktemp("usual")
    build_pipal(root)
    return read(root).table


@pytest.mark.parametrize("layout", LAYOUTS)
def test_other_layouts_give_the_same_table(usual, tmp_path, layout):
    """Names are the same on every disk."""
    build_pipal(tmp_path, **LAYOUTS[layout])
    other = read(tmp_path)
    assert usual.drop(columns="image").equals(other.table.drop(columns="image"))
    assert other.table["image"][0].startswith(LAYOUTS[layout].get("distorted", "Distortion_1"))


@pytest.mark.parametrize(
    ("file", "folder"),
    [
        ("val_label.txt", "Val_Distort"),
        ("val/pipal21_val.txt", "val/Dis"),
        ("validation/val_label.txt", "validation/Distortion_valid"),
    ],
)
def test_the_validation_part(tmp_path, file, folder):
    """1,000 rows of 25 other references make the split; their class 10 has no name."""
    build_pipal(tmp_path)
    write_pipal_validation(tmp_path, file, folder)
    labels = PIPAL.labels(Tree(tmp_path))
    table = labels.table
    assert table["split"].value_counts().to_dict() == PIPAL.split == {"train": 23200, "val": 1000}
    sides = table.groupby("split")["group"].unique()
    assert len(sides["val"]) == 25 and not set(sides["val"]) & set(sides["train"])
    last = table[table["split"] == "val"]
    assert (last["distortion"] == "").all() and last["name"].iloc[0] == "A0000_10_00.bmp"
    assert last["elo"].max() == 1857.0 and last["elo"].min() == 868.2988
    assert labels.files[-1] == tmp_path / file
    database = read(tmp_path)
    assert len(database.table) == 51 and database.problems == ()
    assert database.table["image"].iloc[-1] == f"{folder}/A0000_10_02.bmp"


def test_names_in_other_case(tmp_path):
    """Pictures and label files in capitals; the group is the same."""
    write_text(tmp_path / "train_label" / "a0007.TXT", ["a0007_03_01.BMP,1500"])
    tiny(tmp_path / "DISTORTION_1" / "A0007_03_01.bmp", 0)
    table = read(tmp_path).table
    assert list(table["group"]) == ["A0007"] and list(table["distortion"]) == ["gan sr"]
    assert list(table["image"]) == ["DISTORTION_1/A0007_03_01.bmp"]


BAD = {
    "another name": (
        "I01_01_01.png,5.5",
        "expected names such as A0001_00_00.bmp.*'I01_01_01.png'",
    ),
    "another class": ("A0001_07_00.bmp,1400", "of the classes 00, 01.*'A0001_07_00.bmp'"),
    "no score": ("A0001_00_00.bmp", "expected 2 values in a line, found 'A0001_00_00.bmp'"),
    "a word": ("A0001_00_00.bmp,good", "1 values of Elo are not numbers, the first is 'good'"),
    "web page": ("<html>", "is a web page and no label file"),
}


@pytest.mark.parametrize("case", BAD)
def test_another_file_is_one_clear_line(tmp_path, case):
    """What was expected, what came."""
    line, message = BAD[case]
    write_text(tmp_path / "Train_Label" / "A0001.txt", [line])
    with pytest.raises(InputError, match=message):
        read(tmp_path)


def test_a_score_of_another_scale_is_doubted(tmp_path):
    """Scores that were spread over 0..1 by somebody are no Elo ratings."""
    write_text(tmp_path / "Train_Label" / "A0001.txt", ["A0001_00_00.bmp,0.7"])
    tiny(tmp_path / "Distortion_1" / "A0001_00_00.bmp", 0)
    assert "1 scores of elo are outside the known range 868 to 1857" in read(tmp_path).problems[0]


def test_wrong_roots_are_told(tmp_path):
    """One level too high or too deep, or not unpacked."""
    build_pipal(tmp_path / "data" / "PIPAL")
    right = rf"give --root {tmp_path / 'data' / 'PIPAL'}$"
    with pytest.raises(InputError, match=right):
        read(tmp_path / "data")
    with pytest.raises(InputError, match=right):
        read(tmp_path / "data" / "PIPAL" / "Train_Label")
    move_into(tmp_path / "data" / "PIPAL", "training")
    with pytest.raises(InputError, match=r"give --root .*PIPAL/training$"):
        read(tmp_path / "data" / "PIPAL")
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "Train_Label.zip").write_bytes(b"PK")
    with pytest.raises(InputError, match=r"A0001.txt .*download Train_Label.*no whole archive"):
        read(tmp_path / "empty")
