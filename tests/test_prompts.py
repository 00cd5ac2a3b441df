"""Texts: from a database's column to the encoder, into the cache, and through score."""

import dataclasses

import numpy as np
import pytest
from conftest import write_pictures
from test_commands import call

import features
from features.cache.folder import CacheFolder
from features.encoders import ENCODERS
from features.encoders.nss import NSS, NSS_DIMS
from features.errors import UsageError
from pipeline.databases import locate
from pipeline.extract import run_extract
from pipeline.scoring import collect


def build(options, files, runtime):
    """The length of the text, then what nss says."""

    def encode(batch):
        lengths = np.array([[len(prompt)] for prompt in batch.prompts], np.float32)
        return np.concatenate([lengths, NSS.build(options, files, runtime)(batch)], axis=1)

    return encode


@pytest.fixture(autouse=True)
def texted(monkeypatch):
    """An encoder that takes text stands in the table."""
    record = dataclasses.replace(
        NSS,
        name="texted",
        prompted=lambda options: True,
        n_dims=lambda options: 1 + NSS_DIMS,
        build=build,
    )
    monkeypatch.setitem(ENCODERS, "texted", record)


@pytest.fixture
def rated(tmp_path):
    """A CSV of forty pictures in twenty prompts; the function writes it anew with other texts."""
    names = write_pictures(tmp_path / "rated", 40)

    def write(prompts):
        lines = [f'{name},{80 - 6 * (i % 10)},"{prompts[i]}"' for i, name in enumerate(names)]
        path = tmp_path / "rated" / "labels.csv"
        path.write_text("image,mos,prompt\n" + "\n".join(lines) + "\n", encoding="utf-8")
        return path

    write.names = names
    return write


PROMPTS = [f"a fox, number {i // 2}" + "!" * (i // 2) for i in range(40)]


def lengths(path, name="texted"):
    """The first number of each cached embedding, by name."""
    loaded = features.load(str(locate(str(path), None, path)().name), name)
    return dict(zip(loaded.names, loaded.embeddings[:, 0].astype(int).tolist(), strict=True))


def test_each_picture_is_embedded_with_its_own_text(rated):
    """Whatever pictures share a batch."""
    path = rated(PROMPTS)
    run_extract(str(path), features="texted+nss")
    assert lengths(path) == {
        name: len(text) for name, text in zip(rated.names, PROMPTS, strict=True)
    }


def test_a_changed_text_is_embedded_anew(rated):
    """And only that; the encoders beside it, which take none, compute nothing."""
    path = rated(PROMPTS)
    run_extract(str(path), features="texted+nss")
    changed = list(PROMPTS)
    changed[7] = "another text altogether"
    rated(changed)
    _, done = run_extract(str(path), features="texted+nss")
    assert {item.encoder: item.n_new for item in done} == {"texted": 1, "nss": 0}
    assert lengths(path)[rated.names[7]] == len(changed[7])


def test_the_text_is_kept_with_the_row(rated):
    """The shard says what each embedding was made with."""
    path = rated(PROMPTS)
    _, done = run_extract(str(path), features="texted")
    rows = {row.name: row for row in CacheFolder(done[0].path).rows()}
    assert rows[rated.names[3]].notes == {"prompt": PROMPTS[3]}


def test_one_text_is_missing(rated):
    """That picture is a row with its reason; the others are embedded."""
    path = rated(["" if i == 4 else text for i, text in enumerate(PROMPTS)])
    _, (done,) = run_extract(str(path), features="texted")
    assert done.failures == {rated.names[4]: "it has no prompt, which texted needs"}
    rated(PROMPTS)
    _, (done,) = run_extract(str(path), features="texted")
    assert (done.n_new, done.failures) == (1, {})


def test_no_texts_at_all_is_an_error(tmp_path):
    """Said before anything is computed: exit code 2."""
    write_pictures(tmp_path / "bare", 3)
    with pytest.raises(UsageError, match="texted needs a prompt for every picture.*column prompt"):
        run_extract(str(tmp_path / "bare"), features="texted")


def test_pictures_of_one_text_are_one_group(rated, tmp_path):
    """Without a column group, the prompt is what must not stand on both sides of a fold."""
    database = locate(str(rated(PROMPTS)), None, tmp_path)()
    assert database.group_by == "column prompt"
    assert database.table["group"].nunique() == 20
    some = locate(str(rated(["", *PROMPTS[1:]])), None, tmp_path)()
    assert some.table["group"].iloc[0] == rated.names[0]


def test_collect_takes_texts(rated, tmp_path):
    """From a CSV's own column, else from --prompt."""
    path = rated(["", *PROMPTS[1:]])
    found = {one.name: one.prompt for one in collect([str(path)], "of all")}
    assert found[rated.names[0]] == "of all"
    assert found[rated.names[1]] == PROMPTS[1]
    (one,) = collect([str(path.parent / rated.names[2])], "of all")
    assert one.prompt == "of all"


def test_scores_follow_the_text(capsys, rated, tmp_path):
    """A fitted head scores with --prompt, refuses without, and the text has its say."""
    path = rated(PROMPTS)
    assert call(capsys, "extract", "--db", str(path), "--features", "texted")[0] == 0
    code, out, _ = call(capsys, "fit", "--db", str(path), "--features", "texted", "--trials", "3")
    assert code == 0
    run = next(line.split()[1] for line in out.splitlines() if line.startswith("run "))
    one = str(path.parent / rated.names[0])
    code, _, err = call(capsys, "score", "--run", run, one)
    assert (code, "needs a prompt" in err and "--prompt" in err) == (2, True)
    scores = set()
    for prompt in ("a fox", "a fox that is so very much longer than any other here"):
        code, out, _ = call(capsys, "score", "--run", run, one, "--prompt", prompt)
        assert code == 0
        scores.add(out.splitlines()[1].split(",")[1])
    assert len(scores) == 2
