"""Values that papers print without a label, weighed against the labelled ones. Pure."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from foliotrace.adapters.local.rules.candidates import Candidate
from foliotrace.adapters.local.rules.dates import paper_date, puts_day_first
from foliotrace.adapters.local.rules.unlabelled.head_block import (
    Found,
    address_text,
    head_block,
)
from foliotrace.adapters.local.rules.unlabelled.roles import Role, role_of, with_aliases
from foliotrace.adapters.local.rules.unlabelled.titles import title
from foliotrace.adapters.local.rules.unlabelled.totals import total
from foliotrace.adapters.local.rules.visual_lines import VisualLine, visual_lines
from foliotrace.model import ParsedPage
from foliotrace.schema_fields.plan import FieldKind, FieldSpec
from foliotrace.schema_fields.values import TypedValue

_TOTAL_PAGES = 5  # a longer document is no bill: its amounts are not weighed


@dataclass(frozen=True, slots=True)
class SeenPages:
    """The pages of a document as the eye sees them, and how it writes its dates."""

    pages: Sequence[ParsedPage]
    lines: Sequence[Sequence[VisualLine]]
    day_first: bool | None

    @classmethod
    def of(
        cls, pages: Sequence[ParsedPage], fields: Sequence[FieldSpec], others: Sequence[str] = ()
    ) -> "SeenPages":
        """Look once at the pages, if any of the fields may stand there without a label.

        `others` are texts of the same collection: they tell the order of dates if the pages do not.
        """
        needed = any(role_of(spec) for spec in fields)
        looked_at = pages[:_TOTAL_PAGES] if needed else ()
        lines = [visual_lines(page) for page in looked_at]
        day_first = puts_day_first(page.text for page in pages)
        if day_first is None:
            day_first = puts_day_first(others)
        return cls(looked_at, lines, day_first)

    def prepared(self, spec: FieldSpec) -> FieldSpec:
        """The field with its names in other languages and the document's order of dates."""
        return replace(with_aliases(spec), day_first=self.day_first)

    def better(self, spec: FieldSpec, labelled: Candidate | None) -> Candidate | None:
        """The labelled value, unless one without a label is surer."""
        found = self._candidate(spec)
        if found is not None and role_of(spec) is Role.TOTAL:
            return found  # labels alone take the total of a tax table, or one before taxes
        if found is None or (labelled is not None and labelled.confidence >= found.confidence):
            return labelled
        return found

    def _candidate(self, spec: FieldSpec) -> Candidate | None:
        role = role_of(spec)
        if role is None or not self.pages or self.pages[0].number != 1:
            return None
        first, lines = self.pages[0], self.lines[0]
        if role is Role.DATE:
            day = paper_date(lines, day_first=self.day_first)
            if day is None or spec.kind is FieldKind.DATE_TIME:
                return None
            parsed = TypedValue(day.value, 0, day.end - day.start, 1.0)
            return Candidate(first, parsed, day.start, day.end, day.confidence)
        if role is Role.TOTAL:
            return self._total(spec)
        if role is Role.TITLE:
            place = title(first, lines)
            return _text(first, place, spec) if place else None
        block = head_block(lines)
        found = block.organisation if role is Role.ORGANISATION else block.address
        return _text(first, found, spec) if found else None

    def _total(self, spec: FieldSpec) -> Candidate | None:
        found = [
            (best, page)
            for page, lines in zip(self.pages, self.lines, strict=True)
            if (best := total(lines)) is not None
        ]
        if not found:
            return None
        best, page = max(found, key=lambda pair: pair[0].confidence)
        amount = best.amount
        whole = amount.value == int(amount.value)
        if spec.kind is FieldKind.INTEGER and not whole:
            return None
        value = int(amount.value) if whole else amount.value
        parsed = TypedValue(value, 0, amount.end - amount.start, 1.0)
        return Candidate(page, parsed, amount.start, amount.end, best.confidence)


def _text(page: ParsedPage, found: Found, spec: FieldSpec) -> Candidate | None:
    parts = [" ".join(page.text[start:end].split()) for start, end in found.spans]
    value = address_text(parts) if role_of(spec) is Role.ADDRESS else " ".join(parts)
    too_long = spec.max_length is not None and len(value) > spec.max_length
    if too_long or (spec.pattern is not None and not re.search(spec.pattern, value)):
        return None
    (start, end), *more = _joined(page.text, found.spans)
    parsed = TypedValue(value, 0, end - start, 1.0)
    return Candidate(page, parsed, start, end, found.confidence, tuple(more))


def _joined(text: str, spans: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """The spans, joined where only white space parts them."""
    joined: list[tuple[int, int]] = []
    for start, end in spans:
        if joined and joined[-1][1] <= start and not text[joined[-1][1] : start].strip():
            joined[-1] = (joined[-1][0], end)
        else:
            joined.append((start, end))
    return joined
