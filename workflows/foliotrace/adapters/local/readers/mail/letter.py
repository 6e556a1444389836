"""The pages of a mail of whatever format: headers and body as sections, then attachments."""

from collections.abc import Iterator
from dataclasses import replace

from foliotrace.adapters.local.files.filetype import EMAIL
from foliotrace.adapters.local.readers.embedded import (
    DEPTH,
    Nesting,
    UnpackingAllowance,
    as_section,
    pages_of_embedded,
    unread,
)
from foliotrace.adapters.local.readers.mail.parts import Attachment, Letter
from foliotrace.adapters.local.readers.reading_options import ReadingOptions
from foliotrace.adapters.local.readers.sections import Element, Prose, paginate
from foliotrace.adapters.local.readers.text.html import elements_of_html
from foliotrace.model import BlockKind, ParsedPage


def pages_of_letter(
    letter: Letter, options: ReadingOptions, nesting: Nesting | None
) -> Iterator[ParsedPage]:
    """Numbered from 1. Raises Refusal if the attachments unpack to more than allowed."""
    within = nesting or Nesting(UnpackingAllowance.of(options.limits))
    number = 0
    for page in paginate(_elements(letter)):
        number += 1
        yield page
    for attachment in letter.attachments:
        for page in _attached(attachment, options, within):
            number += 1
            yield replace(page, number=number)


def _attached(
    attachment: Attachment, options: ReadingOptions, within: Nesting
) -> Iterator[ParsedPage]:
    name = attachment.name
    if attachment.letter is None:
        kind = EMAIL if attachment.is_message else None
        content = (attachment.content,)
        yield from pages_of_embedded(name, content, options, within, media_type=kind)
    elif within.depth >= DEPTH:
        yield unread(name, too_deep=True)
    else:
        deeper = replace(within, depth=within.depth + 1)
        for page in pages_of_letter(attachment.letter, options, deeper):
            yield as_section(page, name)


def _elements(letter: Letter) -> Iterator[Element]:
    subject = next((text for name, text in letter.headers if name == "Subject"), "")
    if subject:
        yield Prose(subject, BlockKind.HEADING, 1)
    lines = [f"{name}: {text}" for name, text in letter.headers]
    lines += [f"Attachment: {attachment.name}" for attachment in letter.attachments]
    if lines:
        yield Prose("\n".join(lines))
    for body in letter.bodies:
        if body.is_html:
            yield from elements_of_html(body.text.encode("utf-8", errors="replace"))
        else:
            for paragraph in body.text.replace("\r\n", "\n").split("\n\n"):
                if paragraph.strip():
                    yield Prose(paragraph.strip("\n"))
