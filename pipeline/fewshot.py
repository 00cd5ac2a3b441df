"""Few-shot scoring: a head from a few rated pictures alone, for any feature set."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from features.cache.shards import OK
from features.decode import MAX_MEGAPIXELS, read_picture
from features.engine import Loaded, Picture, blocks, embed, load_encoder
from features.errors import InputError, UsageError
from features.extract import check_prompts
from features.names import Request, parse
from pipeline.databases.own import image_names
from pipeline.databases.sheets import read_table
from pipeline.databases.table import numbers, under
from pipeline.scoring import Score
from regressors.fewshot import MINIMUM_PAIRS, FewShot


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


def few_shot(
    pairs: Path,
    features: str,
    pictures: Sequence[Picture],
    weights: Path,
    gpu: str | None = None,
    max_megapixels: float = MAX_MEGAPIXELS,
    prompt: str = "",
) -> Iterator[Score]:
    """Yield the score of every picture, on the scale and in the direction of the pairs.

    Parameters
    ----------
    pairs : a CSV as `read_pairs` takes it
    features : feature set; `promptiqa` scores by its published network, any other by a Gaussian
        process on its embeddings

    Raises
    ------
    InputError
        When a rated picture cannot be read, or the pairs teach nothing.
    """
    requests = parse(features)
    rated, scores = read_pairs(pairs, prompt)
    for some in (rated, pictures):
        check_prompts(requests, some)
    own = [request for request in requests if request.encoder.few_shot]
    if own and len(requests) > 1:
        raise UsageError(f"--pairs: {own[0].name} scores by itself: name it alone")
    prepare = _by_network if own else _by_process
    encoders, judge = prepare(requests, rated, scores, pairs, weights, gpu, max_megapixels)
    for rows in embed(blocks(pictures), encoders, max_megapixels=max_megapixels):
        for parts in zip(*(rows[encoder.name] for encoder in encoders), strict=True):
            yield _score(parts, judge)


Judge = Callable[[np.ndarray], tuple[float, float, float]]  # (d,) -> score, low, high


def _by_process(
    requests: Sequence[Request],
    rated: list[Picture],
    scores: np.ndarray,
    pairs: Path,
    weights: Path,
    gpu: str | None,
    max_megapixels: float,
) -> tuple[list[Loaded], Judge]:
    """A Gaussian process on the embeddings of the pairs."""
    encoders = [load_encoder(request, weights, gpu) for request in requests]
    embeddings: dict[str, np.ndarray] = {}
    for rows in embed(blocks(rated), encoders, max_megapixels=max_megapixels):
        for parts in zip(*(rows[encoder.name] for encoder in encoders), strict=True):
            for row in parts:
                _need(row.status, pairs, row.name)
            embeddings[parts[0].name] = np.concatenate([row.result for row in parts])
    ends = np.cumsum([request.encoder.n_dims(request.values) for request in requests]).tolist()
    columns = [slice(start, end) for start, end in zip([0, *ends], ends, strict=False)]
    model = FewShot(columns).fit(np.stack([embeddings[p.name] for p in rated]), scores)

    def judge(embedding: np.ndarray) -> tuple[float, float, float]:
        return tuple(float(part[0]) for part in model.interval(embedding[None]))

    return encoders, judge


def _by_network(
    requests: Sequence[Request],
    rated: list[Picture],
    scores: np.ndarray,
    pairs: Path,
    weights: Path,
    gpu: str | None,
    max_megapixels: float,
) -> tuple[list[Loaded], Judge]:
    """The published network, which takes scores of 0..1 and gives no interval.

    Scores within 0..1 are given to it as they are. Others are stretched so that the pairs' smallest
    is 0 and their largest 1, and what comes out is put back on their scale.
    """
    (request,) = requests
    low, high = float(scores.min()), float(scores.max())
    if low == high:
        raise InputError(f"{pairs}: all scores are {low:g}: there is nothing to learn")
    if low >= 0 and high <= 1:
        low, high = 0.0, 1.0
    pixels = []
    for picture in rated:
        pixel, _ = read_picture(picture.path, max_megapixels)
        _need(pixel if isinstance(pixel, str) else OK, pairs, picture.name)
        pixels.append(pixel)
    loaded = load_encoder(request, weights, gpu, few_shot=True)
    score = loaded.function(pixels, ((scores - low) / (high - low)).astype(np.float32))
    encoder = replace(loaded, function=lambda batch: score(batch.pictures)[:, None])
    return [encoder], lambda result: (low + (high - low) * float(result[0]), np.nan, np.nan)


def _need(status: str, pairs: Path, name: str) -> None:
    if status != OK:
        raise InputError(f"{pairs}: the rated picture {name} cannot be used: {status}")


def _score(parts: Sequence, judge: Judge) -> Score:
    failed = [row.status for row in parts if row.status != OK]
    if failed:
        return Score(parts[0].name, np.nan, np.nan, np.nan, None, failed[0])
    numbers = judge(np.concatenate([row.result for row in parts]))
    return Score(parts[0].name, *numbers, None, OK)
