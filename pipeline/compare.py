"""Compare two runs on the same folds: the paired difference of their median SRCC, A minus B.

Both are judged on the pictures that both have, with the same draws of groups, so that the
difference has a 95 % interval of its own. In JSON, `share` is that of the draws in which one is
better; what is left of 1 are ties.
"""

from features.places import expand, place
from pipeline import cli
from pipeline.comparing import TIE, compare
from pipeline.runs import find_run

EXAMPLES = """\
  python -m pipeline.compare pcuid/content-lite/ridge pcuid/nss/ridge
  python -m pipeline.compare pcuid/reiqa/ridge pcuid/reiqa/svr --json
"""


def verdict(found: dict) -> str:
    """Return what the interval says, in one plain sentence."""
    if found["a"]["run"] == found["b"]["run"]:
        return "A and B are the same run"
    if found["interval"] is None:
        return "without an interval, these folds do not say whether one is better"
    low, high = found["interval"]
    if low <= TIE and high >= -TIE:
        return "the interval holds 0: these folds do not tell them apart"
    better = "A" if low > 0 else "B"
    return f"the interval does not hold 0: {better} is better on this database"


def as_text(found: dict) -> str:
    """Return a comparison as a table and a few lines."""
    sides = [("A", found["a"]), ("B", found["b"])]
    rows = [("", "features", "head", "SRCC", "run")]
    rows += [(k, s["features"], s["regressor"], f"{s['srcc']:.4f}", s["run"]) for k, s in sides]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    table = [
        "  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in rows
    ]
    differences = [fold["difference"] for fold in found["folds"]]
    line, several = f"A - B  {found['difference']:+.4f}", len(differences) > 1
    better = []
    if several:
        better.append(f"in {sum(d > TIE for d in differences)} of {len(differences)} folds")
    if found["interval"]:
        low, high = found["interval"]
        line += f"  95 % interval [{low:+.4f}, {high:+.4f}]"
        better.append(f"in {100 * found['share']['a']:.1f} % of {found['n_draws']:,} draws")
    judged = f"median over {len(differences)} folds" if several else "one split"
    lines = [
        f"{found['db']} {found['target']}, {found['protocol']}: {found['n_pictures']} tested "
        f"pictures, {found['n_groups']} groups drawn, {judged}",
        *table,
        line,
    ]
    if several:
        lines.append("fold by fold  " + "  ".join(f"{d:+.4f}" for d in differences))
    if better:
        lines.append(f"A is better {' and '.join(better)}")
    lines.append(verdict(found))
    if found["left_out"]:
        lines.append(
            f"{len(found['left_out'])} pictures are left out, for which one run has no embedding: "
            + cli.name_some(found["left_out"])
        )
    return "\n".join([*lines, *found["warnings"]])


def main(argv: list[str] | None = None) -> int:
    """Parse, compare, print."""
    options = cli.parser(__doc__, EXAMPLES)
    for letter in "ab":
        options.add_argument(
            f"run_{letter}",
            metavar=f"RUN_{letter.upper()}",
            help="a run's folder, or a folder above it that holds one run; under runs/ or here",
        )
    options.add_argument("--json", action="store_true", help="print JSON")
    cli.add_places(options, "runs")
    chosen = options.parse_args(argv)
    runs = place("runs", chosen.runs)
    found = compare(*(find_run(expand(run), runs) for run in (chosen.run_a, chosen.run_b)))
    if chosen.json:
        cli.print_json(found | {"verdict": verdict(found)})
    else:
        print(as_text(found))
    return 0


if __name__ == "__main__":
    cli.run(main)
