"""What papers report on the databases that we read, and how their protocols differ from ours.

A paper's number belongs to its own splits and its own choice of hyper-parameters or epochs: it
stands beside ours to be looked at, not to be ranked with it.
"""

from typing import NamedTuple

from pipeline.databases import DATABASES

_QUOTED = "the paper's number as others quote it: "
_SEARCHED = f"{_QUOTED}ridge or elastic net after a search for each database that is not published"
_LAST = "their best epoch on the test part"


class Published(NamedTuple):
    """A published result.

    Attributes
    ----------
    db, target : what it is of; a target of "" is the database's default one
    srcc, plcc : over splits, or of one official split; None where there is none
    source : the paper's or the project's address
    """

    db: str
    target: str
    method: str
    srcc: float
    plcc: float | None
    source: str
    protocol: str


def _several(
    method: str, source: str, protocol: str, numbers: dict[str, tuple[float, float | None]]
) -> list[Published]:
    """Return results; the keys are databases, with a target behind a blank."""
    return [
        Published(*of.partition(" ")[::2], method, srcc, plcc, source, protocol)
        for of, (srcc, plcc) in numbers.items()
    ]


PUBLISHED = [
    *_several(
        "Re-IQA",
        "https://arxiv.org/abs/2304.00451",
        _SEARCHED,
        {
            "koniq": (0.914, 0.923),
            "clive": (0.840, 0.854),
            "flive": (0.645, 0.733),
            "spaq": (0.918, 0.925),
            "kadid": (0.872, 0.885),
            "agiqa-3k": (0.785, 0.845),
            "live": (0.970, None),
            "tid2013": (0.804, None),
        },
    ),
    *_several(
        "PromptIQA",
        "https://arxiv.org/abs/2403.04993",
        _LAST,
        {
            "live": (0.936, 0.934),
            "csiq": (0.926, 0.939),
            "tid2013": (0.903, 0.922),
            "kadid": (0.928, 0.931),
            "bid": (0.915, 0.934),
            "clive": (0.913, 0.928),
            "spaq": (0.923, 0.926),
            "koniq": (0.929, 0.943),
            "agiqa-3k": (0.851, 0.901),
            "aigciqa2023": (0.851, 0.874),
            "gfiqa": (0.970, 0.970),
            "uwiqa": (0.877, 0.884),
        },
    ),
    *_several(
        "UIQA",
        "https://arxiv.org/abs/2409.00749",
        "official test part",
        {"uhd-iqa": (0.846, 0.798)},
    ),
    *_several(
        "UIQA (validation)",
        "https://arxiv.org/abs/2409.00749",
        "official validation part",
        {"uhd-iqa": (0.817, 0.823)},
    ),
    *_several(
        "IP-IQA",
        "https://arxiv.org/abs/2403.18714",
        f"{_QUOTED}ten random 80/20 splits by prompt, the best epoch on the evaluated part",
        {"agiqa-3k": (0.8634, 0.9116)},
    ),
    *_several(
        "AugmentIQ",
        "https://github.com/Learner209/AugmentIQ",
        "one of ten folds, prompts on both sides; SRCC averaged over batches",
        {
            "aigciqa2023": (0.4046, None),
            "aigciqa2023 mos_correspondence": (0.4719, None),
            "agiqa-3k": (0.4001, None),
            "agiqa-3k mos_alignment": (0.4956, None),
        },
    ),
]
_HAVE = {one.db for one in PUBLISHED}
# koniq-512x384 -> koniq: a form has its database's scores
_FORMS = {form: db for db, known in DATABASES.items() for form in known.forms.values()}


def published_on(db: str, target: str) -> list[Published]:
    """Return what is published on a target of a database, the highest first.

    For a reduced form of a database they are those of the database, whose protocol says so.
    """
    whole = db if db in _HAVE else _FORMS.get(db, db)
    default = next(iter(DATABASES[whole].targets), "") if whole in DATABASES else ""
    found = [one for one in PUBLISHED if one.db == whole and (one.target or default) == target]
    if whole != db:
        found = [one._replace(protocol=f"on {whole}: {one.protocol}") for one in found]
    return sorted(found, key=lambda one: -one.srcc)
