"""Placeholders of personal data: `<EMAIL:1>` in a row, `[EMAIL REDACTED]` in a redacted run.

A service that is asked for one looks for its words, and refuses. So a question is asked with
a value of the same kind that belongs to nobody, and a reference asks for any value of the kind.
"""

import re
from collections.abc import Callable
from itertools import count
from typing import Final

from foliotrace_detect import Detector

_PLACEHOLDER: Final = re.compile(r"<(?P<kind>[A-Z]{2,10}):(?P<number>\d+)>")
REDACTED: Final = re.compile(r"\[(?P<kind>[A-Z]{2,10}) REDACTED\]")
_DETECTOR: Final = Detector(prose=True)
_CARDS: Final = ("4242 4242 4242 4242", "5555 5555 5555 4444", "3782 822463 10005")
_IBANS: Final = ("GB82 WEST 1234 5698 7654 32", "DE89 3704 0044 0532 0130 00")
_STAND_INS: Final[dict[str, Callable[[int], str]]] = {
    "EMAIL": lambda number: f"person{number}@example.com",
    "PHONE": lambda number: f"+1 202 555 {100 + number % 100:04d}",
    "CARD": lambda number: _CARDS[(number - 1) % len(_CARDS)],
    "IBAN": lambda number: _IBANS[(number - 1) % len(_IBANS)],
    "SSN": lambda number: f"987-65-432{number % 10}",
    "IP": lambda number: f"192.0.2.{number % 256}",
    "MAC": lambda number: f"00:00:5e:00:53:{number % 256:02x}",
    "BIRTH": lambda number: f"{1 + number % 28} January 1970",
    "NAME": lambda number: f"Person {number}",
}
"""Values that are reserved for documentation and tests."""


def stand_ins(text: str) -> str:
    """The text as it can be asked: a value of its kind for each placeholder, the same for the same.

    Those of a redacted run say nothing about which were the same: each gets a value of its own.
    """
    numbers = count(1 + max((int(m["number"]) for m in _PLACEHOLDER.finditer(text)), default=0))
    numbered = REDACTED.sub(lambda match: f"<{match['kind']}:{next(numbers)}>", text)
    return _PLACEHOLDER.sub(lambda m: _stand_in(m["kind"], int(m["number"])), numbered)


def _stand_in(kind: str, number: int) -> str:
    made = _STAND_INS.get(kind)
    return made(number) if made is not None else f"{kind.lower()}-{number}"


def has_placeholder(text: str) -> bool:
    """Whether personal data was replaced in the text."""
    return bool(_PLACEHOLDER.search(text) or REDACTED.search(text))


def without_placeholders(text: str) -> tuple[str, frozenset[str]]:
    """(the text without its placeholders, their kinds)."""
    found = [*_PLACEHOLDER.finditer(text), *REDACTED.finditer(text)]
    rest = REDACTED.sub(" ", _PLACEHOLDER.sub(" ", text))
    return rest, frozenset(match["kind"] for match in found)


def kinds_in(text: str) -> frozenset[str]:
    """The kinds of personal data in a text, placeholders included."""
    rest, kinds = without_placeholders(text)
    found = set(kinds)

    def note(kind: str, value: str) -> str:
        found.add(kind)
        return value

    _DETECTOR.replace(rest, note)
    return frozenset(found)


def redacted(text: str) -> str:
    """The text as a run that keeps no personal data holds it."""
    unnumbered = _PLACEHOLDER.sub(lambda match: f"[{match['kind']} REDACTED]", text)
    return _DETECTOR.replace(unnumbered, lambda kind, _: f"[{kind} REDACTED]")
