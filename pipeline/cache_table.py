"""What lies in a cache as text and as JSON."""

from collections.abc import Sequence

from features.cache.packing import Packed
from features.cache.pruning import Removal
from features.cache.survey import Cached
from features.cache.verifying import Verified

HEADER = (
    *("database", "encoder", "key", "pictures", "failed", "numbers", "size", "shards"),
    *("engine", "last shard", "current"),
)
_RIGHT = {"pictures", "failed", "numbers", "size", "shards"}
_FAULTS = 20  # lines of one folder
_UNITS = ((1e9, "GB"), (1e6, "MB"), (1e3, "kB"))


def size_of(n_bytes: int) -> str:
    """Return a size for people."""
    for unit, name in _UNITS:
        if n_bytes >= unit:
            return f"{n_bytes / unit:.1f} {name}"
    return f"{n_bytes} bytes"


def cached_table(found: Sequence[Cached]) -> str:
    """Return a line for every folder, and below what is not as extract would make it today."""
    rows = [HEADER, *(_cells(item) for item in found if item.place.folder is not None)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADER))]
    lines = [
        "  ".join(
            cell.rjust(width) if title in _RIGHT else cell.ljust(width)
            for cell, width, title in zip(row, widths, HEADER, strict=True)
        ).rstrip()
        for row in rows
    ]
    lines.insert(1, "  ".join("-" * width for width in widths))
    notes = [item for item in found if item.why and item.place.folder is not None]
    lines += [f"{item.place.path}: {item.why}" for item in notes]
    return "\n".join(lines)


def _cells(item: Cached) -> tuple[str, ...]:
    folder = item.place.folder
    bank = folder.settings.get("augment")
    versions = f" (distorted, seed {bank['seed']})" if bank else ""
    half = "" if folder.stored == "float32" else f", {folder.stored}"
    return (
        item.place.db,
        folder.encoder + versions,
        folder.key,
        "?" if item.n_pictures < 0 else str(item.n_pictures),
        "?" if item.n_failed < 0 else str(item.n_failed),
        str(folder.n_dims),
        size_of(item.n_bytes),
        str(item.n_shards),
        f"{folder.settings['engine']} {folder.settings['precision']}{half}",
        item.written or "-",
        item.current,
    )


def cached_as_json(item: Cached) -> dict:
    """Return all that is known of one folder, for JSON."""
    folder = item.place.folder
    facts = {"db": item.place.db, "path": str(item.place.path), "fault": item.place.fault}
    if folder is None:
        return facts
    settings = folder.settings
    return facts | {
        "encoder": folder.encoder,
        "key": folder.key,
        "augmented": folder.is_augmented,
        "pictures": item.n_pictures if item.n_pictures >= 0 else None,
        "failed": item.n_failed if item.n_failed >= 0 else None,
        "numbers": folder.n_dims,
        "bytes": item.n_bytes,
        "shards": item.n_shards,
        "engine": settings["engine"],
        "precision": settings["precision"],
        "stored": folder.stored,
        "last_shard": item.written,
        "versions": list(item.versions),
        "current": item.current,
        "why": item.why,
    }


def verified_lines(item: Verified) -> list[str]:
    """Return a line for a folder, and one for each thing that is wrong with it."""
    files = ", ".join(f"{count} {state}" for state, count in item.files.items())
    again = (
        f"; {len(item.sampled)} computed again, {item.difference:.1e} apart at most"
        if item.difference is not None
        else ""
    )
    state = "wrong" if item.faults else "right"
    lines = [
        f"{state}  {item.encoder}  {item.path}: {item.n_rows} rows"
        + (f"; picture files: {files}" if files else "")
        + again
    ]
    lines += [f"  {fault}" for fault in item.faults[:_FAULTS]]
    if len(item.faults) > _FAULTS:
        lines.append(f"  {len(item.faults) - _FAULTS} more; --json lists them all")
    return lines + [f"  note: {remark}" for remark in item.remarks]


def packed_line(item: Packed) -> str:
    """Return a line for a folder that was packed."""
    if item.n_shards <= 1 and item.bytes_before == item.bytes_after:
        return f"one file already, or none: {item.path}"
    return (
        f"packed  {item.n_rows} rows of {item.n_shards} shards, {size_of(item.bytes_before)} -> "
        f"{size_of(item.bytes_after)} ({item.n_replaced} older rows left out)  {item.path}"
    )


def removal_line(item: Removal, gone: bool) -> str:
    """Return a line for something that may go, or is gone."""
    state = "kept" if item.refused else "removed" if gone else "would go"
    refused = f"; {item.refused}" if item.refused else ""
    return f"{state:8}  {size_of(item.n_bytes):>9}  {item.path}: {item.why}{refused}"
