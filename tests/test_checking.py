"""`databases check`: one clear line for each thing that is wrong, and none where nothing is."""

import json
import re
import shutil
import zipfile

import pytest
from conftest import write_csv
from test_commands import call
from trees_authentic import BUILDERS

from pipeline.databases import locate
from pipeline.databases.__main__ import lines_of, main, run_list
from pipeline.databases.checking import check

LABELS = "koniq10k_distributions_sets.csv"


def problems(root, db: str = "koniq", **options) -> list[str]:
    """What `check` finds wrong."""
    return check(locate(db, root, root), **options)["problems"]


@pytest.fixture
def koniq(tmp_path):
    """A tree in KonIQ-10k's layout with a picture for every row, and what is wrong with it."""
    root = tmp_path / "koniq"
    BUILDERS["koniq"](root)
    there = {path.name for path in (root / "1024x768").iterdir()}
    lines = (root / LABELS).read_text().splitlines()
    kept = [line for line in lines[1:] if line.split(",")[0].strip('"') in there]
    (root / LABELS).write_text("\n".join([lines[0], *kept]) + "\n")
    for name in there - {line.split(",")[0].strip('"') for line in kept}:
        (root / "1024x768" / name).unlink()
    return root


def first(root):
    """One picture of the tree."""
    return sorted((root / "1024x768").iterdir())[0]


def added(root) -> list[str]:
    """What is wrong beside that this is not the whole database."""
    facts = check(locate("koniq", root, root))
    lines = [*facts["problems"], *facts["remarks"]]
    return [line for line in lines if "is published with" not in line]


def test_a_tree_without_fault_has_no_problem_but_its_size(koniq):
    """As it should be, but for the number of rows."""
    facts = check(locate("koniq", koniq, koniq))
    number = len(list((koniq / "1024x768").iterdir()))
    assert facts["problems"] == [
        f"{LABELS}: {number} rows, and KonIQ-10k is published with 10073: is it whole, and of this "
        "release?"
    ]
    expected = {"n_rows": number, "n_present": number, "n_missing": 0, "n_unreadable": 0}
    assert {name: facts[name] for name in expected} == expected
    assert set(facts["targets"]) == {"mos", "mos_ratings"} and facts["higher_is_better"]
    assert facts["mos_min"] == facts["targets"]["mos"]["min"] < facts["mos_max"]
    assert sum(facts["split_counts"].values()) == number == facts["n_groups"]


def too_high(root):
    """The archive was unpacked into a folder of its own."""
    inner = root / "koniq10k"
    inner.mkdir()
    for path in [*root.iterdir()]:
        if path != inner:
            path.rename(inner / path.name)
    return root


def too_deep(root):
    """The folder of the pictures is given."""
    return root / "1024x768"


def pictures_too_deep(root):
    """The pictures lie in a folder of their archive's name."""
    (root / "archive").mkdir()
    (root / "1024x768").rename(root / "archive" / "1024x768")
    return root


def reduced(root):
    """The pictures of half the size were downloaded."""
    (root / "1024x768").rename(root / "512x384")
    return root


def half_archive(root):
    """A download that broke off, and nothing unpacked."""
    shutil.rmtree(root / "1024x768")
    (root / "koniq10k_1024x768.zip").write_bytes(b"PK\x03\x04 half of it")
    return root


def packed(root):
    """A whole archive that was not unpacked."""
    shutil.rmtree(root / "1024x768")
    with zipfile.ZipFile(root / "koniq10k_1024x768.zip", "w") as archive:
        archive.writestr("x", "x")
    return root


def partial(root):
    """A browser's unfinished file, and some pictures."""
    first(root).unlink()
    (root / "koniq10k_1024x768.zip.crdownload").write_bytes(b"half")
    return root


def other_release(root):
    """A label file with other columns."""
    (root / LABELS).write_text("picture,score\na.jpg,1\n")
    return root


def page(root):
    """The web page that shows the file."""
    (root / LABELS).write_text("<!DOCTYPE html><html>")
    return root


def no_labels(root):
    """The label file was not downloaded."""
    (root / LABELS).unlink()
    return root


def missing(root):
    """A row whose picture is not there."""
    first(root).unlink()
    return root


def extra(root):
    """A picture without a row."""
    shutil.copy(first(root), root / "1024x768" / "extra.jpg")
    return root


def case(root):
    """One file twice, in two cases."""
    path = first(root)
    shutil.copy(path, path.with_suffix(".JPG"))
    return root


def out_of_range(root):
    """A score that the published file cannot have."""
    lines = (root / LABELS).read_text().splitlines()
    cells = lines[1].split(",")
    cells[7] = "812"
    lines[1] = ",".join(cells)
    (root / LABELS).write_text("\n".join(lines))
    return root


