"""The audit log as its users see it: open, append, wait where it matters, close."""

import asyncio
import logging
import os
import threading
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

from foliotrace_audit.checkpoint import Checkpoint
from foliotrace_audit.errors import AuditClosed, AuditError, AuditWriteFailed
from foliotrace_audit.files import lock_stream, new_stream_folder
from foliotrace_audit.keys import ACTIVE_FILE, AuditKeys, read_keys, write_new_keys
from foliotrace_audit.query_hash import QueryHasher
from foliotrace_audit.record import Entry, ErrorRedactor, drop_error_text, encode
from foliotrace_audit.settings import AuditWriterSettings, DiskFullPolicy, Durability
from foliotrace_audit.write.chain_queue import ChainQueue
from foliotrace_audit.write.committer import Committer
from foliotrace_audit.write.recovery import recover_streams
from foliotrace_audit.write.retention import expire_segments
from foliotrace_audit.write.stream_files import (
    Alarm,
    AlarmKind,
    Clock,
    OnAlarm,
    OnCheckpoint,
    OnWritten,
    StreamFiles,
)

_log = logging.getLogger("foliotrace_audit")

DROPPED = -1
"""Sequence number of a record that policy `continue` gave up while the disk refused it."""


def utc_now() -> datetime:
    """The wall clock, aware UTC."""
    return datetime.now(UTC)


def ignore_checkpoint(checkpoint: Checkpoint) -> None:
    """Send a checkpoint nowhere: it is in the stream's folder."""


def ignore_duration(seconds: float) -> None:
    """Measure nothing."""


def ignore_alarm(alarm: Alarm) -> None:
    """Tell nobody."""


def _tell(on_alarm: OnAlarm, alarm: Alarm) -> None:
    try:
        on_alarm(alarm)
    except Exception:  # noqa: BLE001 - the operator's callback must not end the log
        _log.exception("audit.alarm_not_delivered", extra={"kind": alarm.kind})


