"""All runs in one page that works offline: tables, plots, pictures, published numbers beside ours.

With a name that ends in .md, .csv or .tex, a table alone is written in that format; -o may be given
several times.
"""

from pathlib import Path

from features.errors import UsageError
from features.files import write_atomic
from features.places import expand
from features.progress import progress
from pipeline import cli
from pipeline.databases import cache_name
from pipeline.report.collect import Line, find_lines, marked
from pipeline.report.details import details
from pipeline.report.formats import FORMATS
from pipeline.report.page import page
from pipeline.report.tables import RUNS, TABLES, table_text

EXAMPLES = """\
  python -m pipeline.report -o report.html
  python -m pipeline.report -o report.html -o table.tex -o table.md
  python -m pipeline.report --db koniq --sections 8 -o koniq.html
  python -m pipeline.report -o table.csv --runs /data/runs
  python -m pipeline.report --table published -o published.md
"""
HTML = (".html", ".htm")
SECTIONS = 24  # runs with a section of their own: about 200 kB each


def main(argv: list[str] | None = None) -> int:
    """Parse, collect, write."""
    options = cli.parser(__doc__, EXAMPLES)
    add = options.add_argument
    add(
        "-o",
        "--output",
        metavar="FILE",
        action="append",
        help=f"a name that ends in {', '.join((*HTML[:1], *FORMATS))} (default report.html)",
    )
    add(
        "--table",
        choices=(RUNS, *TABLES),
        default=RUNS,
        help=f"which one goes to names in {', '.join(FORMATS)} (default %(default)s)",
    )
    add("--db", action="append", help="this database only; may be repeated (default all)")
    add("--title", default="Image quality: results", help="heading (default %(default)s)")
    add(
        "--sections",
        type=cli.natural,
        default=SECTIONS,
        metavar="N",
        help="runs with a section of their own, the best of each database first (default "
        "%(default)s); all are in the table",
    )
    add("--no-pictures", action="store_true", help="leave out the best and worst predictions")
    cli.add_places(options, "runs", "cache")
    chosen = options.parse_args(argv)
    outputs = [_checked(name) for name in chosen.output or ["report.html"]]
    outputs.sort(key=_is_page)  # a table may have nothing to tell
    if chosen.table != RUNS and _is_page(outputs[0]):
        raise UsageError(f"--table {chosen.table}: expected a -o that ends in {', '.join(FORMATS)}")
    places = cli.places(chosen, "runs", "cache")
    found, left_out = find_lines(places["runs"])
    if chosen.db:
        found = _only(found, chosen.db)
    with progress(len(found), "compare") as bar:
        lines = list(marked(found, bar.update))
    for output in outputs:
        if _is_page(output):
            own = _with_sections(lines, chosen.sections)
            with progress(len(own), "sections") as bar:
                every = []
                for line in own:
                    every.append(details(line, places["cache"], not chosen.no_pictures))
                    bar.update()
            text = page(chosen.title, lines, every, left_out)
        else:
            text = table_text(chosen.table, output.suffix.lower(), lines)
        data = text.encode(errors="replace")
        write_atomic(output, data)
        print(f"report {output} ({len(data) / 1e6:.2f} MB, {len(lines)} runs)")
    for text in left_out:
        cli.say(f"not shown: {text}")
    return 0


def _checked(name: str) -> Path:
    output = expand(name)
    if output.suffix.lower() not in (*HTML, *FORMATS):
        raise UsageError(f"-o {name}: expected a name that ends in {', '.join((*HTML, *FORMATS))}")
    if output.is_dir() or not output.parent.is_dir():
        raise UsageError(f"-o {name}: expected a file in a folder that is there")
    return output


def _is_page(output: Path) -> bool:
    return output.suffix.lower() in HTML


def _only(lines: list[Line], dbs: list[str]) -> list[Line]:
    known = {line.result["db"] for line in lines}
    names = {db if db in known else cache_name(db) for db in dbs}
    if strange := names - known:
        raise UsageError(f"--db {', '.join(strange)}: there are runs of {', '.join(sorted(known))}")
    return [line for line in lines if line.result["db"] in names]


def _with_sections(lines: list[Line], most: int) -> list[Line]:
    """Return the best run of each database, then the second of each, and so on; in their order."""
    ranks: dict[tuple, int] = {}
    numbered = []
    for place, line in enumerate(lines):
        database = line.field[:2]
        ranks[database] = rank = ranks.get(database, -1) + 1
        numbered.append((rank, place))
    return [lines[place] for place in sorted(place for _, place in sorted(numbered)[:most])]


if __name__ == "__main__":
    cli.run(main)
