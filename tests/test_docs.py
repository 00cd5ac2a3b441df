"""What README and docs tell people to type: all of it is understood, and all of it is done."""

import argparse
import importlib.util
import json
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
import time
import urllib.request
from pathlib import Path

import pytest
import stage
from conftest import ROOT
from postgres import server
from servers import free_port
from test_cluster import cluster  # noqa: F401 - a fixture
from test_commands import call

from pipeline.__main__ import COMMANDS

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
SCRIPTS = Path(sysconfig.get_path("scripts"))
GUIDES = [page for page in PAGES if page.name != "reference.md"]


def commands(page) -> list[str]:
    """The commands in the code blocks of a page, continued lines joined."""
    text = page.read_text(encoding="utf-8").replace("\\\n", " ")
    # examples of --help are two columns in
    found = re.findall(r"^ {2}(?: {2})?(python -m pipeline\.[^\n]*)$", text, re.MULTILINE)
    # what follows two blanks says what the command does
    return [re.sub(r"\s+#.*$|\s{2,}(?![-'\s]).*$", "", line).strip() for line in found]


class Understood(Exception):
    """The parser had no complaint."""


TYPED = sorted({(page.name, line) for page in PAGES for line in commands(page)})


@pytest.mark.parametrize("page, line", TYPED)
def test_a_command_is_understood(monkeypatch, page, line):
    """Its options exist, and their values are such as are taken."""
    _, _, module, *arguments = shlex.split(line)
    assert "ray://" not in line  # which --cluster does not take
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
def postgres():
    """The URL of a PostgreSQL server."""
    with server() as url:
        yield url


@pytest.fixture
def ray(cluster):  # noqa: F811
    """The address of a Ray cluster that has a processor; `auto` finds it."""
    cluster.add_node(num_cpus=2)
    return cluster.address


# what the pages call a host, and the fixture that is one
SERVERS = {
    "postgresql://me:secret@server/studies": "postgres",
    "postgresql://me@server/studies": "postgres",
    "HOST:PORT": "ray",
    "--cluster auto": "ray",
}


@pytest.fixture
def place(tmp_path, monkeypatch, known_weights):
    """Where it is typed."""
    for package in ("torch", "timm", "gradio", "fsspec", "pyarrow", "openpyxl"):
        pytest.importorskip(package)
    here = stage.build(tmp_path / "place", known_weights)
    monkeypatch.setenv("HOME", str(tmp_path / "place" / "home"))
    monkeypatch.setenv("MEANOPINION_HOME", str(here))
    monkeypatch.chdir(here)
    with stage.hosts(tmp_path / "place", monkeypatch) as instead:
        yield here, instead


@pytest.mark.slow
@pytest.mark.parametrize("page", GUIDES, ids=lambda page: page.name)
def test_every_command_is_typed(capsys, request, monkeypatch, place, page):
    """In the order of the page, with no error; what the tutorial writes is there."""
    import torch

    here, instead = place
    lines = (*stage.BEFORE.get(page.name, ()), *commands(page))
    for theirs, fixture in SERVERS.items():
        if any(theirs in line for line in lines):
            instead[theirs] = request.getfixturevalue(fixture)
    if "--cluster auto" in instead:
        monkeypatch.setenv("RAY_ADDRESS", instead.pop("--cluster auto"))
    for line in lines:
        name, arguments = stage.understood(line, instead, torch.cuda.device_count())
        if name == "serve":
            stage.page_answers(arguments)
            continue
        code, out, err = call(capsys, name, *arguments)
        part = name == "databases" and code == 1 and stage.partial(out)
        assert code == 0 or part, f"{line}: {out}{err}"
    if page.name == "tutorial.md":
        written = ("report.html", "table.md", "table.tex", "scores.csv", "sorted.html", "head.zip")
        assert all((here / name).stat().st_size > 100 for name in written)


def looked_at(*command: object, path: str) -> str:
    """Start a program that serves a page, and return what is at a path of it."""
    port = free_port()
    log = subprocess.DEVNULL
    process = subprocess.Popen([*map(str, command), f"--port={port}"], stdout=log, stderr=log)
    try:
        end = time.monotonic() + 120
        while True:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=60) as answer:
                    return answer.read().decode()
            except OSError:
                assert process.poll() is None and time.monotonic() < end
                time.sleep(0.1)
    finally:
        process.kill()
        process.wait()


@pytest.mark.slow
def test_optuna_dashboard(finished, tmp_path):
    """It opens a journal without its folder, and lists the study."""
    pytest.importorskip("optuna_dashboard")
    copy = tmp_path / "fold-0.journal"
    shutil.copy(finished.runs["nss", "ridge"] / "studies" / copy.name, copy)
    text = looked_at(SCRIPTS / "optuna-dashboard", copy, path="/api/studies")
    (study,) = json.loads(text)["study_summaries"]
    assert study["directions"] == ["maximize"]


@pytest.mark.slow
def test_tensorboard(tmp_path):
    """It lists what torch's writer left in a run's folder."""
    pytest.importorskip("tensorboard")
    from torch.utils.tensorboard import SummaryWriter

    with SummaryWriter(str(tmp_path / "mine" / "tensorboard")) as writer:
        writer.add_scalar("loss", 1.0, 1)
    text = looked_at(SCRIPTS / "tensorboard", "--logdir", tmp_path, path="/data/runs")
    assert json.loads(text) == ["mine/tensorboard"]


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
