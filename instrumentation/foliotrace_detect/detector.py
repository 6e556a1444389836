"""Replaces sensitive values in text. The caller chooses the kinds and the replacements.

Names of people and street addresses are not found: that takes a language model.
"""

import re
from collections.abc import Callable, Collection
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from typing import Final

_DOUBLED: Final = (0, 2, 4, 6, 8, 1, 3, 5, 7, 9)
"""Twice a digit, and the sum of the digits of that."""

_IBAN_LENGTHS: Final = {
    "AD": 24, "AE": 23, "AT": 20, "BE": 16, "BG": 22, "BR": 29, "CH": 21, "CY": 28, "CZ": 24,
    "DE": 22, "DK": 18, "EE": 20, "ES": 24, "FI": 18, "FR": 27, "GB": 22, "GR": 27, "HR": 21,
    "HU": 28, "IE": 22, "IL": 23, "IS": 26, "IT": 27, "LI": 21, "LT": 20, "LU": 20, "LV": 21,
    "MC": 27, "MT": 31, "NL": 18, "NO": 15, "PL": 28, "PT": 25, "RO": 24, "SA": 24, "SE": 24,
    "SI": 19, "SK": 24, "SM": 27, "TR": 26, "UA": 29,
}  # fmt: skip


def passes_luhn(digits: str) -> bool:
    """Whether `digits` ends with its Luhn check digit (ISO/IEC 7812-1)."""
    total = sum(map(int, digits[::-2]))
    total += sum(_DOUBLED[int(digit)] for digit in digits[-2::-2])
    return total % 10 == 0


def is_card(digits: str) -> bool:
    """Whether 13 to 19 `digits` are a payment card's: an issuer's prefix and length, and Luhn.

    The prefix is needed because one number in ten passes Luhn by chance, order numbers and
    timestamps among them.
    Source: ISO/IEC 7812; ranges of Visa, Mastercard, Maestro, American Express, Diners, JCB, Mir,
    and of Discover, RuPay and UnionPay, which share the digit 6 with Maestro.
    """
    length, two, four = len(digits), int(digits[:2]), int(digits[:4])
    issued = (
        (digits[0] == "4" and length in (13, 16, 19))
        or ((51 <= two <= 55 or 2221 <= four <= 2720) and length == 16)
        or (two in (34, 37) and length == 15)
        or ((two in (50, 56, 57, 58) or digits[0] == "6") and 13 <= length <= 19)
        or ((300 <= four // 10 <= 305 or two in (36, 38, 39)) and 14 <= length <= 19)
        or ((3528 <= four <= 3589 or 2200 <= four <= 2204) and 16 <= length <= 19)
    )
    return issued and passes_luhn(digits)


def is_iban(text: str) -> bool:
    """Whether `text`, spaces apart, has its country's length and check digits (ISO 13616)."""
    bare = text.replace(" ", "")
    if _IBAN_LENGTHS.get(bare[:2]) != len(bare):
        return False
    rotated = bare[4:] + bare[:4]
    return int("".join(str(int(char, 36)) for char in rotated)) % 97 == 1


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
