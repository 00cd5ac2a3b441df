"""The options of `python -m pipeline.fit`."""

import argparse

from pipeline import cli
from pipeline.protocols import PROTOCOLS
from pipeline.splits import N_FOLDS
from regressors.objectives import OBJECTIVES
from regressors.table import REGRESSORS

EXAMPLES = """\
  python -m pipeline.fit                                        everything that is cached
  python -m pipeline.fit --db pcuid --features content-lite --regressor ridge --trials 200
  python -m pipeline.fit --db my.csv --features content-lite+nss --json
  python -m pipeline.fit --db my.csv --features nss --regressor ridge --regressor svr
  python -m pipeline.fit --db my.csv --features nss --use-augmented
  python -m pipeline.fit --db agiqa-3k --target all --regressor svr --objective srcc+plcc
  python -m pipeline.fit --db koniq --protocol official
  python -m pipeline.fit --db koniq --splits splits.csv
  python -m pipeline.fit --db uhd-iqa --group-by photographer
  python -m pipeline.fit --storage postgresql://me@server/studies     on several hosts at once
"""


def parser(description: str) -> argparse.ArgumentParser:
    """Return the parser."""
    options = cli.parser(description, EXAMPLES)
    add = options.add_argument
    add("--db", action="append", help="a cached database; may be repeated (default all)")
    add(
        "--features",
        action="append",
        help="a feature set; may be given several times (default all that are cached)",
    )
    add(
        "--regressor",
        action="append",
        help=f"{', '.join(REGRESSORS)}; may be repeated (default ridge)",
    )
    add(
        "--target",
        action="append",
        help="column of scores; may be repeated, `all` for all (default the database's first)",
    )
    add("--trials", type=cli.positive, default=200, help="trials of a study (default %(default)s)")
    add(
        "--protocol",
        default="nested",
        help=f"how to split, tune and judge: {', '.join(PROTOCOLS)} (default nested)",
    )
    add(
        "--folds",
        type=cli.positive,
        default=N_FOLDS,
        help="folds of every protocol but official and given (default %(default)s)",
    )
    add(
        "--objective",
        default="srcc",
        help=f"what a study maximises on inner folds: {', '.join(OBJECTIVES)} (default srcc)",
    )
    add(
        "--seed",
        type=cli.natural,
        default=0,
        help="seed of the studies (default %(default)s)",
    )
    add(
        "--jobs",
        type=cli.positive,
        metavar="N",
        help="processes (default as the cores and the memory allow); moves no number",
    )
    add("--gpu", metavar="N", help="CUDA device for ridge on large databases (default: the CPU)")
    add(
        "--storage",
        metavar="URL",
        help="database that holds the studies, which several processes or hosts then share, such "
        "as postgresql://user:password@host/name (default journals in the run's folder)",
    )
    add(
        "--key",
        action="append",
        help="first digits of a cache key, where an encoder has several; with one --features",
    )
    add(
        "--use-augmented",
        action="store_true",
        help="training parts take in the distorted versions that extract --augment made; test "
        "parts never do",
    )
    add(
        "--augment-seed",
        type=cli.natural,
        default=0,
        metavar="SEED",
        help="the --seed that extract --augment was given (default %(default)s)",
    )
    add(
        "--splits",
        metavar="FILE",
        help="splits instead of drawn ones: a CSV such as a run's splits.csv, or NumPy arrays of "
        "row numbers (train, test, perhaps val) in an .npz or a folder",
    )
    add(
        "--group-by",
        metavar="COLUMN",
        help="another column of the database to group by, such as photographer, or `duplicates` to "
        "join groups that share near-duplicate pictures",
    )
    add("--json", action="store_true", help="print the results as JSON")
    cli.add_places(options, "cache", "runs")
    return options
