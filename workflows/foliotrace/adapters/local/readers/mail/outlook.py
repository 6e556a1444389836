"""Outlook messages (MSG): the same as a mail, from the properties that Outlook stores."""

from collections.abc import Iterator
from email.header import decode_header, make_header
from pathlib import Path
from typing import Final

from oxmsg.domain import constants
from oxmsg.properties import Properties
from oxmsg.storage import Storage

from foliotrace.adapters.local.readers.embedded import Nesting
from foliotrace.adapters.local.readers.mail.letter import pages_of_letter
from foliotrace.adapters.local.readers.mail.parts import Attachment, Body, Letter
from foliotrace.adapters.local.readers.reading_options import ReadingOptions, Refusal
from foliotrace.adapters.local.readers.streamed import StreamedReader
from foliotrace.adapters.local.readers.text.charset import encoding_of
from foliotrace.catalog import ErrorCode
from foliotrace.model import ParsedPage

# where the properties begin in their stream, by what they belong to (MS-OXMSG 2.4.1)
_OF_FILE, _OF_EMBEDDED, _OF_ATTACHMENT = 32, 24, 8
_EMBEDDED: Final = "__substg1.0_3701000D"
holds_files = True


def stream(
    path: Path, options: ReadingOptions, nesting: Nesting | None = None
) -> Iterator[ParsedPage]:
    """Headers and body as sections, then the pages of the attachments."""
    import olefile

    try:
        with olefile.OleFileIO(path) as container:
            letter = letter_of(Storage.from_ole(container))
    except (OSError, ValueError, LookupError, AssertionError, TypeError, OverflowError) as error:
        raise Refusal(ErrorCode.FILE_MALFORMED, "its mail cannot be decoded") from error
    if not letter.headers and not letter.bodies and not letter.attachments:
        raise Refusal(ErrorCode.FILE_MALFORMED, "it holds no mail")
    yield from pages_of_letter(letter, options, nesting)


def letter_of(storage: Storage, offset: int = _OF_FILE) -> Letter:
    """The mail whose properties begin at `offset` of their stream."""
    held = Properties(storage, properties_header_offset=offset)
    when = held.date_prop_value(constants.PID_CLIENT_SUBMIT_TIME)
    headers = (
        ("From", _sender(held)),
        ("To", _text(held, constants.PID_DISPLAY_TO)),
        ("Cc", _text(held, constants.PID_DISPLAY_CC)),
        ("Subject", _text(held, constants.PID_SUBJECT)),
        ("Date", when.isoformat() if when else ""),
    )
    attachments = [
        _attachment(part, number)
        for number, part in enumerate(storage.iter_attachment_storages(), 1)
        if not _is_hidden(part)
    ]
    return Letter([(name, text) for name, text in headers if text], _bodies(held), attachments)


def _sender(held: Properties) -> str:
    name = _text(held, constants.PID_SENDER_NAME)
    name = name or _text(held, constants.PID_SENT_REPRESENTING_NAME)
    address = _text(held, constants.PID_SENDER_SMTP_ADDRESS)
    address = address or _text(held, constants.PID_SENDER_EMAIL_ADDRESS)
    return f"{name} <{address}>" if name and "@" in address and name != address else name or address


def _text(held: Properties, pid: int) -> str:
    """The property on one line; some clients store a header as it was sent, still encoded."""
    raw = " ".join((held.str_prop_value(pid) or "").replace("\x00", "").split())
    try:
        return str(make_header(decode_header(raw))) if "=?" in raw else raw
    except (ValueError, LookupError):
        return raw


def _bodies(held: Properties) -> list[Body]:
    plain = (held.str_prop_value(constants.PID_BODY) or "").replace("\x00", "")
    if plain.strip():
        return [Body(plain.replace("\r\n", "\n"), is_html=False)]
    html = held.binary_prop_value(constants.PID_HTML)
    if html is None:
        return []
    return [Body(html.decode(encoding_of(html[:65536]), errors="replace"), is_html=True)]


def _is_hidden(storage: Storage) -> bool:
    """Whether an attachment is a picture that the body shows in place, such as a logo."""
    held = Properties(storage, properties_header_offset=_OF_ATTACHMENT)
    kind = held.str_prop_value(constants.PID_ATTACH_MIME_TAG) or ""
    return kind.startswith("image/") and bool(held.str_prop_value(constants.PID_ATTACH_CONTENT_ID))


def _attachment(storage: Storage, number: int) -> Attachment:
    held = Properties(storage, properties_header_offset=_OF_ATTACHMENT)
    name = _text(held, constants.PID_ATTACH_LONG_FILENAME)
    name = name or _text(held, constants.PID_ATTACH_FILENAME)
    inner = next((s for s in storage.storages if s.name == _EMBEDDED), None)
    if inner is not None:
        name = name or _text(held, constants.PID_DISPLAY_NAME) or f"message {number}"
        return Attachment(name, b"", is_message=True, letter=letter_of(inner, _OF_EMBEDDED))
    content = held.binary_prop_value(constants.PID_ATTACH_DATA_BINARY) or b""
    return Attachment(name or f"attachment {number}", content)


_reader = StreamedReader(stream)
overview, pages = _reader.overview, _reader.pages
