"""Bytes of unknown encoding to text, a piece at a time."""

import codecs
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from charset_normalizer import CharsetMatch, from_bytes

_SAMPLE_BYTES = 64 * 1024
_CHAOS = 0.15  # what a lone accented letter between spaces costs a short text
_COHERENCE = 0.05  # less than the wrong code page costs
_ODD = re.compile("[\u00b3\u00b9\u00ba\u00bc\u00be][^\\W\\d_]|\\w\u00bf\\w")
_PIECE_BYTES = 256 * 1024
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def encoding_of(sample: bytes, declared: str | None = None) -> str:
    """The encoding of text that begins with `sample`: mark, declaration, UTF-8, then a guess."""
    for mark, name in _MARKS:
        if sample.startswith(mark):
            return name
    for name in filter(None, (_wide(sample), declared, "utf-8")):
        if _decodes(sample, name):
            return name
    guesses = from_bytes(sample[:_SAMPLE_BYTES])
    guess = guesses.best()
    if guess is None or _western(guess, guesses):
        return "cp1252"
    return guess.encoding


def _western(best: CharsetMatch, guesses: Iterable[CharsetMatch]) -> bool:
    """Whether Western European reads as well as the best guess, and no figure stands in a word.

    The same bytes are letters in every Latin code page: a pound sign is an L with stroke in one.
    Turkish differs in six letters only, so where it is the best guess they occur.
    """
    if best.encoding == "cp1254":
        return False
    for guess in guesses:
        if guess.encoding == "cp1252":
            tidy = guess.chaos <= best.chaos + _CHAOS
            fluent = guess.coherence >= best.coherence - _COHERENCE
            return tidy and fluent and not _ODD.search(str(guess))
    return False


def _wide(sample: bytes) -> str | None:
    """UTF-16 without a mark: every second byte of mostly Latin text is zero."""
    head = sample[:2048]
    if len(head) < 4:
        return None
    if head[1::2].count(0) > 0.4 * len(head) / 2 and head[0::2].count(0) < 0.05 * len(head):
        return "utf-16-le"
    if head[0::2].count(0) > 0.4 * len(head) / 2 and head[1::2].count(0) < 0.05 * len(head):
        return "utf-16-be"
    return None


def _decodes(sample: bytes, name: str) -> bool:
    try:
        codecs.getincrementaldecoder(name)("strict").decode(sample, final=False)
    except (LookupError, UnicodeDecodeError):
        return False
    return True


def read_text(path: Path, *, declared: str | None = None) -> Iterator[str]:
    """The file's text in pieces; line ends are newlines, undecodable bytes U+FFFD, no NUL."""
    with path.open("rb") as file:
        sample = file.read(_SAMPLE_BYTES)
        decoder = codecs.getincrementaldecoder(encoding_of(sample, declared))("replace")
        piece, carry = sample, ""
        while piece:
            text = carry + decoder.decode(piece)
            carry = "\r" if text.endswith("\r") else ""
            yield _plain(text[: len(text) - len(carry)])
            piece = file.read(_PIECE_BYTES)
        yield _plain(carry + decoder.decode(b"", final=True))


def _plain(text: str) -> str:
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    return text.replace("\x00", "").replace("\f", "\n\n")
