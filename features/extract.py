"""Extraction: the pictures of a database into the cache, resuming where it stopped."""

import collections
import contextlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from features.augment import augmented
from features.cache.folder import SHARD_ROWS, CacheFolder, ShardWriter
from features.cache.settings import settings_of
from features.cache.shards import OK, Row
from features.decode import MAX_MEGAPIXELS, FileFacts, file_facts
from features.engine import Picture, blocks, embed, load_encoder
from features.errors import InputError, UsageError
from features.files import file_sha256, locked
from features.names import Request, parse
from features.progress import progress
from features.provenance import versions

_LIBRARIES = ("torch", "torchvision", "timm", "numpy", "Pillow", "h5py")


@dataclass(frozen=True)
class Extracted:
    """What one encoder's folder holds after an extraction."""

    encoder: str
    augmented: bool  # whether these are distorted versions, for training parts
    n_decoded: int  # picture files that were decoded, for all encoders together
    path: Path
    n_dims: int
    n_new: int
    n_cached: int
    failures: dict[str, str]
    same_bytes: dict[str, str]  # name -> an earlier name of a file with the very same bytes


def extract(
    db: str,
    pictures: Sequence[Picture],
    features: str,
    cache: Path,
    weights: Path,
    *,
    gpu: str | None = None,
    precision: str = "fp32",
    variant: str = "",
    max_megapixels: float = MAX_MEGAPIXELS,
    shard_rows: int = SHARD_ROWS,
    retry: bool = False,
    augment: int = 0,
    seed: int = 0,
) -> list[Extracted]:
    """Embed every picture that the cache does not hold yet.

    Parameters
    ----------
    db : name of the database's folder in the cache
    pictures : the whole plan; what is cached already and unchanged on disk is left alone
    features : feature set, such as `reiqa+nss`
    retry : try again what failed before
    augment : embed so many distorted versions of each picture, too; `seed` draws them

    Raises
    ------
    MissingWeights, UsageError, InputError
        Before anything is computed, where possible; what is written stays valid in any case.
    """
    _check_texts(pictures)
    requests = parse(features)
    check_prompts(requests, pictures)
    settings = prepare(features, weights, precision, variant, gpu)
    distorted = augmented(pictures, augment, seed) if augment else []
    folders = [CacheFolder.create(cache, db, setting) for setting in settings]
    job = _Job(requests, weights, gpu, max_megapixels, shard_rows, retry)
    done = _fill(job, pictures, folders)
    if augment:
        apart = [folder.augmented(seed) for folder in folders]
        done += _fill(job, distorted, apart)
    return done


@dataclass(frozen=True)
class _Job:
    """What both passes of an extraction share."""

    requests: Sequence[Request]
    weights: Path
    gpu: str | None
    max_megapixels: float
    shard_rows: int
    retry: bool


def _fill(
    job: _Job, pictures: Sequence[Picture], folders: Sequence[CacheFolder]
) -> list[Extracted]:
    """Embed what these folders lack, one folder for each encoder."""
    with contextlib.ExitStack() as stack:
        for folder in sorted(folders, key=lambda folder: folder.path):  # one order: no deadlock
            stack.enter_context(locked(folder.path))
        held = {folder.encoder: folder.recover() for folder in folders}
        wanted = {
            request.name: _pending(job, request, pictures, held[request.name])
            for request in job.requests
        }
        counts = {name: len(names) for name, names in wanted.items()}
        decoded = _run(job, pictures, folders, wanted) if any(counts.values()) else 0
    return [_summary(folder, pictures, counts[folder.encoder], decoded) for folder in folders]


def _check_texts(pictures: Sequence[Picture]) -> None:
    """Refuse texts that a shard cannot hold: HDF5 keeps text as UTF-8 that ends at a zero."""
    for picture in pictures:
        for kind, text in (("picture name", picture.name), ("prompt", picture.prompt)):
            if "\0" in text or text.encode(errors="replace").decode() != text:
                raise InputError(f"the {kind} {text!r} is not plain UTF-8 text: change it")


def check_prompts(requests: Sequence[Request], pictures: Sequence[Picture]) -> None:
    """Refuse a text-conditioned encoder for pictures none of which has a text."""
    prompted = [request.name for request in requests if request.prompted]
    if prompted and pictures and not any(picture.prompt for picture in pictures):
        raise UsageError(
            f"{', '.join(prompted)} needs a prompt for every picture and there is none: give a "
            "CSV with a column prompt (score also takes --prompt), or choose a set without text"
        )


