"""The card of a shared head: what it predicts, what it was fitted on, how well, and what it saw."""

from pathlib import Path

from features.files import read_json
from features.names import parse
from pipeline.databases import DATABASES
from pipeline.heads import read_head
from pipeline.results import interval, number

_MEDIANS = ("srcc", "krcc", "plcc_logistic", "rmse_logistic")
UNKNOWN = "not stated"


def card_of(run: Path, licence: str = "", author: str = "") -> dict:
    """Return the card of a finished run's head; fit for JSON.

    Raises
    ------
    InputError
        When the run's files are damaged.
    """
    facts = read_head(run).facts
    result = read_json(run / "result.json", "median", "n_pictures", "n_groups")
    encoders = [request.encoder for request in parse(facts["features"])]
    return {
        "predicts": facts["target"],
        "range": facts["range"],
        "database": facts["db"],
        "database_terms": terms_of(facts["db"]),
        "n_pictures": result["n_pictures"],
        "n_groups": result["n_groups"],
        "features": facts["features"],
        "encoders": facts["encoders"],
        "encoder_licences": {one.name: one.licence for one in encoders},
        "seen": {one.name: list(one.seen) for one in encoders},
        "seen_this_database": result.get("seen_by", []),
        "regressor": facts.get("regressor", result.get("regressor", UNKNOWN)),
        "params": facts.get("params", {}),
        "protocol": result.get("protocol", UNKNOWN),
        "protocol_says": result.get("protocol_says", UNKNOWN),
        "optimistic": result.get("optimistic", ""),
        "median": {name: result["median"].get(name) for name in _MEDIANS},
        "srcc_interval": interval(result),
        "error90": facts["error90"],
        "coverage90": result.get("coverage90"),
        "note": facts["note"],
        "versions": result.get("versions", {}),
        "licence": licence or UNKNOWN,
        "author": author or UNKNOWN,
    }


def terms_of(db: str) -> str:
    """Return the terms of a database in words, or where to look for them."""
    known = DATABASES.get(db)
    if known is None:
        return UNKNOWN
    return known.terms or (f"see {known.page}" if known.page else UNKNOWN)


def card_text(card: dict) -> str:
    """Return a card as Markdown."""
    scale, median = card["range"], card["median"]
    ends = f"{scale['low']:g} to {scale['high']:g}" if scale["low"] is not None else "any range"
    better = "higher" if scale["higher_is_better"] else "lower"
    interval = card["srcc_interval"]
    seen = [f"{name}: {', '.join(what) or 'nothing'}" for name, what in card["seen"].items()]
    licences = [f"{name}: {text}" for name, text in card["encoder_licences"].items()]
    rows = {
        "Predicts": f"`{card['predicts']}` of {card['database']}, {ends}, {better} is better",
        "Fitted on": f"{card['n_pictures']} pictures in {card['n_groups']} groups",
        "Terms of the database": card["database_terms"],
        "Features": f"`{card['features']}`",
        "Head": f"`{card['regressor']}` {_params(card['params'])}",
        "Protocol": f"{card['protocol']}: {card['protocol_says']}",
        "Optimistic": card["optimistic"] or "no",
        "SRCC": number(median["srcc"])
        + (f", 95 % interval [{interval[0]:.3f}, {interval[1]:.3f}]" if interval else ""),
        "PLCC after the 4-parameter logistic": number(median["plcc_logistic"]),
        "Nine of ten scores lie within": f"{card['error90']:.4g} of the prediction",
        "Share of test pictures that did": number(card["coverage90"], 3),
        "The encoders have seen": "; ".join(seen),
        "Of them, this very database": ", ".join(card["seen_this_database"]) or "none",
        "Licences of the encoders' weights": "; ".join(licences),
        "Licence of the head": card["licence"],
        "Author": card["author"],
        "Made with": f"meanopinion {card['versions'].get('meanopinion', '?')}",
    }
    if card["note"]:
        rows["Note"] = card["note"]
    table = "\n".join(f"| {name} | {_cell(text)} |" for name, text in rows.items())
    return f"""# A head of {card["features"]} on {card["database"]}

| | |
|---|---|
{table}

    python -m pipeline.score --head head.zip PICTURES...

The encoders' weights are not in it: they must be the same files here, and are checked.
"""


def _params(params: dict) -> str:
    return ", ".join(
        f"{name} {value:.4g}" if isinstance(value, int | float) else f"{name} {value}"
        for name, value in params.items()
    )


def _cell(text: str) -> str:
    return str(text).replace("|", "\\|").replace("\n", " ")
