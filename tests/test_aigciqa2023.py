"""AIGCIQA2023: MATLAB files and JSON, prompts without header, groups that follow from numbers."""

import json
import shutil

import pytest
from trees import write_mat, write_xlsx
from trees_generated import (
    aigciqa2023_records,
    aigciqa2023_scores,
    build_aigciqa2023,
    build_aigciqa2023_json,
)

from features.errors import InputError
from pipeline.databases.aigciqa2023 import AIGCIQA2023
from pipeline.databases.known import open_labels
from pipeline.databases.sheets import read_cells
from pipeline.databases.tree import Tree

TARGETS = ["mos", "mos_authenticity", "mos_correspondence"]
PROMPTS = "AIGCIQA2023_Prompts.xlsx"


def labels(root):
    """What the reader says, of all rows."""
    return AIGCIQA2023.labels(Tree(root))


def opened(root):
    """What is there."""
    return open_labels("aigciqa2023", AIGCIQA2023, Tree(root), labels(root))


def write_json(root, records):
    """Write the label file of the second tree."""
    (root / "AIGIQA2023.json").write_text(json.dumps(records), encoding="utf-8")


def test_mats(tmp_path):
    """Row i is i.png; quality, authenticity, correspondence; no deviation of another scale."""
    build_aigciqa2023(tmp_path)
    table = labels(tmp_path).table
    assert sorted(table) == sorted(["name", *TARGETS, "group", "prompt"])
    assert list(table["name"]) == [f"{i}.png" for i in range(2400)]
    for k, column in enumerate(TARGETS, 1):
        assert list(table[column]) == pytest.approx(aigciqa2023_scores(k))
    row = table.iloc[1207]  # Lafite's eighth picture
    assert list(row[["name", "group", "prompt"]]) == ["1207.png", "001", "prompt 1"]
    assert list(row[TARGETS]) == pytest.approx([80 - 350 / 9, 70 - 350 / 9, 60 - 350 / 9])
    database = opened(tmp_path)
    assert list(database.targets) == TARGETS
    assert all(target.higher_is_better for target in database.targets.values())
    assert len(database.table) == 32 and len(database.missing) == 2368
    assert database.table["image"][1] == "Image/allimg/4.png"
    assert database.problems == database.unlabelled == ()
    assert [path.name for path in database.labels] == [
        *("mosz1.mat", "mosz2.mat", "mosz3.mat"),
        PROMPTS,
    ]


def test_groups(tmp_path):
    """100 prompts, each with four pictures of each of six models."""
    build_aigciqa2023(tmp_path)
    table = labels(tmp_path).table
    assert (table["group"].value_counts() == 24).all()
    assert table["group"].nunique() == AIGCIQA2023.n_groups == 100
    wanted = {0: "000", 3: "000", 4: "001", 399: "099", 400: "000", 1203: "000", 2399: "099"}
    assert {i: table["group"][i] for i in wanted} == wanted


def test_prompts_are_zero_based_and_have_no_header(tmp_path):
    """The first row is the prompt of 0.png; a header that somebody added is no prompt."""
    build_aigciqa2023(tmp_path)
    before = labels(tmp_path).table["prompt"]
    assert list(before[[0, 4, 396, 2399]]) == ["prompt 0", "prompt 1", "prompt 99", "prompt 99"]
    rows = [(None, None, "  Prompt "), *(("a", "b", f"prompt {number} ") for number in range(100))]
    write_xlsx(tmp_path / PROMPTS, {"Sheet1": [*rows, (None, None, None)]})
    assert labels(tmp_path).table["prompt"].equals(before)


@pytest.mark.parametrize("rows", [99, 101])
def test_prompts_of_another_number(tmp_path, rows):
    """A prompt too few or too many would shift all others."""
    build_aigciqa2023(tmp_path)
    write_xlsx(tmp_path / PROMPTS, {"Sheet1": [("a", "b", f"p{i}") for i in range(rows)]})
    with pytest.raises(InputError, match=f"expected 100 rows of challenge.*found {rows}"):
        labels(tmp_path)


