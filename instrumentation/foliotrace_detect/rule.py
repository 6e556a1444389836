"""What a rule is: it finds the values of one kind in a text."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol, runtime_checkable


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
    markers: tuple[str, ...] = ()  # each find contains one: cheaper to look for than the pattern

    def finds(self, text: str) -> Iterator[Find]:
        """Candidates that are valid."""
        if self.markers and not any(marker in text for marker in self.markers):
            return
        for match in self.pattern.finditer(text):
            group = 0 if self.whole else match.lastindex or 0
            value = self.normal(match[group])
            if self.is_valid(value):
                yield Find(*match.span(group), value)
