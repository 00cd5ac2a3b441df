"""Train an encoder on pictures without scores, by Re-IQA's contrastive way. Again: it goes on.

`--mode quality` learns to tell distortions apart: crops of one distorted picture belong together.
`--mode content` learns to tell pictures apart (MoCo v2). `--preset reiqa` has the published
numbers, for a pool of a hundred thousand pictures; `--preset small` fits a few thousand steps.
What comes out is an encoder: `--features pretrained:ARCH/NAME`.
"""

import argparse
import os

from features.encoders.pretrained import PLAIN, file_of
from features.errors import UsageError
from features.files import write_atomic
from features.places import place
from features.pretraining import plots
from features.pretraining.recipe import MODES, OPTIMISERS, PRESETS, TRAIN_PRECISIONS, chosen
from pipeline import cli
from pipeline.databases import aliases, locate
from pipeline.databases.overlaps import shared_content
from pipeline.probe import probe_of

EXAMPLES = """\
  python -m pipeline.pretrain --images photos/ --preset small --name mine
  python -m pipeline.pretrain --images kadis --arch resnet50 --mode quality --gpu 0
  python -m pipeline.pretrain --images my.csv --preset small --arch mobilenetv3_small_100
  torchrun --nproc-per-node 4 -m pipeline.pretrain --images kadis --gpu 0,1,2,3
  python -m pipeline.extract --db koniq --features pretrained:resnet18/mine
"""


def run_pretrain(
    images: str,
    name: str,
    preset: str = "reiqa",
    mode: str = "quality",
    root: str | None = None,
    runs: str | None = None,
    weights: str | None = None,
    gpus: tuple[str, ...] = (),
    workers: int | None = None,
    every: int = 200,
    probe: str = "sample",
    probe_every: int = 0,
    **changes: object,
) -> dict:
    """Train, write the encoder where `extract` finds it, return a summary.

    Parameters
    ----------
    images : a database, a folder of pictures, or a CSV with a column image

    What else is given changes the preset; see `features.pretraining.recipe.Recipe`.
    """
    from features.pretraining.ranks import joined, left  # torch, which --help spares
    from features.pretraining.run import ENCODER, Run
    from features.torch_engine import device_of

    recipe = chosen(preset, mode, **changes)
    local = int(os.environ.get("LOCAL_RANK", "0"))
    if gpus and local >= len(gpus):
        raise UsageError(f"--gpu {','.join(gpus)}: there are more processes than devices")
    device = device_of(gpus[local] if gpus else None)
    database = locate(images, root, place("data"))()
    recipe = recipe.with_steps(len(database.table))
    ranks = joined(device)
    say = cli.say if ranks.first else lambda text: None
    say(f"{database.name}: {len(database.table):,} pictures")
    look = None
    if probe != "none":
        probed = locate(probe, None, place("data"))()
        _warn(database, probed, say)
        look = probe_of(probed, recipe.arch, gpus[local] if gpus else None)
    folder = place("runs", runs) / "pretrain" / name
    run = Run(
        recipe,
        database.paths(),
        list(database.table["name"]),
        folder,
        device,
        ranks,
        _workers() if workers is None else workers,
        every,
        look,
        probe_every,
        say,
    )
    try:
        summary = run()
        if not ranks.first:
            return summary
        path = place("weights", weights) / file_of(recipe.arch, name)
        write_atomic(path, (folder / ENCODER).read_bytes())
        plots.write_curves(folder)
    finally:
        left()
    return summary | {"encoder": f"pretrained:{recipe.arch}/{name}", "file": str(path)}


def _workers() -> int:
    """One process that reads pictures for each processor but one, which computes."""
    return max(1, min(8, len(os.sched_getaffinity(0)) - 1))


def _warn(database, probed, say) -> None:
    """A probe on pictures that the encoder is trained on proves little."""
    names = [(one.name, *aliases(one.name)) for one in (database, probed)]
    if database.name == probed.name:
        say(f"warning: --probe {probed.name}: these are the pictures that it is trained on")
    for what in shared_content(*names):
        say(f"warning: --probe {probed.name}: {what}")


