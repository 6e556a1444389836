"""An API key: its text, its stored form and what it allows."""

import hashlib
import hmac
import re
import secrets
import string
import zlib
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final, Self

PREFIX: Final = "ftk"
SUBJECT_OF_KEYS: Final = "key"
_ALPHABET: Final = string.digits + string.ascii_letters
_ID_LENGTH: Final = 12
_SECRET_LENGTH: Final = 43  # 256 bits
_CHECKSUM_LENGTH: Final = 6
_TEXT: Final = re.compile(
    rf"({PREFIX}_([0-9a-z]{{{_ID_LENGTH}}})_[0-9A-Za-z]{{{_SECRET_LENGTH}}})"
    rf"_([0-9A-Za-z]{{{_CHECKSUM_LENGTH}}})"
)
TENANT: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


class Scope(StrEnum):
    """What a key allows. No scope includes another."""

    READ = "read"  # ask, and read documents, jobs and runs
    INGEST = "ingest"  # upload and delete documents
    EXTRACT = "extract"  # extract records
    ADMIN = "admin"  # metrics of the whole service, and the operator's own workflows


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKey:
    """A key as it is stored: never its secret, only the SHA-256 of its text.

    The secret has 256 random bits, so a fast hash is enough. Times are UTC.
    """

    id: str
    hash: str
    tenant: str
    scopes: frozenset[Scope]
    created_at: datetime
    name: str = ""
    expires_at: datetime | None = None
    revoked_at: datetime | None = None
    replaced_by: str | None = None  # the id of the key that a rotation made
    collections: frozenset[str] | None = None  # None: every collection of the tenant

    @property
    def subject(self) -> str:
        """The name of the caller in records."""
        return f"{SUBJECT_OF_KEYS}:{self.id}"

    def state(self, now: datetime) -> str:
        """`live`, `expired` or `revoked`."""
        if self.revoked_at is not None and self.revoked_at <= now:
            return "revoked"
        if self.expires_at is not None and self.expires_at <= now:
            return "expired"
        return "live"

    def is_hash_of(self, text: str) -> bool:
        """Whether `text` is this key, compared in constant time."""
        return hmac.compare_digest(self.hash, hash_of(text))


@dataclass(frozen=True, slots=True)
class KeyText:
    """The text of a key: `ftk_<id>_<secret>_<checksum>`."""

    text: str
    id: str

    @classmethod
    def new(cls) -> Self:
        """A new random key."""
        id_ = "".join(secrets.choice(_ALPHABET[:36]) for _ in range(_ID_LENGTH))
        secret = "".join(secrets.choice(_ALPHABET) for _ in range(_SECRET_LENGTH))
        body = f"{PREFIX}_{id_}_{secret}"
        return cls(f"{body}_{_checksum(body)}", id_)

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """The key in `text`; None if it has a typo, which shape or checksum shows."""
        found = _TEXT.fullmatch(text)
        if found is None or _checksum(found[1]) != found[3]:
            return None
        return cls(text, found[2])


def hash_of(text: str) -> str:
    """What is stored of a key's text."""
    return hashlib.sha256(text.encode()).hexdigest()


def _checksum(body: str) -> str:
    """CRC-32 in base 62: it finds typos and proves nothing."""
    number, digits = zlib.crc32(body.encode()), ""
    for _ in range(_CHECKSUM_LENGTH):
        number, digit = divmod(number, len(_ALPHABET))
        digits = _ALPHABET[digit] + digits
    return digits
