"""A pretraining run in a folder: it goes on from where it was, and writes what is to be seen.

The folder holds checkpoint.pt, settings.json, log.csv (a row a step), probes.csv, skipped.csv,
curves.png, the encoder (encoder.safetensors, and the published layout in published.pth), and
TensorBoard's files where that is installed.
"""

import contextlib
import csv
import dataclasses
import io
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch

from features.errors import InputError
from features.files import digest, locked, read_json, write_atomic, write_json
from features.pretraining import checkpoint, export, loader
from features.pretraining.checkpoint import Checkpoint
from features.pretraining.pictures import Pictures
from features.pretraining.ranks import ALONE, Ranks
from features.pretraining.recipe import Recipe
from features.pretraining.training import Step, Trainer
from features.progress import progress
from features.provenance import versions
from features.sources import Source
from features.torch_engine import exact_float32

ENCODER, PUBLISHED, SETTINGS = "encoder.safetensors", "published.pth", "settings.json"
LOG = ("step", "loss", "accuracy", "lr", "data_s", "forward_s", "backward_s")
_LIBRARIES = ("torch", "torchvision", "timm", "numpy", "Pillow")
# what `probe` gets: the encoder's file as it would be now; what it gives: name -> value
Probe = Callable[[bytes], dict[str, float]]


