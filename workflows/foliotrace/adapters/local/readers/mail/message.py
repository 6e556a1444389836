"""E-mail (EML): the headers, the best body and every attachment, in this order.

An attachment that a reader knows becomes pages of its own, labelled with its name. One that cannot
be read becomes a page that says so: nothing is lost in silence.
"""

from collections.abc import Iterator
from dataclasses import replace
from email import message_from_bytes, policy
from email.errors import MessageError
from email.message import EmailMessage
from pathlib import Path

from foliotrace.adapters.local.files.filetype import EMAIL, sniff
from foliotrace.adapters.local.readers.formats import reader_of
from foliotrace.adapters.local.readers.mail.parts import Attachment, Parts, parts_of
from foliotrace.adapters.local.readers.mail.temporary import content_at_path
from foliotrace.adapters.local.readers.reading_options import ReadingOptions, Refusal
from foliotrace.adapters.local.readers.sections import PATH_MARK, Element, Prose, paginate
from foliotrace.adapters.local.readers.streamed import StreamedReader
from foliotrace.adapters.local.readers.text.html import elements_of_html
from foliotrace.catalog import ErrorCode, PageProblem
from foliotrace.model import BlockKind, PageKind, PageStatus, ParsedPage, Table, Words

_HEADERS = ("From", "To", "Cc", "Subject", "Date")
_DEPTH = 3  # of messages inside messages


def stream(path: Path, options: ReadingOptions, depth: int = 0) -> Iterator[ParsedPage]:
    """Headers and body as sections, then the pages of the attachments."""
    message = message_from_bytes(path.read_bytes(), policy=policy.default)
    if not isinstance(message, EmailMessage) or not message.keys():
        raise Refusal(ErrorCode.FILE_MALFORMED, "it has no mail headers")
    parts = parts_of(message)
    if len(parts.attachments) > options.limits.archive_entries:
        raise Refusal(ErrorCode.FILE_TOO_COMPLEX, "it has too many attachments")
    number = 0
    for page in paginate(_elements(message, parts)):
        number += 1
        yield page
    for attachment in parts.attachments:
        for page in _pages(attachment, options, depth):
            number += 1
            yield replace(page, number=number)


def _elements(message: EmailMessage, parts: Parts) -> Iterator[Element]:
    subject = header(message, "Subject")
    if subject:
        yield Prose(subject, BlockKind.HEADING, 1)
    lines = [f"{name}: {text}" for name in _HEADERS if (text := header(message, name))]
    lines += [f"Attachment: {attachment.name}" for attachment in parts.attachments]
    if lines:
        yield Prose("\n".join(lines))
    for body in parts.bodies:
        if body.is_html:
            yield from elements_of_html(body.text.encode("utf-8", errors="replace"))
        else:
            for paragraph in body.text.replace("\r\n", "\n").split("\n\n"):
                if paragraph.strip():
                    yield Prose(paragraph.strip("\n"))


def header(message: EmailMessage, name: str) -> str:
    """A header's decoded text on one line; empty if there is none or it cannot be decoded."""
    try:
        return " ".join(str(message.get(name, "")).split())
    except (MessageError, ValueError, LookupError, AttributeError, TypeError):
        return ""  # the standard library stumbles over some malformed headers


def _pages(attachment: Attachment, options: ReadingOptions, depth: int) -> list[ParsedPage]:
    """The pages of one attachment, or a page that says it was not read."""
    unread = ParsedPage(
        number=1,
        text="",
        kind=PageKind.SECTION,
        label=attachment.name,
        status=PageStatus.FAILED,
        problem=PageProblem.ATTACHMENT_NOT_READ,
    )
    if depth >= _DEPTH:
        return [unread]
    with content_at_path(attachment.content) as path:
        media_type = EMAIL if attachment.is_message else sniff(path, attachment.name)
        reader = reader_of(media_type)
        if reader is None:
            return [unread]
        try:
            if media_type == EMAIL:
                found = list(stream(path, options, depth + 1))
            else:
                total = reader.overview(path, options).pages_total
                found = list(reader.pages(path, range(1, total + 1), options))
        except Refusal:
            return [unread]
    return [_as_section(page, attachment.name) for page in found] or [unread]


def _as_section(page: ParsedPage, name: str) -> ParsedPage:
    """A page of an attachment, whose boxes would point into another file than the mail."""
    label = page.label or (f"page {page.number}" if page.kind is PageKind.PAGE else None)
    return replace(
        page,
        kind=PageKind.SECTION,
        label=PATH_MARK.join(part for part in (name, label) if part),
        words=Words(),
        blocks=tuple(replace(block, box=None) for block in page.blocks),
        tables=tuple(_table_without_boxes(table) for table in page.tables),
    )


def _table_without_boxes(table: Table) -> Table:
    rows = tuple(
        replace(row, cells=tuple(replace(cell, box=None, ref=None) for cell in row.cells))
        for row in table.rows
    )
    return replace(table, rows=rows, box=None)


_reader = StreamedReader(stream)
overview, pages = _reader.overview, _reader.pages