def prepare(
    features: str,
    weights: Path,
    precision: str = "fp32",
    variant: str = "",
    gpu: str | None = None,
) -> list[dict]:
    """Return the settings of every encoder asked for; what is missing is said before any work.

    Raises
    ------
    MissingWeights, UsageError
        A wrong name, a weight file that is not there, a GPU that is not there.
    """
    settings = [settings_of(request, weights, precision, variant) for request in parse(features)]
    if gpu is not None:
        from features.networks import device_of  # torch, which a cached run on the CPU spares

        device_of(gpu)
    return settings


def _run(
    job: _Job,
    pictures: Sequence[Picture],
    folders: Sequence[CacheFolder],
    wanted: dict[str, set[str]],
) -> int:
    """Embed what is wanted, and return how many files were decoded."""
    decoded: collections.Counter = collections.Counter()
    encoders = [load_encoder(r, job.weights, job.gpu) for r in job.requests if wanted[r.name]]
    provenance = _provenance(job.gpu)
    writers = {
        folder.encoder: ShardWriter(folder, provenance, job.shard_rows) for folder in folders
    }
    missing = set().union(*wanted.values())
    plan = [
        block for block in blocks(pictures) if any(picture.name in missing for picture in block)
    ]
    plan = [[picture for picture in block if picture.name in missing] for block in plan]
    label = "augment" if folders[0].is_augmented else "extract"
    with progress(len(missing), label) as bar:
        failed = 0
        try:
            for rows in embed(plan, encoders, wanted, job.max_megapixels, decoded):
                for name, done in rows.items():
                    writers[name].add(done)
                names = {row.name for done in rows.values() for row in done}
                failed += len({r.name for done in rows.values() for r in done if r.status != OK})
                bar.set_postfix({"failed": failed}, refresh=False)
                bar.update(len(names))
        except KeyboardInterrupt:
            for writer in writers.values():  # whole blocks only: they are as good as any others
                writer.close()
            raise
    for writer in writers.values():
        writer.close()
    return decoded.total()


def _pending(
    job: _Job, request: Request, pictures: Sequence[Picture], rows: dict[str, Row]
) -> set[str]:
    """Return the names that are not cached, have changed, or failed and are tried again."""

    def outdated(picture: Picture, row: Row) -> bool:
        failed = row.status != OK
        return (
            (failed and (job.retry or _mended(picture, row.status, job.max_megapixels)))
            or row.notes.get("prompt", "") != (picture.prompt if request.prompted else "")
            or _changed(picture, row)
        )

    return {
        picture.name
        for picture in pictures
        if picture.name not in rows or outdated(picture, rows[picture.name])
    }


def _mended(picture: Picture, reason: str, max_megapixels: float) -> bool:
    """Tell whether a failure lay in circumstances that are others now."""
    if "over the limit" in reason:
        return not reason.endswith(f"limit of {max_megapixels:g}")
    return reason.startswith("cannot be opened") and os.access(picture.path, os.R_OK)


def _changed(picture: Picture, row: Row) -> bool:
    """Tell whether a file holds other bytes than when its row was made.

    Same size and time: the same. Only where they differ are the bytes read; a copied folder has new
    times and the same bytes. A file that cannot be read any more, as on a disk that is not mounted,
    does not take the place of an embedding that was made.
    """
    now = file_facts(picture.path)
    if now == FileFacts(0, 0):
        return False
    if (now.size, now.mtime_ns) == (row.facts.size, row.facts.mtime_ns):
        return False
    try:
        return now.size != row.facts.size or file_sha256(picture.path) != row.facts.sha256
    except OSError:
        return False


def _summary(
    folder: CacheFolder, pictures: Sequence[Picture], n_new: int, n_decoded: int
) -> Extracted:
    names = {picture.name for picture in pictures}
    rows = {row.name: row for row in folder.rows(embeddings=False) if row.name in names}
    failures, same_bytes, first = {}, {}, {}
    for name, row in sorted(rows.items()):
        if row.status != OK:
            failures[name] = row.status
        elif not folder.is_augmented and first.setdefault(row.facts.sha256, name) != name:
            same_bytes[name] = first[row.facts.sha256]
    n_dims = folder.settings["n_dims"]
    return Extracted(
        folder.encoder,
        folder.is_augmented,
        n_decoded,
        folder.path,
        n_dims,
        n_new,
        len(rows),
        failures,
        same_bytes,
    )


def _provenance(gpu: str | None) -> dict[str, str]:
    """Return what made a shard; none of it is part of the key."""
    text = ", ".join(f"{library} {version}" for library, version in versions(_LIBRARIES).items())
    return {"versions": text, "device": "cpu" if gpu is None else f"cuda:{gpu}"}
