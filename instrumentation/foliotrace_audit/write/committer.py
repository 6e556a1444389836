"""The writer thread: puts chained records on the disk in groups, and looks after the stream.

A sync takes milliseconds whatever its size, so syncing every record alone would allow a few hundred
a second. Records that arrive within `linger_ms` share one (group commit), and a thread of its own
keeps event loops from waiting for the disk.
"""

import queue
import threading
import time
from collections.abc import Callable
from datetime import datetime

from foliotrace_audit.errors import AuditClosed, AuditError, AuditWriteFailed
from foliotrace_audit.keys import AuditKeys
from foliotrace_audit.settings import AuditWriterSettings, DiskFullPolicy, Durability
from foliotrace_audit.write.chain_queue import ChainQueue, Item, NextSegment
from foliotrace_audit.write.hooks import AlarmKind, Hooks
from foliotrace_audit.write.stream_files import StreamFiles

_TICK_S = 1.0
"""How often an idle thread looks for a due checkpoint, rotation or retry."""

OnDone = Callable[[AuditError | None], object]


class Committer:
    """Runs in its own thread from `start` to `stop`; the other methods may be called from any."""

    def __init__(
        self,
        pending: ChainQueue,
        files: StreamFiles,
        settings: AuditWriterSettings,
        hooks: Hooks,
        *,
        housekeeping: Callable[[], None],
        changed_keys: Callable[[], AuditKeys | None],
    ) -> None:
        self.failing: OSError | None = None
        self.durable_seq = -1
        self._pending = pending
        self._files = files
        self._settings = settings
        self._hooks = hooks
        self._housekeeping = housekeeping
        self._changed_keys = changed_keys
        self._backlog: list[Item] = []
        self._wake: queue.SimpleQueue[None] = queue.SimpleQueue()
        # With `strict` somebody waits for every first record. Lingering would only add to their
        # wait: while one group is being synced, the next one gathers by itself.
        self._linger_s = (
            0.0 if settings.durability is Durability.STRICT else settings.linger_ms / 1000
        )
        self._sync = settings.durability is not Durability.RELAXED
        self._waiters: list[tuple[int, OnDone]] = []
        self._waiters_lock = threading.Lock()
        self._stopping = False
        self._dead = False
        self._retry_at_s = 0.0
        self._keys_read_at = hooks.now()
        # A daemon: a process that forgets to close the log must still be able to exit. The next
        # writer then ends the stream as it ends that of a crashed one.
        self._thread = threading.Thread(target=self._run, name="foliotrace-audit", daemon=True)

    @property
    def unwritten(self) -> int:
        """Records chained but not written."""
        return self._pending.depth + len(self._backlog)

    @property
    def is_running(self) -> bool:
        """Whether the thread can still write."""
        return not self._dead

    def start(self) -> None:
        """Write what is queued and a first checkpoint, then start the thread.

        Raises AuditWriteFailed if the files cannot be written: better at start than at work.
        """
        self._commit()
        if self.failing is not None:
            raise AuditWriteFailed(f"cannot write the audit log: {self.failing.strerror}")
        # A checkpoint of the empty stream leaves the host before the first record is taken.
        # Without it, removing a whole young stream would leave no trace anywhere.
        self._files.checkpoint(final=False)
        self._thread.start()

    def wake(self) -> None:
        """Commit soon: at once if a commit is already lingering."""
        self._wake.put(None)

    def when_durable(self, seq: int, on_done: OnDone) -> None:
        """Call `on_done(None)` once record `seq` is committed, or with the error that prevents it.

        Runs in the writer thread, or at once in the caller's if there is nothing to wait for.
        """
        with self._waiters_lock:
            waits = seq > self.durable_seq and not self._dead and self.failing is None
            if waits:
                self._waiters.append((seq, on_done))
        if waits:
            self.wake()
        else:
            on_done(None if seq <= self.durable_seq else self._refusal())

    def stop(self, timeout_s: float) -> None:
        """Commit what is queued, sign the end of the stream, close its files.

        Raises AuditWriteFailed if records could not be written.
        """
        self._stopping = True
        self.wake()
        self._thread.join(timeout_s)
        if self._thread.is_alive() or self.unwritten:
            raise AuditWriteFailed(f"{self.unwritten} audit records are not written")

    def _run(self) -> None:
        try:
            self._housekeeping()
            while not self._stopping:
                self._await_work()
                self._commit()
                # Not while the disk fails: sealing would only queue more records behind the others.
                if self.failing is None:
                    self._upkeep()
            self._retry_at_s = 0.0  # one last try, however long the retry would have to wait
            self._commit()
            if self.failing is None:
                self._files.checkpoint(final=True)
        finally:
            # Before the waiters are released: whoever comes later must not begin to wait.
            self._dead = True
            self._release_waiters(AuditClosed("the audit writer is closed"))
            self._files.close()

    def _await_work(self) -> None:
        pause_s = _TICK_S if self.failing is None else min(_TICK_S, self._settings.retry_s)
        try:
            # The first wake-up announces a record, the second one a full group (see `append`).
            self._wake.get(timeout=pause_s)
            if self._linger_s and not self._stopping:
                self._wake.get(timeout=self._linger_s)
        except queue.Empty:
            return

    def _commit(self) -> None:
        # Also while the disk fails: the backlog keeps the order, and a retry writes all of it.
        self._backlog.extend(self._pending.take())
        if self.failing is not None and time.monotonic() < self._retry_at_s:
            return
        try:
            self._drain()
        except OSError as error:
            self._fail(error)
            return
        if self.failing is not None:
            self.failing = None
            self._hooks.alarm(AlarmKind.WRITE_RECOVERED, str(self._files.folder))
        lost = self._pending.note_lost(self._hooks.now())
        if lost:
            self._hooks.alarm(AlarmKind.RECORDS_LOST, str(self._files.folder), lost)
            self.wake()
        self._release_waiters(None)

    def _drain(self) -> None:
        """Write the backlog, one append and one sync for each run of lines in one segment.

        Raises OSError; what was not written stays in the backlog.
        """
        while self._backlog:
            first = self._backlog[0]
            if isinstance(first, NextSegment):
                self._files.next_segment(first.segment, first.keys)
                del self._backlog[0]
                continue
            lines = []
            for item in self._backlog:
                if isinstance(item, NextSegment):
                    break
                lines.append(item)
            began_s = time.perf_counter()
            self._files.write(lines, sync=self._sync)
            self._hooks.on_written(time.perf_counter() - began_s)
            del self._backlog[: len(lines)]

    def _fail(self, error: OSError) -> None:
        first_time = self.failing is None
        self.failing = error
        self._retry_at_s = time.monotonic() + self._settings.retry_s
        if first_time:
            detail = f"{self._files.folder}: {error.strerror}"
            self._hooks.alarm(AlarmKind.WRITE_FAILED, detail, len(self._backlog))
        self._release_waiters(self._refusal())

    def _refusal(self) -> AuditError | None:
        if self._dead:
            return AuditClosed("the audit writer is closed")
        if self._settings.disk_full is DiskFullPolicy.CONTINUE:
            return None
        cause = self.failing.strerror if self.failing else "unknown"
        return AuditWriteFailed(f"the audit log cannot be written: {cause}")

    def _release_waiters(self, error: AuditError | None) -> None:
        with self._waiters_lock:
            self.durable_seq = self._files.written_seq
            done = [waiter for waiter in self._waiters if waiter[0] <= self.durable_seq]
            stuck = [waiter for waiter in self._waiters if waiter[0] > self.durable_seq]
            failed = self.failing is not None or self._dead
            self._waiters = [] if failed else stuck
        # Without the lock: a callback may wait for the next record, which takes it.
        for _, on_done in done:
            on_done(None)
        for _, on_done in stuck if failed else ():
            on_done(error)

    def _upkeep(self) -> None:
        files, settings = self._files, self._settings
        unsigned = files.written_seq - files.signed_seq
        try:
            if unsigned >= settings.checkpoint_records or (
                unsigned and self._is_past(files.signed_at, settings.checkpoint_age_s)
            ):
                files.checkpoint(final=False)
            new_keys = self._new_keys()
            too_old = self._is_past(files.opened_at, settings.segment_age_s)
            if new_keys or files.segment_bytes >= settings.segment_bytes or too_old:
                self._pending.next_segment(new_keys, self._hooks.now())
                self._commit()
                self._housekeeping()
        except OSError as error:
            self._fail(error)

    def _new_keys(self) -> AuditKeys | None:
        """Ask for new keys, once per checkpoint interval."""
        if not self._is_past(self._keys_read_at, self._settings.checkpoint_age_s):
            return None
        self._keys_read_at = self._hooks.now()
        try:
            return self._changed_keys()
        except AuditError as error:
            self._hooks.alarm(AlarmKind.KEYS_UNUSABLE, str(error))
            return None

    def _is_past(self, since: datetime, age_s: float) -> bool:
        """Whether `age_s` went by; also when the clock was set back by as much."""
        return abs((self._hooks.now() - since).total_seconds()) >= age_s
