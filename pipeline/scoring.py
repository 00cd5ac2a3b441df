"""Scoring new pictures with a run's head, extracted exactly as its training pictures were."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from features.cache.settings import key_of, settings_of
from features.cache.shards import OK
from features.decode import MAX_MEGAPIXELS
from features.engine import Picture, blocks, embed, load_encoder
from features.errors import InputError, UsageError
from features.extract import check_prompts
from features.names import parse
from features.places import expand
from pipeline.databases.own import image_names
from pipeline.databases.sheets import read_table
from pipeline.databases.table import PICTURE_SUFFIXES, under
from pipeline.databases.tree import Tree
from pipeline.runs import read_head
from regressors.heads import HEADS, distance


@dataclass(frozen=True)
class Score:
    """One picture's score on the scale and in the direction of the head's database.

    Attributes
    ----------
    low, high : nine of ten pictures like the training data lie within; NaN when it failed
    outside : the embedding lies farther out than that of any training picture; None where no
        training data says how far that is
    status : "ok", or why there is no score
    """

    picture: str
    score: float
    low: float
    high: float
    outside: bool | None
    status: str


def collect(arguments: Sequence[str], prompt: str = "") -> list[Picture]:
    """Return the pictures that files, folders and CSVs name.

    Each is called as it was given; in a CSV, by its path from the CSV's folder. `prompt` is that of
    every picture for which no CSV has one.

    Raises
    ------
    UsageError
        When a path does not exist, or no picture is found.
    """
    pictures: dict[str, Picture] = {}
    for argument in arguments:
        path = expand(argument)
        if path.is_dir():
            tree = Tree(path)
            # a link that leads out is no danger here: its picture is only scored
            linked = [n for n in tree.outside if Path(n).suffix.lower() in PICTURE_SUFFIXES]
            found = {str(path / n): (path / n, "") for n in (*tree.pictures(), *linked)}
        elif path.suffix.lower() == ".csv":
            # a picture that the list names and the disk lacks is a row with its reason
            raw = read_table(path)
            names = image_names(raw, path, path.parent)
            files = [under(path.parent, name) for name in names]
            texts = raw.get("prompt", [""] * len(raw))
            found = dict(zip(names, zip(files, texts, strict=True), strict=True))
        elif path.is_file():
            found = {argument: (path, "")}
        else:
            raise UsageError(f"there is no picture, folder or CSV {argument}")
        for name, (file, text) in found.items():
            if name in pictures and pictures[name].path != file:
                raise UsageError(
                    f"two pictures are called {name!r}, {pictures[name].path} and {file}: score "
                    "them in two calls"
                )
            pictures[name] = Picture(name, file, text or prompt)
    if not pictures:
        raise UsageError(
            f"no picture in {', '.join(arguments)}; known are {' '.join(sorted(PICTURE_SUFFIXES))}"
        )
    return list(pictures.values())


def score(
    run: Path,
    pictures: Sequence[Picture],
    weights: Path,
    gpu: str | None = None,
    max_megapixels: float = MAX_MEGAPIXELS,
) -> Iterator[Score]:
    """Yield the score of every picture, in order of name, as they are done.

    Parameters
    ----------
    run : a finished run's folder

    Raises
    ------
    InputError
        When the head is damaged, or the encoders here are not those that it was fitted on.
    """
    arrays, facts = read_head(run)
    if facts["kind"] not in HEADS:
        raise InputError(f"{run}: a head of the kind {facts['kind']!r} needs a newer version")
    requests = parse(facts["features"])
    check_prompts(requests, pictures)
    for request in requests:
        settings = settings_of(request, weights)
        if key_of(settings) != facts["encoders"].get(request.name):
            raise InputError(
                f"{run} was fitted on {request.name} with other settings or weights (key "
                f"{facts['encoders'].get(request.name)}, here {key_of(settings)}): name the folder "
                "of the same weight file with --weights, or extract and fit again"
            )
    encoders = [load_encoder(request, weights, gpu) for request in requests]
    for rows in embed(blocks(pictures), encoders, max_megapixels=max_megapixels):
        for parts in zip(*(rows[encoder.name] for encoder in encoders), strict=True):
            yield _score(parts, arrays, facts)


def _score(parts: Sequence, arrays: dict[str, np.ndarray], facts: dict) -> Score:
    """Score one picture from its rows, one of each encoder in the order of the columns."""
    failed = [row.status for row in parts if row.status != OK]
    if failed:
        return Score(parts[0].name, np.nan, np.nan, np.nan, False, failed[0])
    X = np.concatenate([row.result for row in parts])[None]
    value = float(HEADS[facts["kind"]](arrays, X)[0])
    outside = bool(distance(arrays, X)[0] > facts["distance_max"])
    error = facts["error90"]
    return Score(parts[0].name, value, value - error, value + error, outside, OK)
