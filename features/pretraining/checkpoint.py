"""Checkpoints: all that a run goes on from, in one file, written aside and renamed."""

import dataclasses
import io
from dataclasses import dataclass
from pathlib import Path

import torch

from features.errors import InputError, UsageError
from features.files import write_atomic
from features.pretraining.recipe import Recipe
from features.weights import load_state

CHECKPOINT = "checkpoint.pt"
_KEYS = {"recipe", "pictures", "step", "trainer", "log", "probes", "failed", "enlarged"}


@dataclass(frozen=True)
class Checkpoint:
    """Where a run is.

    Attributes
    ----------
    pictures : digest of the names of all pictures, in their order
    step : steps done
    trainer : of `Trainer.state`
    log : (step, loss, accuracy, rate, seconds) of every step, the step counted from 1
    probes : (step, name -> value) of every probe
    failed : number of a picture -> why it could not be read
    enlarged : numbers of pictures that were too small
    """

    recipe: Recipe
    pictures: str
    step: int
    trainer: dict
    log: list[tuple[float, ...]]
    probes: list[tuple[int, dict[str, float]]]
    failed: dict[int, str]
    enlarged: list[int]


def save(checkpoint: Checkpoint, folder: Path) -> None:
    """Write a checkpoint, whole or not at all."""
    fields = {f.name: getattr(checkpoint, f.name) for f in dataclasses.fields(checkpoint)}
    fields["recipe"] = dataclasses.asdict(checkpoint.recipe)
    file = io.BytesIO()
    torch.save(fields, file)
    write_atomic(folder / CHECKPOINT, file.getvalue())


def load(folder: Path, recipe: Recipe, pictures: str) -> Checkpoint | None:
    """Return the checkpoint of a folder, None where there is none.

    Raises
    ------
    UsageError
        When it is of another recipe or of other pictures.
    InputError
        When the file is none of ours.
    """
    path = folder / CHECKPOINT
    if not path.is_file():
        return None
    found = load_state(path)
    if not isinstance(found, dict) or set(found) != _KEYS:
        raise InputError(f"{path} is no checkpoint of a pretraining run: choose another --name")
    asked, given = dataclasses.asdict(recipe), found["recipe"]
    for name in asked:
        if _plain(given.get(name)) != _plain(asked[name]):
            raise UsageError(
                f"{path} was begun with {name} {given.get(name)}, and {asked[name]} was asked for: "
                "give the same command to go on, or another --name to begin anew"
            )
    if found["pictures"] != pictures:
        raise UsageError(
            f"{path} was begun with other pictures: give the same --images to go on, or another "
            "--name to begin anew"
        )
    return Checkpoint(**found | {"recipe": recipe})


def _plain(value: object) -> object:
    return list(value) if isinstance(value, tuple | list) else value
