"""The encoders. To add one: a file beside this one that ends in its record, and a line here."""

from collections.abc import Callable

from features.encoders.base import Encoder
from features.encoders.content_lite import CONTENT_LITE
from features.encoders.nss import NSS
from features.encoders.reiqa import REIQA_CONTENT, REIQA_QUALITY

ENCODERS: dict[str, Encoder] = {
    encoder.name: encoder for encoder in (REIQA_QUALITY, REIQA_CONTENT, CONTENT_LITE, NSS)
}

# A group is a name for several encoders side by side.
GROUPS: dict[str, tuple[str, ...]] = {"reiqa": ("reiqa-quality", "reiqa-content")}

# A family makes the encoder `family:NAME` from NAME.
FAMILIES: dict[str, Callable[[str], Encoder]] = {}
