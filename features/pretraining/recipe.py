"""What decides the numbers of a pretraining run, and the two presets."""

import dataclasses
import math
from dataclasses import dataclass

from features.errors import UsageError
from features.pretraining.crops import Crops

MODES = ("quality", "content")
OPTIMISERS = ("sgd", "lars")
TRAIN_PRECISIONS = ("fp32", "bf16")


@dataclass(frozen=True)
class Recipe:
    """All that decides the numbers of a run; it is kept in every checkpoint.

    Attributes
    ----------
    arch : of `features.encoders.trunks`: resnet18, resnet50, or timm's name of a convolutional one
    mode : quality, pairs of crops under distortions; content, MoCo v2's two views of a picture
    crop, overlap, distorted : see `features.pretraining.crops.Crops`; content has the crop alone
    sides : each time a picture is taken, it is reduced to one of these lengths of its longer side;
        none leaves it as it is
    batch : pictures a step, over all processes
    group : pictures whose pairs share the statistics of batch norm. The keys of a group are drawn
        anew from the whole batch each time (MoCo's shuffling), so that a query and its key never
        betray each other by them; with one process as with many
    epochs : of the pictures, where `steps` is 0
    queue, momentum, temperature, dim : of MoCo
    lr, warmup_lr, warmup, last_lr : the rate rises from warmup_lr to lr in the share `warmup` of
        the steps, then falls as a cosine to lr * last_lr
    """

    arch: str = "resnet50"
    mode: str = "quality"
    crop: int = 160
    overlap: tuple[float, float] = (0.1, 0.3)
    distorted: int = 11
    sides: tuple[int, ...] = ()
    batch: int = 630
    group: int = 35
    epochs: int = 40
    steps: int = 0
    queue: int = 65536
    momentum: float = 0.999
    temperature: float = 0.2
    dim: int = 128
    optimiser: str = "lars"
    lr: float = 12.0
    warmup_lr: float = 0.01
    warmup: float = 0.125
    last_lr: float = 0.001
    weight_decay: float = 1e-4
    precision: str = "bf16"
    seed: int = 0

    @property
    def crops(self) -> Crops:
        """What is cut from each picture."""
        return Crops(self.crop, self.overlap, self.distorted)

    @property
    def n_pairs(self) -> int:
        """Pairs that one picture gives."""
        return self.crops.n_pairs if self.mode == "quality" else 1

    def with_steps(self, n_pictures: int) -> "Recipe":
        """Return it with the number of steps that its epochs of so many pictures are."""
        if self.steps:
            return self
        return dataclasses.replace(self, steps=max(1, self.epochs * n_pictures // self.batch))

    def learning_rate(self, step: int) -> float:
        """Return the rate of a step, counted from 0."""
        rising = round(self.warmup * self.steps)
        if step < rising:
            return self.warmup_lr + (self.lr - self.warmup_lr) * step / rising
        done = (step - rising) / max(1, self.steps - rising)
        low = self.lr * self.last_lr
        return low + (self.lr - low) * (1 + math.cos(math.pi * done)) / 2

    def check(self) -> "Recipe":
        """Return this, when its numbers go together.

        Raises
        ------
        UsageError
            When they do not.
        """
        for name, low, high in (
            ("crop", 32, 1024),
            ("batch", 1, math.inf),
            ("group", 1, math.inf),
            ("epochs", 1, math.inf),
            ("steps", 0, math.inf),
            ("queue", 1, math.inf),
            ("distorted", 1, 26),
            ("momentum", 0, 1),
            ("lr", 0, math.inf),
        ):
            value = getattr(self, name)
            if not low <= value <= high:
                raise UsageError(f"--{name} {value}: expected {low} to {high}")
        if self.batch % self.group:
            raise UsageError(
                f"--batch {self.batch} --group {self.group}: a batch must be a number of groups"
            )
        if self.batch * self.n_pairs > self.queue:
            raise UsageError(
                f"--batch {self.batch}: its {self.batch * self.n_pairs} keys do not fit into "
                f"--queue {self.queue}"
            )
        if self.sides and min(self.sides) < self.crop:
            raise UsageError(f"--sides {min(self.sides)}: expected {self.crop} (the crop) or more")
        return self


SMALL = Recipe(
    arch="resnet18",
    crop=96,
    sides=(1024, 768, 512),
    batch=12,
    group=4,
    steps=1800,
    queue=4096,
    momentum=0.99,
    optimiser="sgd",
    lr=0.1,
    warmup=0.05,
)
# The published numbers, and such as fit some thousands of steps on a single machine.
PRESETS: dict[tuple[str, str], Recipe] = {
    ("reiqa", "quality"): Recipe(),
    ("reiqa", "content"): Recipe(
        mode="content",
        crop=224,
        batch=256,
        group=32,
        epochs=200,
        optimiser="sgd",
        lr=0.03,
        warmup=0.0,
        last_lr=0.0,
    ),
    ("small", "quality"): SMALL,
    ("small", "content"): dataclasses.replace(
        SMALL, mode="content", crop=128, sides=(), batch=64, group=16, steps=4000, lr=0.03
    ),
}


def chosen(preset: str, mode: str, **changes: object) -> Recipe:
    """Return a preset with what was given otherwise.

    Raises
    ------
    UsageError
        When the numbers do not go together.
    """
    given = {name: value for name, value in changes.items() if value is not None}
    return dataclasses.replace(PRESETS[preset, mode], **given).check()
