"""Records chained and waiting for the disk. The only place where a stream's order is decided.

Records are chained when they are appended, not when they are written: the caller knows its sequence
number at once and can wait for exactly that record, and what is in memory while the disk fails is
already in its final order and cannot be changed unnoticed.
"""

import threading
from dataclasses import dataclass
from datetime import datetime

from foliotrace_audit import control
from foliotrace_audit.chain import GENESIS, link
from foliotrace_audit.errors import AuditClosed
from foliotrace_audit.keys import AuditKeys


@dataclass(frozen=True, slots=True)
class NextSegment:
    """In the queue's order: what follows belongs to a new segment under `keys`."""

    segment: int
    keys: AuditKeys


Item = bytes | NextSegment


class ChainQueue:
    """Chains payloads in arrival order under one lock (held about 3 us a record); thread-safe."""

    def __init__(
        self,
        stream: str,
        keys: AuditKeys,
        now: datetime,
        *,
        segment: int = 0,
        seq: int = 0,
        prev: bytes = GENESIS,
    ) -> None:
        """`segment`, `seq` and `prev` say where a stream goes on that had ended."""
        self.keys = keys
        self._stream = stream
        self._lock = threading.Lock()
        self._items: list[Item] = []
        self._hmac = keys.chain.hmac()
        self._seq = seq
        self._prev = prev
        self._segment = segment
        self._segment_records = 0
        self._finished = False
        self._lost = 0
        self._lost_since = now
        self._link(control.segment_opened(stream, segment, keys, now))

    @property
    def depth(self) -> int:
        """Records not yet taken."""
        return len(self._items)  # without the lock: a limit that is off by a few records is kept

    def add(self, payload: bytes) -> tuple[int, int]:
        """Chain a JSON object: its sequence number, and how many now wait. Raises AuditClosed."""
        with self._lock:
            if self._finished:
                raise AuditClosed("the audit writer is closed")
            seq = self._link(payload)
            return seq, len(self._items)

    def next_segment(self, new_keys: AuditKeys | None, now: datetime) -> None:
        """Seal the segment and open the next, under `new_keys` if given."""
        with self._lock:
            if self._finished:
                return
            if new_keys is not None:
                self._link(control.key_rotated(self.keys, new_keys, now))
            self._seal(now, final=False)
            if new_keys is not None:
                self.keys = new_keys
                self._hmac = new_keys.chain.hmac()
            self._segment += 1
            self._segment_records = 0
            self._items.append(NextSegment(self._segment, self.keys))
            self._link(control.segment_opened(self._stream, self._segment, self.keys, now))

    def finish(self, now: datetime) -> None:
        """Seal the stream; every later `add` raises AuditClosed. Twice is fine."""
        with self._lock:
            if not self._finished:
                self._note_lost(now)
                self._seal(now, final=True)
                self._finished = True

    def drop(self, now: datetime) -> int:
        """Count a record that policy `continue` drops; returns how many since the last note.

        It never gets a sequence number, so the chain has no gap that would look like tampering.
        """
        with self._lock:
            if self._lost == 0:
                self._lost_since = now
            self._lost += 1
            return self._lost

    def note_lost(self, now: datetime) -> int:
        """Chain a `records.lost` record if any were dropped; returns how many."""
        with self._lock:
            return 0 if self._finished else self._note_lost(now)

    def take(self) -> list[Item]:
        """Everything that waits, in order."""
        with self._lock:
            items, self._items = self._items, []
            return items

    def _note_lost(self, now: datetime) -> int:
        lost, self._lost = self._lost, 0
        if lost:
            self._link(control.records_lost(lost, self._lost_since, now))
        return lost

    def _seal(self, now: datetime, *, final: bool) -> None:
        records = self._segment_records + 1
        self._link(control.segment_sealed(self._segment, records, now, final=final))

    def _link(self, payload: bytes) -> int:
        seq = self._seq
        line, self._prev = link(payload, seq, self._prev, self._hmac)
        self._items.append(line)
        self._seq = seq + 1
        self._segment_records += 1
        return seq
