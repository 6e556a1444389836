"""Replaces sensitive values in text. The caller chooses the kinds and the replacements.

Names of people and street addresses are not found: that takes a language model.
"""

import re
from collections.abc import Callable, Collection
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from typing import Final

from foliotrace_detect.check_digits import is_card, is_iban


class SensitiveKind(StrEnum):
    """What was found."""

    SECRET = "SECRET"  # noqa: S105 - the name of a kind, not a password
    EMAIL = "EMAIL"
    IBAN = "IBAN"
    SSN = "SSN"
    CARD = "CARD"
    PHONE = "PHONE"


Replacement = Callable[[SensitiveKind, str], str]
"""(kind, value in one spelling: digits only, lower case ...) -> the text to put in its place."""


@dataclass(frozen=True, slots=True)
class _Rule:
    """A pattern for candidates, and what makes a candidate a find."""

    kind: SensitiveKind
    pattern: re.Pattern[str]
    normal: Callable[[str], str]
    is_valid: Callable[[str], bool] = lambda _: True
    marker: str = ""  # every find contains it: looking for it is cheaper than the pattern

    def replace(self, replacement: Replacement, match: re.Match[str]) -> str:
        """The replacement of a find; any other candidate as it is."""
        value = self.normal(match[0])
        return replacement(self.kind, value) if self.is_valid(value) else match[0]


def _digits(text: str) -> str:
    return "".join(char for char in text if char.isdigit())


def _no_spaces(text: str) -> str:
    return text.replace(" ", "")


_SECRET: Final = _Rule(
    SensitiveKind.SECRET,
    re.compile(
        r"-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)"
        r"|\beyJ[\w-]{8,}\.[\w-]{8,}(?:\.[\w-]+)?"
        r"|(?<![A-Za-z0-9])(?:sk|pk|rk|llx|lsv2|ghp|gho|ghu|ghs|ghr|github_pat|glpat|hf"
        r"|xox[abprs]|pypi|npm)[-_][A-Za-z0-9_-]{12,}"
        r"|\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"
        r"|\bAIza[\w-]{30,}"
        r"|(?<=[Bb]earer )[A-Za-z0-9._~+/=-]{8,}"
        r"|(?<=://)[^/\s:@]{1,64}:[^/\s@]{1,128}(?=@)"
    ),
    str,
)
_EMAIL: Final = _Rule(
    SensitiveKind.EMAIL,
    re.compile(r"(?<![\w.+-])[\w.+%-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63})*\.[^\W\d_]{2,24}"),
    str.lower,
    marker="@",
)
_IBAN: Final = _Rule(
    SensitiveKind.IBAN,
    re.compile(r"(?<![A-Za-z0-9])[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?\b"),
    _no_spaces,
    is_iban,
)
_PHONE: Final = _Rule(
    SensitiveKind.PHONE,
    re.compile(
        r"(?<![\w.+-])(?:"
        r"\+[1-9]\d{0,2}[ .()-]{0,2}(?:\d[ .()-]{0,2}){6,13}\d"
        r"|(?:1[ .-])?(?:\([2-9]\d{2}\) ?|[2-9]\d{2}[ .-])[2-9]\d{2}[ .-]\d{4}"
        r")(?![\w-]|\.\d)"
    ),
    _digits,
    lambda digits: 8 <= len(digits) <= 15,
)
_SSN_FORM: Final = r"(?!000|666|9\d\d)\d{3}([- ])(?!00)\d\d\1(?!0000)\d{4}"
_SSN_IN_PROSE: Final = rf"(?<![\d-]){_SSN_FORM}(?![\d-])"
_SSN_ALONE: Final = rf"(?<![\w-]){_SSN_FORM}(?![\w-])"
_CARD_IN_PROSE: Final = r"(?<![\d.,-])\d(?:[ -]?\d){12,18}(?![\d-]|[.,]\d)"
_CARD_ALONE: Final = r"(?<![\w.+-])(?<!\d[ ,])\d{4}(?:[ -]?\d){9,15}(?![\w-]|[.,]\d)"

_HINTS: Final = r"|@|[A-Za-z0-9]{2}[-_][A-Za-z0-9_-]{8}|AKIA|ASIA|AIza|://|eyJ|earer|PRIVATE KEY"
_HINT_IN_PROSE: Final = re.compile(rf"\d[ -]?\d[ -]?\d{_HINTS}")
_HINT: Final = re.compile(rf"\d{{3}}{_HINTS}")
"""No rule finds anything in a text without one of these: most telemetry stops here."""


class Detector:
    """Finds values of `kinds`. Holds no state between texts; safe to use from several threads.

    `prose`: the text was written for people, so a number may touch letters and be grouped in any
    way. Otherwise the text may hold hexadecimal ids, and a number must stand alone.
    `any_sixteen_digits`: sixteen digits are a card even without an issuer or a check digit.
    """

    __slots__ = ("_hint", "_rules")

    def __init__(
        self,
        kinds: Collection[SensitiveKind] = tuple(SensitiveKind),
        *,
        prose: bool = False,
        any_sixteen_digits: bool = False,
    ) -> None:
        ssn, card = (_SSN_IN_PROSE, _CARD_IN_PROSE) if prose else (_SSN_ALONE, _CARD_ALONE)
        is_any_card = _is_card_or_sixteen if any_sixteen_digits else is_card
        rules = (
            _SECRET,
            _EMAIL,
            _IBAN,
            # before cards: a card's candidate would swallow the number and its neighbours
            _Rule(SensitiveKind.SSN, re.compile(ssn), _digits),
            _Rule(SensitiveKind.CARD, re.compile(card), _digits, is_any_card),
            _PHONE,
        )
        self._hint = _HINT_IN_PROSE if prose else _HINT
        self._rules = tuple(rule for rule in rules if rule.kind in kinds)

    def replace(self, text: str, replacement: Replacement) -> str:
        """`text` with what `replacement` returns in place of every find."""
        if not self._hint.search(text):
            return text
        for rule in self._rules:
            if rule.marker in text:
                text = rule.pattern.sub(partial(rule.replace, replacement), text)
        return text


def _is_card_or_sixteen(digits: str) -> bool:
    return len(digits) == 16 or is_card(digits)
