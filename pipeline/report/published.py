"""What papers report on the databases that we read, and how their protocols differ from ours.

A paper's number belongs to its own splits and its own choice of hyper-parameters or epochs: it
stands beside ours to be looked at, not to be ranked with it.
"""

from typing import NamedTuple

_SECOND = "by a secondary source: "
_TEN_SPLITS = f"{_SECOND}median over 10 random 80/20 splits; the search is not published"
_LAST = "their best epoch on the test part"


class Published(NamedTuple):
    """A published result: medians, or those of one official split."""

    db: str
    method: str
    srcc: float
    plcc: float | None
    source: str
    protocol: str


def _several(
    method: str, source: str, protocol: str, numbers: dict[str, tuple[float, float | None]]
) -> list[Published]:
    return [
        Published(db, method, srcc, plcc, source, protocol) for db, (srcc, plcc) in numbers.items()
    ]


PUBLISHED = [
    *_several(
        "Re-IQA",
        "https://arxiv.org/abs/2304.00451",
        _TEN_SPLITS,
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
    Published(
        "uhd-iqa", "UIQA", 0.846, 0.798, "https://arxiv.org/abs/2409.00749", "official test part"
    ),
    Published(
        "agiqa-3k",
        "IP-IQA",
        0.8634,
        0.9116,
        "https://arxiv.org/abs/2403.18714",
        f"{_SECOND}ten random 80/20 splits by prompt, the best epoch on the evaluated part",
    ),
]


def published_on(db: str) -> list[Published]:
    """Return what is published on a database, the highest first."""
    return sorted((one for one in PUBLISHED if one.db == db), key=lambda one: -one.srcc)
