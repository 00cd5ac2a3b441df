"""What README and docs tell people to type: all of it is understood, the tutorial is done."""

import argparse
import importlib.util
import re
import shlex
import shutil
import sys

import pytest
from conftest import ROOT, write_csv
from test_commands import call

from pipeline.__main__ import COMMANDS

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
GUIDES = [page for page in PAGES if page.name != "reference.md"]
# What cannot be done in a test, by a word of the command.
ELSEWHERE = (
    "--gpu",
    "--cluster",
    "--storage",
    "koniq",
    "pipeline.serve",
    "pretrained:",
    "pipeline.pretrain",
)


def commands(page) -> list[str]:
    """The commands in the code blocks of a page, continued lines joined."""
    text = page.read_text(encoding="utf-8").replace("\\\n", " ")
    found = re.findall(r"^    (python -m pipeline\.[^\n]*)$", text, re.MULTILINE)
    return [re.sub(r"\s+#.*$", "", line).strip() for line in found]


class Understood(Exception):
    """The parser had no complaint."""


TYPED = sorted({(page.name, line) for page in GUIDES for line in commands(page)})


@pytest.mark.parametrize("page, line", TYPED)
def test_a_command_is_understood(monkeypatch, page, line):
    """Its options exist, and their values are such as are taken."""
    _, _, module, *arguments = shlex.split(line)
    parse = argparse.ArgumentParser.parse_args

    def stop(parser, given=None, namespace=None):
        parse(parser, given, namespace)
        raise Understood

    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", stop)
    command = importlib.import_module(module)
    if not hasattr(command, "main"):
        command = importlib.import_module(f"{module}.__main__")
    with pytest.raises(Understood):
        command.main(arguments)


def test_there_are_commands():
    """The pages are read as they are meant."""
    assert len(TYPED) > 60
    assert {
        name for name in COMMANDS if any(f"pipeline.{name} " in f"{t} " for _, t in TYPED)
    } == set(COMMANDS)


@pytest.fixture
def here(tmp_path, own_home, monkeypatch):
    """A folder as the tutorial presumes it."""
    monkeypatch.chdir(own_home)
    write_csv(own_home / "photos", 40, groups=20)
    rated = "image,score\np000.png,80\np003.png,60\np006.png,40\np009.png,20\n"
    (own_home / "photos" / "pairs.csv").write_text(rated)
    return own_home


def do(capsys, page):
    """Type every command of a page that can be done here; returns how many."""
    done = 0
    for line in commands(ROOT / "docs" / page):
        if not any(word in line for word in ELSEWHERE):
            _, _, module, *arguments = shlex.split(line)
            code, _, err = call(capsys, module.removeprefix("pipeline."), *arguments)
            assert code == 0, f"{line}: {err}"
            done += 1
    return done


@pytest.mark.slow
def test_the_tutorial(capsys, here):
    """From a CSV to a shared head, in the order of the page; the files are there."""
    assert do(capsys, "tutorial.md") == len(commands(ROOT / "docs" / "tutorial.md")) == 10
    for name in ("report.html", "table.md", "table.tex", "scores.csv", "sorted.html", "head.zip"):
        assert (here / name).stat().st_size > 100


@pytest.mark.slow
def test_how_to(capsys, here):
    """What the how-to says of a user's own data."""
    assert do(capsys, "how-to.md") == 5


@pytest.mark.slow
def test_optuna_reads_a_journal_alone(finished, tmp_path):
    """What optuna-dashboard opens, a journal without its folder, is as we write it."""
    import optuna
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    copy = tmp_path / "fold-0.journal"
    shutil.copy(finished.runs["nss", "ridge"] / "studies" / copy.name, copy)
    (found,) = optuna.get_all_study_summaries(JournalStorage(JournalFileBackend(str(copy))))
    assert found.n_trials == 6


@pytest.mark.slow
@pytest.mark.skipif(sys.version_info[:2] != (3, 11), reason="argparse prints differently elsewhere")
def test_the_reference_is_of_today():
    """docs/reference.md is what the commands print."""
    make = ROOT / "docs" / "make_reference.py"
    spec = importlib.util.spec_from_file_location("make_reference", make)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    written = (ROOT / "docs" / "reference.md").read_text(encoding="utf-8")
    assert module.reference() == written, "python docs/make_reference.py writes it anew"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_and_tests_that_are_named_exist(page):
    """Files that a page leads to, and tests that it names."""
    text = page.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#:]+)\)", text):
        assert (page.parent / target).exists(), target
    for name in re.findall(r"`(test_\w+\.py)`", text):
        assert (ROOT / "tests" / name).is_file(), name
