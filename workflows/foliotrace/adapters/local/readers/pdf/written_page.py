"""A page of the engine as a page of a document: cleaned words, in blocks and tables."""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from foliotrace.adapters.local.readers.pdf.lines import PageWord
from foliotrace.adapters.local.readers.pdf.liteparse_native import NativeItem, NativePage
from foliotrace.adapters.local.readers.pdf.page_text import write
from foliotrace.adapters.local.readers.pdf.regions import flow_of_scan, regions_of
from foliotrace.model import Box, ParsedPage, Words

LEADER = "...."
_LEADERS = re.compile(r"\.{4,}")
_DOT = 0.5  # of the width of a letter
_ROOM = 2.0  # letters that a box whose edge is estimated is wider
# Half the time of PageWord(...), whose __new__ is a Python function.
_page_word = partial(tuple.__new__, PageWord)


def page_of(native: NativePage, *, is_scan: bool = False) -> ParsedPage:
    """The page as text with words, blocks and tables; `is_scan`: the words come from OCR."""
    runs, confidences = _runs(native.text_items)
    regions = regions_of(native.blocks or (), runs)
    written = write(flow_of_scan(regions) if is_scan else regions)
    words = written.packed()
    if confidences:
        words = replace(words, confidences=_by_word(native.text_items, words))
    return ParsedPage(
        number=native.page_num,
        text=written.text(),
        label=native.page_label,
        width=native.width,
        height=native.height,
        words=words,
        blocks=tuple(written.blocks),
        tables=tuple(written.tables),
        confidence=sum(confidences) / len(confidences) if confidences else None,
    )


def _runs(items: Sequence[NativeItem]) -> tuple[list[list[PageWord]], list[float]]:
    """The words of the page, cleaned and grouped as by the engine; and the OCR confidences."""
    runs: list[list[PageWord]] = []
    confidences: list[float] = []
    for item in items:
        run = [
            _page_word((text, x := word.x, word.y, width := word.width, word.height, x + width))
            for word in item.words
            if (raw := word.text)
            and (text := raw if raw.isascii() and raw.isprintable() else clean(raw))
        ]
        runs += without_leaders(run) if LEADER in item.text else [run] if run else []
        if run and item.confidence is not None:
            confidences.append(item.confidence)
    return runs, confidences


def without_leaders(run: Sequence[PageWord]) -> list[list[PageWord]]:
    """The words before and after each row of dots that leads the eye from a label to its value.

    The dots are no text. Of a word joined to them, the edge of its box at the dots is estimated.
    """
    parts: list[list[PageWord]] = [[]]
    for word in run:
        if LEADER not in word.text:
            parts[-1].append(word)
            continue
        weights = [_DOT if c == "." else 1.0 for c in word.text]
        unit = word.width / sum(weights)
        at = 0
        for dots in (*_LEADERS.finditer(word.text), None):
            end = dots.start() if dots else len(word.text)
            if text := word.text[at:end]:
                left = word.x + unit * max(0.0, sum(weights[:at]) - _ROOM * (at > 0))
                right = word.x + unit * (sum(weights[:end]) + _ROOM * (dots is not None))
                width = right - left
                parts[-1].append(PageWord(text, left, word.y, width, word.height, right))
            if dots:
                parts.append([])
                at = dots.end()
    return [part for part in parts if part]


def clean(text: str) -> str:
    """The word without control characters and lone surrogates, with ligatures spelled out."""
    spelled = "".join(
        unicodedata.normalize("NFKC", c) if "\ufb00" <= c <= "\ufb06" else c for c in text
    )
    return "".join(c for c in spelled if (c.isprintable() and not c.isspace()) or c == "\u00ad")


def _by_word(items: Sequence[NativeItem], words: Words) -> bytes:
    """The confidence of each word, in percent."""
    by_place = {
        Box(word.x, word.y, word.width, word.height): round(100 * (item.confidence or 0.0))
        for item in items
        for word in item.words
    }
    return bytes(by_place.get(word.box, 0) for word in words)
