"""Score pictures with a run's head, or from a few pictures that you rate (--pairs).

Gives picture, score, low, high (nine of ten lie within), outside (yes where the picture is unlike
any that the head was trained on), status (ok, or why there is no score): as CSV on stdout, or as a
file that is CSV or Parquet (-o). With -o, run again after it was cut off, it resumes. Engine and
precision are those of the numbers that the head was fitted on, where no others are asked for.
"""

import argparse
import contextlib
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from features.decode import MAX_MEGAPIXELS
from features.engine import timed
from features.errors import InputError, UsageError
from features.files import write_atomic
from features.names import canonical
from features.places import expand, place
from features.plan import Block, Picture, blocks
from pipeline import cli
from pipeline.fitted import fitted_scorer
from pipeline.heads import Head, read_head
from pipeline.outputs import (
    COLUMNS,
    FORMATS,
    check_names,
    check_output,
    check_page,
    csv_text,
    values_of,
)
from pipeline.partial import partial
from pipeline.runs import find_run
from pipeline.scoring import Score, Scorer, collect
from pipeline.tally import Tally

EXAMPLES = """\
  python -m pipeline.score --run runs/pcuid/content-lite photo.jpg
  python -m pipeline.score --run pcuid holiday/ -o scores.csv
  python -m pipeline.score --run pcuid list.csv --json
  python -m pipeline.score --run koniq/reiqa 'shards-{000..099}.tar' --gpu 0,1 -o scores.parquet
  python -m pipeline.score --run koniq/reiqa photos/ --cluster head:6379 -o scores.parquet
  python -m pipeline.score --run ai/clip --prompt 'a red fox in snow' fox.png
  python -m pipeline.score --run pcuid holiday/ -o scores.csv --html sorted.html
  python -m pipeline.score --head head.zip holiday/
  python -m pipeline.score --pairs pairs.csv --features content-lite holiday/
"""
NAMED = 20  # failures that are named on stderr, where the file has them all


def main(argv: list[str] | None = None) -> int:
    """Parse, score, print."""
    options = cli.parser(__doc__, EXAMPLES)
    add = options.add_argument
    add("--run", help="a run's folder, or a folder above it that holds one run")
    add("--head", metavar="HEAD.zip", help="instead of --run: a head that somebody shared")
    add(
        "--pairs",
        metavar="PAIRS.csv",
        help="instead: a CSV with columns image and score, 3 or more pictures",
    )
    add("--features", help="feature set, with --pairs (default content-lite)")
    add(
        "--prompt",
        default="",
        help="the text of every picture without one in a CSV's column prompt, for feature sets "
        "that take text",
    )
    add("pictures", nargs="+", help="pictures, folders, tars, URLs, or CSVs with a column image")
    add(
        "-o",
        "--output",
        metavar="FILE",
        type=Path,
        help=f"write there instead of to stdout: a name that ends in {' or '.join(FORMATS)}",
    )
    add("--html", metavar="PAGE.html", type=Path, help="a contact sheet, too, sorted by score")
    cli.add_way(options)
    # what the head was fitted on decides
    options.set_defaults(precision="")
    add(
        "--max-megapixels",
        type=cli.megapixels,
        default=MAX_MEGAPIXELS,
        help="limit (default %(default)g)",
    )
    add(
        "--json",
        action="store_true",
        help="print JSON instead of CSV; with -o, a summary of what was done",
    )
    cli.add_places(options, "runs", "weights")
    chosen = options.parse_args(argv)
    chosen.way = cli.take_way(vars(chosen))
    if chosen.output:
        given = (*chosen.pictures, *filter(None, [chosen.pairs]))
        check_output(chosen.output, map(expand, given))
    if chosen.html:
        given = (*chosen.pictures, *filter(None, [chosen.pairs, chosen.output]))
        check_page(chosen.html, map(expand, map(str, given)))
    pictures, scorer = _scorer(chosen)
    if chosen.output:
        check_names(chosen.output, pictures)
        n_failed, rows = _to_file(pictures, scorer, chosen.output, chosen.json)
    else:
        n_failed, rows = _to_stdout(pictures, scorer, chosen.json, bool(chosen.html))
    if chosen.html:
        _to_page(pictures, scorer, rows(), chosen.html, chosen.max_megapixels)
    cli.say(f"{len(pictures) - n_failed} scored, {n_failed} failed")
    if n_failed == len(pictures):
        raise InputError("not one picture could be scored; the reasons are above")
    return 0


def _to_page(
    pictures: Sequence[Picture],
    scorer: Scorer,
    rows: Iterable[tuple],
    page: Path,
    max_megapixels: float,
) -> None:
    """Write the contact sheet."""
    from pipeline.contact import contact_sheet  # jinja2, which other outputs spare

    about = scorer.about
    title = f"{about['target']} of {about['db']}" if "db" in about else "few-shot scores"
    text = contact_sheet(title, rows, pictures, scorer.higher_is_better, max_megapixels)
    write_atomic(page, text.encode(errors="replace"))
    cli.say(f"contact sheet {page}")