@dataclass
class Run:
    """One run.

    Attributes
    ----------
    names : of the pictures, as they stand in skipped.csv
    every : steps between checkpoints
    probe, probe_every : what looks at the encoder, and after how many steps; 0 is at the end only
    """

    recipe: Recipe
    sources: Sequence[Source]
    names: Sequence[str]
    folder: Path
    device: str = "cpu"
    ranks: Ranks = ALONE
    workers: int = 0
    every: int = 200
    probe: Probe | None = None
    probe_every: int = 0
    say: Callable[[str], None] = print
    log: list[tuple] = field(default_factory=list)
    probes: list[tuple] = field(default_factory=list)
    failed: dict[int, str] = field(default_factory=dict)
    enlarged: set[int] = field(default_factory=set)

    def __call__(self) -> dict:
        """Train to the last step; return a summary.

        Raises
        ------
        InputError
            When no picture can be read, memory does not suffice, or the loss is no number.
        UsageError
            When the folder holds another run.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        lock = locked(self.folder) if self.ranks.first else contextlib.nullcontext()
        on_gpu = self.device.startswith("cuda")
        exact = exact_float32() if on_gpu else contextlib.nullcontext()
        with lock, exact, _enough_memory(self.recipe):
            trainer = Trainer(self.recipe, self.device, self.ranks)
            start = self._resume(trainer)
            if start < self.recipe.steps:
                self._refuse_unreadable()
                self._train(trainer, start)
            return self._finish(trainer)

    def _resume(self, trainer: Trainer) -> int:
        found = checkpoint.load(self.folder, self.recipe, self._digest)
        if not found:
            self._write_settings()
            return 0
        trainer.take(found.trainer)
        self.log, self.probes, self.failed = found.log, found.probes, found.failed
        self.enlarged = set(found.enlarged)
        self.say(f"goes on after step {found.step:,} of {self.recipe.steps:,}")
        before = read_json(self.folder / SETTINGS, "processes")["processes"]
        if before != self.ranks.size:
            self.say(
                f"with {self.ranks.size} processes, before {before}: numbers agree to rounding"
            )
        return found.step

    def _train(self, trainer: Trainer, start: int) -> None:
        recipe = self.recipe
        bar = progress(recipe.steps if self.ranks.first else 0, "pretrain", "step")
        bar.update(start)
        board = self._board(start)
        waited = time.perf_counter()
        batches = loader.batches(recipe, self.sources, start, self.ranks, self.workers)
        for number, batch in enumerate(batches, start):
            seconds = {"data": time.perf_counter() - waited}
            step = trainer.step(number, batch.crops)
            self.failed |= batch.failed
            self.enlarged |= batch.enlarged
            self._note(step, seconds | dict(step.seconds), board)
            bar.set_postfix(loss=f"{step.loss:.3f}", own=f"{step.accuracy:.2f}")
            bar.update()
            done = number + 1
            due = self.probe and self.probe_every and done % self.probe_every == 0
            if due and done < recipe.steps:
                self._probe(trainer, done, board)
            if done % self.every == 0 or done == recipe.steps:
                self._save(trainer, done)
            waited = time.perf_counter()
        bar.close()
        self._probe_at_end(trainer, board)
        if board:
            board.close()

    def _note(self, step: Step, seconds: dict, board) -> None:
        numbers = (step.loss, step.accuracy, step.lr)
        times = (round(seconds[name], 4) for name in ("data", "forward", "backward"))
        self.log.append((step.number + 1, *numbers, *times))
        if board:
            for name, value in zip(LOG[1:4], numbers, strict=True):
                board.add_scalar(name, value, step.number + 1)

    def _probe(self, trainer: Trainer, done: int, board=None) -> None:
        """Every process waits, for the next step needs all of them."""
        if self.ranks.first:
            try:
                found = self.probe(self._encoder(trainer, done))
            except (InputError, ValueError) as error:  # what was trained is worth more than a look
                self.say(f"warning: no probe at step {done:,}: {error}")
                found = {}
            self.probes.append((done, found))
            for name, value in found.items():
                self.say(f"step {done:,}: probe {name} {value:.4f}")
                if board:
                    board.add_scalar(f"probe/{name}", value, done)
        self.ranks.wait()

    def _probe_at_end(self, trainer: Trainer, board=None) -> None:
        done = self.recipe.steps
        if self.probe and not (self.probes and self.probes[-1][0] == done):
            self._probe(trainer, done, board)
            self._save(trainer, done)

    def _encoder(self, trainer: Trainer, done: int) -> bytes:
        facts = {"steps": done, "pictures": self._digest, "n_pictures": len(self.sources)}
        return export.encoder_bytes(trainer.query, self.recipe, facts)

    def _save(self, trainer: Trainer, done: int) -> None:
        state = trainer.state()  # all processes join their batch norms' moments
        if not self.ranks.first:
            return
        found = Checkpoint(
            self.recipe,
            self._digest,
            done,
            state,
            self.log,
            self.probes,
            self.failed,
            sorted(self.enlarged),
        )
        checkpoint.save(found, self.folder)
        write_atomic(self.folder / "log.csv", _csv(LOG, self.log))
        skipped = [(self.names[number], why) for number, why in sorted(self.failed.items())]
        write_atomic(self.folder / "skipped.csv", _csv(("name", "reason"), skipped))

    def _finish(self, trainer: Trainer) -> dict:
        recipe, done = self.recipe, self.recipe.steps
        self._probe_at_end(trainer)  # a run that was ended before it has none yet
        if self.ranks.first:
            write_atomic(self.folder / ENCODER, self._encoder(trainer, done))
            write_atomic(self.folder / PUBLISHED, export.published_bytes(trainer.query))
            rows = [(step, *found.values()) for step, found in self.probes if found]
            names = next((found for _, found in self.probes if found), ())
            write_atomic(self.folder / "probes.csv", _csv(("step", *names), rows))
        last = self.log[-max(1, len(self.log) // 20) :]
        pairs = recipe.batch * recipe.n_pairs
        return {
            "folder": str(self.folder),
            "steps": done,
            "pairs": done * pairs,
            "pictures": len(self.sources) - len(self.failed),
            "skipped": len(self.failed),
            "enlarged": len(self.enlarged),
            "loss": sum(row[1] for row in last) / len(last),
            "accuracy": sum(row[2] for row in last) / len(last),
            "pairs_per_s": pairs * len(self.log) / sum(sum(row[4:]) for row in self.log),
            "probe": dict(self.probes[-1][1]) if self.probes else {},
        }

    @property
    def _digest(self) -> str:
        return digest(list(self.names))

    def _write_settings(self) -> None:
        if self.ranks.first:
            settings = {
                "recipe": dataclasses.asdict(self.recipe),
                "pictures": {"n": len(self.sources), "digest": self._digest},
                "processes": self.ranks.size,
                "device": self.device,
                "versions": versions(_LIBRARIES),
            }
            write_json(self.folder / SETTINGS, settings)

    def _refuse_unreadable(self) -> None:
        pictures = Pictures(self.sources, kept=0)
        if all(pictures.read(number) is None for number in range(len(pictures))):
            why = next(iter(pictures.failed.values()), "there are none")
            raise InputError(f"none of the {len(pictures)} pictures can be read: {why}")

    def _board(self, start: int):
        """TensorBoard's writer, which forgets what a run wrote after its last checkpoint."""
        if not self.ranks.first:
            return None
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            self.say("curves go to log.csv; for TensorBoard: pip install 'meanopinion[pretrain]'")
            return None
        return SummaryWriter(str(self.folder / "tensorboard"), purge_step=start + 1)


@contextlib.contextmanager
def _enough_memory(recipe: Recipe) -> Iterator[None]:
    try:
        yield
    except (MemoryError, torch.OutOfMemoryError) as error:
        raise InputError(_memory(recipe)) from error
    except RuntimeError as error:
        if "DefaultCPUAllocator" not in str(error) and "out of memory" not in str(error):
            raise
        raise InputError(_memory(recipe)) from error


def _memory(recipe: Recipe) -> str:
    return (
        f"not enough memory for {recipe.group} pictures ({recipe.group * recipe.n_pairs} crops of "
        f"{recipe.crop} pixels) at once: choose a smaller --group, which changes the numbers, or "
        "--precision bf16; what was trained is kept in the last checkpoint"
    )


def _csv(header: Sequence[str], rows: Sequence[Sequence]) -> bytes:
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return file.getvalue().encode()
