"""Shared content is found by any name of a database."""

import pytest

from pipeline.databases import DATABASES, aliases
from pipeline.databases.overlaps import OVERLAPS, shared_content


def names(db: str) -> tuple[str, ...]:
    """All names of a database."""
    return (db, *aliases(db))


@pytest.mark.parametrize(
    ("one", "other", "what"),
    [
        ("live", "tid2013", "Kodak"),
        ("flive", "ava", "1,667 of the 1,827"),
        ("flive", "voc2012", "none of its test part"),
        ("flive", "coco", "EMOTIC"),
        ("kadid", "kadis", "Pixabay"),
        ("kadid", "uhd-iqa", "not compared"),
    ],
)
def test_known_overlaps_are_found_both_ways(one, other, what):
    """By the names that the table of databases has."""
    assert what in shared_content(names(one), names(other))[0]
    assert what in shared_content(names(other), names(one))[0]


def test_two_forms_of_one_database_share_everything():
    """KonIQ-10k at two sizes is no cross-database test."""
    assert shared_content(names("koniq"), names("koniq-512x384")) == [
        "both hold the pictures of KonIQ-10k"
    ]


def test_others_share_nothing():
    """Neither databases of other sources, nor two files of a user."""
    assert shared_content(names("clive"), names("csiq")) == []
    assert shared_content(("data-123abc",), ("data-456def",)) == []


def test_every_overlap_names_a_database():
    """At least one of the two is in the table; the other may be a pool that encoders have seen."""
    known = {known.title for known in DATABASES.values()}
    for one, other, _ in OVERLAPS:
        assert one in known or other in known
