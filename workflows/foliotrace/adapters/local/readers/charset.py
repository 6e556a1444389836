"""Bytes of unknown encoding to text, a piece at a time."""

import codecs
from collections.abc import Iterator
from pathlib import Path

from charset_normalizer import from_bytes

_SAMPLE_BYTES = 64 * 1024
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
    guess = from_bytes(sample[:_SAMPLE_BYTES]).best()
    return guess.encoding if guess else "cp1252"


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
