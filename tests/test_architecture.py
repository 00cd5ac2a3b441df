"""Which part may import which, docstrings that match, and a README that names what exists."""

import ast
import inspect
import subprocess
import sys

import pytest
from conftest import ROOT

from features.encoders import ENCODERS, GROUPS
from pipeline.__main__ import COMMANDS
from pipeline.databases import DATABASES
from regressors.base import Tuner
from regressors.table import REGRESSORS

FORBIDDEN = {
    "features": {"regressors", "pipeline", "optuna", "argparse", "sklearn"},
    "regressors": {"features", "pipeline", "torch", "h5py", "PIL", "pathlib", "argparse"},
    "pipeline": set(),
}
MODULES = [path for folder in FORBIDDEN for path in sorted((ROOT / folder).rglob("*.py"))]


def imported(path) -> set[str]:
    """The top-level packages that a module imports, anywhere in it."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add((node.module or "").split(".")[0])
    return names


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_go_one_way(path):
    """features and regressors never meet; only pipeline joins them."""
    assert not imported(path) & FORBIDDEN[path.relative_to(ROOT).parts[0]]


def test_a_cache_is_read_without_torch():
    """Notebooks and fits on cached features need no network library."""
    code = "import sys, features, pipeline.fit, pipeline.score; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_public_docstrings(path):
    """Everything public says what it is, and documents no parameter that it does not have."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert ast.get_docstring(tree), "the module has no docstring"
    classes = [node for node in tree.body if isinstance(node, ast.ClassDef)]
    nodes = [node for owner in (tree, *classes) for node in owner.body]
    for node in nodes:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            doc = ast.get_docstring(node)
            assert doc, f"{node.name} has no docstring"
            if isinstance(node, ast.FunctionDef) and "Parameters\n" in doc:
                given = node.args
                each = (*given.posonlyargs, *given.args, *given.kwonlyargs, given.vararg)
                known = {argument.arg for argument in each if argument}
                assert _documented(doc) <= known, f"{node.name}: {_documented(doc) - known}"


def _documented(doc: str) -> set[str]:
    """The names before " : " in a Parameters section."""
    section = doc.split("Parameters\n")[1].split("\n\n")[0]
    lines = [line for line in section.splitlines() if " : " in line and not line.startswith(" ")]
    return {
        name.strip(" `").split(":")[0].strip(" `")
        for line in lines
        for name in line.split(" : ")[0].split(",")
    }


def test_readme_names_what_exists():
    """Every command, encoder, group, database and regressor stands in the README."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    for command in COMMANDS:
        assert f"python -m pipeline.{command}" in text
    for name in (*ENCODERS, *GROUPS, *DATABASES, *REGRESSORS):
        assert name in text


def test_lowest_versions_are_those_of_setup():
    """constraints-lowest.txt pins exactly the lower bounds that setup.cfg promises."""
    pins = dict(
        line.split("==")
        for line in (ROOT / "constraints-lowest.txt").read_text().splitlines()
        if "==" in line
    )
    setup = (ROOT / "setup.cfg").read_text()
    for name, version in pins.items():
        bounds = [
            line.split(">=")[1].strip()
            for line in setup.splitlines()
            if line.strip().startswith(f"{name} >=")
        ]
        assert bounds and version.startswith(bounds[0]), name


def test_regressors_keep_the_tuner_contract():
    """Each is a tuner with a kind of head, and is made from the same three things."""
    for tuner in REGRESSORS.values():
        assert issubclass(tuner, Tuner) and tuner.head
        assert list(inspect.signature(tuner).parameters)[:3] == ["X", "y", "folds"]
