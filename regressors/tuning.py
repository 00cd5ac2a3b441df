"""One seeded Optuna study: the best hyper-parameters on the inner folds of one training part.

The sampler is seeded anew before every trial from the study's name and the number of trials done,
so that a study that was killed and resumed asks for the same values as one that ran through.
"""

import hashlib
from collections.abc import Callable

import numpy as np
import optuna
from optuna.trial import TrialState


def tune(
    tuner,
    study: optuna.Study,
    n_trials: int,
    seed: int = 0,
    on_trial: Callable[[], None] = lambda: None,
) -> dict[str, float]:
    """Run a study up to `n_trials` finished trials and return its best parameters.

    Parameters
    ----------
    tuner : has `space` (name -> Optuna distribution) and `score(params)`, higher is better
    study : may hold trials of a killed run; those left running are failed and run again
    on_trial : called after each finished trial, and for each that was there already
    """
    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        study.tell(trial.number, state=TrialState.FAIL)
    done = len(study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)))
    for _ in range(min(done, n_trials)):
        on_trial()
    for number in range(done, n_trials):
        study.sampler = optuna.samplers.TPESampler(seed=_seed(study.study_name, seed, number))
        trial = study.ask(tuner.space)
        study.tell(trial, tuner.score(trial.params))
        on_trial()
    return best_params(study, n_trials)


def best_params(study: optuna.Study, n_trials: int) -> dict[str, float]:
    """Return the parameters of the best of the first `n_trials` finished trials."""
    finished = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))[:n_trials]
    return dict(max(finished, key=lambda trial: (trial.value, -trial.number)).params)


def _seed(name: str, seed: int, number: int) -> int:
    text = f"{name}/{seed}/{number}".encode()
    return int.from_bytes(hashlib.sha256(text).digest()[:4], "little")


def at_edge(tuner, params: dict[str, float], share: float = 0.02) -> dict[str, str]:
    """Return the parameters whose best value lies at an edge of the space, with the edge's name.

    The outer 2 % of the range (of its logarithm, where the space is one) count as the edge: a
    better value may lie beyond it.
    """
    edges = {}
    for name, value in params.items():
        distribution = tuner.space[name]
        low, high = distribution.low, distribution.high
        if distribution.log:
            low, high, value = np.log([low, high, value])
        place = (value - low) / (high - low)
        if place <= share or place >= 1 - share:
            edges[name] = "low" if place <= share else "high"
    return edges
