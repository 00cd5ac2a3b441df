"""Score pictures with a run's head, or from a few pictures that you rate (--pairs).

Prints CSV: picture, score, low, high (nine of ten lie within), outside (yes where the picture is
unlike any that the head was trained on), status (ok, or why there is no score).
"""

import argparse
import csv
import io
import math
import sys
from collections.abc import Iterator
from pathlib import Path

from features.cache.shards import OK
from features.decode import MAX_MEGAPIXELS
from features.engine import Picture
from features.errors import InputError, UsageError
from features.files import write_atomic
from features.names import canonical
from features.places import expand, place
from features.progress import progress
from pipeline import cli
from pipeline.fewshot import few_shot
from pipeline.runs import find_run, read_head_facts
from pipeline.scoring import Score, collect, score

EXAMPLES = """\
  python -m pipeline.score --run runs/pcuid/content-lite photo.jpg
  python -m pipeline.score --run pcuid holiday/ -o scores.csv
  python -m pipeline.score --run pcuid list.csv --json
  python -m pipeline.score --run ai/clip --prompt 'a red fox in snow' fox.png
  python -m pipeline.score --pairs pairs.csv --features content-lite holiday/
"""
_OUTSIDE = {True: "yes", False: "no", None: ""}
COLUMNS = ("picture", "score", "low", "high", "outside", "status")


def main(argv: list[str] | None = None) -> int:
    """Parse, score, print."""
    options = cli.parser(__doc__, EXAMPLES)
    add = options.add_argument
    add("--run", help="a run's folder, or a folder above it that holds one run")
    add(
        "--pairs",
        metavar="PAIRS.csv",
        help="instead of --run: a CSV with columns image and score, 3 or more pictures",
    )
    add("--features", help="feature set, with --pairs (default content-lite)")
    add(
        "--prompt",
        default="",
        help="the text of every picture without one in a CSV's column prompt, for feature sets "
        "that take text",
    )
    add("pictures", nargs="+", help="pictures, folders, or CSVs with a column image")
    add("-o", "--output", metavar="FILE.csv", help="write there instead of to stdout")
    add("--gpu", metavar="N", help="CUDA device (default: the CPU)")
    add(
        "--max-megapixels",
        type=cli.megapixels,
        default=MAX_MEGAPIXELS,
        help="limit (default %(default)g)",
    )
    add("--json", action="store_true", help="print JSON instead of CSV")
    cli.add_places(options, "runs", "weights")
    chosen = options.parse_args(argv)
    if chosen.output and not chosen.output.lower().endswith(".csv"):
        raise UsageError(f"-o {chosen.output}: expected a name that ends in .csv")
    given = [expand(path) for path in (*chosen.pictures, chosen.pairs) if path]
    if chosen.output and any(
        path.exists() and Path(chosen.output).resolve() == path.resolve() for path in given
    ):
        raise UsageError(f"-o {chosen.output} would overwrite what is to be read: name another")
    if chosen.output and (Path(chosen.output).is_dir() or not Path(chosen.output).parent.is_dir()):
        raise UsageError(f"-o {chosen.output}: expected a file in a folder that is there")
    pictures, found = _scores(chosen)
    scores: list[Score] = []
    to_stdout = not chosen.json and not chosen.output
    if to_stdout:
        print(_line(COLUMNS), end="")
    try:
        with progress(len(pictures), "score") as bar:
            for item in found:
                scores.append(item)
                bar.update()
                if to_stdout:
                    print(_line(_cells(item)), end="", flush=True)
                if item.status != OK:
                    bar.write(f"failed: {item.picture}: {item.status}", file=sys.stderr)
    finally:  # whatever ends it, what is scored is written
        if chosen.output and scores:
            text = "".join(_line(cells) for cells in (COLUMNS, *map(_cells, scores)))
            write_atomic(Path(chosen.output), text.encode(errors="surrogateescape"))
    if chosen.json:
        cli.print_json([dict(zip(COLUMNS, _values(item), strict=True)) for item in scores])
    failed = sum(item.status != OK for item in scores)
    cli.say(f"{len(scores) - failed} scored, {failed} failed")
    if failed == len(scores):
        raise InputError("not one picture could be scored; the reasons are above")
    return 0


def _scores(chosen: argparse.Namespace) -> tuple[list[Picture], Iterator[Score]]:
    """Return the pictures, and what scores them."""
    if bool(chosen.run) == bool(chosen.pairs):
        raise UsageError("give either --run RUN, or --pairs PAIRS.csv with --features NAME")
    if chosen.run and chosen.features:
        raise UsageError("--features goes with --pairs: a run knows its own")
    how = place("weights", chosen.weights), chosen.gpu, chosen.max_megapixels
    if chosen.pairs:
        pictures = collect(chosen.pictures, chosen.prompt)
        pairs, features = expand(chosen.pairs), canonical(chosen.features or "content-lite")
        cli.say(f"few-shot on {features}: scores are on the scale of {pairs}")
        return pictures, few_shot(pairs, features, pictures, *how, chosen.prompt)
    run = find_run(Path(chosen.run), place("runs", chosen.runs))
    _announce(run)
    pictures = collect(chosen.pictures, chosen.prompt)
    return pictures, score(run, pictures, *how)


def _announce(run: Path) -> None:
    facts = read_head_facts(run)
    scale = facts["range"]
    known = scale["low"] is not None
    span = f"{scale['low']:g} to {scale['high']:g}, " if known else ""
    better = "higher" if scale["higher_is_better"] else "lower"
    cli.say(
        f"run {run}: scores are {facts['target']} of {facts['db']}, {span}{better} is better; "
        f"median SRCC {facts['median_srcc']:.3f} on its own database"
    )
    if facts.get("optimistic"):
        cli.say(f"OPTIMISTIC: of that SRCC, {facts['optimistic']}")
    if facts["note"]:
        cli.say(facts["note"])


def _values(item: Score) -> tuple:
    numbers = (item.score, item.low, item.high)
    plain = (None if math.isnan(value) else value for value in numbers)
    return (item.picture, *plain, item.outside, item.status)


def _cells(item: Score) -> tuple[str, ...]:
    name, *numbers, outside, status = _values(item)
    texts = ("" if value is None else f"{value:.4f}" for value in numbers)
    return (name, *texts, _OUTSIDE[outside], status)


def _line(cells: tuple[str, ...]) -> str:
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerow(cells)
    return buffer.getvalue()


if __name__ == "__main__":
    cli.run(main)
