"""Find the cloud's words in the text we stored, so that what it says can be opened here. Pure."""

import re
from collections.abc import Sequence

from foliotrace.model import ParsedPage

_TOKEN = re.compile(r"\w+|[^\w\s]")
_MARKUP = re.compile(r"[*_`#|>]+|<[^>]{1,40}>")


def locate(text: str, words: str, *, near: int = 0) -> tuple[int, int] | None:
    """[start, end) of `words` in `text`, whatever white space, case or markup lies between.

    The first place at or behind `near`, else the first at all; None when it is not there.
    """
    tokens = _TOKEN.findall(_MARKUP.sub(" ", words))
    if not tokens:
        return None
    pattern = re.compile(r"[\s\-\u00ad|]*".join(map(re.escape, tokens)), re.IGNORECASE)
    found = pattern.search(text, near) or pattern.search(text)
    return found.span() if found else None


def locate_long(text: str, words: str, *, least: float = 0.6) -> tuple[int, int] | None:
    """As `locate`, for a chunk that may differ in places: from its first to its last known line.

    None unless lines with `least` of its characters stand in `text` in this order.
    """
    exact = locate(text, words)
    if exact is not None:
        return exact
    first: int | None = None
    last, known, total = 0, 0, 0
    for line in filter(None, (line.strip() for line in words.splitlines())):
        total += len(line)
        found = locate(text, line, near=last)
        if found is not None and found[0] >= last:
            first = found[0] if first is None else first
            last, known = found[1], known + len(line)
    if first is None or known < least * total:
        return None
    return first, last


def locate_on(
    pages: Sequence[ParsedPage], words: str, *, page_number: int | None = None
) -> tuple[ParsedPage, int, int] | None:
    """The page and span of `words`, first on the page that is named, then on any."""
    order = sorted(pages, key=lambda page: page.number != page_number)
    for page in order:
        found = locate(page.text, words)
        if found is not None:
            return page, *found
    return None
