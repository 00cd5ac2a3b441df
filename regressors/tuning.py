"""One seeded Optuna study: the best hyper-parameters on the inner folds of one training part.

The sampler is seeded anew before every trial from the study's name and the number of trials done,
so that a study that was killed and resumed asks for the same values as one that ran through.
"""

import hashlib
from collections.abc import Callable

import numpy as np
import optuna
from optuna.trial import TrialState

from regressors.errors import DataError, NoHead


def tune(
    tuner,
    study: optuna.Study,
    n_trials: int,
    seed: int = 0,
    on_trial: Callable[[], None] = lambda: None,
    objective: str = "srcc",
) -> dict[str, float]:
    """Run a study up to `n_trials` finished trials and return its best parameters.

    A trial whose parameters give no head is finished, too: pruned, never the best.

    Parameters
    ----------
    tuner : has `space` (name -> Optuna distribution) and `score(params, objective)`, higher is
        better
    study : may hold trials of a killed run; those left running are failed and run again
    on_trial : called after each finished trial, and for each that was there already

    Raises
    ------
    DataError
        When no trial gave a head.
    """
    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        study.tell(trial.number, state=TrialState.FAIL)
    done = len(_finished(study))
    for _ in range(min(done, n_trials)):
        on_trial()
    for number in range(done, n_trials):
        study.sampler = optuna.samplers.TPESampler(seed=_seed(study.study_name, seed, number))
        trial = study.ask(tuner.space)
        try:
            study.tell(trial, tuner.score(trial.params, objective))
        except NoHead as reason:
            trial.set_user_attr("no_head", str(reason))
            study.tell(trial, state=TrialState.PRUNED)
        on_trial()
    return best_params(study, n_trials)


def best_params(study: optuna.Study, n_trials: int) -> dict[str, float]:
    """Return the parameters of the best of the first `n_trials` finished trials."""
    finished = _finished(study)[:n_trials]
    scored = [trial for trial in finished if trial.state == TrialState.COMPLETE]
    if not scored:
        reasons = {trial.user_attrs.get("no_head") for trial in finished}
        raise DataError(
            f"{study.study_name}: not one of {len(finished)} trials gave a head "
            f"({', '.join(sorted(map(str, reasons)))})"
        )
    return dict(max(scored, key=lambda trial: (trial.value, -trial.number)).params)


def n_without_head(study: optuna.Study, n_trials: int) -> int:
    """Return how many of the first `n_trials` finished trials gave no head."""
    return sum(trial.state == TrialState.PRUNED for trial in _finished(study)[:n_trials])


def _finished(study: optuna.Study) -> list[optuna.trial.FrozenTrial]:
    return study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED))


def _seed(name: str, seed: int, number: int) -> int:
    # by the last part of the name, whatever the storage puts before it
    text = f"{name.rsplit('/', 1)[-1]}/{seed}/{number}".encode()
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
    natural = getattr(tuner, "natural", ())
    return {name: edge for name, edge in edges.items() if (name, edge) not in natural}
