"""The report: what it holds, what it says of runs that are not whole, and that it harms nobody."""

import csv
import dataclasses
import io
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from test_commands import call
from test_comparing import TABLE, write_run
from test_comparing import read as read_predictions

from features.errors import InputError
from features.files import read_json, write_json
from pipeline.databases import DATABASES
from pipeline.report.collect import BEST, TIED, Line, find_lines, marked
from pipeline.report.formats import as_csv, as_latex, as_markdown, escaped, markdown_table
from pipeline.report.page import page
from pipeline.report.published import PUBLISHED, published_on
from pipeline.report.tables import table_text
from regressors.metrics import srcc


@pytest.fixture
def home(finished, own_home):
    """A copy of the finished runs, to be changed."""
    for part in ("cache", "runs"):
        shutil.copytree(finished.home / part, own_home / part, symlinks=True)
    return own_home


def report(capsys, home, *arguments):
    """Make the page and return it, with what was said."""
    code, out, err = call(capsys, "report", "-o", home / "report.html", *arguments)
    assert code == 0, err
    assert str(home / "report.html") in out
    return (home / "report.html").read_text(encoding="utf-8"), err


def test_page(capsys, home, finished):
    """Every run has a row and a section with plots, folds, pictures; nothing comes from outside."""
    text, err = report(capsys, home)
    assert len(finished.runs) == 6
    for run in finished.runs.values():
        assert f'href="#run-{run.name}"' in text and f'id="run-{run.name}"' in text
    result = read_json(finished.runs["nss", "ridge"] / "result.json")
    for expected in (
        f"{result['median']['srcc']:.4f}",
        *(f"{fold['srcc']:.4f}" for fold in result["folds"]),
        f"{100 * result['coverage90']:.1f} % of the test pictures",
        "OPTIMISTIC",
        "SRCC by type of distortion",
        "Groups that are predicted worst",
        "size-only baseline",
        "not known here",
        "nss: nothing",
        "Final head: alpha ",
        f"cache keys nss {result['keys']['nss']}",
    ):
        assert expected in text, expected
    assert text.count("data:image/jpeg") == 6 * 24
    assert text.count("data:image/png") == 6 * 2 + 1
    links = re.findall(r'(?:src|href)="([^"]*)"', text)
    assert all(link.startswith(("data:", "#", "https://arxiv.org/")) for link in links)
    assert "<script" not in text and "@import" not in text
    assert "not shown" not in err


def test_marks(finished):
    """The best honest run is the best; the optimistic ones, however good, are not ranked."""
    lines = list(marked(find_lines(finished.home / "runs")[0]))
    honest = [line for line in lines if not line.result["optimistic"]]
    assert len(honest) == 4 and len(lines) == 6
    assert [line.mark for line in honest].count(BEST) == 1
    top = next(line for line in honest if line.mark == BEST)
    assert top.result["median"]["srcc"] == max(line.result["median"]["srcc"] for line in honest)
    # the two feature sets hold the same numbers under two names
    twin = next(
        line
        for line in honest
        if line is not top and line.result["regressor"] == top.result["regressor"]
    )
    assert twin.mark == TIED
    assert {line.mark for line in lines if line.result["optimistic"]} == {"not compared"}


def test_who_skips_what_is_hard_is_not_the_best(tmp_path):
    """A higher median on fewer pictures: the other run is better on those that both have."""
    table = TABLE.assign(group=TABLE["name"])
    whole = write_run(tmp_path / "db" / "nss" / "ridge" / "mos" / "whole", 0.5, 1, table=table)
    rows = read_predictions(whole)
    error = (rows["mos"] - rows["prediction"]).abs()
    hard = set(rows["name"][error > error.quantile(0.6)])
    part = whole.with_name("part")
    shutil.copytree(whole, part)
    kept = rows[~rows["name"].isin(hard)].copy()
    kept["prediction"] += np.random.default_rng(0).normal(0, 0.3, len(kept))
    kept.to_csv(part / "predictions.csv", index=False)
    for run in (whole, part):
        found = read_predictions(run)
        srccs = [srcc(f["mos"], f["prediction"]) for _, f in found.groupby("fold")]
        more = {"n_groups": 120, "n_pictures": found["name"].nunique(), "versions": {}}
        more |= {"folds": [], "optimistic": "", "srcc_interval": None}
        result = read_json(run / "result.json") | {"median": {"srcc": np.median(srccs)}} | more
        write_json(run / "result.json", result)
        write_json(run / "settings.json", {})
    lines, left_out = find_lines(tmp_path)
    assert [line.run.name for line in lines] == ["part", "whole"] and not left_out
    assert {line.run.name: line.mark for line in marked(lines)} == {"part": "", "whole": BEST}


