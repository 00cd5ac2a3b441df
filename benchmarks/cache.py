"""How fast `features.load` reads a cache, beside a plain read of the same bytes.

python benchmarks/cache.py [--rows 10000] [--dims 8192] [--packed] [--rounds 5] [--folder DIR]

Writes a cache of seeded numbers in shards of 256 rows, then, round by round: numpy.load of one .npy
of the same numbers, a read of the shard files into one buffer, and features.load. Medians; the peak
memory is that of a process that does nothing else. The files are in the page cache: what is
measured is the reading, the checksums and the copying, not the disk.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

import features
from features.cache.folder import CacheFolder, ShardWriter
from features.cache.settings import settings_of
from features.cache.shards import Row
from features.decode import FileFacts
from features.names import parse

# A fresh interpreter and not a fork: that would start with our own memory.
# VmHWM and not getrusage: the latter keeps the peak of the process that started this one.
PEAK = """
import json
import h5py, numpy as np, features

def peak():
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) / 1000 for line in file if line.startswith("VmHWM"))

before = peak()
{work}
print(json.dumps([before, peak()]))
"""


def write(cache: Path, rows: int, dims: int) -> CacheFolder:
    """Write a cache of seeded numbers, as an extraction of a wide encoder would."""
    settings = settings_of(parse("nss")[0], cache) | {"n_dims": dims}
    folder = CacheFolder.create(cache, "bench", settings)
    writer = ShardWriter(folder, {"versions": "benchmark"})
    rng = np.random.default_rng(0)
    for start in range(0, rows, 8):
        numbers = rng.standard_normal((min(8, rows - start), dims), dtype=np.float32)
        writer.add(
            [
                Row(f"folder/picture-{index:07d}.jpg", FileFacts(1000, index, "0" * 64), vector)
                for index, vector in enumerate(numbers, start)
            ]
        )
    writer.close()
    return folder


def read_files(folder: CacheFolder) -> None:
    """Read the shard files into one buffer, without looking at them."""
    buffer = memoryview(bytearray(1 << 20))
    for entry in folder.shards():
        with open(folder.path / entry["file"], "rb", buffering=0) as file:
            while file.readinto(buffer):
                pass


def timed(work) -> float:
    """Return the seconds that a call takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def peak(work: str) -> list[float]:
    """Return (before, after): the peak memory, in MB, of a process around some work."""
    done = subprocess.run(
        [sys.executable, "-c", PEAK.format(work=work)], capture_output=True, check=True
    )
    return json.loads(done.stdout)


def main() -> None:
    """Write, read in turns, print."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--rows", type=int, default=10_000)
    options.add_argument("--dims", type=int, default=8192)
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--packed", action="store_true", help="one file, as `cache pack` makes")
    options.add_argument("--folder", help="where the cache is written and removed again")
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory(dir=chosen.folder) as scratch:
        cache, plain = Path(scratch) / "cache", Path(scratch) / "plain.npy"
        folder = write(cache, chosen.rows, chosen.dims)
        np.save(plain, features.load("bench", "nss", cache).embeddings)
        if chosen.packed:
            from features.cache.packing import pack

            print(f"pack: {timed(lambda: pack(folder)):.2f} s")
        ways = {
            "numpy.load": lambda: np.load(plain),
            "read of the files": lambda: read_files(folder),
            "features.load": lambda: features.load("bench", "nss", cache),
        }
        seconds = {name: [] for name in ways}
        for _ in range(chosen.rounds):
            for name, way in ways.items():
                seconds[name].append(timed(way))
        size = plain.stat().st_size / 1e9
        for name, times in seconds.items():
            middle = statistics.median(times)
            print(
                f"{name:18} {middle:6.2f} s  ({min(times):.2f} to {max(times):.2f})  "
                f"{chosen.rows / middle:9,.0f} rows/s  {size / middle:5.2f} GB/s"
            )
        load = f"features.load('bench', 'nss', {str(cache)!r})"
        for name, work in {"numpy.load": f"np.load({str(plain)!r})", "features.load": load}.items():
            before, after = peak(work)
            print(
                f"{name:18} {after - before:6.0f} MB above the imports; array {size * 1e3:.0f} MB"
            )


if __name__ == "__main__":
    main()
