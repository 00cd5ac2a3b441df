"""Our own small quality encoder: ResNet-18, trained by `pipeline.pretrain` on free photographs.

How it came about, on which photographs, and what it is good for: `quality-lite.md` beside this.
"""

from features.encoders.pretrained import record
from features.weights import WeightFile

QUALITY_LITE = record(
    "quality-lite",
    "resnet18",
    "ResNet-18 of our own contrastive pretraining, all stages, two scales",
    WeightFile(
        "quality-lite.safetensors",
        "this package",
        package="features.encoders",
        distribution="meanopinion",
        licence="Apache-2.0",
    ),
    licence="Apache-2.0",
    seen=("37 photographs of Debian's wallpaper packages",),
)