def test_without_prompts(tmp_path):
    """Scores and groups are there all the same."""
    build_aigciqa2023(tmp_path)
    (tmp_path / PROMPTS).unlink()
    table = labels(tmp_path).table
    assert "prompt" not in table and table["group"].nunique() == 100


def test_json_says_the_same(tmp_path):
    """7,200 records of 2,400 pictures."""
    build_aigciqa2023(tmp_path / "a")
    build_aigciqa2023_json(tmp_path / "b")
    ours, other = labels(tmp_path / "a").table, labels(tmp_path / "b").table
    assert len(other) == 2400
    for column in ("name", "group", "prompt"):
        assert list(other[column]) == list(ours[column])
    for column in TARGETS:
        assert list(other[column]) == pytest.approx(list(ours[column]))
    database = opened(tmp_path / "b")
    assert len(database.table) == 32 and database.table["image"][1] == "allimg/4.png"
    assert database.problems == () and list(database.targets) == TARGETS
    # with both, the files that were first published
    shutil.copytree(tmp_path / "a" / "DATA", tmp_path / "b" / "data")
    assert opened(tmp_path / "b").labels[0].name == "mosz1.mat"


def test_json_in_another_order_and_without_authenticity(tmp_path):
    """Nothing depends on the order of records; a score that is not there is no target."""
    build_aigciqa2023_json(tmp_path)
    records = [
        {key: value for key, value in record.items() if key != "moz2"}
        for record in reversed(aigciqa2023_records())
    ]
    records[0]["img"] = "allimg/2399.PNG"
    write_json(tmp_path, [{**record, "img": record["img"].lower()} for record in records])
    read = labels(tmp_path)
    assert list(read.table["name"][:2]) == ["2399.png", "2398.png"] and len(read.table) == 2400
    assert read.table["group"][0] == "099" and read.table["prompt"][0] == "prompt 99"
    assert list(opened(tmp_path).targets) == ["mos", "mos_correspondence"]


def test_json_whose_prompts_are_questions(tmp_path):
    """Different texts for one picture are the questions that were asked, and no prompts."""
    build_aigciqa2023_json(tmp_path)
    records = aigciqa2023_records()
    for row, record in enumerate(records):
        record["prompt"] = f"question {row // 2400}"
    write_json(tmp_path, records)
    read = labels(tmp_path)
    assert "prompt" not in read.table and len(read.table) == 2400
    (problem,) = read.problems
    assert problem.startswith("there are no prompts: put AIGCIQA2023_Prompts.xlsx into ")


def test_json_whose_prompts_contradict_the_numbers(tmp_path):
    """They are left out, with a line; the prompts of the spreadsheet are right."""
    build_aigciqa2023_json(tmp_path)
    records = aigciqa2023_records()
    for record in records:
        record["prompt"] = f"text {record['img']}"
    write_json(tmp_path, records)
    read = labels(tmp_path)
    assert "prompt" not in read.table
    assert read.problems[0].startswith("the prompts of AIGIQA2023.json are left out")
    build_aigciqa2023(tmp_path / "other")
    (tmp_path / "other" / PROMPTS).rename(tmp_path / PROMPTS)
    read = labels(tmp_path)
    assert read.table["prompt"][0] == "prompt 0" and read.problems == ()


WRONG_JSON = {
    "broken": ('[{"img": "0.png"', "cannot be read as JSON"),
    "deep": ("[" * 100_000, "cannot be read as JSON|expected records"),
    "no list": ('{"img": "0.png", "moz1": 1}', "expected records with img and moz1, found none"),
    "columns": ('[{"img": "0.png", "mos": 1}]', "expected records .* found img, mos"),
    "name": ('[{"img": "cat.png", "moz1": 1}]', "expected names from 0.png to 2399.png.*cat"),
    "number": ('[{"img": "2400.png", "moz1": 1}]', "expected names .* found '2400.png'"),
    "score": ('[{"img": "0.png", "moz1": [1]}]', "1 values of moz1 are not numbers"),
    "two scores": (
        '[{"img": "0.png", "moz1": 1}, {"img": "0.png", "moz1": 2}]',
        "0.png stands there with different scores",
    ),
    "page": ("<html>", "is a web page and no label file"),
}


