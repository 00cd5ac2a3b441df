"""What all commands share: options, exit codes, and one clear line for a mistake."""

import argparse
import json
import os
import sys
import unicodedata
import warnings
from collections.abc import Callable, Mapping

from features.errors import InputError
from features.places import place
from features.runtime import ALL_PRECISIONS, BUDGET, ENGINES
from features.way import Way
from regressors.errors import DataError


def parser(doc: str, examples: str) -> argparse.ArgumentParser:
    """Return a parser with the command's description above and its examples below the options."""
    return argparse.ArgumentParser(
        description=doc,
        epilog=f"examples:\n{examples}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )


def add_actions(
    subparsers, command: str, actions: Mapping[str, str], examples: str
) -> dict[str, argparse.ArgumentParser]:
    """Add the actions of a command, each with its own examples; return their parsers by name.

    Parameters
    ----------
    subparsers : what `add_subparsers` gave
    actions : name -> what it does, in one line
    """
    return {
        name: subparsers.add_parser(
            name,
            help=summary,
            description=f"{summary[0].upper()}{summary[1:]}.",
            epilog="\n".join(
                ["examples:", *(li for li in examples.splitlines() if f"{command} {name}" in li)]
            ),
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        for name, summary in actions.items()
    }


def add_places(options: argparse.ArgumentParser, *kinds: str) -> None:
    """Add --cache, --runs or --weights: each place has its own option."""
    for kind in kinds:
        options.add_argument(
            f"--{kind}",
            metavar="DIR",
            help=f"folder for {kind} (default: {kind}/ under "
            "$MEANOPINION_HOME, else the nearest parent folder that has a cache/, else here)",
        )


def places(arguments: argparse.Namespace, *kinds: str) -> dict:
    """Return the folders in use, and say on stderr which they are."""
    chosen = {kind: place(kind, getattr(arguments, kind, None)) for kind in kinds}
    say(", ".join(f"{kind} {folder}" for kind, folder in chosen.items()))
    return chosen


def say(text: str) -> None:
    """Print progress, which goes to stderr; results go to stdout."""
    print(harmless(text), file=sys.stderr, flush=True)


def harmless(text: str) -> str:
    """Return a stranger's text without what a terminal would obey; line ends stay."""
    return "".join(
        c if c in "\n\t" or unicodedata.category(c)[0] != "C" else "\N{REPLACEMENT CHARACTER}"
        for c in text
    )


def name_some(names, limit: int = 5) -> str:
    """Return the first names of a long list."""
    names = list(names)
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(map(str, names[:limit])) + more


def print_json(value: object) -> None:
    """Print a result as JSON."""
    text = json.dumps(value, indent=1, ensure_ascii=False)
    print(text.encode(errors="replace").decode())  # half a surrogate pair is no text


def positive(text: str) -> int:
    """Read a whole number above 0, for argparse."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number above 0, got {text!r}")
    return int(text)


def natural(text: str) -> int:
    """Read a whole number from 0, for argparse."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"expected a whole number from 0, got {text!r}")
    return int(text)


def megapixels(text: str) -> float:
    """Read a limit above 0, for argparse."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not value > 0:
        raise argparse.ArgumentTypeError(f"expected megapixels above 0, got {text!r}")
    return value


# Commands let processes of their own read pictures, which may kill them; tests need not.
ISOLATED = True


def add_way(options: argparse.ArgumentParser) -> None:
    """Add the options of `features.way.Way`; `take_way` reads them."""
    add = options.add_argument
    add(
        "--gpu",
        metavar="N[,N...]",
        type=devices,
        default=(),
        help="CUDA devices, such as 0 or 0,1,2,3: a worker each (default: the CPU)",
    )
    add(
        "--engine",
        default="auto",
        choices=["auto", *ENGINES],
        help="what computes (default auto: torch on a GPU; on the CPU what the cache goes on with, "
        "else openvino where it is installed)",
    )
    add(
        "--precision",
        default="fp32",
        choices=ALL_PRECISIONS,
        help="fp32 is exact; the others are faster, and stand beside it in the cache",
    )
    add(
        "--budget",
        type=megapixels,
        default=BUDGET,
        metavar="MEGAPIXELS",
        help="what a network takes at once (default %(default)g): less takes less memory",
    )
    add(
        "--cluster",
        default="",
        metavar="ADDRESS",
        help="a Ray cluster: HOST:PORT of its head, or auto, on one of its machines; pictures and "
        "weights must lie at the same paths on all of them",
    )


def take_way(chosen: dict, **more: object) -> Way:
    """Take the options of `add_way` out of the parsed ones."""
    names = {"gpu": "gpus"}
    taken = ("gpu", "engine", "precision", "budget", "cluster")
    return Way(**{names.get(n, n): chosen.pop(n) for n in taken}, **more, isolated=ISOLATED)


def devices(text: str) -> tuple[str, ...]:
    """Read `0,1,2`, for argparse."""
    devices = tuple(part.strip() for part in text.split(","))
    if not all(device.isdecimal() for device in devices) or len(set(devices)) < len(devices):
        raise argparse.ArgumentTypeError(f"expected numbers of devices, such as 0,1, got {text!r}")
    return devices


def run(main: Callable[[list[str] | None], int | None]) -> None:
    """Run a command: a user's mistake is one line, never a traceback."""
    warnings.filterwarnings("ignore", module=r"PIL\.")  # corrupt EXIF and the like
    try:
        code = main(None) or 0
        sys.stdout.flush()
    except (InputError, DataError) as error:
        say(f"error: {error}")
        code = error.exit_code
    except KeyboardInterrupt:
        say("interrupted: what was written is whole; the same command goes on from there")
        code = 1
    except BrokenPipeError:
        # the reader of our output went away, as `| head` does; leave without a second complaint
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 1
    except (OSError, MemoryError) as error:
        # a full disk or a folder without permission, wherever it shows; what is written is whole
        why = str(error) or "not enough memory"
        say(f"error: {why}; mend that, then give the same command again")
        code = 1
    sys.exit(code)
