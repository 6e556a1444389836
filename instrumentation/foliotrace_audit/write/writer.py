"""The audit log as its users see it: open, append, wait where it matters, close."""

import asyncio
import os
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

from foliotrace_audit.errors import AuditClosed, AuditError, AuditWriteFailed
from foliotrace_audit.files import lock_stream, new_stream_folder
from foliotrace_audit.keys import ACTIVE_FILE, AuditKeys, QueryHasher, read_keys, write_new_keys
from foliotrace_audit.record import Entry, ErrorRedactor, drop_error_text, encode
from foliotrace_audit.settings import AuditWriterSettings, DiskFullPolicy, Durability
from foliotrace_audit.write.chain_queue import ChainQueue
from foliotrace_audit.write.committer import Committer
from foliotrace_audit.write.hooks import (
    AlarmKind,
    Hooks,
    Now,
    OnAlarm,
    OnCheckpoint,
    OnWritten,
    ignore,
    utc_now,
)
from foliotrace_audit.write.recovery import recover_streams, resume_stream, sign_ended_streams
from foliotrace_audit.write.stream_files import StreamFiles, expire_segments

DROPPED = -1
"""Sequence number of a record that policy `continue` dropped while the disk failed."""


class AuditWriter:
    """One process's append-only stream. `append` may be called from any thread.

    `hash_query` is the callable `(tenant, text) -> (key id, hash)` for queries.
    """

    def __init__(
        self,
        folder: Path,
        keys: AuditKeys,
        settings: AuditWriterSettings,
        hooks: Hooks,
        *,
        redact_error: ErrorRedactor,
        reload_keys: Callable[[], AuditKeys] | None,
        resume: bool,
    ) -> None:
        self.hash_query = QueryHasher(keys.query)
        self._folder = folder
        self._settings = settings
        self._hooks = hooks
        self._redact_error = redact_error
        self._reload_keys = reload_keys
        self._ended_streams: set[str] = set()
        # A forked child has this object but not its thread, and two writers on one chain would
        # break it: the child's appends are refused.
        self._pid = os.getpid()
        resumed = resume_stream(folder, keys) if resume else None
        stream = resumed.stream if resumed else new_stream_folder(folder, hooks.now())
        self.stream = stream.name
        lock = resumed.lock_descriptor if resumed else lock_stream(stream)
        assert lock is not None  # noqa: S101 - it was waited for
        self._lock_descriptor = lock
        start: dict[str, Any] = {}
        queue_start: dict[str, Any] = {}
        if resumed is not None:
            end = resumed.end
            queue_start = {"segment": end.segment, "seq": end.seq + 1, "prev": end.head}
            start = {
                "segment": end.segment,
                "written_seq": end.seq,
                "head": end.head,
                "prev_checkpoint": resumed.prev_checkpoint,
            }
        self._pending = ChainQueue(stream.name, keys, hooks.now(), **queue_start)
        self._committer = Committer(
            self._pending,
            StreamFiles(stream, keys, hooks, settings.checkpoint_folder, **start),
            settings,
            hooks,
            housekeeping=self._clean_up,
            changed_keys=self._changed_keys,
        )

    @classmethod
    def open(
        cls,
        folder: Path,
        keys: AuditKeys,
        settings: AuditWriterSettings | None = None,
        *,
        clock: Now = utc_now,
        redact_error: ErrorRedactor = drop_error_text,
        on_checkpoint: OnCheckpoint = ignore,
        on_alarm: OnAlarm = ignore,
        on_written: OnWritten = ignore,
        reload_keys: Callable[[], AuditKeys] | None = None,
        resume: bool = False,
    ) -> "AuditWriter":
        """Start a stream under `folder`, on disk and with a checkpoint before this returns.

        With `resume`, the newest stream goes on in a new segment if it has ended under the same
        keys; otherwise the stream is new.

        The writer thread then ends the streams of crashed writers; `on_checkpoint`, `on_alarm` and
        `on_written` (seconds) run in it. `reload_keys` is called once per `checkpoint_age_s` to
        see whether keys changed. Raises AuditWriteFailed.
        """
        hooks = Hooks(clock, on_checkpoint, on_alarm, on_written)
        try:
            writer = cls(
                folder,
                keys,
                settings or AuditWriterSettings(),
                hooks,
                redact_error=redact_error,
                reload_keys=reload_keys,
                resume=resume,
            )
            try:
                writer._committer.start()
            except BaseException:
                writer._unlock()
                raise
        except OSError as error:
            raise AuditWriteFailed(f"cannot open the audit log: {error.strerror}") from error
        return writer

    def append(
        self, entry: Entry, *, trace_id: str | None = None, action: str | None = None
    ) -> int:
        """Chain one record and hand it to the writer thread; its sequence number.

        Returns DROPPED if policy `continue` dropped the record. Raises AuditWriteFailed (policy
        `refuse`: for `*_received` while the disk fails, for all once the buffer is full),
        AuditClosed, AuditFieldInvalid.
        """
        now = self._hooks.now()
        payload = encode(entry, now, self._redact_error, trace_id=trace_id, action=action)
        if not self._admits(entry.event, now):
            return DROPPED
        seq, waiting = self._pending.add(payload)
        # Two wake-ups a group: one to start lingering, one to stop when the group is full.
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

        def notify(error: AuditError | None) -> None:
            with suppress(RuntimeError):  # the loop is closed: nobody waits any more
                loop.call_soon_threadsafe(_settle, done, error)

        self._committer.when_durable(seq, notify)
        await done

    def wait_durable(self, seq: int, *, timeout_s: float) -> None:
        """As `durable`, for code without an event loop. Raises AuditWriteFailed when time is up."""
        done: Future[None] = Future()
        self._committer.when_durable(seq, partial(_settle, done))
        try:
            done.result(timeout_s)
        except TimeoutError as error:
            message = f"audit record {seq} was not committed in {timeout_s} s"
            raise AuditWriteFailed(message) from error

    def use_keys(self, keys: AuditKeys) -> None:
        """Record the change, seal the segment under the old keys, go on under the new ones."""
        self.hash_query.use(keys.query)
        self._pending.next_segment(keys, self._hooks.now())
        self._committer.wake()

    def close(self, *, timeout_s: float = 10.0) -> None:
        """Write everything, seal and sign the end of the stream. Twice is fine.

        Raises AuditWriteFailed if records could not be written; they are lost with the process.
        """
        if self._pid != os.getpid() or self._lock_descriptor < 0:
            return  # closed already, or a forked child, which must not seal its parent's stream
        self._load_rotated_keys()
        self._pending.finish(self._hooks.now())
        try:
            self._committer.stop(timeout_s)
        finally:
            self._unlock()

    def _load_rotated_keys(self) -> None:
        """Have the end of the stream signed with keys that were made since the last look."""
        try:
            keys = self._changed_keys()
        except AuditError as error:
            self._hooks.alarm(AlarmKind.KEYS_UNUSABLE, str(error))
        else:
            if keys is not None:
                self._pending.next_segment(keys, self._hooks.now())

    def _unlock(self) -> None:
        os.close(self._lock_descriptor)
        self._lock_descriptor = -1

    def _changed_keys(self) -> AuditKeys | None:
        """New keys, if somebody rotated them; queries are hashed with them from now on."""
        keys = self._reload_keys() if self._reload_keys is not None else self._pending.keys
        if keys.ids == self._pending.keys.ids:
            return None
        self.hash_query.use(keys.query)
        return keys

    def _clean_up(self) -> None:
        """End crashed streams and remove expired segments, in the writer thread."""
        keys, settings = self._pending.keys, self._settings
        recover_streams(
            self._folder,
            keys,
            self._hooks,
            by=self.stream,
            checkpoint_folder=settings.checkpoint_folder,
            ended=self._ended_streams,
        )
        if settings.retention_s is not None:
            expire_segments(
                self._folder,
                keys,
                self._hooks,
                own_stream=self.stream,
                keep=timedelta(seconds=settings.retention_s),
                record=self._pending.add,
            )

    def _admits(self, event: str, now: datetime) -> bool:
        """Whether the record may be chained; False if it is dropped. Raises as `append`."""
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
                self._hooks.alarm(AlarmKind.RECORDS_LOST, self.stream, 1)
            return False
        # Work is refused at its beginning only. Its end is kept in memory: a started query that
        # has no second record would look as if the process had been killed.
        if is_full or event.endswith("_received"):
            cause = failing.strerror if failing else "too many unwritten records"
            raise AuditWriteFailed(f"the audit log cannot be written: {cause}")
        return True