def main(argv: list[str] | None = None) -> int:
    """Parse, train, print."""
    options = cli.parser(__doc__, EXAMPLES)
    _add_options(options)
    given = vars(options.parse_args(argv))
    as_json = given.pop("json")
    given["gpus"] = given.pop("gpu")
    given["name"] = given["name"] or f"{given['mode']}-{given['preset']}"
    if not PLAIN.fullmatch(given["name"]):
        raise UsageError(
            f"--name {given['name']}: expected letters, digits and - . _ within, such as mine"
        )
    summary = run_pretrain(**given)
    if "encoder" not in summary:
        return 0  # another process prints
    if as_json:
        cli.print_json(summary)
    else:
        print(_told(summary))
    return 0


def _told(summary: dict) -> str:
    skipped = f", {summary['skipped']} could not be read" if summary["skipped"] else ""
    skipped += f", {summary['enlarged']} were enlarged" if summary["enlarged"] else ""
    probe = "".join(f", probe {name} {value:.4f}" for name, value in summary["probe"].items())
    return (
        f"{summary['steps']:,} steps, {summary['pairs']:,} pairs of {summary['pictures']:,} "
        f"pictures{skipped}, {summary['pairs_per_s']:.0f} pairs/s\n"
        f"loss {summary['loss']:.4f}, own key nearest {summary['accuracy']:.2f}{probe}\n"
        f"--features {summary['encoder']}; curves in {summary['folder']}"
    )


def _add_options(options: argparse.ArgumentParser) -> None:
    add = options.add_argument
    add("--images", required=True, metavar="DB", help="a database, a folder, or a CSV of pictures")
    add("--root", metavar="DIR", help="the database's folder (default: data/ and its name)")
    add("--name", metavar="NAME", help="of the run and the encoder (default: MODE-PRESET)")
    add("--preset", choices=sorted({p for p, _ in PRESETS}), default="reiqa", help="see above")
    add("--mode", choices=MODES, default="quality", help="see above")
    add("--arch", metavar="NAME", help="resnet18, resnet50, or timm's name of a convolutional one")
    add("--steps", type=cli.positive, help="steps in all (default: the preset's, or its epochs)")
    add("--epochs", type=cli.positive, help="passes over the pictures, without --steps")
    add("--batch", type=cli.positive, help="pictures a step, over all processes")
    add("--group", type=cli.positive, help="pictures that share batch norm; less takes less memory")
    add("--crop", type=cli.positive, help="side of a crop in pixels")
    add("--distorted", type=cli.positive, help="distorted versions of each picture")
    add(
        "--sides",
        type=cli.positive,
        nargs="*",
        metavar="PIXELS",
        help="lengths of the longer side, one of which a picture is reduced to each time",
    )
    add("--queue", type=cli.positive, help="keys that are kept as negatives")
    add("--momentum", type=float, help="of the key encoder")
    add("--temperature", type=float, help="of the contrast")
    add("--optimiser", choices=OPTIMISERS)
    add("--lr", type=float, help="learning rate at its highest")
    add("--precision", choices=TRAIN_PRECISIONS, help="of the networks (default bf16)")
    add("--seed", type=cli.natural, help="of all that is drawn (default 0)")
    add("--gpu", type=cli.devices, default=(), metavar="N[,N...]", help="default: the CPU")
    add("--workers", type=cli.natural, help="processes that make crops, for each that computes")
    add("--every", type=cli.positive, default=200, help="steps between checkpoints (default 200)")
    add("--probe", default="sample", metavar="DB", help="database to look at, or none")
    add(
        "--probe-every",
        type=cli.natural,
        default=0,
        metavar="STEPS",
        help="steps between looks (default: at the end only)",
    )
    cli.add_places(options, "runs", "weights")
    add("--json", action="store_true", help="print JSON")


if __name__ == "__main__":
    cli.run(main)
