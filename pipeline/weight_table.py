"""The weight files of encoders as text and as JSON."""

import shlex
from collections.abc import Sequence
from pathlib import Path

from features.weight_checks import Verdict
from features.weight_files import ABSENT, Found, request_with
from features.weights import WeightFile

HEADER = ("encoder", "file", "state", "size", "licence", "needed for")


def weight_table(found: Sequence[Found], weights: Path) -> str:
    """Return a line for every file, and below what each encoder was trained on and gets it from."""
    rows = [HEADER, *(_cells(item) for item in found)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADER))]
    lines = [
        "  ".join(
            cell.rjust(width) if title == "size" else cell.ljust(width)
            for cell, width, title in zip(row, widths, HEADER, strict=True)
        ).rstrip()
        for row in rows
    ]
    lines.insert(1, "  ".join("-" * width for width in widths))
    encoders = {item.encoder.name: item.encoder for item in found}
    for name, encoder in encoders.items():
        lines.append(f"\n{name}: trained on {', '.join(encoder.seen) or 'nothing'}")
        lines += [_source(item, weights) for item in found if item.encoder.name == name]
    return "\n".join(lines)


def as_json(item: Found) -> dict:
    """Return all that is known of one file, for JSON."""
    file, known = item.file, item.known
    return {
        "encoder": item.encoder.name,
        "file": file.filename,
        "role": file.role,
        "needed_for": _needed_for(file),
        "state": item.state,
        "reason": item.reason,
        "path": item.path and str(item.path),
        "size": _size(item),
        "licence": file.licence,
        "seen": list(item.encoder.seen),
        "page": file.page,
        "url": file.url,
        "sha256": file.sha256 or (known.identity if known else ""),
        "first_used": known.first_used if known else "",
        "converted_from": known.converted_from if known else "",
        "places": _places(file),
    }


def _cells(item: Found) -> tuple[str, ...]:
    size = _size(item)
    return (
        item.encoder.name,
        item.file.filename,
        item.state,
        f"{size / 1e6:,.1f} MB" if size else "-",
        item.file.licence,
        _needed_for(item.file),
    )


def _size(item: Found) -> int | None:
    """The bytes on this disk, else as published, where known."""
    return item.path.stat().st_size if item.path else item.file.size or None


def _needed_for(file: WeightFile) -> str:
    return "=".join(file.when) if file.when else "all"


def _places(file: WeightFile) -> list[str]:
    """The places under weights/ where a file is looked for, in order."""
    return [] if file.package else [path.as_posix() for path in file.places(Path())]


def _source(item: Found, weights: Path) -> str:
    file = item.file
    if file.package:
        there = f"is installed: {item.path}" if item.path else "is not installed"
        return f"  {file.filename} comes with the package {file.distribution}, which {there}"
    where = item.reason or f"there as {item.path}"
    if item.state == ABSENT:
        names = ", ".join(dict.fromkeys(path.name for path in file.places(Path())))
        folders = ", ".join(folder for folder in file.folders if folder)
        where = f"looked for as {names} in {weights}" + (f" and there in {folders}" * bool(folders))
    name = shlex.quote(request_with(item.encoder, file).name)
    fetch = f" (python -m pipeline.weights fetch {name})" if file.url else ""
    return f"  {file.filename} from {file.page}{fetch}: {where}"


def verdict_lines(verdicts: Sequence[Verdict]) -> list[str]:
    """Return a line for every encoder that is right, and for every thing that is wrong."""
    lines = []
    for verdict in verdicts:
        lines += [f"wrong     {verdict.name}: {problem}" for problem in verdict.faults]
        if not verdict.faults:
            files = ", ".join(map(str, verdict.paths)) or "needs no file"
            lines.append(f"right     {verdict.name}: {files}")
    return lines


def verdict_as_json(verdict: Verdict) -> dict:
    """Return what came of building one encoder, for JSON."""
    return {
        "features": verdict.name,
        "right": not verdict.faults,
        "files": [str(path) for path in verdict.paths],
        "problems": list(verdict.faults),
    }