DAMAGED = {
    "no settings": ("settings.json", None, "settings.json, which is not there"),
    "settings": ("settings.json", "[]", "settings.json was damaged or changed"),
    "no splits": ("splits.csv", None, "splits.csv cannot be read"),
    "features": ("result.json", {"features": None}, "damaged or changed: features"),
    "pictures": ("result.json", {"n_pictures": "\\input{x}"}, "damaged or changed: n_pictures"),
    "folds": ("result.json", {"folds": [1]}, "damaged or changed: folds"),
    "params": ("result.json", {"folds": [{"fold": "a", "params": [1]}]}, "changed: folds"),
    "types": ("result.json", {"by_distortion": {"blur": None}}, "changed: by_distortion"),
    "type names": ("result.json", {"by_distortion": ["blur"]}, "changed: by_distortion"),
    "type SRCC": ("result.json", {"by_distortion": {"blur": {"n_pictures": 3}}}, ": by_distortion"),
    "coverage": ("result.json", {"coverage90": "most"}, "damaged or changed: coverage90"),
    "spread": ("result.json", {"srcc_spread": {"sd": "wide"}}, "damaged or changed: srcc_spread"),
    "shares": ("result.json", {"contributions": {"nss": "all"}}, "changed: contributions"),
    "size": ("result.json", {"size_baseline": [0.5]}, "damaged or changed: size_baseline"),
    "endless": ("result.json", {"median": {"srcc": 10**400}}, "damaged or changed: median"),
    "infinite": ("result.json", {"coverage90": float("inf")}, "damaged or changed: coverage90"),
    "half a letter": ("result.json", {"features": "\ud800"}, "damaged or changed: features"),
    "deep": ("result.json", {"final": {"params": {"alpha": [1]}}}, "damaged or changed: final"),
    "note": ("result.json", {"note": 3}, "damaged or changed: note"),
    "interval": ("result.json", {"srcc_interval": [0.1]}, "damaged or changed: srcc_interval"),
    "fold": ("result.json", {"folds": [{"fold": "a", "srcc": "x"}]}, "damaged or changed: folds"),
    "median": ("result.json", {"median": {}}, "damaged or changed: median"),
}


@pytest.mark.parametrize("case", DAMAGED)
def test_what_is_damaged_is_named(home, finished, case):
    """It is left out, with one line; the others are there."""
    name, change, expected = DAMAGED[case]
    path = home / finished.runs["nss", "ridge"].relative_to(finished.home) / name
    if change is None:
        path.unlink()
    elif isinstance(change, str):
        path.write_text(change)
    else:
        path.write_text(json.dumps(read_json(path) | change))  # what our own writer refuses, too
    lines, left_out = find_lines(home / "runs")
    assert len(lines) == 5 and len(left_out) == 1 and expected in left_out[0]


def test_odd_but_whole(capsys, home, finished):
    """Nothing that is null, or that Matplotlib takes for a formula, costs the page."""
    run = home / finished.runs["nss", "ridge"].relative_to(finished.home)
    result = read_json(run / "result.json")
    result |= {"features": "nss$\\x$", "srcc_spread": None, "contributions": None}
    result |= {"n_without_embedding": 3}
    for fold in result["folds"]:
        fold |= {"params": None, "edges": None, "n_trials_without_head": 2}
    write_json(run / "result.json", result)
    rows = (run / "predictions.csv").read_text().splitlines()
    (run / "predictions.csv").write_text(
        rows[0].replace("group", "gr") + "\n" + "\n".join(rows[1:])
    )
    text, _ = report(capsys, home)
    assert "3 pictures have no embedding" in text and "20 trials gave no head" in text
    assert "no errors by picture and group" in text and text.count('<section class="run"') == 6


