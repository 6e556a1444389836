"""The chain: how a record's bytes are bound to the record before it. Pure.

A stored line is `{"v":1,"seq":N,"prev":"<mac of N-1>",<record>,"mac":"<HMAC>"}` and a newline. The
MAC covers exactly the bytes before `,"mac"`, so a verifier never parses and writes JSON again.

A MAC and not a plain hash, because whoever can edit the file can also recompute hashes. What the
chain cannot prove is its own end (a shorter chain is a valid chain) and the honesty of whoever
holds the key; signed checkpoints that leave the host prove both (checkpoint.py).
"""

import hashlib
from typing import Final

from foliotrace_audit.record import SCHEMA_VERSION

GENESIS: Final = b"0" * 64
"""`prev` of the first record of a stream."""
_MAC_FIELD: Final = b',"mac":"'
_TAIL_BYTES: Final = len(_MAC_FIELD) + 64 + len(b'"}\n')
_HEAD: Final = b'{"v":%d,"seq":' % SCHEMA_VERSION
_BLOCK_BYTES: Final = 64


class HmacSha256:
    """HMAC-SHA256 (RFC 2104) with both padded key blocks hashed once.

    Half the cost of `hmac.digest` per record (1.5 against 2.9 us for 520 bytes on OpenSSL 3.0).
    """

    __slots__ = ("_inner", "_outer")

    def __init__(self, key: bytes) -> None:
        block = (hashlib.sha256(key).digest() if len(key) > _BLOCK_BYTES else key).ljust(
            _BLOCK_BYTES, b"\0"
        )
        self._inner = hashlib.sha256(bytes(byte ^ 0x36 for byte in block))
        self._outer = hashlib.sha256(bytes(byte ^ 0x5C for byte in block))

    def digest(self, message: bytes) -> bytes:
        """The 32-byte MAC of `message`."""
        inner = self._inner.copy()
        inner.update(message)
        outer = self._outer.copy()
        outer.update(inner.digest())
        return outer.digest()

    def hex(self, message: bytes) -> bytes:
        """The MAC of `message` as 64 lower-case hex digits."""
        inner = self._inner.copy()  # not digest().hex(): a call more for every record verified
        inner.update(message)
        outer = self._outer.copy()
        outer.update(inner.digest())
        return outer.hexdigest().encode()


def head(seq: int, prev: bytes) -> bytes:
    """The bytes every record `seq` after the record with MAC `prev` must begin with."""
    return b'%b%d,"prev":"%b",' % (_HEAD, seq, prev)


def link(record: bytes, seq: int, prev: bytes, key: HmacSha256) -> tuple[bytes, bytes]:
    """Chain `record` (a JSON object with at least one field): the line to store, and its MAC.

    `seq` beside `prev`, so that a verifier can say which records are missing, not only that some
    are.
    """
    body = b'%b%d,"prev":"%b",%b' % (_HEAD, seq, prev, record[1:-1])
    mac = key.hex(body)
    return b'%b,"mac":"%b"}\n' % (body, mac), mac


def mac_of(line: bytes) -> bytes:
    """The MAC a stored line carries (with its newline); meaningless for a malformed line."""
    return line[-67:-3]


def is_authentic(line: bytes, key: HmacSha256) -> bool:
    """Whether the stored line, newline included, was written by a holder of `key` as it stands."""
    # No constant-time comparison: the file is read offline by its owner, so there is nobody who
    # could send guesses and measure how long each takes.
    return (
        line[-_TAIL_BYTES:-67] == _MAC_FIELD
        and line.endswith(b'"}\n')
        and key.hex(line[:-_TAIL_BYTES]) == line[-67:-3]
    )