@pytest.mark.parametrize("case", WRONG_JSON)
def test_wrong_json(tmp_path, case):
    """One line: what was expected, what came, what to do."""
    text, message = WRONG_JSON[case]
    (tmp_path / "AIGIQA2023.json").write_text(text)
    with pytest.raises(InputError, match=message):
        labels(tmp_path)


def test_wrong_mats(tmp_path):
    """Another number of scores, another variable, a file that is not there, no number."""
    build_aigciqa2023(tmp_path)
    second = tmp_path / "DATA" / "MOS" / "mosz2.mat"
    write_mat(second, MOSz=[[1.0]] * 2399)
    with pytest.raises(InputError, match=r"mosz2.mat: expected 2400 scores in MOSz, found 2399"):
        labels(tmp_path)
    write_mat(second, MOSz=[[float("nan")], *[[1.0]] * 2399])
    with pytest.raises(InputError, match=r"mosz2.mat: 1 values of MOSz are not numbers.*'0.png'"):
        labels(tmp_path)
    write_mat(second, SD=[[1.0]] * 2400)
    with pytest.raises(InputError, match="expected a variable MOSz, found SD"):
        labels(tmp_path)
    second.unlink()
    with pytest.raises(InputError, match=r"expected AIGCIQA2023's label file DATA/MOS/mosz2.mat"):
        labels(tmp_path)


def test_wrong_root(tmp_path):
    """One folder too high, and two too deep."""
    build_aigciqa2023(tmp_path / "db")
    for root in (tmp_path, tmp_path / "db" / "Image" / "allimg", tmp_path / "db" / "DATA"):
        with pytest.raises(InputError, match=r"mosz1.mat is not in .*give --root .*db$"):
            labels(root)


def test_names_in_another_case_and_scores_out_of_range(tmp_path):
    """IMAGE/AllImg/0.PNG is found; scores of 1 to 5 spread to 500 are doubted."""
    build_aigciqa2023(tmp_path)
    (tmp_path / "Image").rename(tmp_path / "IMAGE")
    picture = tmp_path / "IMAGE" / "allimg" / "0.png"
    picture.rename(picture.with_name("0.PNG"))
    write_mat(tmp_path / "DATA" / "MOS" / "mosz1.mat", MOSz=[500.0] * 2400)
    database = opened(tmp_path)
    assert database.table["image"][0] == "IMAGE/allimg/0.PNG"
    assert "2400 scores of mos are outside the known range -10 to 110" in database.problems[0]


def test_real_index_and_prompts(tmp_path, shared):
    """The published index says of each i the prompt that we say; 100 different prompts."""
    build_aigciqa2023(tmp_path)
    source = shared / "data" / "labels"
    shutil.copy(source / "aigciqa2023_prompts.xlsx", tmp_path / PROMPTS)
    table = labels(tmp_path).table
    index = read_cells(source / "aigciqa2023_pic-index.xlsx")
    assert [name.split("-")[0] for _, name in index] == list(table["group"])
    assert [model for model, _ in index[::400]] == [
        *("Controlnet", "DALLE", "Glide", "Lafite", "stable-diffusion", "Unidiffuser")
    ]
    assert table["prompt"].nunique() == 100
    assert (table.groupby("group")["prompt"].nunique() == 1).all()
    rows = read_cells(source / "aigciqa2023_prompts.xlsx")
    assert table["prompt"][0] == rows[0][2] and table["prompt"][2399] == rows[99][2]
