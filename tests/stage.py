"""A place as README and docs presume it: databases, weights, photographs, servers, all of it small.

What is typed there is done as it stands, but for what a test cannot have: hosts are local ones,
trials and steps are few, a page is stopped once it answers, and `--gpu` names the GPUs that there
are, or is left out.
"""

import contextlib
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tarfile
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import ROOT, write_csv, write_pictures
from known import REIQA_FILES
from servers import Ranged, free_port, serving
from trees import quality, tiny, write_xlsx
from trees_authentic import build_clive, build_koniq
from trees_generated import build_agiqa3k, build_uhdiqa

from features.encoders import ENCODERS

DATABASES: dict[str, Callable[[Path], None]] = {
    "koniq": build_koniq,
    "clive": build_clive,
    "agiqa-3k": build_agiqa3k,
    "uhd-iqa": build_uhdiqa,
}
# What a reader has done before, where a page says so in words.
BEFORE = {
    "README.md": (
        "python -m pipeline.extract --db koniq --features reiqa",
        "python -m pipeline.extract --db clive --features reiqa",
        "python -m pipeline.fit --db koniq --features reiqa --regressor ridge",
        "python -m pipeline.extract --db pcuid --root ../shared/data/pcuid --features nss",
        "python -m pipeline.fit --db pcuid --features nss --regressor ridge",
        "python -m pipeline.extract --db agiqa-3k --features nss",
        "python -m pipeline.extract --db uhd-iqa --features nss",
    ),
    "how-to.md": (
        "python -m pipeline.extract --db photos/labels.csv --features nss",
        "python -m pipeline.fit --features nss --regressor ridge",
        "python -m pipeline.head export nss/ridge -o head.zip",
    ),
}
# command -> what is added to what is typed
ADDED = {
    "fit": ("--trials", "3"),
    "pretrain": ("--steps", "2", "--probe", "none"),
}


def build_pcuid(root: Path) -> None:
    """Forty of the three hundred pictures, of different groups."""
    write_xlsx(
        root / "MOS.xlsx",
        {"1": [("image_id", "MOS"), *((n, quality(n % 10, 5, 95)) for n in range(1, 301))]},
    )
    for number in range(1, 41):
        tiny(root / "300-1" / f"图片{number}.jpg", number % 10, number)


def build(place: Path, known_weights: Callable[[str], Path]) -> Path:
    """Lay everything out; returns the folder in which commands are typed."""
    here, home = place / "here", place / "home"
    for name, builder in DATABASES.items():
        (here / "data" / name).mkdir(parents=True)
        builder(here / "data" / name)
    home.mkdir()
    (home / "koniq").symlink_to(here / "data" / "koniq")
    build_pcuid(place / "shared" / "data" / "pcuid")
    (home / "pcuid").symlink_to(place / "shared" / "data" / "pcuid")
    (here / "weights").mkdir()
    for name in REIQA_FILES.values():
        shutil.copy(known_weights("reiqa-quality") / name, here / "weights")
    shutil.copy(here / "weights" / REIQA_FILES["quality"], home)
    write_csv(here / "photos", 40, groups=20)
    rated = "image,score\np000.png,80\np003.png,60\np006.png,40\np009.png,20\n"
    (here / "photos" / "pairs.csv").write_text(rated)
    for beside, name in (("labels.csv", "my.csv"), ("pairs.csv", "pairs.csv")):
        text = (here / "photos" / beside).read_text()
        (here / name).write_text(re.sub(r"^p", "photos/p", text, flags=re.MULTILINE))
    # those of the run before
    (here / "splits.csv").symlink_to("runs/koniq/reiqa/ridge/mos/latest/splits.csv")
    tiny(here / "photo.jpg", 0)
    names = write_pictures(place / "host" / "photos", 10)
    for folder in (here, place / "host"):
        for number in range(100):
            with tarfile.open(folder / f"shards-{number:03}.tar", "w") as tar:
                name = names[number % 10]
                tar.add(place / "host" / "photos" / name, f"{number:03}-{name}")
    shutil.copy(known_weights("uiqa") / "UIQA.pth", place / "host")
    return here


@contextlib.contextmanager
def hosts(place: Path, patch: pytest.MonkeyPatch) -> Iterator[dict[str, str]]:
    """Serve what the pages fetch; gives the address that stands for each of theirs."""
    with serving(place / "host", Ranged) as (url, _):
        record = ENCODERS["uiqa"]
        files = tuple(replace(file, url=f"{url}/{file.filename}") for file in record.weights)
        patch.setitem(ENCODERS, "uiqa", replace(record, weights=files))
        yield {"s3://bucket": url, "https://host": url}


def understood(line: str, instead: Mapping[str, str], n_gpus: int) -> tuple[str, list[str]]:
    """Return the command of a line and its arguments, as they can be given here."""
    for theirs, ours in instead.items():
        line = line.replace(theirs, ours)
    gpus = f"--gpu {','.join(map(str, range(n_gpus)))}" if n_gpus else ""
    line = re.sub(r"--gpu [\d,]+", gpus, line)
    _, _, module, *arguments = shlex.split(line)
    name = module.removeprefix("pipeline.")
    arguments = [str(Path(a).expanduser()) if a.startswith("~") else a for a in arguments]
    for option in {"--cluster", "--precision"} & {*arguments}:
        # else nothing is left to do, and a fit would have to be told which precision
        arguments += ["--cache", f"cache{option}"]
    return name, [*arguments, *ADDED.get(name, ())]


def partial(out: str) -> bool:
    """Tell whether `databases check` found nothing wrong but that most pictures are not there."""
    problems = re.findall(r"^problem: .*", out, re.MULTILINE)
    return len(problems) == 1 and "labelled pictures are missing" in problems[0]


def page_answers(arguments: list[str]) -> None:
    """Start `serve`, see that it answers (with 401 where it asks for its token), and stop it."""
    port = free_port()  # the ports of the pages may be taken
    process = subprocess.Popen(
        [sys.executable, "-m", "pipeline.serve", *arguments, "--port", str(port)],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout.readline().startswith("http://"), process.stderr.read()
        try:
            status = urllib.request.urlopen(f"http://127.0.0.1:{port}/config", timeout=60).status
        except urllib.error.HTTPError as error:
            status = error.code
        assert status == (401 if "--host" in arguments else 200)
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0, process.stderr.read()
    finally:
        process.kill()
        process.communicate()