def test_sections_are_of_all_databases():
    """The best of each first, however many splits one has."""
    from pipeline.report.__main__ import _with_sections

    def line(db, splits, srcc):
        result = {"db": db, "target": "mos", "protocol": "nested", "median": {"srcc": srcc}}
        return Line(Path(f"{db}-{splits}"), result, splits=splits)

    lines = [line("a", str(k), 0.9 - k / 10) for k in range(4)] + [line("b", "0", 0.1)]
    assert [str(one.run) for one in _with_sections(lines, 3)] == ["a-0", "a-1", "b-0"]


def test_other_splits_compete_elsewhere(capsys, home, finished):
    """Runs of other groups have a best of their own, and are told apart in every format."""
    runs = home / "runs"
    shutil.rmtree(runs)
    for kind in ("ridge", "svr-linear"):
        run = finished.runs["nss", kind]
        for part in ("own", "other"):
            copy = runs / "db" / "nss" / kind / "mos" / f"{part}-{kind}"
            shutil.copytree(run, copy)
            if part == "other":
                splits = copy / "splits.csv"
                splits.write_text(re.sub(r",g(\d+),", r",h\1,", splits.read_text()))
    lines = list(marked(find_lines(runs)[0]))
    assert [line.mark for line in lines].count(BEST) == 2
    assert len({line.splits for line in lines}) == 2
    assert all(line.rivals == (2, 2) and line.splits in line.name for line in lines)
    assert lines[0].splits == lines[1].splits != lines[2].splits == lines[3].splits
    assert all(line.splits in text for line in lines for text in (as_csv(lines), as_latex(lines)))
    code, _, err = call(capsys, "report", "-o", home / "r.html", "--no-pictures")
    assert code == 0, err
    assert (home / "r.html").read_text().count("; splits ") == 2


def test_runs_of_other_settings_are_told_apart(home, finished):
    """By their first digits, wherever all else that is shown is alike; not elsewhere."""
    run = home / finished.runs["nss", "ridge"].relative_to(finished.home)
    shutil.copytree(run, run.with_name("0123456789ab"))
    lines = list(marked(find_lines(home / "runs")[0]))
    twins = {line.run.name for line in lines if line.has_twin}
    assert twins == {run.name, "0123456789ab"}
    for text in (as_markdown(lines), as_latex(lines), table_text("folds", ".md", lines)):
        assert all(f"ridge {name[:6]}" in text for name in twins)
        assert "svr-linear " in text and not re.search(r"svr-linear [0-9a-f]{6}", text)


def test_formats(capsys, home, finished):
    """CSV with every digit, Markdown and LaTeX of the same rows."""
    outputs = [home / f"table{suffix}" for suffix in (".csv", ".md", ".tex")]
    code, _, err = call(capsys, "report", *(part for o in outputs for part in ("-o", o)))
    assert code == 0, err
    lines = list(marked(find_lines(home / "runs")[0]))
    texts = [output.read_text() for output in outputs]
    assert texts == [as_csv(lines), as_markdown(lines), as_latex(lines)]
    rows = list(csv.DictReader(io.StringIO(texts[0])))
    assert [float(row["srcc"]) for row in rows] == [line.result["median"]["srcc"] for line in lines]
    assert all(float(row["srcc_low"]) < float(row["srcc_high"]) for row in rows)
    medians = [line.result["median"] for line in lines]
    for name in ("plcc_logistic", "rmse_logistic"):
        assert [float(row[name]) for row in rows] == [median[name] for median in medians]
    best = next(line for line in lines if line.mark == BEST).result["median"]["srcc"]
    assert f"**{best:.4f}**" in texts[1] and rf"\textbf{{{best:.4f}}}" in texts[2]
    assert texts[1].count("\n| ") == 6 and texts[2].count(r" \\") == 7
    assert "labels-" in texts[2] and "!" in texts[1]


def test_latex_escapes():
    """What LaTeX would take for a command is text."""
    assert (
        escaped(r"a_b{50%}\x^~")
        == r"a\_b\{50\%\}\textbackslash{}x\textasciicircum{}\textasciitilde{}"
    )


