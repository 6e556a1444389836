"""Decodes bytes of unknown encoding, piece by piece."""

import codecs
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from charset_normalizer import CharsetMatch, from_bytes

_SAMPLE_BYTES = 64 * 1024
_CHAOS = 0.15  # the chaos that a lone accented letter between spaces adds to a short text
_COHERENCE = 0.05  # less than the coherence that a wrong code page loses
_ODD = re.compile("[\u00b3\u00b9\u00ba\u00bc\u00be][^\\W\\d_]|\\w\u00bf\\w")
# Letters of two scripts in one word: a wrong code page.
_MIXED = re.compile("[A-Za-z][\u0370-\u1dff\ufb1d-\ufefc]|[\u0370-\u1dff\ufb1d-\ufefc][A-Za-z]")
_PIECE_BYTES = 256 * 1024
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def encoding_of(sample: bytes, declared: str | None = None) -> str:
    """The encoding of text that begins with `sample`: by BOM, declaration, UTF-8 or a guess."""
    for mark, name in _MARKS:
        if sample.startswith(mark):
            return name
    for name in filter(None, (_utf16(sample), declared, "utf-8")):
        if _decodes(sample, name):
            return name
    guesses = from_bytes(sample[:_SAMPLE_BYTES])
    guess = next((guess for guess in guesses if not _MIXED.search(str(guess))), None)
    if guess is None or _western(guess, guesses):
        return "cp1252"
    return guess.encoding


def _western(best: CharsetMatch, guesses: Iterable[CharsetMatch]) -> bool:
    """Whether cp1252 fits as well as the best guess, without figures inside words.

    The same bytes are letters in every Latin code page: here a pound sign, there an L with stroke.
    Turkish differs from cp1252 in six letters only: if it is the best guess, they occur.
    """
    if best.encoding == "cp1254":
        return False
    for guess in guesses:
        if guess.encoding == "cp1252":
            tidy = guess.chaos <= best.chaos + _CHAOS
            fluent = guess.coherence >= best.coherence - _COHERENCE
            return tidy and fluent and not _ODD.search(str(guess))
    return False


def _utf16(sample: bytes) -> str | None:
    """UTF-16 without a BOM: every second byte of mostly Latin text is zero."""
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
    """The text of the file in pieces: line ends as newlines, undecodable bytes as U+FFFD."""
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
