"""A cache against the files it was made from: checksums, pictures, and a sample computed again."""

import collections
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from features import sources
from features.augment import changes
from features.cache.columns import read_columns
from features.cache.folder import CacheFolder
from features.cache.joining import Located, read_embeddings
from features.cache.reading import ahead, check
from features.cache.shards import OK
from features.distortions import DISTORTIONS
from features.errors import InputError
from features.names import parse
from features.progress import progress
from features.sources import Source

# Largest difference over the largest number, between machines and devices. Half precision in the
# shards adds its own.
TOLERANCE = {"fp32": 1e-5, "tf32": 5e-3, "fp16": 5e-3, "bf16": 5e-2}
TOLERANCE_STORED = {"float32": 0.0, "float16": 5e-4}
SAME, CHANGED, MISSING = "same", "changed", "missing"


@dataclass
class Verified:
    """What was found in one folder.

    Attributes
    ----------
    files : `SAME`, `CHANGED`, `MISSING` -> picture files against the digests of their rows
    sampled : names of the pictures that were computed again
    difference : the largest of theirs, over the largest number; None where none was
    faults : what is wrong, a line each
    remarks : what could not be checked and why
    """

    path: Path
    encoder: str
    n_rows: int = 0
    files: dict[str, int] = field(default_factory=dict)
    sampled: list[str] = field(default_factory=list)
    difference: float | None = None
    faults: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class _Facts:
    """What the newest row of a name says."""

    status: str
    sha256: str
    prompt: str
    original: str


def verify(
    folder: CacheFolder,
    pictures: Mapping[str, Source] | None,
    weights: Path,
    sample: int = 8,
    seed: int = 0,
    gpu: str | None = None,
) -> Verified:
    """Check a folder.

    Parameters
    ----------
    pictures : name -> where its bytes are; None where that is not known
    sample : so many pictures are embedded again, drawn by `seed` from those that are as they were
    gpu : where they are
    """
    done = Verified(folder.path, folder.encoder)
    rows = _rows(folder, done)
    done.n_rows = len(rows)
    if done.faults:
        done.remarks.append("pictures are compared once the shards are whole")
        return done
    if pictures is None:
        done.remarks.append("pictures are not compared: the cache has no table of this database")
        return done
    same = _compare(rows, pictures, done)
    good = sorted(name for name in same if rows[name].status == OK)
    if sample and good:
        drawn = np.random.default_rng(seed).choice(len(good), min(sample, len(good)), replace=False)
        chosen = [good[place] for place in sorted(drawn.tolist())]
        _recompute(folder, {name: rows[name] for name in chosen}, pictures, weights, gpu, done)
    elif sample:
        done.remarks.append("nothing is computed again: no picture file is there as it was")
    return done


def _rows(folder: CacheFolder, done: Verified) -> dict[str, _Facts]:
    """Read every shard, noting what is wrong with any."""

    def read(entry: dict) -> tuple[dict[str, _Facts], str]:
        path = folder.path / entry["file"]
        try:
            check(path, entry)
            columns = read_columns(path)
        except InputError as error:
            return {}, str(error)
        nothing = [""] * len(columns.names)
        notes = (columns.notes.get(note, nothing) for note in ("prompt", "original"))
        facts = zip(
            columns.status, (one.decode() for one in columns.sha256.tolist()), *notes, strict=True
        )
        return dict(zip(columns.names, (_Facts(*one) for one in facts), strict=True)), ""

    rows: dict[str, _Facts] = {}
    try:
        entries = folder.shards()
        strays = [f"left by a kill, and not read: {path}" for path in folder.strays()]
        done.remarks += strays
    except InputError as error:
        done.faults.append(str(error))
        return rows
    for found, fault in ahead(read, entries):
        rows |= found
        if fault:
            done.faults.append(fault)
    return rows


