"""Tune and judge heads on cached embeddings: ten nested folds, one seeded study each, a final head.

Without --db and --features, every cached database and feature set is fitted. A finished run is not
computed again; one that was killed goes on where it stopped.
"""

import collections
import contextlib
from collections.abc import Iterator
from dataclasses import fields, replace
from pathlib import Path

from features.cache.load import cached_sets
from features.errors import InputError, UsageError, unknown_name
from features.names import canonical
from features.places import expand, place
from features.progress import progress
from pipeline import cli
from pipeline.data import Data, load_targets
from pipeline.databases import cache_name
from pipeline.fit_options import parser
from pipeline.fitting import fit_runs, n_trials
from pipeline.given import read_splits
from pipeline.protocols import PROTOCOLS
from pipeline.results import result_table
from pipeline.settings import How, Where
from pipeline.tables import cached_databases, read_cached_table
from regressors.errors import DataError
from regressors.objectives import OBJECTIVES
from regressors.table import REGRESSORS


def run_fit(
    db: list[str] | None = None,
    features: list[str] | None = None,
    target: list[str] | None = None,
    cache: str | None = None,
    runs: str | None = None,
    key: list[str] | None = None,
    use_augmented: bool = False,
    augment_seed: int = 0,
    splits: str | None = None,
    group_by: str | None = None,
    how: How = How(),
    where: Where = Where(),
    regressors: list[str] | None = None,
) -> tuple[list[tuple[Path, dict]], list[str]]:
    """Fit every combination asked for.

    Parameters
    ----------
    target : columns of scores; the database's first when not given, all for `all`
    splits : file or folder of splits that take the place of the protocol's
    group_by : another column to group by, or `duplicates`
    regressors : several, one after the other; that of `how` when not given

    Returns
    -------
    results : (run folder, result) of each
    problems : what could not be fitted and why, where everything cached was asked for; a
        combination that was named itself raises
    """
    heads = list(dict.fromkeys(regressors or [how.regressor]))
    for kind, name, known in (
        *(("regressor", head, REGRESSORS) for head in heads),
        ("protocol", how.protocol, PROTOCOLS),
        ("objective", how.objective, OBJECTIVES),
    ):
        if name not in known:
            raise unknown_name(kind, name, known)
    if how.protocol == "given" and not splits:
        raise UsageError("--protocol given needs the splits: --splits FILE")
    if splits and how.protocol not in ("nested", "given"):
        raise UsageError(f"--splits takes the place of --protocol {how.protocol}: give one of them")
    cache_place, runs_place = place("cache", cache), place("runs", runs)
    chosen = [canonical(name) for name in features or []]
    results, problems = [], []
    for name in db or _with_scores(cache_place):
        for feature_set in chosen or _sets(cache_place, name):
            what = f"{name} {feature_set}"
            with _collected(problems, what, bool(db and features)):
                data = load_targets(
                    *(name, feature_set, target, cache_place, key or ()),
                    use_augmented=use_augmented,
                    augment_seed=augment_seed,
                    group_by=group_by,
                )
                _report(data, feature_set)
                given, how_here = _given(splits, data[0], how)
                for head in heads:
                    one = replace(how_here, regressor=head)
                    label = f"fit {data[0].database.name} {feature_set} {head}"
                    with (
                        _collected(problems, f"{what} {head}", bool(db and features)),
                        progress(n_trials(one) * len(data), label, "trial") as bar,
                    ):
                        told = replace(where, on_trial=bar.update)
                        results += fit_runs(data, feature_set, runs_place, one, told, given)
    return results, problems


@contextlib.contextmanager
def _collected(problems: list[str], what: str, named: bool) -> Iterator[None]:
    """Let what cannot be fitted be a line, and the rest be fitted, unless it was named itself."""
    try:
        yield
    except (InputError, DataError) as error:
        if named or isinstance(error, UsageError):
            raise
        problems.append(f"{what}: {error}")


def _given(path: str | None, data: Data, how: How) -> tuple[list | None, How]:
    """Return the folds of a file of splits, and how a run with them is made; None without one."""
    if path is None:
        return None, how
    given = read_splits(expand(path), data.database)
    for warning in given.warnings:
        cli.say(f"warning: {warning}")
    return given.folds, replace(how, protocol="given", folds=len(given.folds) - 1)


def _with_scores(cache: Path) -> list[str]:
    databases = [name for name in cached_databases(cache) if read_cached_table(cache, name).targets]
    if not databases:
        raise InputError(
            f"no database with scores in the cache {cache}: run python -m pipeline.extract first"
        )
    return databases


def _sets(cache: Path, db: str) -> list[str]:
    table = read_cached_table(cache, cache_name(db), db)  # an unknown database is said to be one
    sets = cached_sets(cache, table.name)
    if not sets:
        cli.say(f"{table.name}: no embeddings in the cache {cache}: extract them first")
    return sets


def _report(targets: list[Data], feature_set: str) -> None:
    data = targets[0]
    name = data.database.name
    cli.say(
        f"{name} {', '.join(one.target for one in targets)}, {feature_set}: {len(data.names)} "
        f"pictures, {data.X.shape[1]} numbers each"
    )
    if data.failures:
        cli.say(
            f"{name}: {len(data.failures)} labelled pictures have no embedding and leave their "
            f"folds: {cli.name_some(f'{n} ({why})' for n, why in data.failures.items())}"
        )
    if data.augmented:
        counts = collections.Counter(data.augmented.originals)
        numbers = sorted({counts[picture] for picture in data.names})
        cli.say(
            f"{name}: {counts.total()} distorted versions train beside them, "
            f"{' to '.join(map(str, dict.fromkeys((numbers[0], numbers[-1]))))} of each picture"
        )
        if len(numbers) > 1:
            cli.say(
                f"warning: {name}: not every picture has as many; extract --augment again makes "
                "what is missing"
            )
    if data.database.note:
        cli.say(data.database.note)


def main(argv: list[str] | None = None) -> int:
    """Parse, fit, print."""
    arguments = parser(__doc__).parse_args(argv)
    cli.places(arguments, "cache", "runs")
    chosen = vars(arguments)
    as_json = chosen.pop("json")
    heads = chosen.pop("regressor") or [How().regressor]
    own = (field.name for field in fields(How) if field.name != "regressor")
    how = How(heads[0], **{name: chosen.pop(name) for name in own})
    where = Where(*(chosen.pop(name) for name in ("storage", "jobs", "gpu")))
    results, problems = run_fit(**chosen, how=how, where=where, regressors=heads)
    for problem in problems:
        cli.say(f"not fitted: {problem}")
    if not results:
        raise InputError("nothing was fitted; the reasons are above")
    if as_json:
        cli.print_json([{"run": str(folder), **result} for folder, result in results])
    else:
        print(result_table([result for _, result in results]))
        for folder, _ in results:
            print(f"run  {folder}\nplot {folder / 'scatter.png'}")
    return 1 if problems else 0


if __name__ == "__main__":
    cli.run(main)
