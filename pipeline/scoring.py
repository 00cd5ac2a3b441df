"""Scoring new pictures: which they are, and what takes them from blocks to scores."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from features.cache.shards import OK, Row
from features.engine import Done
from features.errors import UsageError
from features.places import expand
from features.plan import Block, Picture
from features.remote import is_url, shown
from features.sources import FileFacts, Remote, Source
from pipeline import cli
from pipeline.databases.own import image_names
from pipeline.databases.packed import read_packed, refuse_tars
from pipeline.databases.patterns import base_of, is_packed, is_picture
from pipeline.databases.sheets import read_table
from pipeline.databases.table import PICTURE_SUFFIXES, under
from pipeline.databases.tree import Tree


@dataclass(frozen=True)
class Score:
    """One picture's score on the scale and in the direction of the head's database.

    Attributes
    ----------
    low, high : nine of ten pictures like the training data lie within; NaN when it failed
    outside : the embedding lies farther out than that of any training picture; None where no
        training data says how far that is
    status : "ok", or why there is no score
    file, prompt : what was scored
    """

    picture: str
    score: float
    low: float
    high: float
    outside: bool | None
    status: str
    file: FileFacts
    prompt: str


@dataclass(frozen=True)
class Scored:
    """The scores of a block, and what they took; see `features.engine.Done`."""

    scores: list[Score]
    seconds: Mapping[str, float]
    pixels: int
    files: int


# (n, d) embeddings -> score, low, high and `outside` of each
Judge = Callable[[np.ndarray], Iterable[tuple[float, float, float, bool | None]]]


@dataclass(frozen=True)
class Scorer:
    """Scores pictures, block by block.

    Attributes
    ----------
    encoders : their names, in the order of the columns
    embed : blocks to what becomes of them, in whatever order
    judge : embeddings to scores
    settings : all that decides a score, beside the picture and its prompt; fit for JSON
    about : what the scores mean, for a file's metadata
    prompted : whether a picture's prompt decides its score
    flags : whether the judge tells what lies outside
    higher_is_better : None where nobody said so
    """

    encoders: tuple[str, ...]
    embed: Callable[[Iterable[Block]], Iterator[Done]]
    judge: Judge
    settings: Mapping[str, object]
    about: Mapping[str, str]
    prompted: bool = False
    flags: bool = False
    higher_is_better: bool | None = None

    def score(self, plan: Iterable[Block]) -> Iterator[Scored]:
        """Yield the scores of every block as it is done, in whatever order."""
        for done in self.embed(plan):
            rows = list(zip(*(done.rows[name] for name in self.encoders), strict=True))
            good = [parts for parts in rows if all(row.status == OK for row in parts)]
            judged = {}
            if good:
                X = np.stack([np.concatenate([row.result for row in parts]) for parts in good])
                judged = dict(zip((parts[0].name for parts in good), self.judge(X), strict=True))
            scores = [self._score(parts, judged.get(parts[0].name)) for parts in rows]
            yield Scored(scores, done.seconds, done.pixels, done.files)

    def in_turn(self, plan: Iterable[Block]) -> Iterator[Scored]:
        """Yield the scores of every block in the order of the plan."""
        turn: deque[str] = deque()  # the first picture of each block that was begun
        early: dict[str, Scored] = {}
        for scored in self.score(_noted(plan, turn)):
            early[scored.scores[0].picture] = scored
            while turn and turn[0] in early:
                yield early.pop(turn.popleft())

    def _score(self, parts: Sequence[Row], judged: tuple | None) -> Score:
        """Return a picture's score; `parts` are its rows, one of each encoder."""
        name, facts = parts[0].name, parts[0].facts
        prompt = max(row.notes.get("prompt", "") for row in parts)  # "" where none is taken
        if judged is not None and np.isfinite(judged[0]):
            return Score(name, *judged, OK, facts, prompt)
        reason = next((row.status for row in parts if row.status != OK), "the score is no number")
        outside = False if self.flags else None
        return Score(name, np.nan, np.nan, np.nan, outside, reason, facts, prompt)


def _noted(plan: Iterable[Block], turn: deque[str]) -> Iterator[Block]:
    for block in plan:
        turn.append(block.pictures[0].name)
        yield block


def collect(arguments: Sequence[str], prompt: str = "") -> list[Picture]:
    """Return the pictures that files, folders, CSVs, tars and URLs name.

    Each is called as it was given; in a CSV, by its path from the CSV's folder; in a tar,
    TAR::PATH. `prompt` is that of every picture for which no CSV and no sample of a tar has one.

    Raises
    ------
    UsageError
        When a path does not exist, or no picture is found.
    """
    pictures: dict[str, Picture] = {}
    for argument in arguments:
        path = expand(argument)
        if is_packed(argument):
            found = _of_packed(argument)
        elif path.is_dir():
            tree = Tree(path)
            inside = tree.pictures()
            if not inside:
                refuse_tars(path)
            # a link that leads out is no danger here: its picture is only scored
            linked = [n for n in tree.outside if Path(n).suffix.lower() in PICTURE_SUFFIXES]
            found = {str(path / n): (path / n, "") for n in (*inside, *linked)}
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
            raise UsageError(f"there is no picture, folder, CSV or tar {argument}")
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


def _of_packed(argument: str) -> dict[str, tuple[Source, str]]:
    """Return name -> (where it is, prompt) of the pictures of tars or behind a URL."""
    if is_url(argument) and is_picture(argument):
        return {shown(argument): (Remote(argument), "")}
    packed = read_packed(argument)
    for line in packed.problems:
        cli.say(f"warning: {line}")
    names = map(str, packed.sources)
    if not is_url(argument):
        base = base_of(argument)
        names = (f"{base}/{image}" if base else image for image in packed.images)
    texts = packed.table().get("prompt", [""] * len(packed.names))
    return dict(zip(names, zip(packed.sources, texts, strict=True), strict=True))
