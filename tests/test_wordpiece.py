"""WordPiece against BERT's own tokenizer: what it gave, and side by side where it is installed."""

import random

import numpy as np
import pytest

from features.encoders.wordpiece import WordPiece, read_vocabulary
from features.errors import InputError

SMALL = (
    "[PAD] [UNK] [CLS] [SEP] [MASK] a of the statue man un ##aff ##able ##ly cafe $ , . ! - ' ( ) "
    "’ 中 文 i ##s straße 2 ##3 σ ##ς"
)
TOKENS = SMALL.split()
# text -> what transformers' Python BertTokenizer made of it with these tokens, without the ends
PUBLISHED = {
    "": "",
    "   \t\n": "",
    "The STATUE of a man": "the statue of a man",
    "unaffable": "un ##aff ##able",
    "unaffably": "[UNK]",
    "CAFÉ, cafe\u0301!": "cafe , cafe !",
    "a \u200bman\x00 o\x07f \ufffdthe": "a man of the",
    "the\u00a0man\u2028of\u3000a": "the man of a",
    "中文a中": "中 文 a 中",
    "$2.3 (un-man)": "$ 2 . [UNK] ( un - man )",
    "the man’s statue": "the man ’ [UNK] statue",
    "Straße": "straße",
    "STRASSE is": "[UNK] i ##s",
    "σς": "σ ##ς",
    "a [MASK] [SEP] of [mask]": "a [MASK] [SEP] of [UNK] [UNK] [UNK]",
    "[PAD] man": "[PAD] man",
    "a" * 101: "[UNK]",
    "İ ﬁ ª": "i [UNK] [UNK]",
    "😀 man": "[UNK] man",
}


@pytest.mark.parametrize("text", PUBLISHED)
def test_published_tokens(text):
    """Case, accents, marks, Chinese, white space, control characters, unknown words."""
    numbers, mask = WordPiece(TOKENS)(text, 35)
    assert numbers.shape == mask.shape == (35,)
    expected = ["[CLS]", *PUBLISHED[text].split(), "[SEP]"]
    assert [TOKENS[number] for number in numbers[mask]] == expected
    assert mask[: len(expected)].all()
    assert not numbers[len(expected) :].any()  # [PAD] is 0


def test_a_long_text_loses_its_end():
    """35 tokens, of which the last is [SEP]; none is padding."""
    text = "the statue of a man " * 9
    numbers, mask = WordPiece(TOKENS)(text, 35)
    assert mask.all()
    assert [TOKENS[number] for number in numbers] == ["[CLS]", *text.split()[:33], "[SEP]"]


def published_tokenizer(path):
    """The Python tokenizer of BERT, which later versions of transformers keep as a legacy."""
    pytest.importorskip("transformers")
    try:
        from transformers.models.bert.tokenization_bert_legacy import BertTokenizerLegacy as Python
    except ImportError:
        from transformers.models.bert.tokenization_bert import BertTokenizer as Python
    return Python(str(path))


@pytest.mark.slow
def test_side_by_side(tmp_path):
    """Every character, and random texts of all kinds of them, are the same numbers."""
    surrogates = range(0xD800, 0xE000)
    characters = [chr(code) for code in range(0x2FFFF) if code not in surrogates]
    marked = [c for c in characters if not c.isspace()]
    tokens = list(dict.fromkeys([*TOKENS, *marked, *(f"##{c}" for c in marked)]))
    path = tmp_path / "vocab.txt"
    path.write_text("\n".join(tokens) + "\n", encoding="utf-8", newline="\n")
    theirs, ours = published_tokenizer(path), WordPiece(tokens)

    def check(text):
        expected = theirs(text, truncation=True, max_length=35)["input_ids"]
        numbers, mask = ours(text, 35)
        assert numbers[mask].tolist() == expected, [hex(ord(c)) for c in text]

    for character in characters[::3]:
        check(f"a{character}B")
    rng = random.Random(0)
    pool = [*characters[:0x600], *characters[0x2000:0x2100], "[SEP]", "[MASK]", *[" "] * 400]
    for _ in range(2000):
        check("".join(rng.choices(pool, k=rng.randrange(60))))


SPECIAL = {0: "[PAD]", 100: "[UNK]", 101: "[CLS]", 102: "[SEP]", 103: "[MASK]"}


def bert_like(n_lines=30522, shift=0):
    """The text of a vocabulary with BERT's special tokens in their places."""
    return "".join(f"{SPECIAL.get(n - shift, f'[unused{n}]')}\n" for n in range(n_lines))


def test_vocabulary(tmp_path):
    """A line is a token, whatever ends it; the number of one is its line."""
    path = tmp_path / "vocab.txt"
    # U+2028 ends a line elsewhere; here it is a part of one
    for text in (bert_like(), bert_like().replace("\n", "\r\n"), bert_like().rstrip("\n")):
        path.write_bytes(text.replace("[unused7]", "\u2028").encode())
        tokens = read_vocabulary(path)
        assert len(tokens) == 30522
        assert {n: tokens[n] for n in SPECIAL} == SPECIAL
        assert tokens[7] == "\u2028" and tokens[30521] == "[unused30521]"
    np.testing.assert_array_equal(WordPiece(tokens)("", 3)[0], [101, 102, 0])


@pytest.mark.parametrize(
    "content",
    [b"", b"<html>", b"\xff\xfe\x00", bert_like(28996).encode(), bert_like(shift=1).encode()],
    ids=["empty", "web page", "bytes", "cased", "shifted"],
)
def test_another_vocabulary(tmp_path, content):
    """Its numbers would mean other words: it is refused in one line that names the file."""
    path = tmp_path / "vocab.txt"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"vocab\.txt is not the vocabulary of bert.*30522"):
        read_vocabulary(path)
