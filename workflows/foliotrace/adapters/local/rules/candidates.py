"""One value for one spec: candidates from labels, typed, weighed against each other. Pure."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from foliotrace.adapters.local.rules.labels import best_likeness, is_vague, means_number, words
from foliotrace.adapters.local.rules.pairs import START, Pair
from foliotrace.model import ParsedPage
from foliotrace.schema_fields.plan import FieldKind, FieldSpec
from foliotrace.schema_fields.values import TypedValue, read

FLOOR = 0.45  # below it a value is not given; calibrated with `python -m bench.extraction`
_LEAST_LIKENESS = 0.5
_CONTEXT_BONUS = 0.06
_ARTICLES = frozenset(("the", "a", "an", "our", "your", "this", "and", "der", "die", "das"))
_SPOKEN = r"\s*(?:[:=\-\u2013]|was|were|is|of|on|dated|amounted to|totall?ed|ist|am)?\s{0,3}"


@dataclass(frozen=True, slots=True)
class Candidate:
    """A value for a spec, where it stands, and how sure that is."""

    page: ParsedPage
    reading: TypedValue
    start: int
    end: int
    confidence: float


@dataclass(frozen=True, slots=True)
class PagePairs:
    """A page with its pairs."""

    page: ParsedPage
    pairs: Sequence[Pair]


def choose(
    spec: FieldSpec, pages: Sequence[PagePairs], others: Sequence[FieldSpec]
) -> Candidate | None:
    """The surest candidate, or None when none is sure enough.

    Another value that is nearly as well placed makes both unsure; the same value found again
    makes it a little surer.
    """
    found = [c for page in pages for c in _candidates(spec, page, others)]
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


def _candidates(
    spec: FieldSpec, page: PagePairs, others: Sequence[FieldSpec]
) -> Iterator[Candidate]:
    for pair in page.pairs:
        likeness = best_likeness(spec.labels, pair.label)
        if likeness < _LEAST_LIKENESS:
            continue
        text = page.page.text[pair.start : pair.end]
        reading = read(text, spec)
        if reading is None or _is_label(text, others):
            continue
        confidence = likeness * pair.weight * reading.fit * _sense(spec, reading)
        confidence = min(0.99, confidence + _context(spec, pair.heading))
        yield _at(page.page, pair.start, reading, confidence)
    yield from _spoken(spec, page.page)


def _at(page: ParsedPage, offset: int, reading: TypedValue, confidence: float) -> Candidate:
    return Candidate(page, reading, offset + reading.start, offset + reading.end, confidence)


def _is_label(text: str, others: Iterable[FieldSpec]) -> bool:
    """Whether what stands where a value should is the label of something else that is wanted."""
    return any(best_likeness(spec.labels, text) >= 0.95 for spec in others)


def _sense(spec: FieldSpec, reading: TypedValue) -> float:
    """An identifier without a digit is none."""
    is_text = spec.kind is FieldKind.STRING and isinstance(reading.value, str)
    if is_text and means_number(spec.labels) and not any(c.isdigit() for c in reading.value):
        return 0.3
    return 1.0


def _context(spec: FieldSpec, heading: str) -> float:
    return _CONTEXT_BONUS if heading and spec.context & set(words(heading)) else 0.0


def _spoken(spec: FieldSpec, page: ParsedPage) -> Iterator[Candidate]:
    """A value right behind its label, in a sentence or at the start of a line. No free text."""
    is_text = spec.kind in (FieldKind.STRING, FieldKind.ENUM, FieldKind.BOOLEAN)
    if spec.is_list or (spec.kind is FieldKind.STRING and not means_number(spec.labels)):
        return
    for label in spec.labels:
        pattern = r"(?<!\w)" + r"[\s_-]+".join(map(re.escape, label.split())) + r"(?!\w)" + _SPOKEN
        for match in re.finditer(pattern, page.text, re.IGNORECASE):
            start = match.end()
            if is_vague(label) and _is_qualified(page.text, match.start()):
                continue
            text = re.split(r"[\n\t]", page.text[start : start + 40], maxsplit=1)[0]
            text = text.split(" ", 1)[0].rstrip(".,;") if is_text else text
            reading = read(text, spec)
            if reading is None or reading.start > 1 or _goes_on(spec, text, reading):
                continue
            leads = match.start() == 0 or page.text[match.start() - 1] in "\n\t"
            weight = START if leads else 0.55
            yield _at(page, start, reading, weight * min(1.0, reading.fit + 0.2))


def _is_qualified(text: str, start: int) -> bool:
    """Whether a word before the label makes another thing of it: "delivery date"."""
    before = re.search(r"([^\W\d_]+)[ ]$", text[max(0, start - 40) : start])
    return before is not None and before[1].lower() not in _ARTICLES


def _goes_on(spec: FieldSpec, text: str, reading: TypedValue) -> bool:
    """Whether the value is a part of the label ("VAT 19%:"), or a word where an id should be."""
    if spec.kind is FieldKind.STRING:
        return not any(c.isdigit() for c in str(reading.value))
    return text[reading.end :].lstrip(" %)").startswith(":")