Rows = tuple[int, Callable[[], Iterable[tuple]]]


def _to_stdout(
    pictures: Sequence[Picture], scorer: Scorer, as_json: bool, keep: bool = False
) -> Rows:
    """Print scores in order of name as they are done; return how many failed, and their rows."""
    work = Tally(len(pictures), named=len(pictures))
    plan = map(Block, blocks(pictures))
    scores: list[Score] = []  # only JSON and a page want them in one piece
    if not as_json:
        print(csv_text([]), end="")
    with work, contextlib.closing(scorer.in_turn(plan)) as found:
        for scored in found:
            if as_json or keep:
                scores += scored.scores
            if not as_json:
                print(csv_text(map(values_of, scored.scores), header=False), end="", flush=True)
            work.add(scored)
    if as_json:
        cli.print_json([dict(zip(COLUMNS, row, strict=True)) for row in map(values_of, scores)])
    return work.n_failed, lambda: map(values_of, scores)


def _to_file(pictures: Sequence[Picture], scorer: Scorer, output: Path, as_json: bool) -> Rows:
    """Write scores to a file, going on with what is kept of it; return as `_to_stdout`."""
    began = time.perf_counter()
    with partial(output, scorer.settings) as part:
        plan, n_kept = part.lacking(pictures, scorer.prompted)
        if n_kept:
            cli.say(f"resuming: {n_kept} of {len(pictures)} are scored")
        work = Tally(sum(len(block.pictures) for block in plan), NAMED)
        if plan:
            with work, contextlib.closing(scorer.score(plan)) as found:
                for scored in found:
                    with timed(work.seconds, "write"):
                        part.add(scored.scores)
                    work.add(scored)
        with timed(work.seconds, "write"):
            table = part.finish(pictures, scorer.about)
    if work.n_failed > NAMED:
        cli.say(f"failed: {work.n_failed - NAMED} more; {output} has the reasons")
    if as_json:
        total = time.perf_counter() - began
        seconds = work.seconds | Counter(total=total)
        summary = {
            "pictures": len(table),
            "scored": len(table) - table.n_failed,
            "failed": table.n_failed,
            "resumed": n_kept,
            "output": str(output),
            "seconds": {name: round(value, 3) for name, value in seconds.items()},
            "pictures_per_second": round(work.files / total, 3),
            "megapixels_per_second": round(work.pixels / 1e6 / total, 3),
        }
        cli.print_json(summary)
    return table.n_failed, table.values


def _scorer(chosen: argparse.Namespace) -> tuple[list[Picture], Scorer]:
    """Return the pictures, and what scores them."""
    if sum(map(bool, (chosen.run, chosen.head, chosen.pairs))) != 1:
        raise UsageError(
            "give --run RUN, or --head HEAD.zip, or --pairs PAIRS.csv with --features NAME"
        )
    if chosen.features and not chosen.pairs:
        raise UsageError("--features goes with --pairs: a head knows its own")
    how = place("weights", chosen.weights), chosen.way, chosen.max_megapixels
    if chosen.pairs:
        from pipeline.fewshot import few_shot_scorer  # scikit-learn, which a head spares

        pictures = collect(chosen.pictures, chosen.prompt)
        pairs, features = expand(chosen.pairs), canonical(chosen.features or "content-lite")
        cli.say(f"few-shot on {features}: scores are on the scale of {pairs}")
        return pictures, few_shot_scorer(pairs, features, pictures, *how, chosen.prompt)
    run = chosen.run and find_run(Path(chosen.run), place("runs", chosen.runs))
    head = read_head(run or expand(chosen.head))
    _announce(head)
    pictures = collect(chosen.pictures, chosen.prompt)
    return pictures, fitted_scorer(head, pictures, *how)


def _announce(head: Head) -> None:
    facts = head.facts
    scale = facts["range"]
    known = scale["low"] is not None
    span = f"{scale['low']:g} to {scale['high']:g}, " if known else ""
    better = "higher" if scale["higher_is_better"] else "lower"
    what = "run" if head.place.is_dir() else "head"
    cli.say(
        f"{what} {head.place}: scores are {facts['target']} of {facts['db']}, {span}{better} is "
        f"better; median SRCC {facts['median_srcc']:.3f} on its own database"
    )
    if facts.get("optimistic"):
        cli.say(f"OPTIMISTIC: of that SRCC, {facts['optimistic']}")
    if facts["note"]:
        cli.say(" ".join(facts["note"].split()))


if __name__ == "__main__":
    cli.run(main)
