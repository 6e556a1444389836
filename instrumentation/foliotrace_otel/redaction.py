"""Replacing personal data and secrets in text by stable keyed tokens; pure, for spans and logs.

Finds: e-mail addresses, telephone numbers (international, and North American with separators),
payment cards (issuer prefix and Luhn), US social security numbers (assignable areas), IBANs (length
and mod 97), API keys of well-known makers, bearer tokens, JWTs, private keys, passwords in URLs.
Does not find names or street addresses: nobody does without a language model.
"""

import hmac
import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final

_MOST_REMEMBERED: Final = 4096
_LONGEST_REMEMBERED: Final = 256
_MAY_MATTER: Final = re.compile(
    r"\d{3}|@|[A-Za-z0-9]{2}[-_][A-Za-z0-9_-]{8}|AKIA|ASIA|AIza|://|eyJ|earer|PRIVATE KEY"
)

_SECRET: Final = re.compile(
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)"
    r"|\beyJ[\w-]{8,}\.[\w-]{8,}(?:\.[\w-]+)?"
    r"|(?<![A-Za-z0-9])(?:sk|pk|rk|llx|lsv2|ghp|gho|ghu|ghs|ghr|github_pat|glpat|hf|xox[abprs]|pypi|npm)"
    r"[-_][A-Za-z0-9_-]{12,}"
    r"|\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"
    r"|\bAIza[\w-]{30,}"
    r"|(?<=[Bb]earer )[A-Za-z0-9._~+/=-]{8,}"
    r"|(?<=://)[^/\s:@]{1,64}:[^/\s@]{1,128}(?=@)"
)
_EMAIL: Final = re.compile(
    r"(?<![\w.+-])[\w.+%-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63})*\.[^\W\d_]{2,24}"
)
_IBAN: Final = re.compile(
    r"(?<![A-Za-z0-9])[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?\b"
)
_CARD: Final = re.compile(r"(?<![\w.+-])(?<!\d[ ,])[2-6]\d{3}(?:[ -]?\d){8,15}(?![\w-]|[.,]\d)")
_SSN: Final = re.compile(r"(?<![\w-])(?!000|666|9)\d{3}([- ])(?!00)\d{2}\1(?!0000)\d{4}(?![\w-])")
_PHONE: Final = re.compile(
    r"(?<![\w.+-])(?:"
    r"\+[1-9]\d{0,2}[ .()-]{0,2}(?:\d[ .()-]{0,2}){6,13}\d"
    r"|(?:1[ .-])?(?:\([2-9]\d{2}\) ?|[2-9]\d{2}[ .-])[2-9]\d{2}[ .-]\d{4}"
    r")(?![\w-]|\.\d)"
)
_IBAN_LENGTHS: Final = {
    "AD": 24, "AE": 23, "AT": 20, "BE": 16, "BG": 22, "BR": 29, "CH": 21, "CY": 28, "CZ": 24,
    "DE": 22, "DK": 18, "EE": 20, "ES": 24, "FI": 18, "FR": 27, "GB": 22, "GR": 27, "HR": 21,
    "HU": 28, "IE": 22, "IL": 23, "IS": 26, "IT": 27, "LI": 21, "LT": 20, "LU": 20, "LV": 21,
    "MC": 27, "MT": 31, "NL": 18, "NO": 15, "PL": 28, "PT": 25, "RO": 24, "SA": 24, "SE": 24,
    "SI": 19, "SK": 24, "SM": 27, "TR": 26, "UA": 29,
}  # fmt: skip
_CARD_LENGTHS: Final = frozenset({13, 14, 15, 16, 19})
_SENSITIVE_NAME: Final = re.compile(
    r"(?i)(?:^|[._-])(?:authorization|cookie|set-cookie|passw(?:or)?d|secret|api[_-]?key|x-api-key"
    r"|access[_-]?token|refresh[_-]?token|private[_-]?key|credentials?)$"
)


def luhn(digits: str) -> bool:
    """Whether `digits` has a valid Luhn check digit (ISO/IEC 7812-1)."""
    total = 0
    for place, digit in enumerate(reversed(digits)):
        value = int(digit) * (2 if place % 2 else 1)
        total += value - 9 if value > 9 else value
    return total % 10 == 0


def is_iban(text: str) -> bool:
    """Whether `text` without spaces has its country's length and a valid check (ISO 13616)."""
    bare = text.replace(" ", "")
    if _IBAN_LENGTHS.get(bare[:2]) != len(bare):
        return False
    turned = bare[4:] + bare[:4]
    return int("".join(str(int(char, 36)) for char in turned)) % 97 == 1


def is_sensitive_name(name: str) -> bool:
    """Whether an attribute or header of this name holds a secret, whatever its value looks like."""
    return _SENSITIVE_NAME.search(name) is not None


def _digits(text: str) -> str:
    return "".join(char for char in text if char.isdigit())


def _is_card(text: str) -> bool:
    digits = _digits(text)
    return len(digits) in _CARD_LENGTHS and len(set(digits)) > 1 and luhn(digits)


@dataclass(frozen=True, slots=True)
class _Rule:
    kind: str
    pattern: re.Pattern[str]
    normal: Callable[[str], str]
    holds: Callable[[str], bool] = lambda _: True


_RULES: Final = (
    _Rule("SECRET", _SECRET, str),
    _Rule("EMAIL", _EMAIL, str.lower),
    _Rule("IBAN", _IBAN, lambda text: text.replace(" ", ""), is_iban),
    _Rule("CARD", _CARD, _digits, _is_card),
    _Rule("SSN", _SSN, _digits),
    _Rule("PHONE", _PHONE, _digits, lambda text: 8 <= len(_digits(text)) <= 15),
)


class Redactor:
    """Replaces what the rules find by `<KIND:token>`.

    The same value gets the same token under the same key, so traces stay searchable; the token is a
    keyed hash, so it cannot be turned back by trying values. Without a key, one is drawn per
    process. Texts seen before are remembered up to a bound. Safe to use from several threads.
    """

    __slots__ = ("_key", "_remembered")

    def __init__(self, key: bytes | None = None) -> None:
        self._key = key or secrets.token_bytes(32)
        self._remembered: dict[str, str] = {}

    def redact(self, text: str) -> str:
        """`text` with every find replaced."""
        known = self._remembered.get(text)
        if known is not None:
            return known
        found = self._replace(text) if _MAY_MATTER.search(text) else text
        if len(text) <= _LONGEST_REMEMBERED:
            if len(self._remembered) >= _MOST_REMEMBERED:
                self._remembered.clear()
            self._remembered[text] = found
        return found

    def secret(self, value: str) -> str:
        """The token for a value that is secret by its name."""
        return self._token("SECRET", value)

    def _replace(self, text: str) -> str:
        for rule in _RULES:
            text = rule.pattern.sub(partial(self._swap, rule), text)
        return text

    def _swap(self, rule: _Rule, match: re.Match[str]) -> str:
        found = match[0]
        return self._token(rule.kind, rule.normal(found)) if rule.holds(found) else found

    def _token(self, kind: str, normal: str) -> str:
        digest = hmac.digest(self._key, f"{kind}|{normal}".encode("utf-8", "replace"), "sha256")
        return f"<{kind}:{digest[:6].hex()}>"
