"""How the tabs of the page show scores and errors."""

import functools
import html
import math
import re
from collections.abc import Callable, Sequence

import gradio as gr

from features.cache.shards import OK
from features.errors import InputError
from pipeline.scoring import Score
from regressors.errors import DataError

HEADERS = ["rank", "picture", "score", "low", "high", "unlike training", "status"]


def told(function: Callable) -> Callable:
    """Let what a user gets wrong be a message on the page, in the words of the commands."""

    @functools.wraps(function)
    def answer(*values: object) -> object:
        try:
            return function(*values)
        except (InputError, DataError, OSError, MemoryError) as error:
            text = html.escape(str(error))
            raise gr.Error(text, duration=None, print_exception=False) from error

    return answer


def plain(text: str) -> str:
    """Return a stranger's text as Markdown that shows it letter by letter, and fetches nothing."""
    return re.sub(r"([!-/:-@\[-`{-~])", r"\\\1", " ".join(text.split()))


def in_order(scores: Sequence[Score], given: Sequence[str]) -> list[str]:
    """Return the uploads in the order of their scores."""
    return [given[int(one.picture.split("/")[0])] for one in scores]


def _name(one: Score) -> str:
    return one.picture.split("/", 1)[1]


def caption(one: Score) -> str:
    """Return what stands under a picture: its name, and its score or why it has none."""
    return f"{_name(one)}: {one.score:.4g}" if one.status == OK else f"{_name(one)}: {one.status}"


def said_of(scores: Sequence[Score]) -> str:
    """Return how many were scored, and why the others were not, as Markdown."""
    failed = [f"- {plain(_name(one))}: {plain(one.status)}" for one in scores if one.status != OK]
    return "\n".join([f"{len(scores) - len(failed)} scored, {len(failed)} could not be.", *failed])


def rows_of(scores: Sequence[Score]) -> list[list]:
    """Return the rows of the ranking, a cell for each of HEADERS."""
    return [
        _row(rank, one) if one.status == OK else ["", _name(one), "", "", "", "", one.status]
        for rank, one in enumerate(scores, 1)
    ]


def _row(rank: int, one: Score) -> list:
    numbers = ("" if math.isnan(v) else f"{v:.4g}" for v in (one.score, one.low, one.high))
    return [rank, _name(one), *numbers, "yes" if one.outside else "", one.status]
