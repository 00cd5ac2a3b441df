"""A virtual environment of what is installed here, made without a package index."""

import sysconfig
import venv
from pathlib import Path


def linked(folder: Path, without: tuple[str, ...] = ()) -> Path:
    """Make one that lacks what begins with one of some names; returns its Python."""
    venv.create(folder, with_pip=False)
    (libraries,) = folder.glob("lib/python*/site-packages")
    for kind in {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}:
        for path in Path(kind).iterdir():
            lacking = path.name.lower().startswith(without) if without else False
            if not lacking and not (libraries / path.name).exists():
                (libraries / path.name).symlink_to(path)
    return folder / "bin" / "python"
