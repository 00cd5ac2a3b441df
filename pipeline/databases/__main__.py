"""What is known of each database, and what lies on this disk of it.

`list` prints pictures, scores, groups, official split, terms and page of every database; `check`
finds the label files of one, counts its pictures, and says what is wrong and what to do.
"""

import argparse
from pathlib import Path

from features.places import place
from pipeline import cli
from pipeline.databases import DATABASES, Known, aliases, folder_of, locate
from pipeline.databases.checking import check, files_text
from pipeline.results import aligned

EXAMPLES = """\
  python -m pipeline.databases                                    what is known
  python -m pipeline.databases list --json
  python -m pipeline.databases check --db koniq --root ~/koniq
  python -m pipeline.databases check --db my.csv --deep --duplicates
"""
HEADER = ("--db", "pictures", "scores", "groups", "official split", "here")


def run_list() -> list[dict]:
    """Return what is known of every database."""
    return [_facts(name, known) for name, known in DATABASES.items()]


def run_check(
    db: str, root: str | None = None, deep: bool = False, duplicates: bool = False
) -> dict:
    """Compare what lies on this disk with what a database should be; see `checking.check`."""
    return check(locate(db, root, place("data")), deep, duplicates)


def _facts(name: str, known: Known) -> dict:
    folder = folder_of(place("data"), name)
    return {
        "name": name,
        "title": known.title,
        "summary": known.summary,
        "aliases": list(aliases(name)),
        "n_pictures": known.n_pictures,
        "n_groups": known.n_groups,
        "group_by": known.group_by,
        "targets": {
            column: {
                "low": target.low,
                "high": target.high,
                "higher_is_better": target.higher_is_better,
            }
            for column, target in known.targets.items()
        },
        "split_counts": dict(known.split),
        "terms": known.terms,
        "page": known.page,
        "get": known.get,
        "here": str(folder) if folder.is_dir() else None,
    }


def lines_of(facts: dict) -> list[str]:
    """Return what a person reads of `check`."""
    lines = [f"{facts['title']} ({facts['name']}) in {facts['root']}"]

    width = max(map(len, ("pictures", *facts["targets"])))

    def add(what: str, text: str) -> None:
        lines.append(f"  {what:{width}}  {text}")

    if facts["n_rows"] is not None:
        files = files_text(tuple(map(Path, facts["labels"])))
        left_out = facts["n_read"] - facts["n_rows"]
        add(
            "labels",
            f"{files}: {facts['n_rows']:,} pictures" + (f", {left_out} left out" * bool(left_out)),
        )
        for column, target in facts["targets"].items():
            better = "higher" if target["higher_is_better"] else "lower"
            add(column, f"{target['min']:.4g} .. {target['max']:.4g}, {better} is better")
        add("groups", f"{facts['n_groups']:,} ({facts['group_by']})")
        if facts["split_counts"]:
            counts = facts["split_counts"].items()
            add("split", ", ".join(f"{side} {number:,}" for side, number in counts))
    if facts["n_present"] is not None:
        how = "decoded" if facts["deep"] else "not opened; --deep decodes them"
        counts = ("missing", "unreadable", "unlabelled")
        numbers = "".join(f", {facts[f'n_{count}']:,} {count}" for count in counts)
        add("pictures", f"{facts['n_present']:,} there{numbers} ({how})")
    if "duplicates" in facts:
        number = len(facts["duplicates"])
        add("alike", f"{number:,} pairs of near-duplicates in different groups")
    if facts["problems"] and facts["page"]:
        add("page", facts["page"])
    lines += [f"remark: {line}" for line in facts["remarks"]]
    lines += [f"problem: {line}" for line in facts["problems"]] or ["no problem found"]
    return lines


def list_text(facts: list[dict]) -> str:
    """Return what is known as a table, with terms, page and what to download below it."""
    rows = aligned([HEADER, *map(_cells, facts)], len(HEADER)).splitlines()
    further = [
        f"{one['name']}: {one['title']}, {one['summary']}. Terms: "
        + (one["terms"] or ("see its page" if one["page"] else "not known"))
        + (f"; {one['page']}" if one["page"] else "")
        for one in facts
    ]
    return "\n".join([*rows, "", *further])


def _cells(facts: dict) -> tuple[str, ...]:
    scores = []
    for column, target in facts["targets"].items():
        scale = "" if target["low"] is None else f" {target['low']:g}..{target['high']:g}"
        better = "higher" if target["higher_is_better"] else "lower"
        scores.append(f"{column}{scale} ({better} is better)")
    more = f" and {len(scores) - 1} more" if len(scores) > 1 else ""
    number = facts["n_pictures"]
    groups = facts["group_by"]
    return (
        facts["name"],
        f"{number:,}" if number else "?",
        scores[0] + more if scores else "none",
        f"{facts['n_groups']:,} ({groups})" if facts["n_groups"] else groups,
        "/".join(f"{count:,}" for count in facts["split_counts"].values()) or "-",
        "yes" if facts["here"] else "-",
    )


def _parser() -> argparse.ArgumentParser:
    options = cli.parser(__doc__, EXAMPLES)
    options.prog = "python -m pipeline.databases"  # and not the name of this file
    options.add_argument("--json", action="store_true", help="print the result as JSON")
    actions = options.add_subparsers(dest="action", metavar="ACTION")
    listed = actions.add_parser("list", help="what is known (also without an action)")
    checked = actions.add_parser(
        "check",
        help="what lies on this disk of a database, and what is wrong with it",
        epilog=f"examples:\n{EXAMPLES}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    checked.add_argument("--db", required=True, help="a name, a folder of pictures, or a CSV")
    checked.add_argument("--root", help="the database's folder (default data/<name>)")
    checked.add_argument("--deep", action="store_true", help="decode every picture")
    checked.add_argument(
        "--duplicates",
        action="store_true",
        help="search for near-duplicates that stand in different groups (perceptual hash)",
    )
    for one in (listed, checked):
        one.add_argument(
            "--json",
            action="store_true",
            default=argparse.SUPPRESS,
            help="print the result as JSON",
        )
    return options


def main(argv: list[str] | None = None) -> int:
    """Parse, list or check, print; 1 when something is wrong with the database."""
    arguments = _parser().parse_args(argv)
    if arguments.action == "check":
        facts = run_check(arguments.db, arguments.root, arguments.deep, arguments.duplicates)
        if arguments.json:
            cli.print_json(facts)
        else:
            print("\n".join(lines_of(facts)))
        return int(bool(facts["problems"]))
    facts = run_list()
    if arguments.json:
        cli.print_json(facts)
    else:
        print(list_text(facts))
    return 0


if __name__ == "__main__":
    cli.run(main)