def no_number(root):
    """A score that is none."""
    lines = (root / LABELS).read_text().splitlines()
    cells = lines[1].split(",")
    cells[7] = "n/a"
    lines[1] = ",".join(cells)
    (root / LABELS).write_text("\n".join(lines))
    return root


def link(root):
    """A picture that is a link out of the root."""
    path = first(root)
    outside = root.parent / "elsewhere.jpg"
    path.rename(outside)
    path.symlink_to(outside)
    return root


def empty(root):
    """A picture of which only the name arrived."""
    first(root).write_bytes(b"")
    return root


BAD = {
    too_high: [r"label file .* is not in .*, but in .*koniq10k: give --root .*koniq10k$"],
    too_deep: [r"label file .* is not in .*1024x768, but in .*koniq: give --root .*koniq$"],
    pictures_too_deep: [r"no picture found.* is in .*archive/1024x768: move the pictures to "],
    reduced: [r"no picture found.*512x384/ has them in another form: --db koniq-512x384"],
    half_archive: [r"no picture found.*koniq10k_1024x768.zip is no whole archive: download it"],
    packed: [r"no picture found.*koniq10k_1024x768.zip is an archive: unpack it here"],
    partial: [r"1 labelled pictures are missing: .*crdownload is an unfinished download"],
    other_release: [r"expected the columns image_name.*found picture, score: is it .* release"],
    page: ["is a web page and no label file"],
    no_labels: [r"expected KonIQ-10k's label file .* which is not there: download"],
    missing: ["1 labelled pictures are missing: "],
    extra: [r"1 pictures have no label \(300 are published without one\): 1024x768/extra.jpg"],
    case: [r"differ only in case: leave one of them", r"1 pictures have no label"],
    out_of_range: [r"1 scores of mos are outside the known range 0 to 100, the first is 812"],
    no_number: [r"1 values of MOS are not numbers, the first is 'n/a'"],
    link: [r"1 links lead out of .*elsewhere.jpg", "1 labelled pictures are missing"],
    empty: [r"1 pictures cannot be read: .*\(it is empty\); download them again"],
}


@pytest.mark.parametrize("spoil", BAD, ids=lambda spoil: spoil.__name__)
def test_each_fault_is_one_line(koniq, spoil):
    """The fault is said once, with what to do, and nothing else is said."""
    found = added(spoil(koniq))
    assert len(found) == len(BAD[spoil]), found
    for line, pattern in zip(found, BAD[spoil], strict=True):
        assert re.search(pattern, line), line
        assert "\n" not in line


def test_deep_decodes_every_picture(koniq):
    """A truncated file is found only then."""
    path = first(koniq)
    path.write_bytes(path.read_bytes()[:300])
    assert added(koniq) == []
    (line,) = [p for p in problems(koniq, deep=True) if "is published" not in p]
    assert path.name in line and "cannot be read" in line


def test_duplicates_in_different_groups_are_named(koniq):
    """One picture under two names."""
    one, other = sorted((koniq / "1024x768").iterdir())[:2]
    shutil.copy(one, other)
    facts = check(locate("koniq", koniq, koniq), duplicates=True)
    assert [one.name, other.name] in facts["duplicates"]
    assert any("fit --group-by duplicates" in line for line in facts["problems"])
    assert any("near-duplicates" in line for line in lines_of(facts))


def test_the_command_prints_and_fails(koniq, capsys):
    """Text and JSON; 1 when something is wrong, 2 for an unknown name."""
    assert main(["check", "--db", "KonIQ-10k", "--root", str(koniq)]) == 1
    text = capsys.readouterr().out
    assert "problem: " in text and "higher is better" in text
    assert main(["check", "--db", "koniq", "--root", str(koniq), "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["name"] == "koniq"
    code, _, err = call(capsys, "databases", "check", "--db", "konik")
    assert code == 2 and "did you mean koniq" in err


def test_a_users_own_csv_is_checked_alike(tmp_path, capsys):
    """Nothing wrong: 0. A row without picture: 1."""
    path = write_csv(tmp_path / "own", 4)
    assert main(["check", "--db", str(path)]) == 0
    assert "no problem found" in capsys.readouterr().out
    (tmp_path / "own" / "p001.png").unlink()
    assert main(["check", "--db", str(path)]) == 1
    assert "1 labelled pictures are missing: p001.png" in capsys.readouterr().out


def test_a_folder_that_may_only_be_read_is_enough(koniq):
    """Nothing is written beside the pictures."""
    before = sorted(path for path in koniq.rglob("*"))
    problems(koniq, deep=True, duplicates=True)
    assert sorted(path for path in koniq.rglob("*")) == before


def test_the_list_says_what_is_known(capsys):
    """Every database, with its direction; JSON has the same."""
    assert main([]) == 0
    text = capsys.readouterr().out
    facts = run_list()
    assert all(f"\n{one['name']}" in text for one in facts)
    assert main(["list", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == json.loads(json.dumps(facts))
