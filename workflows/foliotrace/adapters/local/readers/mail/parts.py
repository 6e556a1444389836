"""The parts of a message: texts to show, and files that came with it."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from email.message import EmailMessage, Message
from mimetypes import guess_extension
from typing import Final, cast

from foliotrace.adapters.local.readers.text.charset import encoding_of

_SAMPLE_BYTES: Final = 64 * 1024
_TEXTS: Final = ("text/plain", "text/html")
_SIGNATURES: Final = (
    "application/pkcs7-signature", "application/x-pkcs7-signature", "application/pgp-signature",
)  # fmt: skip
_LATIN_1: Final = ("iso-8859-1", "latin-1", "us-ascii", "ascii")
_STUB: Final = 0.5  # of the words of the HTML: a plain text with fewer stands for it
_MARKUP: Final = re.compile(r"<(style|script|head)\b.*?</\1\s*>|<!--.*?-->|<[^>]*>", re.S | re.I)


@dataclass(frozen=True, slots=True)
class Body:
    """A text of the message."""

    text: str
    is_html: bool


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file that came with the message; `is_message` marks a forwarded mail.

    Outlook stores a forwarded mail taken apart: `letter` holds it, and `content` is empty.
    """

    name: str
    content: bytes
    is_message: bool = False
    letter: "Letter | None" = None


@dataclass(frozen=True, slots=True)
class Letter:
    """A mail of whatever format; headers are (name, decoded text), in the order shown."""

    headers: Sequence[tuple[str, str]]
    bodies: Sequence[Body]
    attachments: Sequence[Attachment]


@dataclass(slots=True)
class Parts:
    """Texts in reading order, and attachments."""

    bodies: list[Body] = field(default_factory=list)
    attachments: list[Attachment] = field(default_factory=list)


def parts_of(message: EmailMessage) -> Parts:
    """Every part once: of alternatives the plain text, else HTML; the rest are attachments."""
    parts = Parts()
    for part in _leaves(message):
        if _is_body(part):
            text = _text(part)
            if text.strip():
                parts.bodies.append(Body(text, part.get_content_type() == "text/html"))
        elif not _is_decoration(part) and part.get_content_type() not in _SIGNATURES:
            parts.attachments.append(_attachment(part, len(parts.attachments) + 1))
    return parts


def _leaves(part: Message) -> Iterator[EmailMessage]:
    kind = part.get_content_type()
    if not part.is_multipart() or kind == "message/rfc822":
        yield cast("EmailMessage", part)
        return
    children = [cast("EmailMessage", child) for child in cast("list[Message]", part.get_payload())]
    if kind == "multipart/alternative":
        best = _best(children)
        for child in children:
            leaves = list(_leaves(child))
            yield from leaves if child is best else (leaf for leaf in leaves if not _is_body(leaf))
        return
    for child in children:
        yield from _leaves(child)


def _best(children: list[EmailMessage]) -> EmailMessage | None:
    """The plain text, unless it only says that there is HTML; else the last with a text."""
    texts = [
        child
        for child in children
        if any(_is_body(leaf) and _text(leaf).strip() for leaf in _leaves(child))
    ]
    plain = [child for child in texts if child.get_content_type() == "text/plain"]
    if plain and _words(plain[0]) >= _STUB * max(map(_words, texts)):
        return plain[0]
    return next(iter(texts[-1:]), None)


def _words(part: EmailMessage) -> int:
    """The number of words that an alternative shows."""
    bodies = [leaf for leaf in _leaves(part) if _is_body(leaf)]
    return sum(len(_MARKUP.sub(" ", _text(body)).split()) for body in bodies)


def _is_body(part: Message) -> bool:
    is_file = part.get_filename() is not None or part.get_content_disposition() == "attachment"
    return part.get_content_type() in _TEXTS and not is_file


def _is_decoration(part: Message) -> bool:
    """Whether a part is a picture that the HTML shows in place, such as a logo."""
    is_picture = part.get_content_maintype() == "image" and part.get("Content-ID") is not None
    return is_picture and part.get_content_disposition() != "attachment"


def _text(part: Message) -> str:
    """The decoded text; what cannot be decoded is marked, never dropped."""
    content = _bytes(part)
    charset = part.get_content_charset()
    if charset in _LATIN_1 and any(128 <= byte < 160 for byte in content):
        charset = "cp1252"  # what mailers mean, as browsers know
    encoding = encoding_of(content[:_SAMPLE_BYTES], charset)
    return content.decode(encoding, errors="replace").replace("\x00", "")


def _bytes(part: Message) -> bytes:
    payload = part.get_payload(decode=True)
    return payload if isinstance(payload, bytes) else b""


def _attachment(part: Message, number: int) -> Attachment:
    name = " ".join((part.get_filename() or "").split())
    if part.get_content_type() == "message/rfc822":
        inner = cast("list[Message]", part.get_payload())
        content = inner[0].as_bytes() if part.is_multipart() and inner else b""
        return Attachment(name or f"message {number}.eml", content, is_message=True)
    ending = guess_extension(part.get_content_type()) or ""
    return Attachment(name or f"attachment {number}{ending}", _bytes(part))
