"""What a plan of a million pictures costs before the first and without any embedding.

python benchmarks/planning.py [--pictures 1000000] [--folder DIR]

Writes so many small files and a cache with 36 numbers of each, and times in a process of its own:
reading the folder as a database, its table, the plan, a first start (nothing cached) and a resume
(everything cached). All is removed at the end. The pictures are stubs of a few bytes: their headers
are not read (that is the size-only baseline's, in pipeline/sizes.py).
"""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from features.cache.folder import CacheFolder, ShardWriter
from features.cache.settings import settings_of
from features.cache.shards import Row
from features.names import parse
from features.resume import facts_of, pending, positions, summary
from features.sources import FileFacts
from pipeline.databases import locate
from pipeline.extract import plan
from pipeline.tables import write_table

IN_A_FOLDER = 1000
NUMBERS = np.arange(36, dtype=np.float32)


class Clock:
    """Prints what each step took, and the peak memory so far."""

    def __init__(self) -> None:
        self.start = self.last = (time.perf_counter(), time.process_time())

    def __call__(self, step: str) -> None:
        """End a step."""
        now = (time.perf_counter(), time.process_time())
        wall, busy = (end - start for end, start in zip(now, self.last, strict=True))
        with open("/proc/self/status") as file:
            memory = next(int(line.split()[1]) for line in file if line.startswith("VmHWM"))
        print(
            f"{step:38} {wall:7.1f} s   processor {busy:6.1f} s   peak {memory / 1e6:5.2f} GB",
            flush=True,
        )
        self.last = now


def write_pictures(root: Path, n: int) -> None:
    """Write n files of a few bytes, a thousand in a folder."""
    for start in range(0, n, IN_A_FOLDER):
        folder = root / f"{start // IN_A_FOLDER:05d}"
        folder.mkdir(parents=True)
        for index in range(start, min(start + IN_A_FOLDER, n)):
            (folder / f"picture-{index:07d}.jpg").write_bytes(b"%d" % index)


def write_cache(root: Path, cache: Path) -> None:
    """Write a row of every picture, as an extraction would, and say what the shards took."""
    database = locate(str(root), None, root)()
    folder = CacheFolder.create(cache, database.name, settings_of(parse("nss")[0], cache))
    writer, start = ShardWriter(folder, {"versions": "torch 2, numpy 2", "device": "cpu"}), 0.0
    rows = []
    begin = time.perf_counter()
    for index, picture in enumerate(sorted(plan(database), key=lambda one: one.name)):
        state = picture.path.stat()
        facts = FileFacts(state.st_size, state.st_mtime_ns, f"{index:064x}")
        rows.append(Row(picture.name, facts, NUMBERS))
        if len(rows) == 256:
            start -= time.perf_counter()
            writer.add(rows)
            start += time.perf_counter()
            rows = []
    writer.add(rows)
    writer.close()
    print(
        f"written: {len(folder.shards())} shards in {time.perf_counter() - begin:.1f} s, of which "
        f"{start:.1f} s in the writer",
        flush=True,
    )


def measure(root: Path, cache: Path) -> None:
    """Plan, start and resume."""
    clock = Clock()
    clock("imports")
    database = locate(str(root), None, root)()
    clock("folder as a database")
    write_table(cache, database)
    clock("table.csv")
    pictures = plan(database)
    clock("plan")
    index = positions(pictures)
    facts = facts_of(pictures)
    clock("sizes and times of the files")
    empty = CacheFolder.create(cache, "empty", settings_of(parse("nss")[0], cache))
    lacking = pending(pictures, empty.recover(index), facts)
    clock(f"first start: {len(lacking)} to be done")
    del lacking
    folder = CacheFolder.create(cache, database.name, settings_of(parse("nss")[0], cache))
    held = folder.recover(index)
    clock("the cache's rows, all checked")
    lacking = pending(pictures, held, facts)
    clock(f"resume: {len(lacking)} to be done")
    done = summary(pictures, held)
    clock(f"summary: {done.n_cached} cached")
    clock.last = clock.start
    clock("in total")


def main() -> None:
    """Write, measure in a process of its own, remove."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--pictures", type=int, default=1_000_000)
    options.add_argument("--folder", help="where the pictures are written and removed again")
    options.add_argument("--measure", nargs=2, metavar=("ROOT", "CACHE"), help=argparse.SUPPRESS)
    chosen = options.parse_args()
    if chosen.measure:
        measure(*map(Path, chosen.measure))
        return
    with tempfile.TemporaryDirectory(dir=chosen.folder) as scratch:
        root, cache = Path(scratch) / "pictures", Path(scratch) / "cache"
        write_pictures(root, chosen.pictures)
        write_cache(root, cache)
        command = [sys.executable, __file__, "--measure", str(root), str(cache)]
        subprocess.run(command, check=True)


if __name__ == "__main__":
    main()
