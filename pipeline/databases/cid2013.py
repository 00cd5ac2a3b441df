"""CID2013 (Virtanen, Nuutinen, Vaahteranoksa, Oittinen, Häkkinen, IEEE TIP 2015): 474 photographs.

79 cameras and telephones took the same scenes. On disk: IS1/ ... IS6/, one for each set of
pictures, with co<k>/IS_<set in Roman numerals>_C<scene>_D<device>.jpg, and one workbook. Its sheet
CID2013 MOS has a score that is realigned over the sets (`mos`, -9.5 to 87.9), and one of the set's
own observers (`mos_within_set`), which does not compare between sets; its heading has two spaces.
The sheet's scores of sharpness, graininess and so on are not read: which of them are better when
higher is not known here.
"""

import re
from pathlib import Path

import pandas as pd

from features.errors import InputError
from pipeline.databases.known import Known, Labels
from pipeline.databases.sheets import read_sheet, text
from pipeline.databases.table import Target, numbers
from pipeline.databases.tree import Tree

_FILE = "CID2013 data - version 12112014.xlsx"
_ID, _REALIGNED, _WITHIN = "source_id", "realigned mos", "image set specific mos"
_NAME = re.compile(r"(IS_(I|II|III|IV|V|VI)_C(\d\d))_D\d\d", re.IGNORECASE)
_SETS = {"I": 1, "II": 2, "III": 3, "IV": 4, "V": 5, "VI": 6}
_GET = (
    "unpack CID2013.7z from the page with 7-Zip; --root is the folder that holds IS1/ ... IS6/ and "
    f"{_FILE}"
)


def read_cid2013(tree: Tree) -> Labels:
    """Return the labels of CID2013; a group is one scene of one set."""
    path = tree.label(_FILE, title="CID2013", get=_GET)
    raw = read_sheet(path, _ID, _REALIGNED, _WITHIN, sheet="CID2013 MOS")
    ids = raw[_ID].map(text)
    matches = [_match(name, path) for name in ids]
    folders = [f"IS{_SETS[match[2].upper()]}/co{int(match[3])}" for match in matches]
    table = pd.DataFrame(
        {
            "name": ids + ".jpg",
            "mos": numbers(raw[_REALIGNED], ids, "Realigned MOS", path),
            "mos_within_set": numbers(raw[_WITHIN], ids, "Image set specific MOS", path),
            "group": [match[1].upper() for match in matches],
        }
    )
    # some copies have all pictures in one folder; no name is there twice
    return Labels(table, (path,), (*dict.fromkeys(folders), ""))


def _match(name: str, where: Path) -> re.Match:
    match = _NAME.fullmatch(name)
    if not match:
        raise InputError(
            f"{where}: expected names such as IS_IV_C02_D11 in the column Source_ID, found "
            f"{name!r}: is it the label file of another release?"
        )
    return match


CID2013 = Known(
    "CID2013",
    "photographs of the same scenes, taken with 79 cameras and telephones",
    read_cid2013,
    n_pictures=474,
    n_groups=36,
    targets={"mos": Target(-10, 100), "mos_within_set": Target()},
    group_by="scene of a set",
    page="https://zenodo.org/record/2647033",
    terms="free for research",
    get=_GET,
)
