"""The table of all runs as Markdown, CSV and LaTeX."""

import csv
import io
import re
from collections.abc import Callable, Iterable, Sequence

from pipeline.report.collect import BEST, TIED, UNKNOWN, Line
from pipeline.results import number, span

COLUMNS = (
    *("database", "target", "features", "regressor", "protocol", "pictures", "groups"),
    *("srcc", "srcc_low", "srcc_high"),
    *("plcc_logistic", "plcc_logistic_low", "plcc_logistic_high"),
    *("krcc", "rmse_logistic", "size_srcc", "coverage90", "mark", "optimistic", "splits", "run"),
)
_MARKDOWN = re.compile(r"[\\|<`]|(?<=\])\(")  # a cell's end, a tag, code, the address of a link
_ESCAPES = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
_ESCAPES |= {character: f"\\{character}" for character in "&%$#_{}"}


def as_csv(lines: Sequence[Line]) -> str:
    """Return every number with all its digits; an empty cell where there is none."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(COLUMNS)
    for line in lines:
        result, median = line.result, line.result["median"]
        writer.writerow(
            [
                *(result[name] for name in ("db", "target", "features", "regressor", "protocol")),
                *(result["n_pictures"], result["n_groups"], median["srcc"]),
                *(line.interval("srcc") or ("", "")),
                median.get("plcc_logistic"),
                *(line.interval("plcc_logistic") or ("", "")),
                *(median.get("krcc"), median.get("rmse_logistic")),
                (result.get("size_baseline") or {}).get("srcc"),
                *(result.get("coverage90"), line.mark, result["optimistic"]),
                *(line.splits, line.run),
            ]
        )
    return buffer.getvalue()


def as_markdown(lines: Sequence[Line]) -> str:
    """Return a table to read; the best in bold, those tied with it marked =."""
    head = ("database", "features", "head", "n", "SRCC", "95 %", "PLCC*", "95 %", "size")
    return markdown_table(head, [_cells(line, "**{}**", "{} =") for line in lines], LEGEND)


def as_latex(lines: Sequence[Line]) -> str:
    """Return a table for a paper (package booktabs)."""
    head = ("Database", "Features", "Head", "$n$", "SRCC", r"95\,\%", "PLCC$^*$", r"95\,\%", "Size")
    rows = [_cells(line, r"\textbf{{{}}}", "{}$^=$", escaped) for line in lines]
    return latex_table(head, "lllrrlrlr", rows, LEGEND)


def markdown_table(head: Sequence[str], rows: Iterable[Sequence[str]], legend: str) -> str:
    """Return rows of text as a Markdown table; what is bold in them stays so, tags are text."""
    cells = [" | ".join(_MARKDOWN.sub(r"\\\g<0>", one_line(cell)) for cell in row) for row in rows]
    lines = [f"| {' | '.join(head)} |", "|" + "---|" * len(head), *(f"| {row} |" for row in cells)]
    return "\n".join([*lines, "", legend, ""])


def latex_table(head: Sequence[str], align: str, rows: Iterable[Sequence[str]], legend: str) -> str:
    """Return rows of LaTeX as a table; `align` has l or r for each column."""
    lines = [" & ".join(row) + r" \\" for row in (head, *rows)]
    return "\n".join(
        [
            f"% {legend}",
            rf"\begin{{tabular}}{{{align}}}",
            *(r"\toprule", lines[0], r"\midrule", *lines[1:], r"\bottomrule"),
            *(r"\end{tabular}", ""),
        ]
    )


LEGEND = (
    "Medians over folds; PLCC* after the 4-parameter logistic; bold: the best of a database, "
    "protocol and splits; =: the paired 95 % interval of the difference to it holds 0; ?: not "
    "compared with it; !: "
    "optimistic, not ranked; size: SRCC of the pictures' height, width and bytes alone."
)


def escaped(text: str) -> str:
    """Return text as LaTeX that shows it, on one line."""
    return "".join(_ESCAPES.get(character, character) for character in one_line(text))


def one_line(text: str) -> str:
    """Return text without line breaks and repeated blanks."""
    return " ".join(text.split())


def _cells(line: Line, best: str, tied: str, escape: Callable[[str], str] = str) -> tuple[str, ...]:
    result, median = line.result, line.result["median"]
    unknown = "{}" if result["optimistic"] else "{} ?"
    style = {BEST: best, TIED: tied, UNKNOWN: unknown}.get(line.mark, "{}")
    return (
        escape(line.name),
        escape(result["features"]),
        escape(line.head) + ("!" if result["optimistic"] else ""),
        escape(str(result["n_pictures"])),
        style.format(number(median["srcc"])),
        span(line.interval("srcc")),
        number(median.get("plcc_logistic")),
        span(line.interval("plcc_logistic")),
        number((result.get("size_baseline") or {}).get("srcc"), 3),
    )


FORMATS: dict[str, Callable[[Sequence[Line]], str]] = {
    ".md": as_markdown,
    ".csv": as_csv,
    ".tex": as_latex,
}
