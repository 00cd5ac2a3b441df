"""Databases in tars, and in folders behind URLs.

Tars are read in WebDataset's form, of which a plain tar of pictures is a case: the path up to the
first dot of its last name is the key of a sample. Each picture is a row. The sample's `.json` holds
what a CSV has in columns (mos, group, prompt, ...), its `.txt` the prompt; all else is passed by.
"""

from dataclasses import replace

import numpy as np
import pandas as pd

from pipeline.databases.known import Known, Labels
from pipeline.databases.own import TARGET_COLUMN, labels_of
from pipeline.databases.packed import Packed
from pipeline.databases.samples import key_of
from pipeline.databases.table import Database


def packed_labels(packed: Packed) -> Labels:
    """Return the rows of pictures with what their samples say, numbered as they are listed.

    Where some samples have a score, pictures without one are no rows.
    """
    raw = packed.table()
    targets = [column for column in raw if TARGET_COLUMN.fullmatch(column)]
    if targets:
        raw = raw[(raw[targets] != "").any(axis=1)]
    names = pd.Series(packed.names, dtype=object)[raw.index]
    labels = labels_of(raw, names, str(packed.root))
    table, group_by = labels.table, labels.group_by
    if group_by == "picture" and packed.n_shared:  # pictures of one sample belong together
        table, group_by = table.assign(group=names.map(key_of)), "sample"
    return replace(
        labels,
        table=table,
        files=(),
        group_by=group_by,
        problems=(*labels.problems, *packed.problems),
        remarks=(*labels.remarks, *packed.remarks),
    )


def open_packed(name: str, known: Known, packed: Packed, labels: Labels) -> Database:
    """Return the database of what was listed; see `known.open_labels`."""
    table = labels.table
    rows = table.index.to_numpy()
    table = table.reset_index(drop=True)
    table.insert(1, "image", pd.Series([packed.images[row] for row in rows], dtype=object))
    table.insert(2, "row", np.arange(len(table)))
    left = np.ones(len(packed.names), bool)
    left[rows] = False
    return Database(
        name,
        packed.root,
        table,
        labels.targets or {},
        labels.group_by or known.group_by,
        unlabelled=tuple(packed.names[row] for row in np.flatnonzero(left)),
        problems=labels.problems,
        remarks=labels.remarks,
        sources=[packed.sources[row] for row in rows],
    )
