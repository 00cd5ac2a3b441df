"""Share a run's head: one ZIP with the head, its card, and nothing that is executed.

`export` packs it, `show` prints the card, `python -m pipeline.score --head` scores with it.
"""

import argparse
from pathlib import Path

from features.errors import UsageError
from features.files import write_atomic
from features.places import expand, place
from pipeline import cli
from pipeline.cards import card_of, card_text
from pipeline.heads import pack_head, read_card
from pipeline.runs import find_run

EXAMPLES = """\
  python -m pipeline.head export pcuid/content-lite/ridge -o head.zip
  python -m pipeline.head export koniq/reiqa --licence CC-BY-4.0 --author "A. Name" -o head.zip
  python -m pipeline.head show head.zip
  python -m pipeline.score --head head.zip holiday/ -o scores.csv
"""
ACTIONS = {
    "export": "pack the head of a run, with its card, into a ZIP",
    "show": "check a ZIP and print its card",
}


def main(argv: list[str] | None = None) -> int:
    """Parse, pack or show."""
    options = cli.parser(__doc__, EXAMPLES)
    actions = options.add_subparsers(dest="action", required=True, metavar="ACTION")
    parsers = cli.add_actions(actions, "pipeline.head", ACTIONS, EXAMPLES)
    add = parsers["export"].add_argument
    add("run", metavar="RUN", help="a run's folder, or a folder above it that holds one run")
    add("-o", "--output", metavar="HEAD.zip", default="head.zip", help="(default %(default)s)")
    add(
        "--licence",
        default="",
        help="under which the head may be used; the database's terms may bind it, too",
    )
    add("--author", default="", help="whom to name")
    cli.add_places(parsers["export"], "runs")
    parsers["show"].add_argument("head", metavar="HEAD.zip")
    parsers["show"].add_argument("--json", action="store_true", help="print JSON")
    chosen = options.parse_args(argv)
    return {"export": _export, "show": _show}[chosen.action](chosen)


def _export(chosen: argparse.Namespace) -> int:
    output = expand(chosen.output)
    if output.suffix.lower() != ".zip" or output.is_dir() or not output.parent.is_dir():
        raise UsageError(f"-o {output}: expected a name that ends in .zip, in a folder that exists")
    run = find_run(Path(chosen.run), place("runs", chosen.runs))
    card = card_of(run, chosen.licence, chosen.author)
    data = pack_head(run, card, card_text(card))
    write_atomic(output, data)
    print(f"head {output} ({len(data):,} bytes), of {run}")
    if not chosen.licence:
        cli.say("no --licence was given: others may not know what they may do with it")
    return 0


def _show(chosen: argparse.Namespace) -> int:
    card, text = read_card(expand(chosen.head))
    if chosen.json:
        cli.print_json(card)
    else:
        print(cli.harmless(text), end="")
    return 0


if __name__ == "__main__":
    cli.run(main)