def _compare(
    rows: Mapping[str, _Facts], pictures: Mapping[str, Source], done: Verified
) -> set[str]:
    """Compare every picture file with the digest of its row; return the names that agree."""

    def look(source: Source) -> str:
        try:
            return sources.sha256_of(source)
        except OSError:
            return ""

    # distorted versions share the file of their picture, which is read once
    file_of = {name: facts.original or name for name, facts in rows.items() if facts.sha256}
    there = [name for name in dict.fromkeys(file_of.values()) if name in pictures]
    digests: dict[str, str] = {}
    with progress(len(there), f"verify {done.encoder}") as bar:
        for name, digest in zip(
            there, ahead(look, (pictures[name] for name in there)), strict=True
        ):
            digests[name] = digest
            bar.update()
    counts: collections.Counter = collections.Counter()
    same = set()
    for name, file in file_of.items():
        now = digests.get(file, "")
        state = MISSING if not now else SAME if now == rows[name].sha256 else CHANGED
        counts[state] += 1
        if state == SAME:
            same.add(name)
        elif state == CHANGED:
            done.faults.append(
                f"{name}: {pictures[file]} holds other bytes than those that were embedded: "
                "extract again, which makes its row anew"
            )
    done.files = {state: counts[state] for state in (SAME, CHANGED, MISSING)}
    return same


def _recompute(
    folder: CacheFolder,
    chosen: Mapping[str, _Facts],
    pictures: Mapping[str, Source],
    weights: Path,
    gpu: str | None,
    done: Verified,
) -> None:
    """Embed some pictures again with the same engine and precision, and compare."""
    stored, _ = read_embeddings([Located.of(folder)], list(chosen))
    try:
        again = recompute(
            folder,
            [(name, pictures[facts.original or name], facts.prompt, facts.original)
             for name, facts in chosen.items()],
            weights,
            gpu,
        )  # fmt: skip
    except (InputError, ImportError) as error:
        done.remarks.append(f"nothing is computed again: {error}")
        return
    limit = TOLERANCE[folder.settings["precision"]] + TOLERANCE_STORED[folder.stored]
    largest = 0.0
    for name, before, now in zip(chosen, stored, again, strict=True):
        scale = max(float(np.abs(before).max()), np.finfo(np.float32).tiny)
        difference = float(np.abs(now - before).max()) / scale
        largest = max(largest, difference)
        if not difference <= limit:
            done.faults.append(
                f"{name}: computed again it differs by {difference:.1e} of its largest number, over"
                f" the tolerance of {limit:.0e} for {folder.settings['precision']}"
            )
    done.sampled, done.difference = list(chosen), largest


def recompute(
    folder: CacheFolder,
    pictures: Sequence[tuple[str, Source, str, str]],
    weights: Path,
    gpu: str | None = None,
) -> Iterable[np.ndarray]:
    """Embed pictures as the rows of a folder were, one by one.

    Parameters
    ----------
    pictures : (name, where its bytes are, prompt, name of the original or "") of each

    Returns
    -------
    embeddings : (n_dims,) float32 of each

    Raises
    ------
    InputError
        When weights, engine or device are not here, or are others than those of the settings.
    """
    from features.cache.survey import OTHER, UNKNOWN, is_current
    from features.decode import decode
    from features.loading import load_encoder
    from features.runtime import BUDGET, Runtime

    settings = folder.settings
    current, why = is_current(settings, weights)
    if current in (OTHER, UNKNOWN):
        raise InputError(why)
    (request,) = parse(folder.encoder)
    runtime = Runtime(
        settings["engine"], gpu, settings["precision"], settings.get("budget", BUDGET)
    )
    loaded = load_encoder(request, weights, runtime)
    results = []
    for name, source, prompt, original in pictures:
        pixels = decode(sources.read(source), float("inf"))
        if original:
            drawn = changes(original, len(DISTORTIONS), settings["augment"]["seed"])
            pixels = next(change for change in drawn if change.name == name)(pixels)
        results.append(loaded.encode(pixels[None], [prompt])[0])
    return results
