"""Turn the pictures of a database into embeddings in the cache. Run again, it resumes."""

from pathlib import Path

from features.cache.settings import STORED
from features.decode import MAX_MEGAPIXELS
from features.errors import InputError
from features.extract import Extracted, extract, prepare
from features.places import place
from features.plan import Picture
from features.way import Way
from features.work import SECONDS, Work
from pipeline import cli
from pipeline.databases import DATABASES, locate
from pipeline.databases.table import Database
from pipeline.sizes import write_sizes
from pipeline.tables import write_table

EXAMPLES = """\
  python -m pipeline.extract --features content-lite            the embedded sample database
  python -m pipeline.extract --db pcuid --root ~/pcuid --features content-lite
  python -m pipeline.extract --db photos/ --features reiqa --gpu 0
  python -m pipeline.extract --db my.csv --features 'content-lite[pool=last]+nss'
  python -m pipeline.extract --db my.csv --features nss --augment 4
  python -m pipeline.extract --db 'shards-{000..099}.tar' --features reiqa --gpu 0,1,2,3
  python -m pipeline.extract --db koniq --features reiqa --precision bf16
  python -m pipeline.extract --db koniq --features reiqa --cluster HOST:PORT
"""


def run_extract(
    db: str = "sample",
    root: str | None = None,
    features: str = "reiqa",
    cache: str | None = None,
    weights: str | None = None,
    way: Way = Way("auto"),
    max_megapixels: float = MAX_MEGAPIXELS,
    shard_rows: int = 256,
    retry: bool = False,
    strict: bool = False,
    augment: int = 0,
    seed: int = 0,
) -> tuple[Database, list[Extracted]]:
    """Read the database, write its table, and embed what the cache lacks.

    Parameters
    ----------
    augment : also embed so many distorted versions of each picture, for `fit --use-augmented`
    strict : pictures that the labels name and the disk lacks, or the other way round, are an error
    """
    read = locate(db, root, place("data"))
    # whatever is wrong with the encoders is said before the database is read
    prepare(features, place("weights", weights), way)
    database = read()
    report_database(database, strict)
    folder = write_table(place("cache", cache), database)
    pictures = plan(database)
    done = extract(
        database.name,
        pictures,
        features,
        place("cache", cache),
        place("weights", weights),
        way,
        max_megapixels=max_megapixels,
        shard_rows=shard_rows,
        retry=retry,
        augment=augment,
        seed=seed,
    )
    if database.targets:
        measure(folder, database, set.intersection(*(set(item.failures) for item in done)))
    return database, done


def measure(folder: Path, database: Database, failed: set[str]) -> None:
    """Write the pictures' sizes, for the size-only baseline: of use, never worth a failure.

    A picture that failed is not opened here: it may be one that kills whoever reads it.
    """
    try:
        write_sizes(folder, database, failed)
    except Exception as error:
        cli.say(f"warning: {database.name}: no sizes for the size-only baseline: {error}")


def plan(database: Database) -> list[Picture]:
    """Return the pictures of a database, with their prompts where it has any."""
    names = database.table["name"]
    prompts = database.table.get("prompt", [""] * len(names))
    return [
        Picture(name, path, prompt)
        for name, path, prompt in zip(names, database.paths(), prompts, strict=True)
    ]


def report_database(database: Database, strict: bool) -> None:
    """Say what is there and what is not; with `strict`, a difference is fatal."""
    table = database.table
    cli.say(
        f"{database.name}: {len(table)} pictures in {table['group'].nunique()} groups "
        f"({database.group_by}) under {database.root}"
    )
    differences = [
        (database.missing, "listed pictures are not on the disk and are left out"),
        # a list without scores is a choice of pictures: the others are none of its business
        (
            database.unlabelled if database.targets else (),
            "pictures on the disk have no label and are left out",
        ),
    ]
    for names, text in differences:
        if names:
            line = f"{database.name}: {len(names)} {text}: {cli.name_some(names)}"
            if strict:
                raise InputError(f"{line} (--strict)")
            cli.say(line)
    for problem in database.problems:
        if strict:
            raise InputError(f"{database.name}: {problem} (--strict)")
        cli.say(f"warning: {database.name}: {problem}")
    for remark in database.remarks:
        cli.say(f"{database.name}: {remark}")
    if database.note:
        cli.say(database.note)