def test_what_others_call_their_types_stays_in_its_cell():
    """A line break, a bar, a tag or an image in a name ends no cell and fetches nothing."""
    evil = "white\n\nnoise |a\\| <img src=x> `c` ![d](https://e)"
    table = markdown_table(["a", "b"], [[evil, "**0.9**"]], "legend")
    assert table.count("\n") == 5 and "| **0.9** |" in table
    parser = pytest.importorskip("markdown_it").MarkdownIt("commonmark").enable("table")
    shown = parser.render(table)
    assert shown.count("<td>") == 2 and "<img" not in shown and "href" not in shown
    assert "white noise |a\\| &lt;img src=x&gt; `c` ![d](https://e)" in shown
    assert "\n" not in escaped(evil)


def test_names_are_text(capsys, home):
    """Markup in the name of a picture, of a database or in a title does nothing."""
    evil = "<script>alert(1)</script>"
    for path in home.glob("runs/*/*/*/*/*/predictions.csv"):
        path.write_text(path.read_text().replace("p000.png", evil))
    for path in home.glob("runs/*/*/*/*/*/result.json"):
        if not path.parent.is_symlink():
            write_json(path, read_json(path) | {"note": evil})
    text, _ = report(capsys, home, "--title", evil)
    assert "<script" not in text and text.count("&lt;script&gt;") > 6
    assert "<br>score" in text and "no pictures" not in text


def test_what_is_not_whole(capsys, home, finished):
    """A run that is under way, a damaged one, one of an older version: told, and the rest shown."""
    runs = [home / run.relative_to(finished.home) for run in finished.runs.values()]
    (runs[0] / "result.json").unlink()
    (runs[1] / "result.json").write_text("{")
    older = read_json(runs[2] / "result.json")
    for name in ("coverage90", "plcc_logistic_interval", "size_baseline", "srcc_spread"):
        del older[name]
    del older["median"]["plcc_logistic"], older["contributions"]
    for fold in older["folds"]:
        del fold["coverage90"], fold["error90"]
    write_json(runs[2] / "result.json", older)
    (runs[3] / "scatter.png").unlink()
    (runs[3] / "predictions.csv").write_text("name\n")
    for path in (runs[4] / "studies").iterdir():
        path.write_text("no journal\n")
    shutil.rmtree(home / "cache")
    text, err = report(capsys, home)
    assert err.count("not shown:") == 2
    assert "not finished; the same fit goes on with it" in text and "it is no JSON" in text
    assert "no scatter plot" in text and "cannot be read" in text and "is not in the cache" in text
    assert "no predictions" in text
    assert text.count('<section class="run"') == 4


def test_moved_pictures(capsys, home, finished):
    """Their place says why there is no picture."""
    hidden = finished.labels.parent.with_name("hidden")
    finished.labels.parent.rename(hidden)
    try:
        text, _ = report(capsys, home)
    finally:
        hidden.rename(finished.labels.parent)
    assert "data:image/jpeg" not in text and "cannot be opened" in text


def test_fewer_sections(capsys, home):
    """The table has all, the sections are those asked for."""
    text, _ = report(capsys, home, "--sections", 1, "--no-pictures")
    assert text.count('<section class="run"') == 1 and "data:image/jpeg" not in text
    assert text.count('<td class="n">40</td>') == 6


MISTAKES = {
    "no runs": (("--runs", "empty"), 1, "holds no finished run"),
    "suffix": (("-o", "report.pdf"), 2, "expected a name that ends in"),
    "folder": (("-o", "nowhere/report.html"), 2, "in a folder that is there"),
    "database": (("--db", "koniq"), 2, "there are runs of labels-"),
    "table": (("--table", "folds"), 2, "--table folds: expected a -o that ends in .md"),
}


@pytest.mark.parametrize("case", MISTAKES)
def test_mistakes(capsys, home, monkeypatch, case):
    """One line each."""
    arguments, code, expected = MISTAKES[case]
    monkeypatch.chdir(home)
    found, _, err = call(capsys, "report", *arguments)
    assert found == code and expected in err and "Traceback" not in err


