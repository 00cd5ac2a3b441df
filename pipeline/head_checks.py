"""What arrays and facts must be to make a head, whoever wrote them."""

import math
from collections.abc import Mapping

import numpy as np

TEXTS = ("kind", "db", "target", "features", "note")
# The arrays of each kind, and their shapes: p columns, s rows of the training data.
SHAPES = {
    "linear": {"mean": "p", "scale": "p", "coef": "p", "intercept": "1"},
    "rbf": {
        "mean": "p",
        "scale": "p",
        "support": "sp",
        "dual": "s",
        "intercept": "1",
        "gamma": "1",
    },
}
POSITIVE = ("scale", "gamma")


def what_is_wrong(arrays: Mapping[str, np.ndarray], facts: Mapping) -> str:
    """Return why arrays and facts make no head; empty where they do, or where the kind is new."""
    return _of_facts(facts) or _of_arrays(arrays, facts["kind"])


def _of_facts(facts: Mapping) -> str:
    for name in TEXTS:
        if not isinstance(facts[name], str):
            return f"{name} is no text"
    for name in ("error90", "distance_max"):
        if not (_is_number(facts[name]) and math.isfinite(facts[name]) and facts[name] >= 0):
            return f"{name} is no number of at least 0"
    if not _is_number(facts["median_srcc"]):
        return "median_srcc is no number"
    scale = facts["range"]
    if not isinstance(scale, dict) or not {"low", "high", "higher_is_better"} <= set(scale):
        return "range says no low, high and higher_is_better"
    ends = scale["low"], scale["high"]
    if ends != (None, None) and not all(map(_is_number, ends)):
        return "low and high of range are no numbers"
    if not isinstance(scale["higher_is_better"], bool):
        return "higher_is_better is neither true nor false"
    keys = facts["encoders"]
    if not isinstance(keys, dict) or not all(isinstance(key, str) for key in keys.values()):
        return "encoders are no names with their keys"
    return ""


def _of_arrays(arrays: Mapping[str, np.ndarray], kind: str) -> str:
    sizes = {"1": 1}
    for name, letters in SHAPES.get(kind, {}).items():
        array = arrays.get(name)
        if array is None or array.ndim != len(letters) or array.dtype.kind != "f":
            return f"{name} is missing, or has another shape or type"
        if not np.isfinite(array).all() or (name in POSITIVE and not (array > 0).all()):
            return f"{name} holds what no head has"
        for letter, size in zip(letters, array.shape, strict=True):
            if sizes.setdefault(letter, size) != size:
                return f"{name} has the shape {array.shape}, which does not go with the others"
    return ""


def _is_number(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    try:
        float(value)
    except OverflowError:  # JSON's whole numbers have any length
        return False
    return True
