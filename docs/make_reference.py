"""Writes docs/reference.md: the --help of every command, as it is printed.

python docs/make_reference.py
"""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
WIDTH = "96"
ACTIONS = {
    "databases": ("list", "check"),
    "weights": ("list", "verify", "fetch", "import"),
    "cache": ("list", "verify", "pack", "prune"),
    "head": ("export", "show"),
}


def reference() -> str:
    """Return the page."""
    sys.path.insert(0, str(ROOT))
    from pipeline.__main__ import COMMANDS

    parts = ["# Reference\n\nWritten by `python docs/make_reference.py` from `--help`.\n"]
    for name in COMMANDS:
        parts.append(f"## {name}\n\n```text\n{_help(name)}```\n")
        parts += [
            f"### {name} {action}\n\n```text\n{_help(name, action)}```\n"
            for action in ACTIONS.get(name, ())
        ]
    return "\n".join(parts)


def _help(name: str, *action: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", f"pipeline.{name}", *action, "--help"],
        cwd=ROOT,
        env=os.environ | {"COLUMNS": WIDTH, "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    return "\n".join(line.rstrip() for line in done.stdout.splitlines()) + "\n"


if __name__ == "__main__":
    (ROOT / "docs" / "reference.md").write_text(reference(), encoding="utf-8")
