"""Replacing personal data and secrets in text by stable keyed tokens; pure, for spans and logs.

Finds: e-mail addresses, telephone numbers (international, and North American with separators),
payment cards (issuer prefix and Luhn), US social security numbers (assignable areas), IBANs (length
and mod 97), API keys of well-known makers, bearer tokens, JWTs, private keys, passwords in URLs.
Names and street addresses are not detected: that takes a language model.
"""

import hmac
import re
import secrets
from typing import Final

from foliotrace_detect import Detector, SensitiveKind

_MOST_REMEMBERED: Final = 4096
_LONGEST_REMEMBERED: Final = 256
_SENSITIVE_NAME: Final = re.compile(
    r"(?i)(?:^|[._-])(?:authorization|cookie|set-cookie|passw(?:or)?d|secret|api[_-]?key|x-api-key"
    r"|access[_-]?token|refresh[_-]?token|private[_-]?key|credentials?)$"
)


def is_sensitive_name(name: str) -> bool:
    """Whether an attribute or header of this name holds a secret, whatever its value."""
    return _SENSITIVE_NAME.search(name) is not None


class Redactor:
    """Replaces what the rules find by `<KIND:token>`.

    The same value gets the same token under the same key, so traces stay searchable; the token is a
    keyed hash, so it cannot be turned back by trying values. Without a key, one is drawn per
    process. Texts seen before are remembered up to a bound. Safe to use from several threads.
    """

    __slots__ = ("_detector", "_key", "_remembered")

    def __init__(self, key: bytes | None = None, *, any_sixteen_digits: bool = False) -> None:
        self._detector = Detector(any_sixteen_digits=any_sixteen_digits)
        self._key = key or secrets.token_bytes(32)
        self._remembered: dict[str, str] = {}

    def redact(self, text: str) -> str:
        """`text` with every find replaced."""
        known = self._remembered.get(text)
        if known is not None:
            return known
        redacted = self._detector.replace(text, self._token)
        if len(text) <= _LONGEST_REMEMBERED:
            if len(self._remembered) >= _MOST_REMEMBERED:  # cheaper than evicting one by one
                self._remembered.clear()
            self._remembered[text] = redacted
        return redacted

    def secret(self, value: str) -> str:
        """The token for a value that is secret by its name."""
        return self._token(SensitiveKind.SECRET, value)

    def _token(self, kind: SensitiveKind, value: str) -> str:
        digest = hmac.digest(self._key, f"{kind}|{value}".encode("utf-8", "replace"), "sha256")
        return f"<{kind}:{digest[:6].hex()}>"