def test_published_numbers_are_of_databases_that_we_read():
    """So that they find their place; all of them are correlations with a source."""
    assert {one.db for one in PUBLISHED} <= set(DATABASES)
    assert all(0 < one.srcc < 1 and one.source.startswith("https://") for one in PUBLISHED)
    assert all(not one.target or one.target in DATABASES[one.db].targets for one in PUBLISHED)
    assert len({one[:3] for one in PUBLISHED}) == len(PUBLISHED)


def test_published_numbers_are_of_the_target():
    """Another aspect of a database has its own; a reduced form has its database's, and says so."""
    methods = [one.method for one in published_on("agiqa-3k", "mos")]
    assert methods == ["IP-IQA", "PromptIQA", "Re-IQA", "AugmentIQ"]
    (alignment,) = published_on("agiqa-3k", "mos_alignment")
    assert (alignment.method, alignment.srcc) == ("AugmentIQ", 0.4956)
    assert not published_on("aigciqa2023", "mos_authenticity")
    assert not published_on("labels-1234", "mos")
    assert published_on("live", "dmos")
    whole, form = published_on("koniq", "mos"), published_on("koniq-512x384", "mos")
    assert [one.srcc for one in form] == [one.srcc for one in whole] == [0.929, 0.914]
    assert all(one.protocol.startswith("on koniq: ") for one in form)


def test_tables_of_folds_and_distortions(capsys, home):
    """A row for each fold and each type of every run, with every digit in the CSV."""
    lines = list(marked(find_lines(home / "runs")[0]))
    for name, count in (("folds", 6 * 10), ("distortions", 6 * 3)):
        outputs = [home / f"{name}{suffix}" for suffix in (".csv", ".md", ".tex")]
        parts = [part for o in outputs for part in ("-o", o)]
        code, _, err = call(capsys, "report", "--table", name, *parts)
        assert code == 0, err
        texts = [output.read_text() for output in outputs]
        rows = list(csv.DictReader(io.StringIO(texts[0])))
        assert len(rows) == texts[1].count("\n| ") == texts[2].count(r" \\") - 1 == count
        for row in rows:
            (line,) = (line for line in lines if str(line.run) == row["run"])
            if name == "folds":
                (own,) = (one for one in line.result["folds"] if one["fold"] == row["fold"])
            else:
                own = line.result["by_distortion"][row["distortion"]]
            assert float(row["srcc"]) == own["srcc"] and f"{own['srcc']:.4f}" in texts[1]
            assert row["database"] == line.result["db"] and row["target"] == "mos"


def test_the_table_of_published_numbers(finished):
    """Our best stands before what is published on the same database, with both protocols."""
    lines = list(marked(find_lines(finished.home / "runs")[0]))
    known = [dataclasses.replace(line, result=line.result | {"db": "koniq"}) for line in lines]
    best = next(line.result for line in known if line.mark == BEST)
    rows = list(csv.DictReader(io.StringIO(table_text("published", ".csv", known))))
    assert [row["method"].split(":")[0] for row in rows] == ["ours", "PromptIQA", "Re-IQA"]
    assert float(rows[0]["srcc"]) == best["median"]["srcc"] and "nested" not in rows[0]["protocol"]
    assert rows[2]["srcc"] == "0.914" and rows[2]["source"].startswith("https://arxiv.org/")
    assert "& 0.914 & 0.923 &" in table_text("published", ".tex", known)
    assert rows[0]["run"] and rows[0]["splits"] and rows[0]["target"] == "mos"
    assert table_text("published", ".md", lines).count("\n| ") == 1  # nobody else has it
    text = page("title", known, [], [])
    assert "PromptIQA" in text and "Published on" not in page("title", lines, [], [])
    for result in (line.result for line in known):  # how it was measured, the optimistic ones too
        assert f"{result['protocol']}: {result['protocol_says']}" in text


def test_a_table_of_nothing(finished):
    """No run has a type of distortion: one line, instead of an empty table."""
    lines, _ = find_lines(finished.home / "runs")
    bare = [dataclasses.replace(line, result=line.result | {"by_distortion": {}}) for line in lines]
    with pytest.raises(InputError, match="--table distortions: none of these runs"):
        table_text("distortions", ".md", bare)
