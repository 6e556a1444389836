"""One value for one leaf: candidates from labels, typed, weighed against each other. Pure."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from foliotrace.adapters.local.rules.labels import best_likeness, is_vague, means_number, words
from foliotrace.adapters.local.rules.pairs import START, Pair
from foliotrace.fields.leaves import Kind, Leaf
from foliotrace.fields.values import Reading, read
from foliotrace.model import ParsedPage

FLOOR = 0.45  # below it a value is not given; calibrated with `python -m bench.extraction`
_LEAST_LIKENESS = 0.5
_CONTEXT_BONUS = 0.06
_ARTICLES = frozenset(("the", "a", "an", "our", "your", "this", "and", "der", "die", "das"))
_SPOKEN = r"\s*(?:[:=\-\u2013]|was|were|is|of|on|dated|amounted to|totall?ed|ist|am)?\s{0,3}"


@dataclass(frozen=True, slots=True)
class Candidate:
    """A value for a leaf, where it stands, and how sure that is."""

    page: ParsedPage
    reading: Reading
    start: int
    end: int
    confidence: float


@dataclass(frozen=True, slots=True)
class PagePairs:
    """A page with its pairs."""

    page: ParsedPage
    pairs: Sequence[Pair]


def choose(leaf: Leaf, pages: Sequence[PagePairs], others: Sequence[Leaf]) -> Candidate | None:
    """The surest candidate, or None when none is sure enough.

    Another value that is nearly as well placed makes both unsure; the same value found again
    makes it a little surer.
    """
    found = [c for page in pages for c in _candidates(leaf, page, others)]
    if not found:
        return None
    best = max(found, key=lambda c: c.confidence)
    confidence = best.confidence
    rivals = [c for c in found if c.reading.value != best.reading.value]
    nearest = max((c.confidence for c in rivals), default=0.0)
    if nearest >= 0.97 * best.confidence:
        confidence *= 0.8
    elif nearest >= 0.85 * best.confidence:
        confidence *= 0.92
    agreeing = sum(1 for c in found if c.reading.value == best.reading.value)
    confidence = min(0.99, confidence + (0.02 if agreeing > 1 else 0.0))
    if confidence < FLOOR:
        return None
    return Candidate(best.page, best.reading, best.start, best.end, round(confidence, 3))


def _candidates(leaf: Leaf, page: PagePairs, others: Sequence[Leaf]) -> Iterator[Candidate]:
    for pair in page.pairs:
        likeness = best_likeness(leaf.labels, pair.label)
        if likeness < _LEAST_LIKENESS:
            continue
        text = page.page.text[pair.start : pair.end]
        reading = read(text, leaf)
        if reading is None or _is_label(text, others):
            continue
        confidence = likeness * pair.weight * reading.fit * _sense(leaf, reading)
        confidence = min(0.99, confidence + _context(leaf, pair.heading))
        yield _at(page.page, pair.start, reading, confidence)
    yield from _spoken(leaf, page.page)


def _at(page: ParsedPage, offset: int, reading: Reading, confidence: float) -> Candidate:
    return Candidate(page, reading, offset + reading.start, offset + reading.end, confidence)


def _is_label(text: str, others: Iterable[Leaf]) -> bool:
    """Whether what stands where a value should is the label of something else that is wanted."""
    return any(best_likeness(leaf.labels, text) >= 0.95 for leaf in others)


def _sense(leaf: Leaf, reading: Reading) -> float:
    """An identifier without a digit is none."""
    is_text = leaf.kind is Kind.STRING and isinstance(reading.value, str)
    if is_text and means_number(leaf.labels) and not any(c.isdigit() for c in reading.value):
        return 0.3
    return 1.0


def _context(leaf: Leaf, heading: str) -> float:
    return _CONTEXT_BONUS if heading and leaf.context & set(words(heading)) else 0.0


def _spoken(leaf: Leaf, page: ParsedPage) -> Iterator[Candidate]:
    """A value right behind its label, in a sentence or at the start of a line. No free text."""
    is_text = leaf.kind in (Kind.STRING, Kind.ENUM, Kind.BOOLEAN)
    if leaf.is_list or (leaf.kind is Kind.STRING and not means_number(leaf.labels)):
        return
    for label in leaf.labels:
        pattern = r"(?<!\w)" + r"[\s_-]+".join(map(re.escape, label.split())) + r"(?!\w)" + _SPOKEN
        for match in re.finditer(pattern, page.text, re.IGNORECASE):
            start = match.end()
            if is_vague(label) and _is_qualified(page.text, match.start()):
                continue
            text = re.split(r"[\n\t]", page.text[start : start + 40], maxsplit=1)[0]
            text = text.split(" ", 1)[0].rstrip(".,;") if is_text else text
            reading = read(text, leaf)
            if reading is None or reading.start > 1 or _goes_on(leaf, text, reading):
                continue
            leads = match.start() == 0 or page.text[match.start() - 1] in "\n\t"
            weight = START if leads else 0.55
            yield _at(page, start, reading, weight * min(1.0, reading.fit + 0.2))


def _is_qualified(text: str, start: int) -> bool:
    """Whether a word before the label makes another thing of it: "delivery date"."""
    before = re.search(r"([^\W\d_]+)[ ]$", text[max(0, start - 40) : start])
    return before is not None and before[1].lower() not in _ARTICLES


def _goes_on(leaf: Leaf, text: str, reading: Reading) -> bool:
    """Whether the value is a part of the label ("VAT 19%:"), or a word where an id should be."""
    if leaf.kind is Kind.STRING:
        return not any(c.isdigit() for c in str(reading.value))
    return text[reading.end :].lstrip(" %)").startswith(":")
