"""Values that a sentence states about a label without standing next to it. Pure.

"The secretary, Ines Adler, ..." and "The annual meeting takes place on 14 November 2026."
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from foliotrace.adapters.local.rules.labels import is_vague
from foliotrace.model import ParsedPage
from foliotrace.schema_fields.plan import FieldKind, FieldSpec
from foliotrace.schema_fields.values import TypedValue, parse_value

_NAME: Final = r"(?:[^\W\d_]\.\s|(?:Dr|Prof|Mr|Mrs|Ms|Herr|Frau|M|Mme)\.?\s)*"
_APPOSITION: Final = re.compile(
    rf",\s({_NAME}[A-ZÀ-Þ][\w'\u2019-]+(?:\s(?:(?:de|van|von|der|di|la)\s)*[A-ZÀ-Þ][\w'\u2019-]+){{1,3}})(?=[,.;)])"
)
_SENTENCE_END: Final = re.compile(r"[.!?](?=\s+[A-ZÀ-Þ]|\s*$)|\n|\t")
_REACH: Final = 90  # characters from the label to the value
_STATES: Final = re.compile(
    r"\b(?:is|are|was|were|takes?|took|will|shall|be|falls?|costs?|amounts?|to|on|of|at|by|ist|sind"
    r"|findet|am|beträgt|kostet|est|sont|aura|le|coûte|es|será|el|cuesta|è|sarà|il|costa|op|kost)\b",
    re.I,
)
_NAMED, _STATED = 0.62, 0.58


@dataclass(frozen=True, slots=True)
class Stated:
    """A value, the offset of the text it was parsed from, and how sure it is."""

    parsed: TypedValue
    offset: int
    confidence: float


def stated(spec: FieldSpec, page: ParsedPage) -> Iterator[Stated]:
    """Values in sentences that begin with, or contain, one of the field's labels."""
    if spec.is_list:
        return
    for label in spec.labels:
        if is_vague(label) or len(label) < 4:
            continue
        pattern = r"(?<!\w)" + r"[\s_-]+".join(map(re.escape, label.split())) + r"(?!\w)"
        for match in re.finditer(pattern, page.text, re.IGNORECASE):
            yield from _after(spec, page.text, match.end())


def _after(spec: FieldSpec, text: str, start: int) -> Iterator[Stated]:
    end = _SENTENCE_END.search(text, start)
    stop = min(end.start() + 1 if end else len(text), start + _REACH)
    rest = text[start:stop]
    if spec.kind is FieldKind.STRING:
        if name := _APPOSITION.match(rest):
            value = " ".join(name[1].split())
            yield Stated(TypedValue(value, name.start(1), name.end(1), 1.0), start, _NAMED)
    elif spec.kind in (FieldKind.DATE, FieldKind.NUMBER, FieldKind.INTEGER):
        parsed = _only(spec, rest)
        if parsed is not None and _STATES.search(rest[: parsed.start]):
            yield Stated(parsed, start, _STATED)


def _only(spec: FieldSpec, rest: str) -> TypedValue | None:
    """The value, if the rest of the sentence holds no second one."""
    bare = rest.rstrip(" .")
    words = list(re.finditer(r"\S+", bare))
    digits = [word for word in words if any(c.isdigit() for c in word[0])]
    if spec.kind is FieldKind.DATE:
        return parse_value(bare, spec)
    if len(digits) != 1:
        return None
    at = digits[0]
    parsed = parse_value(at[0], spec)
    if parsed is None:
        return None
    return TypedValue(parsed.value, at.start() + parsed.start, at.start() + parsed.end, parsed.fit)
