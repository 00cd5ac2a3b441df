"""Studies: seeded, resumed to the same trials, and honest about the edges of their space."""

import numpy as np
import optuna
import pytest
from optuna.distributions import FloatDistribution
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState

from regressors.tuning import at_edge, best_params, tune

N_TRIALS = 30
OPTIMUM = 3e3


class Bowl:
    """Highest at alpha = OPTIMUM and share = .3."""

    space = {  # noqa: RUF012
        "alpha": FloatDistribution(1e-2, 1e7, log=True),
        "share": FloatDistribution(0, 1),
    }

    def score(self, params, objective="srcc"):
        """One minus the squared distance from the optimum, in powers of ten."""
        return 1 - np.log10(params["alpha"] / OPTIMUM) ** 2 - (params["share"] - 0.3) ** 2


class Killed(Exception):
    """Stands for a process that dies."""


@pytest.fixture(autouse=True)
def quiet():
    """Optuna says nothing of each trial."""
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    yield
    optuna.logging.set_verbosity(before)


def memory(name: str = "fold-0") -> optuna.Study:
    """A study that no file holds."""
    return optuna.create_study(study_name=name, direction="maximize")


def journal(path, name: str = "fold-0") -> optuna.Study:
    """A study in a file, opened as a fresh process would."""
    return optuna.create_study(
        storage=JournalStorage(JournalFileBackend(str(path))),
        study_name=name,
        direction="maximize",
        load_if_exists=True,
    )


def finished(study: optuna.Study) -> list[tuple[dict, float]]:
    """Parameters and value of every completed trial, in order."""
    trials = study.get_trials(states=(TrialState.COMPLETE,))
    return [(trial.params, trial.value) for trial in trials]


def test_seed_repeats_the_trials():
    """The same seed and name ask for the same values; another seed or name for others."""
    studies = [memory(), memory(), memory(), memory("fold-1")]
    for study, seed in zip(studies, (0, 0, 1, 0), strict=True):
        tune(Bowl(), study, N_TRIALS, seed)
    first, again, seeded, named = map(finished, studies)
    assert len(first) == N_TRIALS
    assert first == again
    for other in (seeded, named):
        assert all(a[0] != b[0] for a, b in zip(first, other, strict=True))


@pytest.mark.parametrize("k", [0, 4, 17, N_TRIALS - 1])
def test_resumed_study_is_the_undisturbed_one(tmp_path, k):
    """Stopped after k trials with one left running, then resumed: the same trials to the bit."""
    path = tmp_path / "optuna.journal"
    whole = memory()
    best = tune(Bowl(), whole, N_TRIALS)
    tune(Bowl(), journal(path), k) if k else None
    journal(path).ask(Bowl.space)
    resumed = journal(path)
    assert [trial.state for trial in resumed.trials].count(TrialState.RUNNING) == 1
    assert tune(Bowl(), resumed, N_TRIALS) == best
    assert finished(journal(path)) == finished(whole)
    assert [trial.state for trial in resumed.trials].count(TrialState.FAIL) == 1
    assert len(resumed.trials) == N_TRIALS + 1


def test_killed_while_scoring(tmp_path):
    """A study killed inside a score, several times, ends with the same trials."""

    class Mortal(Bowl):
        left = 7

        def score(self, params, objective="srcc"):
            self.left -= 1
            if self.left < 0:
                raise Killed
            return super().score(params, objective)

    whole = memory()
    tune(Bowl(), whole, N_TRIALS)
    for _ in range(3):
        with pytest.raises(Killed):
            tune(Mortal(), journal(tmp_path / "j"), N_TRIALS)
    tune(Bowl(), journal(tmp_path / "j"), N_TRIALS)
    assert finished(journal(tmp_path / "j")) == finished(whole)


def test_finished_study_runs_nothing():
    """A study that is done is not scored again, and fewer trials are its first ones."""
    study = memory()
    best = tune(Bowl(), study, N_TRIALS)

    class Never(Bowl):
        def score(self, params, objective="srcc"):
            raise AssertionError("scored again")

    assert tune(Never(), study, N_TRIALS) == best
    short = memory()
    assert tune(Never(), study, 5) == tune(Bowl(), short, 5)
    assert finished(short) == finished(study)[:5]


def test_longer_study_goes_on():
    """More trials continue the fewer: the first ones stay."""
    study, whole = memory(), memory()
    tune(Bowl(), study, 12)
    tune(Bowl(), study, N_TRIALS)
    tune(Bowl(), whole, N_TRIALS)
    assert finished(study) == finished(whole)


def test_enqueued_values_are_tried_first():
    """Values a user put in the study's queue are its first trial, not an error."""
    study = memory()
    study.enqueue_trial({"alpha": 7.0, "share": 0.5})
    tune(Bowl(), study, 3)
    assert len(study.trials) == 3
    assert finished(study)[0][0] == {"alpha": 7.0, "share": 0.5}


def test_progress_counts_every_trial():
    """`on_trial` is called once per trial, those of an earlier run included."""
    study, calls = memory(), []
    tune(Bowl(), study, 4)
    tune(Bowl(), study, 10, on_trial=lambda: calls.append(1))
    assert len(calls) == 10


@pytest.mark.parametrize("seed", range(5))
def test_optimum_is_found(seed):
    """Sixty trials come within a factor of three of an alpha between 1e-2 and 1e7."""
    params = tune(Bowl(), memory(), 60, seed)
    assert abs(np.log10(params["alpha"] / OPTIMUM)) < np.log10(3)


def test_best_is_the_highest_and_the_first_of_equals():
    """Higher is better; among equal values the earliest trial wins."""
    study = memory()
    for alpha, value in ((1.0, 0.2), (2.0, 0.9), (3.0, 0.9), (4.0, -0.5)):
        trial = optuna.trial.create_trial(
            params={"alpha": alpha},
            distributions={"alpha": Bowl.space["alpha"]},
            value=value,
        )
        study.add_trial(trial)
    assert best_params(study, 4) == {"alpha": 2.0}
    assert best_params(study, 1) == {"alpha": 1.0}


@pytest.mark.parametrize(
    ("params", "edges"),
    [
        ({"alpha": 1e-2}, {"alpha": "low"}),
        ({"alpha": 10**-1.83}, {"alpha": "low"}),
        ({"alpha": 10**-1.81}, {}),
        ({"alpha": 1.0}, {}),
        ({"alpha": 10**6.81}, {}),
        ({"alpha": 10**6.83}, {"alpha": "high"}),
        ({"alpha": 1e7}, {"alpha": "high"}),
        ({"share": 0.019}, {"share": "low"}),
        ({"share": 0.021}, {}),
        ({"share": 0.979}, {}),
        ({"share": 0.981}, {"share": "high"}),
        ({"alpha": 1e7, "share": 0.0}, {"alpha": "high", "share": "low"}),
    ],
)
def test_edges(params, edges):
    """The outer 2 % of nine powers of ten, or of 0..1, are edges; the inside is not."""
    assert at_edge(Bowl(), params) == edges
