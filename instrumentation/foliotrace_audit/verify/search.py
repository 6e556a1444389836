"""Searches an audit log, and says of each record that it finds whether it is as it was written."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any

import orjson

from foliotrace_audit import control
from foliotrace_audit.chain import GENESIS, is_authentic, mac_of
from foliotrace_audit.files import others, segments, streams
from foliotrace_audit.keys import AuditKeys, MacKey, query_hash, tenant_key
from foliotrace_audit.record import EVENTS, MAX_LINE_BYTES, shorten
from foliotrace_audit.verify.stream_reading import segment_key

Record = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordFilter:
    """The values a record must have; None accepts any. `hashes`: any of these query hashes.

    `subject`: who asked, or for whom: the caller (`key:<id>`, or the part behind the colon) or the
    user.
    """

    event: str | None = None
    tenant: str | None = None
    user_id: str | None = None
    subject: str | None = None
    trace_id: str | None = None
    run_id: str | None = None
    document_id: str | None = None
    hashes: frozenset[str] | None = None
    success: bool | None = None
    since: datetime | None = None
    until: datetime | None = None

    def accepts(self, record: Record) -> bool:
        """Whether `record` has all of them."""
        for name in ("event", "tenant", "user_id", "trace_id", "run_id", "success"):
            value = getattr(self, name)
            if value is not None and record.get(name) != _stored(value):
                return False
        if self.hashes is not None and record.get("query_hash") not in self.hashes:
            return False
        if self.document_id is not None and _stored(self.document_id) not in (
            record.get("document_ids", ())
        ):
            return False
        if self.subject is not None and not _is_about(record, self.subject):
            return False
        return self._in_time(record)

    def _in_time(self, record: Record) -> bool:
        if self.since is None and self.until is None:
            return True
        when = datetime.fromisoformat(record["timestamp"])
        return (self.since is None or when >= self.since) and (
            self.until is None or when < self.until
        )

    def needles(self) -> list[tuple[bytes, ...]]:
        """A matching line contains one member of each tuple.

        Searching bytes first spares parsing the JSON of nearly every line in a large log.
        """
        names = ("event", "tenant", "user_id", "trace_id", "run_id", "document_id")
        wanted: list[tuple[str, ...]] = [
            (getattr(self, name),) for name in names if getattr(self, name) is not None
        ]
        if self.hashes is not None:
            wanted.append(tuple(self.hashes))
        return [tuple(orjson.dumps(_stored(value)) for value in values) for values in wanted]


def _stored(value: object) -> object:
    """`value` as a record holds it."""
    return shorten(value) if isinstance(value, str) else value


def hashes_of(keys: AuditKeys, tenant: str, text: str) -> frozenset[str]:
    """The hashes of `text` for `tenant` under every query key that the folder still has."""
    return frozenset(query_hash(tenant_key(key, tenant), text) for key in keys.all_query.values())


def find_records(
    log_folder: Path,
    wanted: RecordFilter,
    *,
    chain_keys: Mapping[str, MacKey] = MappingProxyType({}),
) -> Iterator[Record]:
    """Audit records that `wanted` accepts, stream by stream in written order.

    Each has its `stream`, and `verified`: whether its bytes and its link to the line before are as
    a holder of the chain key wrote them; None without that key. Reads in constant memory; skips
    lines that are not records, which `verify` reports, and what is missing at an end, which only
    `verify` can tell. Raises OSError.
    """
    needles = wanted.needles()
    for stream in (*streams(log_folder), *_renamed(log_folder)):
        before = None
        for number, path in segments(stream).items():
            key = segment_key(path, chain_keys) if chain_keys else None
            chain = _Chain(key, GENESIS if number == 0 else before)
            with path.open("rb", buffering=1 << 20) as file:
                while line := file.readline(MAX_LINE_BYTES):
                    verified = chain.follows(line)
                    if all(any(n in line for n in either) for either in needles):
                        # The bytes may stand in another field: the parsed record decides.
                        record = control.parse(line)
                        if record.get("event") in EVENTS and wanted.accepts(record):
                            yield {"stream": stream.name, "verified": verified, **record}
            before = chain.last


class _Chain:
    """Checks line by line that each is authentic and follows the one before."""

    def __init__(self, key: MacKey | None, last: bytes | None) -> None:
        self._hmac = None if key is None else key.hmac()
        self.last = last

    def follows(self, line: bytes) -> bool | None:
        """Whether `line` is authentic and the next one; None if that cannot be told."""
        before, self.last = self.last, mac_of(line)
        if self._hmac is None:
            return None
        linked = before is None or b',"prev":"%b",' % before in line[:120]
        return linked and is_authentic(line, self._hmac)


def _renamed(log_folder: Path) -> list[Path]:
    """Folders with segments under a name that no writer makes: reported, and not left out."""
    return [folder for folder in others(log_folder) if segments(folder)]


def _is_about(record: Record, subject: str) -> bool:
    caller = str(record.get("caller") or "")
    return _stored(subject) in (record.get("user_id"), caller, caller.partition(":")[2])


def unfinished(records: Iterable[Record]) -> list[Record]:
    """The `*_received` records without a `*_completed` or `*_failed` record of the same run.

    Matched by run id, or by trace id where there is none.
    """
    started: dict[tuple[str, str, str], Record] = {}
    for record in records:
        family, _, stage = record["event"].partition("_")
        join = (family, str(record.get("tenant")), str(record.get("run_id") or record["trace_id"]))
        if stage == "received":
            started[join] = record
        else:
            started.pop(join, None)
    return list(started.values())