class AuditWriter:
    """One process's append-only stream. `append` may be called from any thread.

    `hash_query` is the callable for the query guard: `(tenant, text) -> (key id, hash)`.
    """

    def __init__(
        self,
        folder: Path,
        keys: AuditKeys,
        settings: AuditWriterSettings,
        *,
        clock: Clock,
        redact_error: ErrorRedactor,
        on_checkpoint: OnCheckpoint,
        on_alarm: OnAlarm,
        on_written: OnWritten,
        reload_keys: Callable[[], AuditKeys] | None,
    ) -> None:
        self.hash_query = QueryHasher(keys.query)
        self._settings = settings
        self._clock = clock
        self._redact_error = redact_error
        self._on_alarm = on_alarm = partial(_tell, on_alarm)
        self._pid = os.getpid()
        stream = new_stream_folder(folder, clock())
        self.stream = stream.name
        self._lock_descriptor = lock_stream(stream)
        self._pending = ChainQueue(stream.name, keys, clock())
        files = StreamFiles(
            stream,
            keys,
            clock=clock,
            on_checkpoint=on_checkpoint,
            on_alarm=on_alarm,
            checkpoint_folder=settings.checkpoint_folder,
        )
        self._folder = folder
        self._on_checkpoint = on_checkpoint
        self._reload_keys = reload_keys
        self._ended_streams: set[str] = set()
        self._committer = Committer(
            self._pending,
            files,
            settings,
            clock=clock,
            on_alarm=on_alarm,
            on_written=on_written,
            housekeeping=self._keep_house,
            changed_keys=self._changed_keys,
        )

    @classmethod
    def open(
        cls,
        folder: Path,
        keys: AuditKeys,
        settings: AuditWriterSettings | None = None,
        *,
        clock: Clock = utc_now,
        redact_error: ErrorRedactor = drop_error_text,
        on_checkpoint: OnCheckpoint = ignore_checkpoint,
        on_alarm: OnAlarm = ignore_alarm,
        on_written: OnWritten = ignore_duration,
        reload_keys: Callable[[], AuditKeys] | None = None,
    ) -> "AuditWriter":
        """Start a new stream under `folder`, on disk and signed for before this returns.

        The writer thread then ends the streams of crashed writers; `on_checkpoint`, `on_alarm` and
        `on_written` run in it. `reload_keys` is asked once per `checkpoint_age_s` whether keys
        changed.
        Raises AuditWriteFailed.
        """
        try:
            writer = cls(
                folder,
                keys,
                settings or AuditWriterSettings(),
                clock=clock,
                redact_error=redact_error,
                on_checkpoint=on_checkpoint,
                on_alarm=on_alarm,
                on_written=on_written,
                reload_keys=reload_keys,
            )
            writer._start()
        except OSError as error:
            raise AuditWriteFailed(f"cannot open the audit log: {error.strerror}") from error
        return writer

    def _start(self) -> None:
        try:
            self._committer.start()
        except BaseException:
            os.close(self._lock_descriptor)
            self._lock_descriptor = -1
            raise

    def append(
        self, entry: Entry, *, trace_id: str | None = None, action: str | None = None
    ) -> int:
        """Chain one record and hand it to the writer thread; its sequence number.

        Returns DROPPED if policy `continue` gave the record up. Raises AuditWriteFailed (policy
        `refuse`: for `*_received` while the disk fails, for all once the buffer is full),
        AuditClosed, AuditFieldInvalid.
        """
        now = self._clock()
        payload = encode(entry, now, self._redact_error, trace_id=trace_id, action=action)
        if not self._admits(entry.event, now):
            return DROPPED
        seq, waiting = self._pending.add(payload)
        if waiting == 1 or waiting == self._settings.group_records:
            self._committer.wake()
        return seq

    async def write(
        self, entry: Entry, *, trace_id: str | None = None, action: str | None = None
    ) -> int:
        """As `append`; with `strict` durability a `*_received` record is on disk on return."""
        seq = self.append(entry, trace_id=trace_id, action=action)
        if self._settings.durability is Durability.STRICT and entry.event.endswith("_received"):
            await self.durable(seq)
        return seq

    async def durable(self, seq: int) -> None:
        """Wait until record `seq` is committed. Raises AuditWriteFailed, AuditClosed."""
        if seq <= self._committer.durable_seq:
            return
        loop = asyncio.get_running_loop()
        done: asyncio.Future[None] = loop.create_future()

        def settle(error: AuditError | None) -> None:
            if done.done():
                return
            if error is None:
                done.set_result(None)
            else:
                done.set_exception(error)

        def notify(error: AuditError | None) -> None:
            with suppress(RuntimeError):  # the loop was closed: nobody waits any more
                loop.call_soon_threadsafe(settle, error)

        self._committer.when_durable(seq, notify)
        await done

    def wait_durable(self, seq: int, *, timeout_s: float) -> None:
        """As `durable`, for code without an event loop. Raises AuditWriteFailed when time is up."""
        done = threading.Event()
        outcome: list[AuditError | None] = []

        def settle(error: AuditError | None) -> None:
            outcome.append(error)
            done.set()

        self._committer.when_durable(seq, settle)
        if not done.wait(timeout_s):
            raise AuditWriteFailed(f"audit record {seq} was not committed in {timeout_s} s")
        if outcome[0] is not None:
            raise outcome[0]

    def use_keys(self, keys: AuditKeys) -> None:
        """Record the change, seal the segment under the old keys, go on under the new ones."""
        self.hash_query.use(keys.query)
        self._pending.turn(keys, self._clock())
        self._committer.wake()

    def close(self, *, timeout_s: float = 10.0) -> None:
        """Write everything, seal and sign the end of the stream. Twice is fine.

        Raises AuditWriteFailed if records could not be written; they are lost with the process.
        """
        if self._pid != os.getpid() or self._lock_descriptor < 0:
            return
        self._pending.finish(self._clock())
        try:
            self._committer.stop(timeout_s)
        finally:
            os.close(self._lock_descriptor)
            self._lock_descriptor = -1

    def _changed_keys(self) -> AuditKeys | None:
        """New keys, if somebody rotated them; queries are hashed with them from now on."""
        keys = self._reload_keys() if self._reload_keys is not None else self._pending.keys
        if keys.ids == self._pending.keys.ids:
            return None
        self.hash_query.use(keys.query)
        return keys

    def _keep_house(self) -> None:
        """End crashed streams and remove expired segments, in the writer thread."""
        keys, now, settings = self._pending.keys, self._clock(), self._settings
        recover_streams(
            self._folder,
            keys,
            by=self.stream,
            clock=self._clock,
            on_checkpoint=self._on_checkpoint,
            on_alarm=self._on_alarm,
            checkpoint_folder=settings.checkpoint_folder,
            ended=self._ended_streams,
        )
        if settings.retention_s is not None:
            expire_segments(
                self._folder,
                keys,
                own_stream=self.stream,
                sealed_before=now - timedelta(seconds=settings.retention_s),
                now=now,
                record=self._pending.add,
                on_alarm=self._on_alarm,
            )

    def _admits(self, event: str, now: datetime) -> bool:
        if self._pid != os.getpid() or not self._committer.is_running:
            raise AuditClosed("this process has no running audit writer")
        failing = self._committer.failing
        is_full = self._committer.unwritten >= self._settings.buffered_records
        if failing is None and not is_full:
            return True
        if self._settings.disk_full is DiskFullPolicy.CONTINUE:
            if not is_full:
                return True
            if self._pending.drop(now) == 1:
                self._on_alarm(Alarm(AlarmKind.RECORDS_LOST, self.stream, 1))
            return False
        if is_full or event.endswith("_received"):
            cause = failing.strerror if failing else "too many unwritten records"
            raise AuditWriteFailed(f"the audit log cannot be written: {cause}")
        return True


def rotate_keys(
    key_folder: Path, log_folder: Path | None, *, checkpoint_folder: Path | None = None
) -> AuditKeys:
    """Make new, chosen keys active in `key_folder`; earlier ones stay. Returns the new ones.

    With `log_folder`, a `key.rotated` record in a stream of its own says so, under the old key; its
    checkpoints also go to `checkpoint_folder`.
    Raises AuditKeyUnusable, AuditWriteFailed.
    """
    if log_folder is None or not (key_folder / ACTIVE_FILE).exists():
        return write_new_keys(key_folder, dev_key=False)
    settings = AuditWriterSettings(checkpoint_folder=checkpoint_folder)
    writer = AuditWriter.open(log_folder, read_keys(key_folder), settings)
    try:
        keys = write_new_keys(key_folder, dev_key=False)
        writer.use_keys(keys)
    finally:
        writer.close()
    return keys
