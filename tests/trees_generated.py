"""Trees of the databases of generated, underwater and very large pictures."""

import json
from pathlib import Path

from trees import LEVELS, quality, tiny, write_mat, write_text, write_xlsx

_MAIN = ("bird", "cat", "dog", "batman", "snoppy", "teddy bear")
AGIQA1K_WORDS = {  # model -> words of the first and of the second number
    "deepai": (
        (*_MAIN, "kid", "man", "woman", "alien", "demon", "witch"),
        (
            *("driving aircraft", "driving bike", "driving car", "having hamburger"),
            *("having icecream", "having pizza", "playing baseball", "playing football"),
            *("playing yoga", "using CD", "using laptop", "using phone", "wearing coat"),
            *("wearing hat", "wearing shirt"),
        ),
    ),
    "dreamStudio": (
        (*_MAIN, "man", "woman", "alien"),
        (
            *("having pizza", "playing baseball", "playing football", "playing yoga", "using CD"),
            *("using laptop", "using phone", "wearing coat", "wearing hat", "wearing shirt"),
        ),
    ),
}


def agiqa1k_rows() -> list[tuple[str, str]]:
    """All 1,080 names and prompts, in the order of the spreadsheet, as they should have been."""
    rows = []
    for model, (mains, seconds) in AGIQA1K_WORDS.items():
        for i, main in enumerate(mains):
            for j, second in enumerate(seconds):
                for place, where in enumerate(("city", "wild")):
                    for style, how in enumerate(("anime", "realistic")):
                        name = f"{model}_{i}_{j}_{place}_{style}.jpg"
                        rows.append((name, f"{main}, {second}, {where}, {how} style"))
    return rows


def _agiqa1k_pictures(root: Path) -> None:
    for row, (name, _) in enumerate(agiqa1k_rows()):
        if row % 29 == 0:  # 38 pictures of all levels
            tiny(root / "images" / name, row % LEVELS, row)


def build_agiqa1k(root: Path) -> None:
    """The spreadsheet: one name is never there, and the last one twice instead."""
    rows = [
        [name, prompt, quality(row % LEVELS, 0, 5)]
        for row, (name, prompt) in enumerate(agiqa1k_rows())
    ]
    lost = next(row for row in rows if row[0] == "dreamStudio_8_5_0_0.jpg")
    rows.remove(lost)
    rows.append([rows[-1][0], rows[-1][1], lost[2]])
    write_xlsx(root / "AIGC_MOS_Zscore.xlsx", {"Sheet1": [("Image", "Prompt", "MOS"), *rows]})
    _agiqa1k_pictures(root)


def build_agiqa1k_means(root: Path) -> None:
    """The table of raw means, in another order, without prompts, one name cut short."""
    rows = list(enumerate(name for name, _ in agiqa1k_rows()))
    rows = sorted(rows, key=lambda row: row[0] * 7 % 1080)
    lines = [
        f"{name.replace('Studio_8_9_1_1', 'Studio_8_9_1_')},"
        f"{round(quality(row % LEVELS, 1 / 11, 5) * 11) / 11:.9f}"
        for row, name in rows
    ]
    write_text(root / "AIGC_all.csv", ["Image,Score", *lines])
    _agiqa1k_pictures(root)


AGIQA3K_WAYS = {  # way -> numbers of prompts that it has no picture of
    "AttnGAN_normal": (),
    "DALLE2_normal": (8, 47, 58, 59, 67, 97, 147, 162, 238, 272),
    "glide_normal": (),
    "midjourney_lowstep": (45, 83, 229, 238),
    "midjourney_normal": (45, 83, 229, 238),
    "sd1.5_highcorr": (),
    "sd1.5_lowcorr": (),
    "sd1.5_lowstep": (),
    "sd1.5_normal": (),
    "xl2.2_normal": (),
}


def agiqa3k_rows() -> list[list]:
    """2,982 rows of name, prompt, adjectives and style (blank in many), four numbers."""
    rows = []
    for way, lacking in AGIQA3K_WAYS.items():
        for number in sorted(set(range(300)) - set(lacking)):
            level = (number + len(way)) % LEVELS
            style = "" if number % 2 else "baroque style"
            prompt = f"thing {number}" + (f", soft lighting, {style}" if number % 5 else "")
            scores = (quality(level, 0, 4.5), 0.5, quality(level, 0.5, 4), 0.75)
            name = f"{way}_{number:03d}.jpg"
            rows.append([name, prompt, "soft lighting", "", style, *scores])
    return rows


def _agiqa3k_pictures(folder: Path) -> None:
    for way in ("AttnGAN_normal", "sd1.5_highcorr", "xl2.2_normal"):
        for number in range(12):
            level = (number + len(way)) % LEVELS
            tiny(folder / f"{way}_{number:03d}.jpg", level, number)


def build_agiqa3k(root: Path) -> None:
    """data.csv with line ends of Windows and commas in prompts, and AGIQA-3K/."""
    head = "name,prompt,adj1,adj2,style,mos_quality,std_quality,mos_align,std_align"
    lines = [
        ",".join(f'"{cell}"' if "," in str(cell) else str(cell) for cell in row)
        for row in agiqa3k_rows()
    ]
    write_text(root / "data.csv", [head, *lines], end="\r\n")
    _agiqa3k_pictures(root / "AGIQA-3K")


def build_agiqa3k_joint(root: Path) -> None:
    """mos_joint.xlsx, made by hand of four columns, and images/."""
    rows = [(row[0], row[1], row[5], row[7]) for row in agiqa3k_rows()]
    head = ("name", "prompt", "mos_quality", "mos_align")
    write_xlsx(root / "mos_joint.xlsx", {"Sheet1": [head, *rows]})
    _agiqa3k_pictures(root / "images")


