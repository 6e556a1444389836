"""E-mail (EML): the headers, the best body and every attachment, in this order."""

from collections.abc import Iterator
from email import message_from_bytes, policy
from email.errors import MessageError
from email.message import EmailMessage
from pathlib import Path

from foliotrace.adapters.local.readers.embedded import Nesting
from foliotrace.adapters.local.readers.mail.letter import pages_of_letter
from foliotrace.adapters.local.readers.mail.parts import Letter, parts_of
from foliotrace.adapters.local.readers.reading_options import ReadingOptions, Refusal
from foliotrace.adapters.local.readers.streamed import StreamedReader
from foliotrace.adapters.local.readers.text.charset import encoding_of
from foliotrace.catalog import ErrorCode
from foliotrace.model import ParsedPage

_HEADERS = ("From", "To", "Cc", "Subject", "Date")
holds_files = True


def stream(
    path: Path, options: ReadingOptions, nesting: Nesting | None = None
) -> Iterator[ParsedPage]:
    """Headers and body as sections, then the pages of the attachments."""
    message = message_from_bytes(path.read_bytes(), policy=policy.default)
    if not isinstance(message, EmailMessage) or not message.keys():
        raise Refusal(ErrorCode.FILE_MALFORMED, "it has no mail headers")
    headers = [(name, text) for name in _HEADERS if (text := header(message, name))]
    parts = parts_of(message)
    yield from pages_of_letter(Letter(headers, parts.bodies, parts.attachments), options, nesting)


def header(message: EmailMessage, name: str) -> str:
    """A header's decoded text on one line; empty if there is none or it cannot be decoded."""
    raw = next((str(v) for n, v in message.raw_items() if n.lower() == name.lower()), "")
    if any("\udc80" <= c <= "\udcff" for c in raw):  # bytes that no charset is named for
        content = raw.encode("ascii", "surrogateescape")
        return " ".join(content.decode(encoding_of(content), errors="replace").split())
    try:
        return " ".join(str(message.get(name, "")).split())
    except (MessageError, ValueError, LookupError, AttributeError, TypeError):
        return ""  # the standard library stumbles over some malformed headers


_reader = StreamedReader(stream)
overview, pages = _reader.overview, _reader.pages
