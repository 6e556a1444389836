"""What a rule is: it finds the values of one kind in a text."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Protocol, runtime_checkable


class SensitiveKind(StrEnum):
    """What was found."""

    SECRET = "SECRET"  # noqa: S105 - the name of a kind, not a password
    EMAIL = "EMAIL"
    IBAN = "IBAN"
    SSN = "SSN"
    ID = "ID"
    MAC = "MAC"
    IP = "IP"
    CARD = "CARD"
    PHONE = "PHONE"
    NAME = "NAME"
    BIRTH = "BIRTH"


@dataclass(frozen=True, slots=True)
class Find:
    """A sensitive value at `start` to `end`; `value` is its one spelling (digits only ...)."""

    start: int
    end: int
    value: str


@runtime_checkable
class Rule(Protocol):
    """Finds values of one kind; a program may add rules of its own."""

    @property
    def kind(self) -> str:
        """What it finds: stands in the replacement."""
        ...

    def finds(self, text: str) -> Iterator[Find]:
        """Finds in `text`, in order, none overlapping another."""
        ...


def digits_of(text: str) -> str:
    """The digits alone."""
    return "".join(char for char in text if char.isdigit())


_LONGEST_NAME: Final = 32


def follows(words: re.Pattern[str] | None, text: str, at: int) -> bool:
    """Whether one of `words`, a pattern anchored at its end, stands directly before `at`."""
    if words is None:
        return False
    return words.search(text, max(0, at - _LONGEST_NAME), at) is not None


REFERENCE_NAME: Final = re.compile(
    r"(?i:(?<![a-z])(?:m?awb|order|bestellung|commande|pedido|invoice|rechnung|facture|ticket|case|ref"
    r"|reference|referenz|tracking|sendung|shipment|parcel|consignment|part|parts|sku|art|artikel"
    r"|article|item|serial|seriennummer|s/n|sn|batch|charge|lot|po|rma|isbn|issn|ean|gtin|upc|vin|doi"
    r"|patent|contract|vertrag|policy|docket|flight|model|modell|firmware|build|version|section"
    r"|drawing|catalog(?:ue)?|asset|product|produkt|cas|inventory|inv)"
    r"(?:[ ._-]*(?:no|nr|num|number|nummer|id|code|ref))?\.?[\s:#=\"']{0,4})\Z"
)
"""A name that makes a reference to a thing of the number behind it."""


@dataclass(frozen=True, slots=True)
class PatternRule:
    """A pattern for candidates; the group that matched, else all of it, is the value.

    `whole`: all of it although there are groups, which are only referred back to.
    """

    kind: SensitiveKind
    pattern: re.Pattern[str]
    normal: Callable[[str], str] = str
    is_valid: Callable[[str], bool] = lambda _: True
    whole: bool = False
    not_after: re.Pattern[str] | None = None  # words directly before it that make it something else
    markers: tuple[str, ...] = ()  # each find contains one: cheaper to look for than the pattern

    def finds(self, text: str) -> Iterator[Find]:
        """Candidates that are valid."""
        if self.markers and not any(marker in text for marker in self.markers):
            return
        for match in self.pattern.finditer(text):
            group = 0 if self.whole else match.lastindex or 0
            value = self.normal(match[group])
            if self.is_valid(value) and not follows(self.not_after, text, match.start(group)):
                yield Find(*match.span(group), value)