def main(argv: list[str] | None = None) -> int:
    """Parse, extract, print."""
    options = cli.parser(__doc__, EXAMPLES)
    add = options.add_argument
    add(
        "--db",
        default="sample",
        help=f"{', '.join(DATABASES)}, a folder, a CSV, tars or a URL (default sample)",
    )
    add("--root", help="the database's folder (default data/<name>); of a CSV, where paths start")
    add(
        "--features",
        default="reiqa",
        help="feature set, such as reiqa, content-lite, nss, or "
        "several joined by + (default reiqa)",
    )
    cli.add_way(options)
    add(
        "--store",
        default="float32",
        choices=STORED,
        help="type of the numbers in the cache; float16 takes half the space, at a relative error "
        "of 5e-4 (default %(default)s)",
    )
    add(
        "--max-megapixels",
        type=cli.megapixels,
        default=MAX_MEGAPIXELS,
        help="larger pictures become failed rows (default %(default)g)",
    )
    add(
        "--shard-rows", type=cli.positive, default=256, help="rows of a shard (default %(default)s)"
    )
    add("--retry", action="store_true", help="try again the pictures that failed before")
    add("--strict", action="store_true", help="missing or unlabelled pictures are an error")
    add(
        "--augment",
        type=cli.natural,
        default=0,
        metavar="N",
        help="also embed N distorted versions of each picture (levels 0 to 3), for fit "
        "--use-augmented",
    )
    add("--seed", type=cli.natural, default=0, help="draws the distortions (default %(default)s)")
    add("--json", action="store_true", help="print the result as JSON")
    cli.add_places(options, "cache", "weights")
    arguments = options.parse_args(argv)
    cli.places(arguments, "cache", "weights")
    chosen = vars(arguments)
    chosen["way"] = cli.take_way(chosen, stored=chosen.pop("store"))
    as_json = chosen.pop("json")
    database, done = run_extract(**chosen)
    passes = {item.augmented: item for item in done}
    for item in passes.values():
        if item.work.files:
            encoders = sum(other.augmented == item.augmented for other in done)
            count = f"{encoders} encoder{'s' * (encoders > 1)}"
            cli.say(f"{item.work.files} files decoded, for {count}: {_pace(item.work)}")
    if as_json:
        cli.print_json([_as_json(database, item) for item in done])
    else:
        for item in done:
            print(
                f"{database.name}  {item.encoder}  {item.n_cached} {_kind(item)}, "
                f"{item.n_new} new, {len(item.failures)} failed  {item.n_dims} numbers each  "
                f"{item.path}"
            )
    reasons = {name: reason for item in done for name, reason in item.failures.items()}
    for name, reason in list(reasons.items())[:20]:
        cli.say(f"failed: {name}: {reason}")
    if len(reasons) > 20:
        cli.say(f"failed: {len(reasons) - 20} more; --json lists them all")
    _warn_of_twins(database, done[0].same_bytes)
    if all(len(item.failures) == item.n_cached for item in done):
        raise InputError("not one picture could be embedded; the reasons are above")
    return 0


def _pace(work: Work) -> str:
    """Say how fast it went, and what took the time."""
    seconds = work.seconds
    files, megapixels = (n / seconds["total"] for n in (work.files, work.pixels / 1e6))
    parts = ", ".join(f"{name} {seconds[name]:.1f}" for name in (*SECONDS, "total"))
    return f"{files:.1f} files/s, {megapixels:.1f} megapixels/s; seconds: {parts}"


def _kind(item: Extracted) -> str:
    return "distorted versions" if item.augmented else "pictures"


def _warn_of_twins(database: Database, same_bytes: dict[str, str]) -> None:
    """One file under two names, in two groups, may stand on both sides of a fold."""
    group = dict(zip(database.table["name"], database.table["group"], strict=True))
    apart = [f"{a} = {b}" for a, b in same_bytes.items() if group[a] != group[b]]
    if apart and database.targets:
        cli.say(
            f"warning: {len(apart)} pictures are the very same file as one of another group, and "
            f"may stand on both sides of a fold; give them one group: {cli.name_some(apart)}"
        )


def _as_json(database: Database, item: Extracted) -> dict:
    return {
        "db": database.name,
        "encoder": item.encoder,
        "augmented": item.augmented,
        "decoded": item.work.files,
        "megapixels": round(item.work.pixels / 1e6, 3),
        "seconds": {name: round(value, 3) for name, value in item.work.seconds.items()},
        "pictures": item.n_cached,
        "new": item.n_new,
        "failed": item.failures,
        "n_dims": item.n_dims,
        "path": str(item.path),
        "missing": list(database.missing),
        "unlabelled": list(database.unlabelled),
    }


if __name__ == "__main__":
    cli.run(main)
