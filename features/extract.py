"""Extraction: the pictures of a database into the cache, resuming where it stopped."""

import contextlib
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from pathlib import Path

from features.augment import augmented
from features.cache.folder import SHARD_ROWS, CacheFolder
from features.cache.settings import key_of, settings_of
from features.decode import MAX_MEGAPIXELS
from features.errors import InputError, UsageError
from features.files import locked
from features.names import Request, parse, slug
from features.plan import Picture
from features.resume import facts_of, pending, positions, summary
from features.way import Way
from features.work import Job, Work, embed_into


@dataclass(frozen=True)
class Extracted:
    """What one encoder's folder holds after an extraction."""

    encoder: str
    augmented: bool  # whether these are distorted versions, for training parts
    work: Work  # for all encoders together
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
    way: Way = Way(),
    *,
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
    check_texts(pictures)
    requests = parse(features)
    check_prompts(requests, pictures)
    settings = prepare(features, weights, way, variant, cache / db)
    distorted = augmented(pictures, augment, seed) if augment else []
    folders = [CacheFolder.create(cache, db, setting) for setting in settings]
    job = Job(requests, weights, way, max_megapixels, shard_rows, retry)
    done = _fill(job, pictures, folders)
    if augment:
        apart = [folder.augmented(seed) for folder in folders]
        done += _fill(job, distorted, apart)
    return done


def _fill(job: Job, pictures: Sequence[Picture], folders: Sequence[CacheFolder]) -> list[Extracted]:
    """Embed what these folders lack, one folder for each encoder."""
    with contextlib.ExitStack() as stack:
        for folder in sorted(folders, key=lambda folder: folder.path):  # one order: no deadlock
            stack.enter_context(locked(folder.path))
        index, facts = positions(pictures), facts_of(pictures)
        held = {folder.encoder: folder.recover(index) for folder in folders}
        wanted = {
            request.name: pending(
                pictures,
                held[request.name],
                facts,
                prompted=request.prompted,
                retry=job.retry,
                max_megapixels=job.max_megapixels,
            )
            for request in job.requests
        }
        work = Work()
        if any(wanted.values()):
            work = embed_into(job, pictures, folders, wanted, held)
    return [
        Extracted(
            folder.encoder,
            folder.is_augmented,
            work,
            folder.path,
            folder.n_dims,
            len(wanted[folder.encoder]),
            *astuple(summary(pictures, held[folder.encoder], not folder.is_augmented)),
        )
        for folder in folders
    ]


def check_texts(pictures: Sequence[Picture]) -> None:
    """Refuse texts that a shard cannot hold: HDF5 keeps text as UTF-8 that ends at a zero."""
    for picture in pictures:
        for kind, text in (("picture name", picture.name), ("prompt", picture.prompt)):
            if text.isascii() and "\0" not in text:
                continue
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
    way: Way = Way(),
    variant: str = "",
    cached: Path | None = None,
) -> list[dict]:
    """Return the settings of every encoder asked for; what is missing is said before any work.

    Parameters
    ----------
    cached : the database's folder in the cache, which may say which engine an encoder goes on with

    Raises
    ------
    MissingWeights, UsageError
        A wrong name, a weight file that is not there, a GPU that is not there.
    """
    return [_settings(request, weights, way, variant, cached) for request in parse(features)]


def _settings(request: Request, weights: Path, way: Way, variant: str, cached: Path | None) -> dict:
    """Return the settings with the engine that the cache goes on with, or else the best one."""
    ways = [
        settings_of(request, weights, way.runtime(engine), variant, way.stored)
        for engine in way.engines(request.encoder.engine)
    ]
    found = ways[0]
    if cached:
        folder = cached / slug(request.name)
        there = [one for one in ways if (folder / key_of(one) / "index.json").is_file()]
        found = next(iter(there), found)
    for gpu in () if way.cluster else way.gpus or (None,):  # a cluster has devices of its own
        way.runtime(found["engine"], gpu).check()
    return found
