"""BERT's uncased WordPiece: a text as numbers of a vocabulary, without a package.

The steps, and the order of them, are those of BERT's own Python tokenizer, with which the weights
that need it were trained.
"""

import re
import string
import unicodedata
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from features.errors import InputError

# of bert-base-uncased: the number of lines, and the lines that every user of it relies on
_LINES = 30522
_KNOWN = {"[PAD]": 0, "[UNK]": 100, "[CLS]": 101, "[SEP]": 102, "[MASK]": 103}
# the blocks of Chinese characters, each of which is a word
_CHINESE = re.compile(
    "([\u4e00-\u9fff\u3400-\u4dbf\U00020000-\U0002a6df\U0002a700-\U0002b73f"
    "\U0002b740-\U0002b81f\U0002b820-\U0002ceaf\uf900-\ufaff\U0002f800-\U0002fa1f])"
)
_LONGEST_WORD = 100  # in characters; a longer one is unknown


def read_vocabulary(path: Path) -> list[str]:
    """Return the tokens of bert-base-uncased's vocab.txt, in order of their numbers.

    Raises
    ------
    InputError
        When the file is not that vocabulary: other numbers would mean other words.
    """
    try:
        tokens = path.read_text(encoding="utf-8").removesuffix("\n").split("\n")
    except UnicodeDecodeError:
        tokens = []
    known = {token: number for number, token in enumerate(tokens) if token in _KNOWN}
    if len(tokens) != _LINES or known != _KNOWN:
        raise InputError(
            f"{path} is not the vocabulary of bert-base-uncased: expected {_LINES} lines with "
            f"[CLS] as number {_KNOWN['[CLS]']}, found {len(tokens)} lines; download it again"
        )
    return tokens


class WordPiece:
    """Turns texts into numbers.

    Parameters
    ----------
    vocabulary : the tokens, in order of their numbers
    """

    def __init__(self, vocabulary: Sequence[str]) -> None:
        self._numbers = {token: number for number, token in enumerate(vocabulary)}
        names = [re.escape(token) for token in _KNOWN if token in self._numbers]
        self._special = re.compile(f"({'|'.join(names)})")

    def __call__(self, text: str, length: int) -> tuple[np.ndarray, np.ndarray]:
        """Return (length,) numbers, [CLS] first and [SEP] last, and which of them are not padding.

        A text that is too long loses its end.
        """
        start, end, padding = (self._numbers[name] for name in ("[CLS]", "[SEP]", "[PAD]"))
        numbers = [start, *self._tokens(text)[: length - 2], end]
        n_padding = length - len(numbers)
        mask = np.arange(length) < len(numbers)
        return np.array(numbers + [padding] * n_padding, np.int64), mask

    def _tokens(self, text: str) -> list[int]:
        numbers = []
        for part in self._special.split(text):
            if self._special.fullmatch(part):  # BERT lets a text spell its special tokens
                numbers.append(self._numbers[part])
            else:
                numbers += [number for word in _words(part) for number in self._pieces(word)]
        return numbers

    def _pieces(self, word: str) -> list[int]:
        """Cut the longest known piece off the front, again and again; [UNK] if that gets stuck."""
        unknown = [self._numbers["[UNK]"]]
        if len(word) > _LONGEST_WORD:
            return unknown
        numbers, start = [], 0
        while start < len(word):
            inside = "##" if start else ""
            ends = range(len(word), start, -1)
            found = (end for end in ends if inside + word[start:end] in self._numbers)
            end = next(found, None)
            if end is None:
                return unknown
            numbers.append(self._numbers[inside + word[start:end]])
            start = end
        return numbers


def _words(text: str) -> Iterator[str]:
    """Yield lower-case words without accents; every punctuation mark is a word."""
    text = "".join(_cleaned(character) for character in text)
    text = unicodedata.normalize("NFC", _CHINESE.sub(r" \1 ", text))
    for word in text.split():
        bare = (c for c in unicodedata.normalize("NFD", word.lower()) if _category(c) != "Mn")
        yield from "".join(f" {c} " if _is_mark(c) else c for c in bare).split()


def _cleaned(character: str) -> str:
    """Return the character, a space for any white one, nothing for a control character."""
    if character in "\t\n\r" or _category(character) == "Zs":
        return " "
    return "" if character == "\ufffd" or _category(character).startswith("C") else character


def _is_mark(character: str) -> bool:
    # string.punctuation has ASCII's symbols too, such as $, which Unicode does not call marks
    return character in string.punctuation or _category(character).startswith("P")


_category = unicodedata.category
