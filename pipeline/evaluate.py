"""Judge a head of one database, trained on all of it, on all of another.

The head is that of `fit` with the same options: a run that is there is used, one that is not is
made. SRCC keeps its sign: it is negative where higher is better in one database and lower in the
other.
"""

from dataclasses import replace

from features.cache.load import cached_sets, file_digests
from features.errors import InputError, UsageError, unknown_name
from features.names import canonical
from features.places import place
from features.progress import progress
from pipeline import cli
from pipeline.crossing import cross, cross_table
from pipeline.data import load
from pipeline.databases import cache_name
from pipeline.fitting import fit_run, n_trials
from pipeline.settings import How, Where
from pipeline.tables import read_cached_table
from regressors.objectives import OBJECTIVES
from regressors.table import REGRESSORS

EXAMPLES = """\
  python -m pipeline.evaluate --train koniq --test clive --features reiqa
  python -m pipeline.evaluate --train koniq --test clive --test live --regressor svr --json
  python -m pipeline.evaluate --train mine.csv --test pcuid --target mos --test-target mos
"""


def run_evaluate(
    train: str,
    test: list[str],
    features: list[str] | None = None,
    target: str | None = None,
    test_target: str | None = None,
    cache: str | None = None,
    runs: str | None = None,
    key: list[str] | None = None,
    how: How = How(),
    where: Where = Where(),
) -> list[dict]:
    """Judge heads of one database on others.

    Parameters
    ----------
    features : every feature set that all of them have, when not given
    """
    cache_place, runs_place = place("cache", cache), place("runs", runs)
    names = [read_cached_table(cache_place, cache_name(db), db).name for db in (train, *test)]
    if names[0] in names[1:]:
        raise UsageError(
            f"--train and --test are both {names[0]}: python -m pipeline.fit judges within one"
        )
    sets = [canonical(name) for name in features or []]
    if not sets:
        cached = [set(cached_sets(cache_place, name)) for name in names]
        sets = sorted(set.intersection(*cached))
    if not sets:
        raise InputError(
            f"no feature set is cached for all of {', '.join(names)}: extract them alike"
        )
    results = []
    for feature_set in sets:
        data = load(train, feature_set, target, cache_place, key or ())
        others = [load(db, feature_set, test_target, cache_place, key or ()) for db in test]
        label = f"fit {names[0]} {feature_set} {how.regressor}"
        with progress(n_trials(how), label, "trial") as bar:
            told = replace(where, on_trial=bar.update)
            folder, result = fit_run(data, feature_set, runs_place, how, told)
        trained = file_digests(data.database.name, feature_set, cache_place, key or ())
        content = {trained[name] for name in data.names}
        for other in others:
            tested = file_digests(other.database.name, feature_set, cache_place, key or ())
            same = sum(tested[name] in content for name in other.names)
            results.append(cross(folder, result, data, other, feature_set, same))
    return results


def main(argv: list[str] | None = None) -> int:
    """Parse, evaluate, print."""
    options = cli.parser(__doc__, EXAMPLES)
    add = options.add_argument
    add("--train", required=True, help="the cached database that the head is trained on")
    add("--test", required=True, action="append", help="one that it is judged on; may be repeated")
    add(
        "--features", action="append", help="a feature set; may be repeated (default all in common)"
    )
    add("--regressor", default="ridge", help=f"{', '.join(REGRESSORS)} (default ridge)")
    add("--target", help="column of scores of --train (default its first)")
    add("--test-target", help="column of scores of --test (default its first)")
    add("--trials", type=cli.positive, default=200, help="trials of a study (default %(default)s)")
    add("--objective", default="srcc", help=f"{', '.join(OBJECTIVES)} (default srcc)")
    add("--seed", type=cli.natural, default=0, help="seed of the studies (default %(default)s)")
    add(
        "--jobs",
        type=cli.positive,
        metavar="N",
        help="processes (default as cores and memory allow)",
    )
    add("--key", action="append", help="first digits of a cache key, where an encoder has several")
    add("--json", action="store_true", help="print the results as JSON")
    cli.add_places(options, "cache", "runs")
    arguments = options.parse_args(argv)
    for kind, name, known in (
        ("regressor", arguments.regressor, REGRESSORS),
        ("objective", arguments.objective, OBJECTIVES),
    ):
        if name not in known:
            raise unknown_name(kind, name, known)
    cli.places(arguments, "cache", "runs")
    chosen = vars(arguments)
    as_json = chosen.pop("json")
    how = How(**{name: chosen.pop(name) for name in ("regressor", "trials", "objective", "seed")})
    where = Where(jobs=chosen.pop("jobs"))
    results = run_evaluate(**chosen, how=how, where=where)
    if as_json:
        cli.print_json(results)
    else:
        print(cross_table(results))
        for result in results:
            print(f"plot {result['run']}/cross/{result['test']}-{result['test_target']}.png")
    return 0


if __name__ == "__main__":
    cli.run(main)
