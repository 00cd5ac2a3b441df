"""Databases that share content: a score across two of them is no score on unseen pictures."""

from features.weights import same_database

# (two databases, what they share). From the databases' own descriptions; origins of KADID-10k and
# KADIS-700k are stated by their authors and were not compared picture by picture.
OVERLAPS: tuple[tuple[str, str, str], ...] = (
    ("LIVE", "TID2013", "references of both are Kodak's photographs"),
    ("LIVE", "Kodak", "20 of 29 references are Kodak's photographs"),
    ("TID2013", "Kodak", "its references are crops of Kodak's photographs"),
    ("FLIVE", "AVA", "FLIVE is made of pictures of AVA, among others"),
    ("FLIVE", "VOC2012", "FLIVE is made of pictures of VOC2012, among others"),
    ("FLIVE", "EMOTIC", "FLIVE is made of pictures of EMOTIC, among others"),
    ("FLIVE", "CERTH-Blur", "FLIVE holds a set of blurred pictures that may be this one"),
    ("KADID-10k", "KADIS-700k", "both are made from photographs of Pixabay"),
)


def shared_content(first: tuple[str, ...], second: tuple[str, ...]) -> list[str]:
    """Return what two databases share, in words; each is given by all its names."""

    def is_one(known: str, names: tuple[str, ...]) -> bool:
        return any(same_database(known, name) for name in names)

    return [
        f"{a} and {b}: {what}"
        for a, b, what in OVERLAPS
        if (is_one(a, first) and is_one(b, second)) or (is_one(b, first) and is_one(a, second))
    ]
