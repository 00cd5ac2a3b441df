"""The encoders. To add one: a file beside this one that ends in its record, and a line here."""

from collections.abc import Callable

from features.encoders.base import Encoder
from features.encoders.clip import CLIP
from features.encoders.content_lite import CONTENT_LITE
from features.encoders.imagereward import IMAGEREWARD
from features.encoders.ipiqa import IPIQA
from features.encoders.nss import NSS
from features.encoders.open_clip import open_clip_encoder
from features.encoders.pretrained import pretrained_encoder
from features.encoders.promptiqa import PROMPTIQA
from features.encoders.quality_lite import QUALITY_LITE
from features.encoders.reiqa import REIQA_CONTENT, REIQA_QUALITY
from features.encoders.timm_models import timm_encoder
from features.encoders.uiqa import UIQA

ENCODERS: dict[str, Encoder] = {
    encoder.name: encoder
    for encoder in (
        REIQA_QUALITY,
        REIQA_CONTENT,
        CONTENT_LITE,
        QUALITY_LITE,
        NSS,
        UIQA,
        PROMPTIQA,
        IMAGEREWARD,
        CLIP,
        IPIQA,
    )
}

# A group is a name for several encoders side by side.
GROUPS: dict[str, tuple[str, ...]] = {"reiqa": ("reiqa-quality", "reiqa-content")}

# A family makes the encoder `family:NAME` from NAME.
FAMILIES: dict[str, Callable[[str], Encoder]] = {
    "timm": timm_encoder,
    "clip": open_clip_encoder,
    "pretrained": pretrained_encoder,
}
