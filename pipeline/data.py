"""A database's embeddings and scores, joined by name."""

import os
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from features import Augmented, load_augmented
from features import load as load_embeddings
from features.errors import InputError
from features.places import place
from pipeline.databases import cache_name
from pipeline.grouping import regrouped
from pipeline.sizes import read_sizes
from pipeline.tables import CachedTable, read_cached_table


class Data(NamedTuple):
    """What `load` returns.

    Attributes
    ----------
    names : (n,) pictures that have a score and an embedding, sorted
    X : (n, p) float32 embeddings
    y : (n,) float64 scores, on the database's own scale and direction
    group : (n,) what must not stand on both sides of a fold
    failures : picture name -> why it has no embedding
    columns : encoder -> slice of X's columns
    keys : encoder -> cache key
    database : the cached table, with every labelled picture
    target : the name of the scores in y
    augmented : distorted versions of pictures, for training parts; None where not asked for
    sizes : (n, 3) width, height and bytes of the picture files, for the size-only baseline; NaN
        where not known, None where none is
    """

    names: list[str]
    X: np.ndarray
    y: np.ndarray
    group: np.ndarray
    failures: dict[str, str]
    columns: dict[str, slice]
    keys: dict[str, str]
    database: CachedTable
    target: str
    augmented: Augmented | None = None
    sizes: np.ndarray | None = None


def load_targets(
    db: str,
    features: str,
    targets: Sequence[str] | None = None,
    cache: str | os.PathLike | None = None,
    key: str | Sequence[str] = (),
    use_augmented: bool = False,
    augment_seed: int = 0,
    group_by: str | None = None,
) -> list[Data]:
    """Load some targets of the same pictures, `all` for all; see `load`."""
    chosen = list(dict.fromkeys(targets or ())) or [None]
    first = load(
        *(db, features, None if chosen == ["all"] else chosen[0], cache, key),
        use_augmented=use_augmented,
        augment_seed=augment_seed,
        group_by=group_by,
    )
    database = first.database
    names = list(database.targets) if chosen == ["all"] else map(database.target, chosen)
    table = database.table.set_index("name").loc[first.names]
    return [first._replace(y=table[name].to_numpy(float), target=name) for name in names]


def load(
    db: str,
    features: str,
    target: str | None = None,
    cache: str | os.PathLike | None = None,
    key: str | Sequence[str] = (),
    use_augmented: bool = False,
    augment_seed: int = 0,
    group_by: str | None = None,
) -> Data:
    """Load a cached database for fitting or for a notebook.

    Parameters
    ----------
    db : name, alias, or the folder or CSV that was extracted
    features : feature set, such as `reiqa+nss`
    target : column of scores; the first one when not given
    cache, key : as in `features.load`
    use_augmented : load the distorted versions, too, that `augment_seed` drew
    group_by : see `pipeline.grouping.regrouped`

    Raises
    ------
    InputError
        When the database or the features are not cached, or the target does not exist.
    """
    root = place("cache", cache)
    name = cache_name(db)
    database = regrouped(read_cached_table(root, name, db), group_by, root / name)
    target = database.target(target)
    embeddings = load_embeddings(name, features, root, key)
    table = database.table.set_index("name")
    rows = {picture: row for row, picture in enumerate(embeddings.names)}
    names = sorted(table.index.intersection(embeddings.names))
    if not names:
        raise InputError(
            f"none of the {len(table)} pictures of {name} has an embedding of {features}: look at "
            "what extract said, and extract again"
        )
    failures = {
        picture: embeddings.failures.get(picture, "not extracted yet")
        for picture in table.index
        if picture not in rows
    }
    return Data(
        names,
        embeddings.embeddings[[rows[picture] for picture in names]],
        table.loc[names, target].to_numpy(float),
        table.loc[names, "group"].to_numpy(str),
        failures,
        embeddings.columns,
        embeddings.keys,
        database,
        target,
        load_augmented(name, features, root, key, augment_seed) if use_augmented else None,
        read_sizes(root / name, names),
    )
