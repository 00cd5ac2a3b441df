"""The contact sheet: the best first, failures told, nothing from outside."""

import re

import pytest
from conftest import plan_of, write_pictures
from test_commands import call

from pipeline import contact
from pipeline.contact import contact_sheet

EVIL = "<script>.png"


@pytest.fixture
def folder(tmp_path):
    """Six pictures, one of them with markup as its name, and one that is none."""
    names = write_pictures(tmp_path / "new", 6)
    (tmp_path / "new" / names[2]).rename(tmp_path / "new" / EVIL)
    (tmp_path / "new" / "text.jpg").write_text("no picture")
    return tmp_path / "new"


def names_of(page):
    """The names below the pictures, in their order."""
    return re.findall(r"<br>([^<]*)</figcaption>", page)


def test_of_a_run(capsys, tmp_path, folder, finished):
    """Sorted as the scores are; the CSV goes to stdout as ever."""
    page = tmp_path / "page.html"
    run = finished.runs["nss", "ridge"]
    code, out, err = call(capsys, "score", "--run", run, folder, "--html", page)
    assert code == 0 and f"contact sheet {page}" in err
    rows = [line.rsplit(",", 5) for line in out.splitlines()[1:]]
    scored = sorted((-float(row[1]), row[0]) for row in rows if row[-1] == "ok")
    text = page.read_text()
    shown = [name.replace("&lt;", "<").replace("&gt;", ">") for name in names_of(text)]
    assert shown == [name for _, name in scored] and len(shown) == 6
    assert text.count("data:image/jpeg") == 6 and "<script" not in text
    assert "1 could not be" in text and "text.jpg: " in text
    # the same page beside a file
    again = tmp_path / "again.html"
    output = ("-o", tmp_path / "scores.csv", "--html", again)
    assert call(capsys, "score", "--run", run, folder, *output)[0] == 0
    assert again.read_text() == text


def rows_of(pictures):
    """Scores that rise with the name."""
    return [(one.name, float(k), k - 1.0, k + 1.0, False, "ok") for k, one in enumerate(pictures)]


def test_the_other_direction(folder):
    """Where lower is better, the lowest comes first."""
    pictures = [one for one in plan_of(folder) if "text" not in one.name]
    rising = names_of(contact_sheet("t", rows_of(pictures), pictures, False))
    falling = names_of(contact_sheet("t", rows_of(pictures), pictures, True))
    assert rising == falling[::-1] and len(rising) == 6


def test_many(folder, monkeypatch):
    """Of too many, the ends are shown, and how many are not."""
    monkeypatch.setattr(contact, "MOST", 4)
    pictures = [one for one in plan_of(folder) if "text" not in one.name]
    page = contact_sheet("t", rows_of(pictures), pictures, False)
    names = [one.name.replace("<", "&lt;").replace(">", "&gt;") for one in pictures]
    assert names_of(page) == names[:2] + names[-2:]
    assert "2 between are not shown" in page and "6 scored" in page


def test_a_page_that_cannot_be_written(capsys, folder, finished):
    """It is refused before any work."""
    run = finished.runs["nss", "ridge"]
    picture = folder / "p000.png"
    for page, expected in (
        (folder / "no" / "p.html", "in a folder that is there"),
        (folder / "page.png", "a name that ends in .html"),
    ):
        code, _, err = call(capsys, "score", "--run", run, picture, "--html", page)
        assert code == 2 and expected in err
    page = folder / "page.html"
    page.write_text("a picture, perhaps")
    code, _, err = call(capsys, "score", "--run", run, page, "--html", page)
    assert code == 2 and "would overwrite" in err
