"""Which encoder needs which weight file, where to get it, whether it is there and is right.

Without an action, all are listed. Each action has --help.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from features.encoders import ENCODERS
from features.errors import InputError, UsageError
from features.fetch import fetch_weights
from features.names import Request, parse
from features.places import expand, place
from features.weight_checks import Verdict, accept, verify, verify_all
from features.weight_files import Found, all_requests, file_of, requests_of, survey
from features.weight_import import import_all, import_file
from pipeline import cli
from pipeline.weight_table import as_json, verdict_as_json, verdict_lines, weight_table

EXAMPLES = """\
  python -m pipeline.weights                                  every file: there or not, from where
  python -m pipeline.weights list uiqa timm:resnet18 --json
  python -m pipeline.weights fetch uiqa                       from its address, resuming
  python -m pipeline.weights verify                           every file that is there
  python -m pipeline.weights verify --file ~/net.pth --as reiqa-quality
  python -m pipeline.weights verify --accept weights/RN50.pt  changed on purpose
  python -m pipeline.weights import ~/quality_aware_r50.pth --as reiqa-quality
"""
ACTIONS = {
    "list": "which encoder needs which file, from where, and whether it is there",
    "verify": "build encoders from their files: each tensor must be there, and no other",
    "import": "convert a published file to safetensors, once; cache keys stay as they are",
    "fetch": "download the files that have an address; what was cut is resumed",
}


def run_list(features: Sequence[str], weights: str | None = None) -> list[Found]:
    """Return what is known of each file of the encoders named, or of all."""
    encoders = {request.encoder.name: request.encoder for request in requests_of(features)}
    return survey((encoders or ENCODERS).values(), place("weights", weights))


def run_verify(
    features: Sequence[str],
    weights: str | None = None,
    file: str | None = None,
    as_: str | None = None,
    role: str = "",
    changed: Sequence[str] = (),
) -> list[Verdict]:
    """Build encoders from their files.

    Parameters
    ----------
    features : feature sets; every encoder whose files are there when none is given
    file, as_, role : one file, wherever it lies, taken for that of an encoder
    changed : files whose new content is put on record once it is seen to be right
    """
    folder = place("weights", weights)
    if file and (features or changed):
        raise UsageError("--file is verified alone, as what --as says")
    if file:
        request, path = _one(as_), _file(file, folder)
        return [verify(request, folder, {file_of(request, path, role).role: path})]
    if as_ or role:
        raise UsageError("--as and --role say what --file is: name one")
    if changed:
        paths = [_file(name, folder) for name in changed]
        return accept(paths, folder, requests_of(features) or all_requests())
    if features:
        return [verify(request, folder) for request in requests_of(features)]
    return verify_all(folder)


def run_import(
    source: str, weights: str | None = None, as_: str | None = None, role: str = ""
) -> list[Path]:
    """Convert a file for the encoder `as_`, or, when `source` is an encoder, the files it has."""
    folder = place("weights", weights)
    if as_:
        return [import_file(_file(source, folder), _one(as_), folder, role)]
    if expand(source).is_file():
        raise UsageError(f"say what {source} is: --as ENCODER")
    return [path for request in parse(source) for path in import_all(request, folder)]


def run_fetch(
    features: Sequence[str], weights: str | None = None, url: str | None = None
) -> tuple[list[tuple[str, str]], list[Verdict]]:
    """Fetch what the encoders named, or all, need and this disk lacks; then verify them.

    Parameters
    ----------
    url : where to get the one file that is needed, if not from its own address

    Returns
    -------
    lines : what became of each file: (there, fetched or failed; its path, or why not)
    verdicts : of the encoders whose files were fetched
    """
    folder = place("weights", weights)
    requests = requests_of(features) or all_requests()
    needs = {r.name: [f for f in r.encoder.files(r.values) if not f.package] for r in requests}
    wanted = dict.fromkeys(file for files in needs.values() for file in files)
    missing = [file for file in wanted if not file.locate(folder)]
    if url and len(missing) != 1:
        names = ", ".join(file.filename for file in missing)
        raise UsageError(f"--url is for one file, missing are {names or 'none'}")
    lines = [("there", str(file.locate(folder))) for file in wanted if file not in missing]
    fetched = []
    for file in missing:
        if not (file.url or url or features):
            continue  # all were asked for, and this one is got by hand; list says how
        try:
            lines.append(("fetched", str(fetch_weights(file, folder, url or ""))))
            fetched.append(file)
        except InputError as error:
            where = "" if file.page in str(error) else f"; {file.page} has it"
            lines.append(("failed", f"{error}{where}"))
    fresh = [request for request in requests if set(needs[request.name]) & set(fetched)]
    verdicts = [verify(request, folder) for request in fresh]
    return lines, [verdict for verdict in verdicts if features or not verdict.absent]


def _one(name: str | None) -> Request:
    requests = parse(name) if name else ()
    if len(requests) != 1:
        known = ", ".join(r.name for r in requests or all_requests())
        raise UsageError(f"--as {name or ''}: name the one encoder that reads the file, of {known}")
    return requests[0]


def _file(name: str, weights: Path) -> Path:
    for path in (Path(os.path.abspath(expand(name))), weights / name):
        if path.is_file():
            return path
    raise UsageError(f"there is no file {name}, neither here nor in {weights}")


def main(argv: list[str] | None = None) -> int:
    """Parse, do, print."""
    argv = list(sys.argv[1:] if argv is None else argv)
    if not argv or (argv[0].startswith("-") and argv[0] not in ("-h", "--help")):
        argv.insert(0, "list")
    arguments = _parser().parse_args(argv)
    cli.places(arguments, "weights")
    chosen = vars(arguments)
    json, action = chosen.pop("json"), chosen.pop("action")
    return _PRINTED[action](json, **chosen)


def _list(json: bool, **chosen) -> int:
    found = run_list(**chosen)
    text = "" if json else weight_table(found, place("weights", chosen["weights"]))
    return _print(json, [as_json(item) for item in found], [text])


def _verify(json: bool, **chosen) -> int:
    verdicts = run_verify(**chosen)
    named = chosen["features"] or chosen["file"] or chosen["changed"]
    absent = [] if named else [verdict.name for verdict in verdicts if verdict.absent]
    if absent:
        cli.say(f"not here: {', '.join(absent)}")
    checked = [verdict for verdict in verdicts if verdict.name not in absent]
    if not checked:
        raise InputError("no weight file is here to verify; python -m pipeline.weights lists them")
    _print(json, [verdict_as_json(verdict) for verdict in checked], verdict_lines(checked))
    return int(any(verdict.faults for verdict in checked))


def _import(json: bool, **chosen) -> int:
    paths = [str(path) for path in run_import(**chosen)]
    cli.say("the published file is not read any more where the converted one is, and may go")
    return _print(json, paths, [f"imported  {path}" for path in paths])


def _fetch(json: bool, **chosen) -> int:
    files, verdicts = run_fetch(**chosen)
    value = {
        "files": [{"state": state, "what": what} for state, what in files],
        "verified": [verdict_as_json(verdict) for verdict in verdicts],
    }
    lines = [f"{state:8}  {what}" for state, what in files] + verdict_lines(verdicts)
    _print(json, value, lines or ["there is nothing to fetch"])
    failed = any(state == "failed" for state, _ in files)
    return int(failed or any(verdict.faults for verdict in verdicts))


_PRINTED = {"list": _list, "verify": _verify, "import": _import, "fetch": _fetch}


def _print(json: bool, value: object, lines: Sequence[str]) -> int:
    if json:
        cli.print_json(value)
    else:
        print("\n".join(lines))
    return 0


def _parser() -> argparse.ArgumentParser:
    options = cli.parser(__doc__, EXAMPLES)
    actions = options.add_subparsers(dest="action", required=True, metavar="ACTION")
    of = cli.add_actions(actions, "weights", ACTIONS, EXAMPLES)
    for name in ("list", "verify", "fetch"):
        of[name].add_argument(
            "features", nargs="*", metavar="FEATURES", help="feature sets (default all)"
        )
    of["import"].add_argument(
        "source",
        metavar="FILE",
        help="a published file, with --as; or an encoder, whose files are in the weights folder",
    )
    of["verify"].add_argument("--file", help="a file that lies elsewhere; with --as")
    of["verify"].add_argument(
        "--accept",
        dest="changed",
        metavar="FILE",
        action="append",
        default=[],
        help="a file that was changed on purpose: its new content is put on record if it is right",
    )
    for name in ("verify", "import"):
        of[name].add_argument("--as", dest="as_", metavar="ENCODER", help="what the file is")
        of[name].add_argument("--role", default="", help="which of the encoder's files it is")
    of["fetch"].add_argument("--url", help="another address, for an encoder that needs one file")
    for one in of.values():
        one.add_argument("--json", action="store_true", help="print the result as JSON")
        cli.add_places(one, "weights")
    return options


if __name__ == "__main__":
    cli.run(main)