def aigciqa2023_scores(k: int) -> list[float]:
    """Scores of one question for 0.png to 2399.png; lower by 10 for each next question."""
    return [quality(i % LEVELS, 30, 80) - 10 * (k - 1) for i in range(2400)]


def _aigciqa2023_pictures(folder: Path) -> None:
    for i in (*range(0, 60, 4), *range(401, 461, 4), 2393, 2399):
        tiny(folder / f"{i}.png", i % LEVELS, i)


def build_aigciqa2023(root: Path) -> None:
    """Tree A: a MATLAB column for each question, deviations of another scale, prompts."""
    for k in (1, 2, 3):
        scores = [[score] for score in aigciqa2023_scores(k)]
        write_mat(root / "DATA" / "MOS" / f"mosz{k}.mat", MOSz=scores)
        write_mat(root / "DATA" / "STD" / f"SD{k}.mat", SD=[[1.0]] * 2400)
    rows = [("Basic", "Animals", f"prompt {number}") for number in range(100)]
    write_xlsx(root / "AIGCIQA2023_Prompts.xlsx", {"Sheet1": rows})
    _aigciqa2023_pictures(root / "Image" / "allimg")


def aigciqa2023_records() -> list[dict]:
    """Three records a picture, one for each question, all with the same scores."""
    scores = [aigciqa2023_scores(k) for k in (1, 2, 3)]
    return [
        {
            "img": f"{i}.png",
            "prompt": f"prompt {i % 400 // 4}",
            **{f"moz{k}": scores[k - 1][i] for k in (1, 2, 3)},
        }
        for _ in range(3)
        for i in range(2400)
    ]


def build_aigciqa2023_json(root: Path) -> None:
    """Tree B: one JSON file, and allimg/."""
    root.mkdir(parents=True, exist_ok=True)
    (root / "AIGIQA2023.json").write_text(json.dumps(aigciqa2023_records()), encoding="utf-8")
    _aigciqa2023_pictures(root / "allimg")


def build_uwiqa(root: Path) -> None:
    """A sheet of numbers and scores, and img/ with numbers of four digits."""
    rows = [(number, quality(number % LEVELS)) for number in range(1, 891)]
    write_xlsx(root / "IQA_Value.xlsx", {"Sheet1": [("Image", "Value"), *rows]})
    for number in range(1, 36):
        tiny(root / "img" / f"{number:04d}.png", number % LEVELS, number)


UHDIQA_COLUMNS = (
    *("image_name", "quality_mos", "set", "subset", "orig_width", "orig_height", "views", "likes"),
    *("favorites", "downloads", "comments", "image_bytes", "user_name", "page_url"),
    "image_name_orig",
)
UHDIQA_PARTS = {"training": 4269, "validation": 904, "test": 900}


def uhdiqa_rows() -> list[dict[str, str]]:
    """6,073 rows; numbers are unique over all parts, which lie between each other."""
    parts = [part for part, n in UHDIQA_PARTS.items() for _ in range(n)]
    rows = []
    for row in range(6073):
        part = parts[row * 1000 % 6073]
        low, high = (0.2865, 0.889) if part == "test" else (0.587, 0.8365)
        cells = dict.fromkeys(UHDIQA_COLUMNS, "1")
        cells |= {
            "image_name": f"{row + 1}.jpg",
            "quality_mos": f"{quality(row % LEVELS, low, high):.4f}",
            "set": part,
            "user_name": f"user{row * 7 % 1238:04d}",
            "page_url": "",
            "image_name_orig": f"a photo, {row}.jpg",
        }
        rows.append(cells)
    return rows


def _uhdiqa_csv(path: Path, columns: tuple[str, ...], rows: list[dict[str, str]]) -> None:
    lines = [columns, *([row[column] for column in columns] for row in rows)]
    write_text(path, (",".join(f'"{cell}"' for cell in line) for line in lines))


def build_uhdiqa(root: Path) -> None:
    """All three parts, each in its folder."""
    rows = uhdiqa_rows()
    _uhdiqa_csv(root / "uhd-iqa-metadata.csv", UHDIQA_COLUMNS, rows)
    write_text(root / "uhd-iqa-tags.csv", ["image_name,tag", "1.jpg,sea"])
    for row in rows[:40]:
        number = int(row["image_name"][:-4])
        tiny(root / row["set"] / row["image_name"], (number - 1) % LEVELS, number)


def build_uhdiqa_challenge(root: Path) -> None:
    """The challenge's layout: the training part alone, two columns fewer, all cells in quotes."""
    columns = tuple(c for c in UHDIQA_COLUMNS if c not in ("subset", "image_name_orig"))
    rows = [row for row in uhdiqa_rows() if row["set"] == "training"]
    _uhdiqa_csv(root / "uhd-iqa-training-metadata.csv", columns, rows)
    for row in rows[:36]:
        number = int(row["image_name"][:-4])
        tiny(root / "challenge/training" / row["image_name"], (number - 1) % LEVELS, number)


BUILDERS = {
    "agiqa-1k": build_agiqa1k,
    "agiqa-3k": build_agiqa3k,
    "aigciqa2023": build_aigciqa2023,
    "uwiqa": build_uwiqa,
    "uhd-iqa": build_uhdiqa,
}
# The second layout of those that have two.
OTHER_LAYOUTS = {
    "agiqa-1k": build_agiqa1k_means,
    "agiqa-3k": build_agiqa3k_joint,
    "aigciqa2023": build_aigciqa2023_json,
    "uhd-iqa": build_uhdiqa_challenge,
}
