"""What is cached, under which settings, how large; checks; one file a folder; what may go.

Without an action, all is listed. Each action has --help.
"""

import argparse
import sys
from collections.abc import Iterator

from features.cache.packing import Packed, pack
from features.cache.pruning import Removal, removals, remove
from features.cache.survey import Cached, survey
from features.cache.verifying import Verified, verify
from features.errors import InputError
from features.places import place
from pipeline import cli
from pipeline.cache_table import (
    cached_as_json,
    cached_table,
    packed_line,
    removal_line,
    size_of,
    verified_lines,
)
from pipeline.cached import chosen_places, keys_in_use, names_of, sources_of

EXAMPLES = """\
  python -m pipeline.cache                                    everything that is cached
  python -m pipeline.cache list --db koniq --json
  python -m pipeline.cache verify --db koniq                  checksums, pictures, a sample of 8
  python -m pipeline.cache verify --features nss --sample 0   computes nothing again
  python -m pipeline.cache pack --db koniq --features reiqa   one contiguous file each
  python -m pipeline.cache prune                              shows what nothing would use
  python -m pipeline.cache prune --rows --yes                 removes it
"""
ACTIONS = {
    "list": "what is cached: pictures, size, engine, date, and whether its settings are today's",
    "verify": "read all again: checksums, the pictures' files, and a sample computed anew",
    "pack": "put the shards of each folder into one contiguous file; extraction goes on beside it",
    "prune": "show what no settings of today would use, and what kills left; --yes removes it",
}


def run_list(
    cache: str | None = None,
    weights: str | None = None,
    db: str | None = None,
    features: str | None = None,
) -> list[Cached]:
    """Return what is known of each folder of the cache."""
    folder = place("weights", weights)
    return [survey(one, folder) for one in chosen_places(cache, db, features)]


def run_verify(
    cache: str | None = None,
    weights: str | None = None,
    db: str | None = None,
    features: str | None = None,
    sample: int = 8,
    seed: int = 0,
    gpu: str | None = None,
) -> list[Verified]:
    """Check folders; see `features.cache.verifying.verify`."""
    root, done, tables = place("cache", cache), [], {}
    for one in chosen_places(cache, db, features):
        if one.folder is None:
            done.append(Verified(one.path, one.path.parent.name, faults=[one.fault]))
            continue
        if one.db not in tables:
            tables[one.db] = sources_of(root, one.db)
        weights_ = place("weights", weights)
        done.append(verify(one.folder, tables[one.db], weights_, sample, seed, gpu))
    return done


def run_pack(
    cache: str | None = None, db: str | None = None, features: str | None = None
) -> Iterator[Packed]:
    """Pack folders, one after the other."""
    for one in chosen_places(cache, db, features):
        if one.folder is None:
            raise InputError(one.fault)
        yield pack(one.folder)


def run_prune(
    cache: str | None = None,
    weights: str | None = None,
    runs: str | None = None,
    db: str | None = None,
    features: str | None = None,
    rows: bool = False,
    force: bool = False,
    yes: bool = False,
) -> list[Removal]:
    """Return what may go; with `yes` it is gone.

    Parameters
    ----------
    rows : also rows of pictures that the database's table does not name any more
    force : also what a run was fitted on
    """
    root = place("cache", cache)
    used = {} if force else keys_in_use(place("runs", runs))
    found: list[Removal] = []
    for one in chosen_places(cache, db, features):
        if any(one.path.is_relative_to(item.path) for item in found if item.kind == "folder"):
            continue  # distorted versions go with their pictures' folder
        names = names_of(root, one.db) if rows else None
        found += removals(one, root, place("weights", weights), used, names)
    for item in found if yes else ():
        if not item.refused:
            remove(item)
    return found


def main(argv: list[str] | None = None) -> int:
    """Parse, do, print."""
    argv = list(sys.argv[1:] if argv is None else argv)
    if not argv or (argv[0].startswith("-") and argv[0] not in ("-h", "--help")):
        argv.insert(0, "list")
    arguments = _parser().parse_args(argv)
    chosen = vars(arguments)
    json, action = chosen.pop("json"), chosen.pop("action")
    cli.places(arguments, *(kind for kind in ("cache", "weights", "runs") if kind in chosen))
    return _PRINTED[action](json, **chosen)


def _list(json: bool, **chosen) -> int:
    found = run_list(**chosen)
    for item in found:
        if item.place.folder is None:
            cli.say(f"warning: {item.place.fault}")
    _print(json, [cached_as_json(item) for item in found], lambda: [cached_table(found)])
    return 0


def _verify(json: bool, **chosen) -> int:
    done = run_verify(**chosen)
    values = [vars(item) | {"path": str(item.path)} for item in done]
    _print(json, values, lambda: [line for item in done for line in verified_lines(item)])
    return int(any(item.faults for item in done))


def _pack(json: bool, **chosen) -> int:
    done = []
    for item in run_pack(**chosen):
        done.append(vars(item) | {"path": str(item.path)})
        if not json:
            print(packed_line(item), flush=True)
    if json:
        cli.print_json(done)
    return 0


def _prune(json: bool, **chosen) -> int:
    found = run_prune(**chosen)
    values = [
        {
            "path": str(item.path),
            "kind": item.kind,
            "why": item.why,
            "bytes": item.n_bytes,
            "refused": item.refused,
            "removed": chosen["yes"] and not item.refused,
        }
        for item in found
    ]
    _print(json, values, lambda: [removal_line(item, chosen["yes"]) for item in found])
    free = sum(item.n_bytes for item in found if not item.refused)
    if not found:
        cli.say("nothing: all that is cached is what extract would use today")
    elif chosen["yes"]:
        cli.say(f"{size_of(free)} set free")
    else:
        cli.say(f"{size_of(free)} would be set free: nothing is removed without --yes")
    return 0


_PRINTED = {"list": _list, "verify": _verify, "pack": _pack, "prune": _prune}


def _print(json: bool, value: object, lines) -> None:
    if json:
        cli.print_json(value)
    else:
        print("\n".join(lines()), end="\n" if value else "")


def _parser() -> argparse.ArgumentParser:
    options = cli.parser(__doc__, EXAMPLES)
    actions = options.add_subparsers(dest="action", required=True, metavar="ACTION")
    of = cli.add_actions(actions, "cache", ACTIONS, EXAMPLES)
    for name, one in of.items():
        one.add_argument("--db", help="only this database, by its name in the cache")
        one.add_argument("--features", help="only this feature set, such as reiqa or nss")
        one.add_argument("--json", action="store_true", help="print the result as JSON")
        cli.add_places(one, "cache", *(() if name == "pack" else ("weights",)))
    add = of["verify"].add_argument
    add(
        "--sample",
        type=cli.natural,
        default=8,
        metavar="N",
        help="pictures of each folder that are computed again, 0 for none (default %(default)s)",
    )
    add("--seed", type=cli.natural, default=0, help="draws the sample (default %(default)s)")
    add("--gpu", metavar="N", help="CUDA device that computes the sample (default: the CPU)")
    add = of["prune"].add_argument
    add("--rows", action="store_true", help="also rows of pictures that the table does not name")
    add("--force", action="store_true", help="also what a run under --runs was fitted on")
    add("--yes", action="store_true", help="remove it; without, it is only shown")
    cli.add_places(of["prune"], "runs")
    return options


if __name__ == "__main__":
    cli.run(main)
