"""Results as a table to read."""

from collections.abc import Sequence

from pipeline.breakdown import breakdown_text

HEADER = (
    "database",
    "features",
    "head",
    "n",
    "SRCC",
    "95 % interval",
    "KRCC",
    "PLCC",
    "PLCC*",
    "RMSE*",
    "SD",
    "size",
)
LEGEND = (
    "medians over {protocol}; * after the 4-parameter logistic;\n"
    "SD: of SRCC over folds; size: SRCC of the pictures' height, width and bytes alone"
)

# A draw of so few groups often leaves a fold with one of them: the interval moves off the median.
FEW_GROUPS = 20


def result_table(results: Sequence[dict]) -> str:
    """Return the results of some runs as aligned text, with what must be said of them below."""
    notes = dict.fromkeys(note for result in results for note in _notes(result))
    says = dict.fromkeys(result["protocol_says"] for result in results)
    legend = LEGEND.format(protocol="; or ".join(says))
    table = aligned([HEADER, *map(_cells, results)], 3)
    return "\n".join([table, legend, *filter(None, notes)])


def aligned(rows: Sequence[Sequence[str]], n_left: int) -> str:
    """Return rows of cells as text, the first one underlined, the first columns to the left."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join(
            cell.ljust(width) if column < n_left else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
    lines.insert(1, "  ".join("-" * width for width in widths))
    return "\n".join(lines)


def _cells(result: dict) -> tuple[str, ...]:
    median = result["median"]
    return (
        f"{result['db']} {result['target']}",
        result["features"],
        head_of(result),
        str(result["n_pictures"]),
        f"{median['srcc']:.4f}",
        span(interval(result)),
        *(number(median[name], 4) for name in ("krcc", "plcc", "plcc_logistic")),
        number(median["rmse_logistic"], 3),
        number(result["srcc_spread"]["sd"], 4),
        number((result.get("size_baseline") or {}).get("srcc"), 3),
    )


def head_of(result: dict) -> str:
    """Return the head's name, and its protocol where it is not the usual one."""
    if result["protocol"] == "nested":
        return result["regressor"]
    marked = "!" if result["optimistic"] else ""
    return f"{result['regressor']} {result['protocol']}{marked}"


def number(value: float | None, digits: int = 4) -> str:
    """Return a number to read; a dash where there is none."""
    return "-" if value is None else f"{value:.{digits}f}"


def span(interval: Sequence[float] | None) -> str:
    """Return an interval to read; a dash where there is none."""
    return "-" if interval is None else f"[{interval[0]:.3f}, {interval[1]:.3f}]"


def interval(result: dict, of: str = "srcc") -> list[float] | None:
    """Return the 95 % interval of a median; None where there are too few groups for one."""
    found = result.get(f"{of}_interval")
    return found if found and result["n_groups"] >= FEW_GROUPS else None


def n_lost(result: dict) -> int:
    """Return how many trials gave no head, of all folds."""
    return sum(fold.get("n_trials_without_head") or 0 for fold in result["folds"])


def _notes(result: dict) -> list[str]:
    """Return what must be said of a result beside its numbers."""
    few = (
        f"{result['db']}: {result['n_groups']} groups are too few for an interval"
        if result["n_groups"] < FEW_GROUPS
        else ""
    )
    more = (
        f"{result['db']} {result['features']}: {result['augmented']} distorted versions train "
        "beside the pictures"
        if result.get("augmented")
        else ""
    )
    seen = (
        f"{result['db']} {result['features']}: {', '.join(result['seen_by'])} was trained on this "
        "database: expect less on pictures that it has not seen"
        if result.get("seen_by")
        else ""
    )
    where = f"{result['db']} {result['features']} {head_of(result)}"
    optimistic = f"{where}: OPTIMISTIC: {result['optimistic']}" if result["optimistic"] else ""
    lost = n_lost(result)
    without = (
        f"{where}: {lost} of {len(result['folds']) * result['trials']} trials gave no head"
        if lost
        else ""
    )
    types = breakdown_text(result.get("by_distortion") or {})
    by_type = f"{where}: SRCC by distortion, worst first\n{types}" if types else ""
    crossing = result.get("groups_on_both_sides", 0)
    other = result.get("regrouped")
    grouped = f"{where}: grouped by {result['group_by']} (--group-by {other})" if other else ""
    leak = f"{where}: LEAK: {crossing} groups of the test part also train" if crossing else ""
    shares = ", ".join(
        f"{name} {share:.0%}" for name, share in (result.get("contributions") or {}).items()
    )
    sets = f"{where}: share of each set in the predictions: {shares}" if shares else ""
    return [
        optimistic,
        leak,
        grouped,
        sets,
        result["note"],
        few,
        more,
        seen,
        without,
        by_type,
        *_edges(result),
    ]


def _edges(result: dict) -> list[str]:
    """Say where the best hyper-parameter lay at the edge of its space: better may lie beyond."""
    edges = [(fold["fold"], fold["edges"]) for fold in result["folds"] if fold["edges"]]
    if not edges:
        return []
    where = ", ".join(f"{name} ({edge} {key})" for name, e in edges for key, edge in e.items())
    head = f"{result['db']} {result['features']} {head_of(result)}"
    return [f"{head}: best value at the edge of its space in {where}"]
