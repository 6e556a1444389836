"""What a field asks for by its name: the issuer, its address, the date, the total. Pure."""

from dataclasses import replace
from enum import StrEnum

from foliotrace.adapters.local.rules.business_words import (
    ADDRESS,
    ALIASES,
    DATE,
    DATE_OF_PAPER,
    DOCUMENT,
    NAME,
    ORGANISATION,
    TITLE_OF_DOCUMENT,
    TOTAL,
    TOTAL_QUALITIES,
)
from foliotrace.schema_fields.plan import FieldKind, FieldSpec, tokens


class Role(StrEnum):
    """A field that papers often print without a label."""

    TITLE = "title"
    ORGANISATION = "organisation"
    ADDRESS = "address"
    DATE = "date"
    TOTAL = "total"


_NUMBERS = (FieldKind.NUMBER, FieldKind.INTEGER)
_DATES = (FieldKind.DATE, FieldKind.DATE_TIME)
_TOTAL_NAMES = next(group for group in ALIASES if "grand total" in group)


def role_of(spec: FieldSpec) -> Role | None:
    """The role of a field that stands alone; None for every other."""
    if spec.is_list:
        return None
    return next((role for label in spec.labels if (role := _role(label, spec.kind))), None)


def _role(label: str, kind: FieldKind) -> Role | None:
    words = frozenset(tokens(label))
    if kind is FieldKind.STRING:
        if words & TITLE_OF_DOCUMENT and words <= TITLE_OF_DOCUMENT | DOCUMENT | {"of", "the"}:
            return Role.TITLE
        if words & ORGANISATION and words <= ORGANISATION | NAME:
            return Role.ORGANISATION
        if words & ADDRESS and words <= ADDRESS | ORGANISATION:
            return Role.ADDRESS
    if kind in _DATES and words & DATE and words <= DATE | DATE_OF_PAPER | {"of"}:
        return Role.DATE
    if kind in _NUMBERS:
        if words & TOTAL and words <= TOTAL | TOTAL_QUALITIES:
            return Role.TOTAL
        if label in _TOTAL_NAMES:
            return Role.TOTAL
    return None


def with_aliases(spec: FieldSpec) -> FieldSpec:
    """The field with the names that its own names have in other languages."""
    own = {frozenset(tokens(label)) for label in spec.labels}
    more = [
        " ".join(tokens(name))
        for group in ALIASES
        if any(frozenset(tokens(name)) in own for name in group)
        for name in group
    ]
    return replace(spec, labels=tuple(dict.fromkeys((*spec.labels, *more)))) if more else spec
