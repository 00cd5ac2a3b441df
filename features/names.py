"""Names of feature sets: `reiqa+nss`, `content-lite[pool=last,scales=1:0.5:0.25]`.

Options live in the name, so that two variants stand side by side in a cache. Every name has one
canonical form (encoders in the order of the table, options sorted, defaults left out), and a slug
of it that is safe as a folder name.
"""

import functools
import re
from dataclasses import dataclass

from features.encoders import ENCODERS, FAMILIES, GROUPS
from features.encoders.base import Encoder
from features.errors import UsageError, unknown_name

_JOIN = re.compile(r"\+(?![^\[]*\])")  # a + that stands outside of brackets
_ITEM = re.compile(r"(?P<name>[\w./:-]+)(?:\[(?P<options>[^\[\]]*)\])?")


@dataclass(frozen=True)
class Request:
    """One encoder with its options: what is asked for, before any weight is read."""

    encoder: Encoder
    options: tuple[tuple[str, str], ...]  # every option of the encoder, defaults included, sorted

    @property
    def suffix(self) -> str:
        """The options that differ from their defaults, as they stand in the name."""
        texts = [
            key if value == "yes" else f"{key}={value}"
            for key, value in self.options
            if value != self.encoder.options[key].default
        ]
        return f"[{','.join(texts)}]" if texts else ""

    @property
    def name(self) -> str:
        """The canonical name, such as `content-lite[pool=last]`."""
        return self.encoder.name + self.suffix

    @property
    def values(self) -> dict[str, str]:
        """Option name to value, defaults included."""
        return dict(self.options)

    @property
    def prompted(self) -> bool:
        """Whether every picture needs a text."""
        return self.encoder.prompted(self.values)


def split_names(text: str) -> list[str]:
    """Return the parts of a feature-set name: `a[b=c]+d` -> `a[b=c]`, `d`."""
    return [part.strip() for part in _JOIN.split(text)]


def parse(text: str) -> tuple[Request, ...]:
    """Return the encoders that a feature-set name asks for, in canonical order.

    Raises
    ------
    UsageError
        Unknown encoder or option (the nearest names are offered), a wrong value, an encoder twice.
    """
    items = [_ITEM.fullmatch(item) for item in split_names(text)]
    if not all(items):
        raise UsageError(
            f"cannot read the feature set {text!r}: expected NAME, NAME[option=value,...], or "
            "several joined by +, such as content-lite[pool=last]+nss"
        )
    requests = [
        _request(member, item["options"] or "")
        for item in items
        for member in GROUPS.get(item["name"], (item["name"],))
    ]
    order = {name: index for index, name in enumerate(ENCODERS)}
    requests.sort(key=lambda r: (order.get(r.encoder.name, len(order)), r.name))
    names = [request.name for request in requests]
    if len(set(names)) < len(names):
        raise UsageError(f"the feature set {text!r} asks for the same encoder twice")
    return tuple(requests)


@functools.lru_cache(maxsize=64)
def _member(family: str, name: str) -> Encoder:
    return FAMILIES[family](name)


def encoder_named(name: str) -> Encoder:
    """Return an encoder of the table, or the member NAME of a family for `family:NAME`.

    Raises
    ------
    UsageError
        When there is none; the nearest names are offered.
    """
    if name in ENCODERS:
        return ENCODERS[name]
    family, _, member = name.partition(":")
    if family in FAMILIES and member:
        return _member(family, member)
    raise unknown_name("encoder", name, [*ENCODERS, *GROUPS, *(f"{f}:NAME" for f in FAMILIES)])


def _request(name: str, options_text: str) -> Request:
    encoder = encoder_named(name)
    options: dict[str, str] = {}
    for part in filter(None, (part.strip() for part in options_text.split(","))):
        key, _, value = part.partition("=")
        if not encoder.options:
            raise UsageError(f"{name} takes no options, it was given [{options_text}]")
        if key not in encoder.options:
            raise unknown_name(f"option of {name}", key, encoder.options)
        if key in options:
            raise UsageError(f"{name}[{options_text}]: the option {key} stands there twice")
        options[key] = encoder.options[key].canonical(value or "yes", f"{name}[{part}]")
    defaults = {key: option.default for key, option in encoder.options.items()}
    return Request(encoder, tuple(sorted((defaults | options).items())))


def canonical(text: str) -> str:
    """Return the one spelling of a feature-set name; a complete group goes by the group's name."""
    requests = list(parse(text))
    names = []
    while requests:
        request = requests.pop(0)
        for group, members in GROUPS.items():
            whole = [request, *(r for r in requests if r.suffix == request.suffix)]
            whole = [r for r in whole if r.encoder.name in members]
            if len(whole) == len(members):
                names.append(group + request.suffix)
                requests = [r for r in requests if r not in whole]
                break
        else:
            names.append(request.name)
    return "+".join(names)


def slug(name: str) -> str:
    """Return a canonical name as a folder name: `reiqa[scales=1]` -> `reiqa_scales-1`."""
    return re.sub(r"[^\w.+-]", "-", name.replace("]", "").replace("[", "_").replace(",", "_"))
