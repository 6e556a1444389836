"""A check of the shape of a page's text: markup and encoded data are no text. Pure."""

import re

from foliotrace.adapters.local.readers.encoded import encoded_spans, is_encoded, without
from foliotrace.catalog import PageProblem
from foliotrace.model import BlockKind, PageStatus, ParsedPage

_TAG = re.compile(r"<[a-zA-Z/!?][^<>]{0,2000}>")
_RUN = re.compile(r"[A-Za-z0-9+/=]{60,}")
_MOSTLY_TAGS, _MUCH_ENCODED = 0.5, 0.3
_LEAST_CHARACTERS = 200  # a shorter page is not judged
_LEAST_LETTERS = 30  # beside encoded data: a page with fewer is failed


def checked(page: ParsedPage) -> ParsedPage:
    """The page without encoded data; without its text and failed, if it is markup or nothing else.

    A note stands where encoded data was left out.
    """
    if page.status is not PageStatus.OK or len(page.text) < _LEAST_CHARACTERS:
        return page
    spans = encoded_spans(page.text)
    rest = page.text
    for start, end in reversed(spans):
        rest = rest[:start] + rest[end:]
    if spans and sum(map(str.isalpha, rest)) >= _LEAST_LETTERS:
        page = without(page, spans)
    if not is_markup(page):
        return page
    return ParsedPage(
        number=page.number,
        text="",
        kind=page.kind,
        label=page.label,
        status=PageStatus.FAILED,
        problem=PageProblem.MARKUP_NOT_TEXT,
    )


def is_markup(page: ParsedPage) -> bool:
    """Whether most of the page's text is tags, or much of it base64. Code may show tags."""
    size = len(page.text)
    if size < _LEAST_CHARACTERS:
        return False
    encoded = sum(len(run) for run in _RUN.findall(page.text) if is_encoded(run))
    if encoded > _MUCH_ENCODED * size:
        return True
    if "<" not in page.text:
        return False
    code = [(b.start, b.end) for b in page.blocks if b.kind is BlockKind.CODE]
    tags = sum(
        match.end() - match.start()
        for match in _TAG.finditer(page.text)
        if not any(start <= match.start() < end for start, end in code)
    )
    return tags > _MOSTLY_TAGS * size
