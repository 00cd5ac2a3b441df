"""Tuning and judging folds, on several processes.

One fold, with all its targets, is one piece of work: the process that claims a study tunes, fits
and judges it, with a single BLAS thread, so that the number of processes moves no number.
"""

import contextlib
import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from joblib import Parallel, cpu_count, delayed
from threadpoolctl import threadpool_limits

from features.errors import InputError
from pipeline.studies import POLL, Studies
from regressors.banded import contributions
from regressors.base import Blocks, Prepared, Tuner
from regressors.nested import Plan, Tuned, best_on_test, evaluate, fit_tuned, reach
from regressors.tuning import tune

# Starting processes costs seconds: fewer trials than this are done in this one.
FEW_TRIALS = 500


@dataclass(frozen=True)
class Job:
    """One fold of one target, or the choice that all folds share.

    Attributes
    ----------
    study : its name within the run
    test : (m,) rows of X that are judged; none for the final head
    y_test : (m,) their scores
    chooses : see `pipeline.protocols.Protocol`; "together" only chooses, and gives parameters
    blocks : name of a feature set -> its columns
    """

    study: str
    studies: Studies
    tuner: Tuner
    plan: Plan
    test: np.ndarray
    y_test: np.ndarray
    chooses: str = "inner"
    blocks: Blocks = field(default_factory=dict)


@dataclass(frozen=True)
class Judged:
    """What a job gives.

    Attributes
    ----------
    predictions : (m,) of the test rows
    numbers : the metrics of the report, by name
    arrays, facts : the head and what it says of new pictures; of the final head alone
    contributions : feature set -> its share in the predictions, of a linear head on several sets
    """

    tuned: Tuned
    predictions: np.ndarray
    numbers: dict[str, float]
    arrays: dict[str, np.ndarray]
    facts: dict[str, float]
    contributions: dict[str, float] = field(default_factory=dict)


def work_off(
    jobs: Sequence[Job],
    X: np.ndarray,
    n_processes: int,
    on_trial: Callable[[int], None],
    together: int = 1,
) -> Iterator[tuple[int, Judged | dict]]:
    """Yield (number of the job, its result) as they are done.

    Jobs that another process holds come last: it is waited for, and what it leaves is taken up.

    Parameters
    ----------
    X : (n, p) the matrix that `Job.test` counts in
    on_trial : called with the number of trials finished since the last call
    together : so many jobs in a row are of one fold, and share what does not depend on scores
    """
    with _counted(on_trial) as counter:
        left = [list(range(k, k + together)) for k in range(0, len(jobs), together)]
        while left:
            pieces = (
                delayed(_work)({number: jobs[number] for number in fold}, X, counter, os.getpid())
                for fold in left
            )
            held: list[list[int]] = []
            try:
                # "1M": larger arrays go to the processes as files that they share
                pool = Parallel(
                    n_jobs=min(n_processes, len(left)), max_nbytes="1M", return_as="generator"
                )
                for results in pool(pieces):
                    yield from ((k, found) for k, found in results.items() if found is not None)
                    held.append([k for k, found in results.items() if found is None])
            except BrokenProcessPool as error:
                raise InputError(
                    "a worker process died, perhaps for want of memory: finished trials are kept; "
                    "give the same command again, with --jobs 1 if it happens again"
                ) from error
            left = [fold for fold in held if fold]
            if left:
                waited = [jobs[number] for fold in left for number in fold]
                names = ", ".join(dict.fromkeys(job.study for job in waited))
                print(f"another process works on {names}: waiting", file=sys.stderr)
                wait(waited)


def wait(jobs: Sequence[Job]) -> None:
    """Return once one of the jobs' studies is free."""
    while not any(job.studies.is_free(job.study) for job in jobs):
        time.sleep(POLL)


def n_processes(asked: int | None, n_jobs: int, n_trials: int, bytes_each: float) -> int:
    """Return how many processes to use: those asked for, else as the cores and the memory allow.

    Raises
    ------
    InputError
        When not even one process has the memory that it needs.
    """
    if bytes_each > _memory():
        raise InputError(
            f"this needs about {bytes_each / 1e9:.0f} GB of memory, and here are "
            f"{_memory() / 1e9:.0f}: ridge needs the least"
        )
    if asked:
        return asked
    if n_jobs * n_trials < FEW_TRIALS:
        return 1
    fit = int(0.6 * _memory() / bytes_each)
    return max(1, min(cpu_count(), n_jobs, fit))


def _memory() -> float:
    """Return the bytes of memory here, as a container allows."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    with contextlib.suppress(OSError, ValueError):  # no such file, or "max"
        memory = min(memory, int(Path("/sys/fs/cgroup/memory.max").read_text()))
    return float(memory)


def _work(jobs: dict[int, Job], X: np.ndarray, counter: str, parent: int) -> dict:
    """Do the jobs of one fold in this process; None for one whose study another holds."""
    results: dict[int, Judged | dict | None] = {}
    # copies, which take what they prepare with them: the caller keeps the tuners of all folds
    prepared: dict[int, Prepared] = {}
    for number, job in jobs.items():
        with job.studies.told(), job.studies.claim(job.study) as held, threadpool_limits(1):
            if not held:
                results[number] = None
                continue
            with open(counter, "ab", buffering=0) as trials:

                def on_trial(job: Job = job, trials=trials) -> None:
                    trials.write(b".")
                    job.studies.check()
                    if parent not in (os.getpid(), os.getppid()):
                        os._exit(1)  # whoever asked for this was killed

                own = replace(
                    job,
                    tuner=job.tuner.anew(prepared),
                    plan=replace(job.plan, on_trial=on_trial),
                )
                results[number] = _result(own, X)
    return results


def _result(job: Job, X: np.ndarray) -> Judged | dict:
    tuner, plan, study = job.tuner, job.plan, job.studies.open(job.study)
    if job.chooses == "together":
        return tune(tuner, study, plan.n_trials, plan.seed, plan.on_trial, plan.objective)
    if job.chooses == "test":
        return Judged(*best_on_test(tuner, study, plan, job.y_test), {}, {})
    tuned = fit_tuned(tuner, study, plan)
    y = tuner.y[: plan.n_judged]
    if len(job.test):
        rows = X[job.test]
        judged = Judged(tuned, *evaluate(tuned, y, rows, job.y_test), {}, {})
        if tuned.head == "linear" and len(job.blocks) > 1:
            shares = contributions(tuned.model.arrays(), job.blocks, rows)
            judged = replace(judged, contributions=shares)
    else:
        facts = reach(tuned, tuner.prepared.X()[: plan.n_judged], y)
        judged = Judged(tuned, np.array([]), {}, tuned.model.arrays(), facts)
    # a model may hold its training data: what is needed of it has been taken
    return replace(judged, tuned=replace(tuned, model=None))


@contextlib.contextmanager
def _counted(on_trial: Callable[[int], None]) -> Iterator[str]:
    """Yield a file to which processes write a byte for each trial; they are told as they come."""
    with tempfile.TemporaryDirectory(prefix="meanopinion-") as folder:
        path, stop, seen = Path(folder, "trials"), threading.Event(), 0
        path.touch()

        def look() -> None:
            nonlocal seen
            size = path.stat().st_size
            if size > seen:
                on_trial(size - seen)
                seen = size

        def watch() -> None:
            while not stop.wait(0.2):
                look()

        watcher = threading.Thread(target=watch, daemon=True)
        watcher.start()
        try:
            yield str(path)
        finally:
            stop.set()
            watcher.join()
            look()
