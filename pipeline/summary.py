"""What a run says: result.json."""

import math

import numpy as np

from features.names import parse
from features.weights import seen_by
from pipeline.data import Data
from pipeline.databases import aliases
from pipeline.protocols import PROTOCOLS
from pipeline.runs import provenance
from pipeline.splits import Fold
from pipeline.workers import Judged
from regressors.intervals import group_draws, interval, median_draws, weighted_plcc
from regressors.metrics import fit_logistic4, logistic4

MEDIANS = (
    "srcc",
    "krcc",
    "plcc",
    "plcc_logistic",
    "plcc_logistic_train",
    "rmse",
    "rmse_logistic",
    "rmse_logistic_train",
    "mae",
    "mae_logistic",
)


def fold_record(fold: Fold, n_train: int, n_test: int, judged: Judged) -> dict:
    """Return what result.json says of one fold."""
    tuned = judged.tuned
    return {
        "fold": fold.name,
        "seed": fold.seed,
        "n_train": n_train,
        "n_test": n_test,
        "n_without_embedding": len(fold.train | fold.test) - n_train - n_test,
        **choice(judged),
        **{name: plain(judged.numbers.get(name, math.nan)) for name in MEDIANS},
        **{name: plain(value) for name, value in judged.numbers.items() if name not in MEDIANS},
        **({"n_trials_without_head": tuned.n_without_head} if tuned.n_without_head else {}),
        **({"contributions": judged.contributions} if judged.contributions else {}),
    }


def choice(judged: Judged) -> dict:
    """Return the hyper-parameters that were chosen, and how they did."""
    tuned = judged.tuned
    return {
        **{f"inner_{name}": value for name, value in tuned.inner.items()},
        "params": tuned.params,
        "edges": tuned.edges,
    }


def summary(
    data: Data,
    settings: dict,
    folds: list[dict],
    judged: list[tuple],
    final: Judged,
    index: dict[str, int],
    crossing: int,
) -> dict:
    """Return result.json.

    Parameters
    ----------
    folds : a `fold_record` of each
    judged : of each fold (scores, predictions, group names) of its test part
    index : group -> its number in the draws of intervals
    crossing : the most groups that a fold has in its training and in its test part
    """
    protocol = PROTOCOLS[settings["protocol"]]
    numbered = [(mos, found, [index[name] for name in names]) for mos, found, names in judged]
    # the same draws for every run on these groups, so that two runs are compared pair by pair
    multiplicities = group_draws(len(index))
    draws = median_draws(numbered, multiplicities)
    # the mapping stays that of the whole test part
    mapped = [(mos, logistic4(x, fit_logistic4(mos, x)), rows) for mos, x, rows in numbered]
    plccs = median_draws(mapped, multiplicities, weighted_plcc)
    values = {name: [fold[name] for fold in folds] for name in MEDIANS}
    srccs = np.array(values["srcc"])
    return {
        "db": settings["db"],
        "features": settings["features"],
        "regressor": settings["regressor"],
        "target": data.target,
        "higher_is_better": data.database.targets[data.target].higher_is_better,
        "n_pictures": len(data.names),
        "n_groups": len(index),
        "n_without_embedding": len(data.failures),
        "median": {name: plain(_median(numbers)) for name, numbers in values.items()},
        "contributions": {
            name: float(np.median([fold["contributions"][name] for fold in folds]))
            for name in folds[0].get("contributions", ())
        },
        "srcc_interval": interval(draws),
        "plcc_logistic_interval": interval(plccs) if len(plccs) else None,
        "coverage90": _coverage(folds),
        "srcc_spread": {
            "sd": float(srccs.std(ddof=1)) if len(srccs) > 1 else None,
            "min": float(srccs.min()),
            "max": float(srccs.max()),
        },
        "folds": folds,
        "final": choice(final),
        "seed": settings["seed"],
        "trials": settings["trials"],
        "objective": settings["objective"],
        "groups_on_both_sides": crossing,
        "group_by": data.database.group_by,
        "regrouped": data.database.regrouped,
        "augmented": settings.get("augmented", 0),
        "keys": data.keys,
        "seen_by": _seen_by(settings),
        "protocol": settings["protocol"],
        "protocol_says": protocol.says.format(n=len(folds)),
        "optimistic": protocol.optimistic,
        "note": data.database.note,
        "versions": provenance(),
    }


def _coverage(folds: list[dict]) -> float | None:
    """Return the share of test pictures within their nine-in-ten interval, over all folds."""
    known = [fold for fold in folds if "coverage90" in fold]
    n_within = sum(fold["coverage90"] * fold["n_test"] for fold in known)
    return n_within / sum(fold["n_test"] for fold in known) if known else None


def _seen_by(settings: dict) -> list[str]:
    """Return the encoders that were trained on the very database that they are judged on."""
    encoders = [request.encoder for request in parse(settings["features"])]
    return seen_by(encoders, settings["db"], aliases(settings["db"]))


def _median(values: list) -> float:
    known = [value for value in values if value is not None]
    return float(np.median(known)) if known else math.nan


def plain(value: float) -> float | None:
    """Return a number for JSON, which has no NaN: one that does not exist is null."""
    return None if math.isnan(value) else float(value)
