"""Databases that share content: a score across two of them is no score on unseen pictures."""

from features.weights import same_database

# (two databases, what they share). Of FLIVE by the names of its pictures; of the others from their
# own descriptions, where pictures were not compared one by one.
_PIXABAY = "both are made from photographs of Pixabay, which were not compared one by one"
OVERLAPS: tuple[tuple[str, str, str], ...] = (
    ("LIVE", "TID2013", "references of both are Kodak's photographs"),
    ("LIVE", "Kodak", "20 of 29 references are Kodak's photographs"),
    ("TID2013", "Kodak", "its references are crops of Kodak's photographs"),
    ("FLIVE", "AVA", "9,081 pictures of FLIVE are AVA's, and 1,667 of the 1,827 that it tests on"),
    ("FLIVE", "VOC2012", "half of FLIVE's pictures are from PASCAL VOC, none of its test part"),
    ("FLIVE", "EMOTIC", "9,788 pictures of FLIVE are EMOTIC's"),
    ("FLIVE", "COCO", "8,956 pictures of FLIVE are COCO's (through EMOTIC), none of its test part"),
    ("KADID-10k", "KADIS-700k", _PIXABAY),
    ("KADID-10k", "UHD-IQA", _PIXABAY),
    ("KADIS-700k", "UHD-IQA", _PIXABAY),
)


def shared_content(first: tuple[str, ...], second: tuple[str, ...]) -> list[str]:
    """Return what two databases share, in words; each is given by all its names."""

    def is_one(known: str, names: tuple[str, ...]) -> bool:
        return any(same_database(known, name) for name in names)

    # a user's own data have no other names, and share none but by chance
    same = [a for a in first[1:] if any(same_database(a, b) for b in second[1:])]
    if same:
        return [f"both hold the pictures of {same[-1]}"]
    return [
        f"{a} and {b}: {what}"
        for a, b, what in OVERLAPS
        if (is_one(a, first) and is_one(b, second)) or (is_one(b, first) and is_one(a, second))
    ]
