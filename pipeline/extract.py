"""Turn the pictures of a database into embeddings in the cache. Run again, it resumes."""

from pathlib import Path

from features.decode import MAX_MEGAPIXELS
from features.engine import Picture
from features.errors import InputError
from features.extract import Extracted, extract, prepare
from features.places import place
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
"""


def run_extract(
    db: str = "sample",
    root: str | None = None,
    features: str = "reiqa",
    cache: str | None = None,
    weights: str | None = None,
    gpu: str | None = None,
    precision: str = "fp32",
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
    prepare(features, place("weights", weights), precision, gpu=gpu)
    database = read()
    report_database(database, strict)
    folder = write_table(place("cache", cache), database)
    pictures = plan(database)
    measure(folder, database)
    done = extract(
        database.name,
        pictures,
        features,
        place("cache", cache),
        place("weights", weights),
        gpu=gpu,
        precision=precision,
        max_megapixels=max_megapixels,
        shard_rows=shard_rows,
        retry=retry,
        augment=augment,
        seed=seed,
    )
    return database, done


def measure(folder: Path, database: Database) -> None:
    """Write the pictures' sizes, for the size-only baseline: of use, never worth a failure."""
    try:
        write_sizes(folder, database)
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
        help=f"{', '.join(DATABASES)}, a folder, or a CSV (default sample)",
    )
    add("--root", help="the database's folder (default data/<name>); of a CSV, where paths start")
    add(
        "--features",
        default="reiqa",
        help="feature set, such as reiqa, content-lite, nss, or "
        "several joined by + (default reiqa)",
    )
    add("--gpu", metavar="N", help="CUDA device (default: the CPU)")
    add("--precision", default="fp32", choices=["fp32"], help="exact float32")
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
    as_json = chosen.pop("json")
    database, done = run_extract(**chosen)
    passes = {item.augmented: item for item in done}
    for item in passes.values():
        if item.n_decoded:
            encoders = sum(other.augmented == item.augmented for other in done)
            cli.say(f"{item.n_decoded} files decoded, for {encoders} encoder{'s' * (encoders > 1)}")
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
        "decoded": item.n_decoded,
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