def _settle(done: "asyncio.Future[None] | Future[None]", error: AuditError | None) -> None:
    if done.done():
        return
    if error is None:
        done.set_result(None)
    else:
        done.set_exception(error)


def rotate_keys(
    key_folder: Path, log_folder: Path | None, *, checkpoint_folder: Path | None = None
) -> AuditKeys:
    """Generate keys and make them active in `key_folder`; earlier ones stay. Returns the new ones.

    With `log_folder`, a `key.rotated` record in a stream of its own says so, under the old key; its
    checkpoints also go to `checkpoint_folder`. Keys that replace development keys sign the streams
    that have ended, as they are now.
    Raises AuditKeyUnusable, AuditWriteFailed.
    """
    if log_folder is None or not (key_folder / ACTIVE_FILE).exists():
        return write_new_keys(key_folder, dev_key=False)
    # A stream of its own: running writers hold the locks of theirs. They load the new keys later,
    # and record that again, each under its own chain.
    settings = AuditWriterSettings(checkpoint_folder=checkpoint_folder)
    old = read_keys(key_folder)
    writer = AuditWriter.open(log_folder, old, settings)
    try:
        keys = write_new_keys(key_folder, dev_key=False)
        writer.use_keys(keys)
    finally:
        writer.close()
    if old.dev_key:
        try:
            sign_ended_streams(log_folder, keys, checkpoint_folder)
        except OSError as error:
            raise AuditWriteFailed(f"cannot sign the audit log: {error.strerror}") from error
    return keys
