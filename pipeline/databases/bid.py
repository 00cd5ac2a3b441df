"""BID (Ciancio, da Costa, da Silva, Said, Samadani, Obrador, IEEE TIP 2011).

586 photographs with realistic blur. On disk: ImageDatabase/DatabaseImage0001.JPG ... 0590.JPG,
where 2, 346, 413 and 439 do not exist, and DatabaseGrades.xls, which some turn into .xlsx; all may
lie in one folder. A row has the average of 10 to 20 grades of 0..5 and the grades themselves;
`mos_std` is their deviation (n - 1), over the cells that are not empty. `mos` is the average as
published, though it is not that of the grades in seven rows.
"""

import pandas as pd

from pipeline.databases.known import Known, Labels
from pipeline.databases.sheets import integers, read_sheet
from pipeline.databases.table import Target, numbers
from pipeline.databases.tree import Tree

_FILES = [
    f"{folder}DatabaseGrades{suffix}"
    for folder in ("", "ImageDatabase/")
    for suffix in (".xls", ".xlsx")
]
_GET = "download the pictures into ImageDatabase/ and DatabaseGrades.xls from the page"


def read_bid(tree: Tree) -> Labels:
    """Return the labels of BID."""
    path = tree.label(*_FILES, title="BID", get=_GET)
    sheet = read_sheet(path, "image number", "average subjective grade")
    numbered = integers(sheet["image number"], "Image Number", path)
    names = numbered.map("DatabaseImage{:04d}.JPG".format)
    average = sheet["average subjective grade"]
    table = pd.DataFrame(
        {"name": names, "mos": numbers(average, names, "Average Subjective Grade", path)}
    )
    grades = [column for column in sheet if column.startswith("grade #")]
    if grades:
        found = sheet[grades].apply(pd.to_numeric, errors="coerce")
        table["mos_std"] = found.std(axis=1)
    return Labels(table, (path,), folders=("ImageDatabase", ""))


BID = Known(
    "BID",
    "photographs with blur as it happens",
    read_bid,
    aliases=("BID2011", "blurred image database"),
    n_pictures=586,
    targets={"mos": Target(0, 5)},
    page="http://www02.smt.ufrj.br/~eduardo/ImageDatabase.htm",
    get=_GET,
)
