"""Whether a run's result.json is what a run writes: one that was changed must not cost the page."""

import sys
from collections.abc import Callable, Mapping

Check = Callable[[object], bool]


def _is(kind: type) -> Check:
    return lambda value: isinstance(value, kind) and not isinstance(value, bool)


def _or_none(check: Check) -> Check:
    return lambda value: value is None or check(value)


def _each(check: Check) -> Check:
    return lambda value: isinstance(value, dict) and all(map(check, value.values()))


def _list_of(check: Check) -> Check:
    return lambda value: isinstance(value, list) and all(map(check, value))


def _with(needed: Mapping[str, Check], optional: Mapping[str, Check]) -> Check:
    return lambda value: isinstance(value, dict) and not wrong_in(value, needed, optional)


def _is_text(value: object) -> bool:
    # half a surrogate pair, as JSON may hold it, is nothing that can be drawn
    return isinstance(value, str) and not any("\ud800" <= letter <= "\udfff" for letter in value)


def _is_number(value: object) -> bool:
    # JSON has integers beyond every float
    return _is(int | float)(value) and not abs(value) > sys.float_info.max


def _is_value(value: object) -> bool:
    return isinstance(value, bool) or _is_text(value) or _GIVEN(value)


_GIVEN = _or_none(_is_number)  # a number, or null where there is none
_PAIR = _or_none(lambda value: _list_of(_is_number)(value) and len(value) == 2)
_FOLD = _with(
    {"fold": _is_text},
    {
        **dict.fromkeys(("params", "edges"), _each(_is_value)),
        **dict.fromkeys(("n_train", "n_test", "n_trials_without_head", "error90"), _is_number),
        **dict.fromkeys(("srcc", "krcc", "plcc", "rmse", "coverage90"), _is_number),
        **dict.fromkeys(("plcc_logistic", "rmse_logistic"), _is_number),
    },
)
NEEDED: dict[str, Check] = {
    **dict.fromkeys(("db", "features", "regressor", "target", "protocol", "optimistic"), _is_text),
    **dict.fromkeys(("n_pictures", "n_groups"), _is(int)),
    "median": lambda value: _each(_GIVEN)(value) and _is_number(value.get("srcc")),
    "versions": _is(dict),
    "folds": _list_of(_FOLD),
    "srcc_interval": _PAIR,
}
OPTIONAL: dict[str, Check] = {
    **dict.fromkeys(("coverage90", "srcc_within_groups", "trials"), _is_number),
    **dict.fromkeys(("n_without_embedding", "groups_on_both_sides"), _is_number),
    **dict.fromkeys(("note", "protocol_says", "objective", "group_by", "regrouped"), _is_text),
    **dict.fromkeys(("contributions", "srcc_spread"), _each(_GIVEN)),
    "size_baseline": _with({}, {"srcc": _is_number}),
    "plcc_logistic_interval": _PAIR,
    "by_distortion": _each(_with({"srcc": _GIVEN, "n_pictures": _is(int)}, {})),
    "seen_by": _list_of(_is_text),
    "keys": _is(dict),
    "final": _with({}, dict.fromkeys(("params", "edges"), _each(_is_value))),
}


def wrong_in(
    result: Mapping[str, object],
    needed: Mapping[str, Check] = NEEDED,
    optional: Mapping[str, Check] = OPTIONAL,
) -> list[str]:
    """Return the names of what is missing, or is of another kind; what is optional may be null."""
    lacking = [name for name, check in needed.items() if not check(result.get(name, ...))]
    odd = (name for name, check in optional.items() if not _or_none(check)(result.get(name)))
    return [*lacking, *odd]
