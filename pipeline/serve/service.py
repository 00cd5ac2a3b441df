"""What the page does, without the page: heads, scores, maps, few-shot scores.

Pictures are uploads: each must lie in the folder of uploads, whatever a client says.
"""

import csv
import functools
import tempfile
import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

from features.cache.settings import key_of, settings_of
from features.cache.shards import OK
from features.decode import read_picture
from features.encoders import ENCODERS, GROUPS
from features.encoders.pretrained import trained
from features.errors import InputError
from features.extract import check_texts
from features.loading import Loaded, load_encoder
from features.names import Request, parse, split_names
from features.plan import Block, Picture, blocks
from features.runtime import Runtime
from features.way import Way
from features.weight_files import ABSENT, WRONG, survey_of
from pipeline.fitted import fitted_scorer
from pipeline.heads import Head, read_head
from pipeline.report.collect import Line, find_lines
from pipeline.results import head_of
from pipeline.scoring import Score, Scorer
from pipeline.serve.maps import cut, overlay
from pipeline.thumbnails import SIDE
from regressors.fewshot import MINIMUM_PAIRS

MAX_PICTURES = 200  # of one request
MAX_PAIRS = 10
MAX_MEGAPIXELS = 100.0
_KEPT = 4  # encoders, the last used


@dataclass
class Service:
    """What a server holds; one request is computed at a time.

    Attributes
    ----------
    runs, weights : folders
    uploads : folder that every picture must lie in
    shared : heads beside those of the runs
    """

    runs: Path
    weights: Path
    uploads: Path
    way: Way = Way("auto", precision="")
    shared: Sequence[Path] = ()
    _encoders: OrderedDict = field(default_factory=OrderedDict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def heads(self) -> dict[str, Path]:
        """Return the heads that can score here: what to call each, and where it lies.

        Those of runs whose encoders' weights are not here are left out.
        """
        found = {str(path): path for path in self.shared}
        here = functools.cache(self._here)
        for line in self._lines():
            if not line.result["optimistic"] and here(line.result["features"]):
                srcc, what = line.result["median"]["srcc"], line.result["features"]
                told = (line.name, what, head_of(line.result), f"SRCC {srcc:.3f}", line.run.name)
                found[" · ".join(told)] = line.run
        return found

    def head(self, name: str | None) -> Head:
        """Return a head by its name; an InputError where there is none."""
        heads = self.heads()
        # what stands before a run's digits may change while a page is open, as other runs come
        runs = {path.name: path for path in heads.values()}
        path = heads.get(name or "") or runs.get((name or "").split(" · ")[-1])
        if path is None:
            raise InputError("Choose a head first; python -m pipeline.fit makes some.")
        return read_head(path)

    def feature_sets(self) -> list[str]:
        """Return the feature sets whose weights are here.

        These are the encoders of the table, those of the heads with their options, and those that
        were pretrained here.
        """
        lines = [line for line in self._lines() if not line.result["optimistic"]]
        used = [line.result["features"] for line in lines] + self._of_shared
        parts = (part for name in used for part in split_names(name))
        names = dict.fromkeys([*GROUPS, *ENCODERS, *parts, *trained(self.weights)])
        return [name for name in names if self._here(name)]

    @functools.cached_property
    def _of_shared(self) -> list[str]:
        return [read_head(path).facts["features"] for path in self.shared]

    def _here(self, name: str) -> bool:
        try:
            needed = survey_of(parse(name), self.weights)
        except InputError:  # of another version, or of a library that is not installed
            return False
        return not any(found.state in (ABSENT, WRONG) for found in needed)

    def _lines(self) -> list[Line]:
        try:
            return find_lines(self.runs)[0]
        except InputError:
            return []

    def score(self, name: str | None, files: Sequence[str], prompt: str = "") -> list[Score]:
        """Return the scores of uploads by a head, the best picture first, failed ones last."""
        head, pictures = self.head(name), self.pictures(files, prompt)
        found = self._by_head(head, pictures)
        return _ranked(found, head.facts["range"]["higher_is_better"])

    def where(
        self, name: str | None, file: str, prompt: str = ""
    ) -> tuple[Image.Image, float, float]:
        """Return where in a picture the score comes from.

        Each part of a grid is scored as a picture of its own.

        Returns
        -------
        the picture with its map upon it; the lowest and the highest score of a part
        """
        head, (picture,) = self.head(name), self.pictures([file], prompt)
        pixels, _ = read_picture(picture.path, MAX_MEGAPIXELS)
        if isinstance(pixels, str):
            raise InputError(f"{Path(file).name}: {pixels}")
        requests = parse(head.facts["features"])
        least = max(request.encoder.min_side(request.values) for request in requests)
        with tempfile.TemporaryDirectory(dir=self.uploads) as folder:
            parts, shape = cut(pixels, least)
            plan = []
            for number, part in enumerate(parts):
                path = Path(folder, f"{number:03d}.png")
                Image.fromarray(part).save(path, compress_level=1)
                plan.append(Picture(path.name, path, prompt))
            found = {one.picture: one for one in self._by_head(head, plan)}
        scores = np.array([found[one.name].score for one in plan]).reshape(shape)
        if not np.isfinite(scores).any():
            raise InputError(f"{Path(file).name}: {found[plan[0].name].status}")
        better = head.facts["range"]["higher_is_better"]
        image = overlay(pixels, scores if better else -scores)
        return image, float(np.nanmin(scores)), float(np.nanmax(scores))

    def few_shot(
        self,
        features: Sequence[str],
        rated: Sequence[tuple[str, float]],
        files: Sequence[str],
        prompt: str = "",
    ) -> list[Score]:
        """Return the scores of uploads from a few rated ones, the highest first.

        Parameters
        ----------
        features : names out of `feature_sets`, whose embeddings are put side by side
        """
        from pipeline.fewshot import few_shot_scorer

        if not MINIMUM_PAIRS <= len(rated) <= MAX_PAIRS:
            raise InputError(f"Rate {MINIMUM_PAIRS} to {MAX_PAIRS} pictures; {len(rated)} came.")
        if not features or not set(features) <= set(self.feature_sets()):
            raise InputError("Choose a feature set first.")
        if len(parse("+".join(features))) > _KEPT:
            raise InputError(f"Choose fewer: at most {_KEPT} encoders side by side.")
        known = self.pictures([file for file, _ in rated])
        pictures = self.pictures(files, prompt)
        for one in known:
            pixels, _ = read_picture(one.path, MAX_MEGAPIXELS)
            if isinstance(pixels, str):
                raise InputError(f"The rated picture {one.path.name} cannot be used: {pixels}")
        with tempfile.TemporaryDirectory(dir=self.uploads) as folder, self._lock:
            pairs = Path(folder, "pairs.csv")
            rows = [("image", "score")]
            for number, (one, (_, score)) in enumerate(zip(known, rated, strict=True)):
                copy = Path(folder, f"{number}{one.path.suffix}")
                copy.hardlink_to(one.path)  # a CSV's pictures lie in its folder
                rows.append((copy.name, score))
            with open(pairs, "w", newline="", encoding="utf-8") as file:
                csv.writer(file).writerows(rows)
            args = pairs, "+".join(features), pictures, self.weights, self.way, MAX_MEGAPIXELS
            scorer = few_shot_scorer(*args, prompt, self._load)
            return _ranked(_scores(scorer, pictures), True)

    def pictures(self, files: Sequence[str], prompt: str = "") -> list[Picture]:
        """Return uploads as pictures; their names say the place in the list and the file's name.

        Raises
        ------
        InputError
            When there are none, or too many, or one that is no upload, or no text as a prompt.
        """
        if not files:
            raise InputError("Drop some pictures first.")
        if len(files) > MAX_PICTURES:
            raise InputError(f"{len(files)} pictures came; at most {MAX_PICTURES} at a time.")
        uploads = self.uploads.resolve()
        found = []
        for number, file in enumerate(files):
            path = None if "\0" in file else Path(file).resolve()
            if not path or not path.is_relative_to(uploads) or not path.is_file():
                raise InputError("Only uploaded pictures can be scored.")
            found.append(Picture(f"{number:03d}/{path.name}", path, prompt))
        check_texts(found)
        return found

    def _by_head(self, head: Head, pictures: Sequence[Picture]) -> list[Score]:
        with self._lock:
            args = head, pictures, self.weights, self.way, MAX_MEGAPIXELS, self._load
            return _scores(fitted_scorer(*args), pictures)

    def _load(
        self, request: Request, weights: Path, runtime: Runtime, few_shot: bool = False
    ) -> Loaded:
        """Return an encoder, from those that were used last where it is one of them."""
        # weights may be trained anew while we are here
        key = key_of(settings_of(request, weights, runtime)), runtime, few_shot
        if key not in self._encoders:
            self._encoders[key] = load_encoder(request, weights, runtime, few_shot)
        self._encoders.move_to_end(key)
        while len(self._encoders) > _KEPT:
            self._encoders.popitem(last=False)
        return self._encoders[key]


def _scores(scorer: Scorer, pictures: Sequence[Picture]) -> list[Score]:
    return [one for done in scorer.score(map(Block, blocks(pictures))) for one in done.scores]


def _ranked(scores: Sequence[Score], higher_is_better: bool) -> list[Score]:
    sign = -1 if higher_is_better else 1
    return sorted(scores, key=lambda one: (one.status != OK, sign * np.nan_to_num(one.score)))


def small(file: str | Path) -> Image.Image:
    """Return a small version of an upload; grey where it cannot be read."""
    pixels, _ = read_picture(Path(file), MAX_MEGAPIXELS)
    if isinstance(pixels, str):
        return Image.new("RGB", (SIDE, SIDE), (230, 230, 230))
    image = Image.fromarray(pixels)
    image.thumbnail((2 * SIDE, 2 * SIDE), reducing_gap=3.0)
    return image
