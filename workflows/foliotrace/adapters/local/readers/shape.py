"""A check of the shape of a page's text: markup and encoded data are no text. Pure."""

import re

from foliotrace.catalog import PageProblem
from foliotrace.model import BlockKind, PageStatus, ParsedPage

_TAG = re.compile(r"<[a-zA-Z/!?][^<>]{0,2000}>")
_RUN = re.compile(r"[A-Za-z0-9+/=]{60,}")
_HEX = re.compile(r"[0-9a-fA-F]+")
_MOSTLY_TAGS, _MUCH_ENCODED = 0.5, 0.3
_LEAST_CHARACTERS = 200  # a shorter page is not judged


def checked(page: ParsedPage) -> ParsedPage:
    """The page; without its text and marked as failed, if that is markup or base64."""
    if page.status is not PageStatus.OK or not is_markup(page):
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
    encoded = sum(len(run) for run in _RUN.findall(page.text) if _is_encoded(run))
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


def _is_encoded(run: str) -> bool:
    """Whether a long run of letters and digits is base64, not a hash, a path or a ruler."""
    if max(run.count(letter) for letter in set(run[:40])) > 0.8 * len(run):
        return run[0].isalnum()
    if _HEX.fullmatch(run) or run.count("/") > len(run) / 12:
        return False
    kinds = (str.isupper, str.islower, str.isdigit)
    return all(any(kind(letter) for letter in run) for kind in kinds)
