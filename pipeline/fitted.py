"""The scorer that a run's head makes: encoders as those that it was fitted on, and the head."""

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from features.cache.settings import STORED, key_of, runtime_of, settings_of
from features.decode import DECODING, MAX_MEGAPIXELS
from features.driver import run as drive
from features.engine import Done
from features.engine import embed as embed_here
from features.errors import InputError, UsageError
from features.extract import check_prompts
from features.loading import Loaded
from features.names import Request, parse
from features.plan import Block, Picture
from features.runtime import ALL_PRECISIONS, BUDGET, ENGINES, PRECISIONS, Runtime
from features.way import Way
from features.work import pool
from pipeline import cli
from pipeline.heads import Head
from pipeline.runs import provenance
from pipeline.scoring import Scorer
from regressors.heads import HEADS, distance

# a request, the weights' folder and a runtime to the encoder
Load = Callable[[Request, Path, Runtime], Loaded]


def fitted_scorer(
    head: Head,
    pictures: Sequence[Picture],
    weights: Path,
    way: Way = Way("auto", precision=""),
    max_megapixels: float = MAX_MEGAPIXELS,
    load: Load | None = None,
) -> Scorer:
    """Return what scores pictures as a run's head does.

    Parameters
    ----------
    head : of a finished run, or a shared one
    pictures : what is to be scored
    way : "auto" is the engine whose numbers the head was fitted on, where it is there; no precision
        is that of those numbers
    load : what gives the encoders, which then work in this process and may be kept; by default
        workers load their own

    Raises
    ------
    InputError
        When the encoders here are not those that the head was fitted on.
    UsageError
        When engine, device and precision do not go together, or no picture has a needed prompt.
    """
    run, arrays, facts, sha256s = head
    if facts["kind"] not in HEADS:
        raise InputError(f"{run}: a head of the kind {facts['kind']!r} needs a newer version")
    requests = parse(facts["features"])
    n_dims = sum(request.encoder.n_dims(request.values) for request in requests)
    if n_dims != len(arrays["mean"]):
        raise InputError(
            f"{run}: the head is for {len(arrays['mean'])} numbers a picture, and "
            f"{facts['features']} gives {n_dims}"
        )
    check_prompts(requests, pictures)
    runtimes = _runtimes(run, requests, facts["encoders"], weights, way)

    def embed(plan: Iterable[Block]) -> Iterator[Done]:
        if load:
            encoders = [load(one, weights, runtimes[one.name]) for one in requests]
            yield from embed_here(plan, encoders, max_megapixels)
            return
        with pool(requests, runtimes, weights, way, max_megapixels) as workers:
            yield from drive(plan, workers)

    def judge(X: np.ndarray) -> Iterator[tuple[float, float, float, bool]]:
        error = facts["error90"]
        with np.errstate(over="ignore", invalid="ignore"):  # such a score is no number, and a row
            scores, far = HEADS[facts["kind"]](arrays, X), distance(arrays, X)
        for score, outside in zip(scores, far > facts["distance_max"], strict=True):
            yield float(score), float(score - error), float(score + error), bool(outside)

    settings = {
        "head": sha256s,
        "encoders": facts["encoders"],
        **settings_of_scores(runtimes, max_megapixels),
    }
    higher = facts["range"]["higher_is_better"]
    better = "higher" if higher else "lower"
    about = {"run": str(run), "db": facts["db"], "target": facts["target"]}
    about |= {"direction": f"{better} is better"} | provenance()
    prompted = any(request.prompted for request in requests)
    names = tuple(request.name for request in requests)
    return Scorer(names, embed, judge, settings, about, prompted, True, higher)


def settings_of_scores(runtimes: Mapping[str, Runtime], max_megapixels: float) -> dict:
    """Return what decides a score beside head and weights; fit for JSON."""
    return {
        "engine": {name: runtime.engine for name, runtime in runtimes.items()},
        "precision": {name: runtime.precision for name, runtime in runtimes.items()},
        "budget": {name: runtime.budget for name, runtime in runtimes.items()},
        "decoding": DECODING,
        "max_megapixels": max_megapixels,
    }


def _runtimes(
    run: Path, requests: Sequence[Request], keys: Mapping[str, str], weights: Path, way: Way
) -> dict[str, Runtime]:
    """Return what is to compute each encoder; what differs from the head's numbers is said."""
    runtimes, other_engine, other_precision = {}, [], []
    for request in requests:
        name = request.name
        fitted = _fitted_on(run, request, keys.get(name), weights, way.budget)
        engines = way.engines()
        engine = fitted.engine if fitted.engine in engines else engines[0]
        precision = way.precision or fitted.precision
        if not way.precision:
            _check_offered(run, engine, precision, bool(way.gpus))
        chosen = replace(way, precision=precision).runtime(engine)
        # a cluster's devices are its workers' to check
        for gpu in () if way.cluster else way.gpus or (None,):
            runtime_of(request, replace(chosen, gpu=gpu)).check()
        runtimes[name] = now = runtime_of(request, chosen)
        if now.precision != fitted.precision:
            other_precision.append(f"{name} is computed in {now.precision}, not {fitted.precision}")
        elif now.engine != fitted.engine:
            other_engine.append(f"{name} is computed by {now.engine}, not {fitted.engine}")
    if other_precision:
        cli.say(f"{'; '.join(other_precision)}: the head was fitted on other numbers")
    if other_engine:
        cli.say(f"{'; '.join(other_engine)}: the numbers agree to 1e-5 of the largest")
    return runtimes


def _fitted_on(
    run: Path, request: Request, key: str | None, weights: Path, budget: float
) -> Runtime:
    """Return what computed the embeddings that a head was fitted on: what gives their key."""
    budgets = dict.fromkeys((BUDGET, budget))
    for stored, precision, engine, most in itertools.product(
        STORED, ALL_PRECISIONS, ENGINES, budgets
    ):
        runtime = Runtime(engine, None, precision, most)
        if key_of(settings_of(request, weights, runtime, stored=stored)) == key:
            return runtime_of(request, runtime)
    here = key_of(settings_of(request, weights))
    raise InputError(
        f"{run} was fitted on {request.name} with other settings or weights (key {key}, here "
        f"{here}): name the folder of the same weight file with --weights and the --budget that it "
        "was extracted with, or extract and fit again"
    )


def _check_offered(run: Path, engine: str, precision: str, on_gpu: bool) -> None:
    """Refuse the head's own precision where it cannot be had, before an option is blamed."""
    offered = PRECISIONS.get((engine, on_gpu), (precision,))
    if precision not in offered:
        where = "a GPU" if on_gpu else "the CPU"
        raise UsageError(
            f"{run} was fitted on numbers in {precision}, and {engine} on {where} has "
            f"{', '.join(offered)}: choose one of them with --precision"
        )
