"""Few-shot scoring: a head from a few rated pictures alone, for any feature set."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from features.cache.settings import key_of, runtime_of, settings_of
from features.cache.shards import OK
from features.decode import MAX_MEGAPIXELS, read_picture
from features.engine import Done, embed
from features.errors import InputError, UsageError
from features.extract import check_prompts
from features.files import digest
from features.loading import Loaded, load_encoder
from features.names import Request, parse
from features.plan import Block, Picture, blocks
from features.runtime import Runtime
from features.way import Way
from pipeline.databases.own import image_names
from pipeline.databases.sheets import read_table
from pipeline.databases.table import numbers, under
from pipeline.fitted import settings_of_scores
from pipeline.runs import provenance
from pipeline.scoring import Judge, Scorer
from regressors.fewshot import MINIMUM_PAIRS, FewShot


@dataclass(frozen=True)
class _Pairs:
    """What is learnt from, and how its pictures are read."""

    path: Path
    pictures: list[Picture]
    scores: np.ndarray
    max_megapixels: float
    load: Callable


def read_pairs(path: Path, prompt: str = "") -> tuple[list[Picture], np.ndarray]:
    """Return the rated pictures of a CSV with the columns image (paths from its folder) and score.

    `prompt` is that of every picture for which the CSV has none.

    Returns
    -------
    pictures : k of them, with their prompts where there is a column prompt
    scores : (k,) on any scale, in either direction

    Raises
    ------
    InputError
        No such file or column, a score that is no number, a picture twice or not there.
    """
    path = path.resolve()  # so that a picture has one name, however it is given
    raw = read_table(path)
    if "score" not in raw:
        raise InputError(
            f"{path}: expected the columns image and score, found {', '.join(raw.columns)}"
        )
    names = image_names(raw, path, path.parent)
    twice = names[names.duplicated()]
    if len(twice):
        raise InputError(f"{path}: {twice.iloc[0]!r} stands there twice; rate each picture once")
    scores = numbers(raw["score"], names, "score", path).to_numpy()
    if len(raw) < MINIMUM_PAIRS:
        raise InputError(f"{path}: {len(raw)} rated pictures, at least {MINIMUM_PAIRS} are needed")
    prompts = raw.get("prompt", [""] * len(raw))
    pictures = [
        Picture(name, under(path.parent, name), own or prompt)
        for name, own in zip(names, prompts, strict=True)
    ]
    return pictures, scores


def few_shot_scorer(
    pairs: Path,
    features: str,
    pictures: Sequence[Picture],
    weights: Path,
    way: Way = Way("auto", precision=""),
    max_megapixels: float = MAX_MEGAPIXELS,
    prompt: str = "",
    load: Callable = load_encoder,
) -> Scorer:
    """Return what scores pictures on the scale and in the direction of the pairs, in this process.

    Parameters
    ----------
    pairs : a CSV as `read_pairs` takes it
    features : feature set; `promptiqa` scores by its published network, any other by a Gaussian
        process on its embeddings
    load : see `features.loading.load_encoder`; another may keep what it loads
    pictures : what is to be scored

    Raises
    ------
    InputError
        When a rated picture cannot be read, or the pairs teach nothing.
    UsageError
        When more than one device is asked for, or what the network does not go with.
    """
    requests = parse(features)
    rated, scores = read_pairs(pairs, prompt)
    for some in (rated, pictures):
        check_prompts(requests, some)
    own = [request for request in requests if request.encoder.few_shot]
    if own and len(requests) > 1:
        raise UsageError(f"--pairs: {own[0].name} scores by itself: name it alone")
    runtime = _runtime(way, own)
    learn = _by_network if own else _by_process
    given = _Pairs(pairs, rated, scores, max_megapixels, load)
    encoders, judge, sha256s = learn(requests, given, weights, runtime)

    def embed_here(plan: Iterable[Block]) -> Iterator[Done]:
        return embed(plan, encoders, max_megapixels)

    learnt = [(one.name, one.prompt, sha256s[one.name]) for one in rated]
    used = {request.name: runtime_of(request, runtime) for request in requests}
    settings = {
        "pairs": digest([learnt, scores.tolist()]),
        "encoders": {one.name: key_of(settings_of(one, weights, runtime)) for one in requests},
        **settings_of_scores(used, max_megapixels),
    }
    about = {"pairs": str(pairs), "features": features} | provenance()
    prompted = any(request.prompted for request in requests)
    return Scorer(tuple(used), embed_here, judge, settings, about, prompted)


def _runtime(way: Way, own: Sequence[Request]) -> Runtime:
    """Return what computes; `own` is the encoder that scores by itself, if it does."""
    if way.cluster or len(way.gpus) > 1:
        raise UsageError(
            "--pairs works on one device of this machine: leave out --cluster, name one --gpu"
        )
    if own and way.engine not in ("auto", "torch"):
        raise UsageError(f"--pairs: {own[0].name} scores with torch alone: leave out --engine")
    engine = "torch" if own else way.engines()[0]
    return replace(way, precision=way.precision or "fp32").runtime(engine).check()


# encoders; what judges embeddings; SHA-256 of each rated picture's file
Learnt = tuple[list[Loaded], Judge, dict[str, str]]


def _by_process(
    requests: Sequence[Request], pairs: _Pairs, weights: Path, runtime: Runtime
) -> Learnt:
    """A Gaussian process on the embeddings of the pairs."""
    encoders = [pairs.load(request, weights, runtime) for request in requests]
    embeddings: dict[str, np.ndarray] = {}
    sha256s: dict[str, str] = {}
    for done in embed(blocks(pairs.pictures), encoders, pairs.max_megapixels):
        for parts in zip(*(done.rows[encoder.name] for encoder in encoders), strict=True):
            for row in parts:
                _need(row.status, pairs.path, row.name)
            embeddings[parts[0].name] = np.concatenate([row.result for row in parts])
            sha256s[parts[0].name] = parts[0].facts.sha256
    ends = np.cumsum([request.encoder.n_dims(request.values) for request in requests]).tolist()
    columns = [slice(start, end) for start, end in zip([0, *ends], ends, strict=False)]
    model = FewShot(columns)
    model.fit(np.stack([embeddings[p.name] for p in pairs.pictures]), pairs.scores)

    def judge(X: np.ndarray) -> Iterator[tuple[float, float, float, None]]:
        for score, low, high in zip(*model.interval(X), strict=True):
            yield float(score), float(low), float(high), None

    return encoders, judge, sha256s


def _by_network(
    requests: Sequence[Request], pairs: _Pairs, weights: Path, runtime: Runtime
) -> Learnt:
    """The published network, which takes scores of 0..1 and gives no interval.

    Scores within 0..1 are given to it as they are. Others are stretched so that the pairs' smallest
    is 0 and their largest 1, and what comes out is put back on their scale.
    """
    (request,), scores = requests, pairs.scores
    low, high = float(scores.min()), float(scores.max())
    if low == high:
        raise InputError(f"{pairs.path}: all scores are {low:g}: there is nothing to learn")
    if low >= 0 and high <= 1:
        low, high = 0.0, 1.0
    pixels, sha256s = [], {}
    for picture in pairs.pictures:
        pixel, facts = read_picture(picture.path, pairs.max_megapixels)
        _need(pixel if isinstance(pixel, str) else OK, pairs.path, picture.name)
        pixels.append(pixel)
        sha256s[picture.name] = facts.sha256
    loaded = pairs.load(request, weights, runtime, few_shot=True)
    score = loaded.function(pixels, ((scores - low) / (high - low)).astype(np.float32))
    encoder = replace(loaded, function=lambda batch: score(batch.pictures)[:, None])

    def judge(X: np.ndarray) -> Iterator[tuple[float, float, float, None]]:
        for value in X[:, 0]:
            yield low + (high - low) * float(value), np.nan, np.nan, None

    return [encoder], judge, sha256s


def _need(status: str, pairs: Path, name: str) -> None:
    if status != OK:
        raise InputError(f"{pairs}: the rated picture {name} cannot be used: {status}")
