"""Uploads the runs of a journal: batches of whole traces, several workers, one pause for all."""

import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import Enum, auto
from typing import Final, Protocol

from foliotrace_loop.traces.journal import Journal, Pending
from foliotrace_loop.traces.rewriting import RunJson

_FORM_BYTES: Final = 2048
"""What a run grows by in a form: boundaries, ids, order."""


class UploadOutcome(Enum):
    """How a request ended."""

    ACCEPTED = auto()
    BUSY = auto()  # not now
    UNKNOWN = auto()  # no reply: it may have arrived; the ids make a second time harmless
    TOO_LARGE = auto()
    INVALID = auto()
    DENIED = auto()  # nothing can be uploaded: key, address


@dataclass(frozen=True, slots=True)
class Delivery:
    """The end of one request."""

    outcome: UploadOutcome
    reason: str = ""
    retry_after_s: float | None = None


@dataclass(frozen=True, slots=True)
class UploadLimits:
    """What one request may hold."""

    runs: int
    body_bytes: int


class Ingest(Protocol):
    """Where runs are sent. Sending a run again must replace it."""

    def limits(self) -> UploadLimits:
        """What one request may hold. Raises LoopError, Unavailable."""
        ...

    def send(self, runs: Sequence[RunJson]) -> Delivery:
        """One request, without retry."""
        ...

    def held(self, since: datetime, until: datetime) -> Iterable[str]:
        """Ids of the runs that are there. Raises LoopError, Unavailable."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How fast, and for how long without success."""

    workers: int = 16  # as many as the SDK uses at most
    runs_per_s: float | None = None
    give_up_after_s: float = 60.0


class Uploader:
    """Sends what a journal has pending. One object for one `run`."""

    def __init__(
        self,
        journal: Journal,
        ingest: Ingest,
        pace: Pace,
        *,
        backoff_s: Callable[[int], float],
        on_progress: Callable[[int], None] = lambda traces: None,
    ) -> None:
        self._journal = journal
        self._ingest = ingest
        self._pace = pace
        self._backoff_s = backoff_s
        self._on_progress = on_progress
        self._gate = _Gate(pace)
        self._work: queue.Queue[list[Pending] | None] = queue.Queue(pace.workers * 2)

    def run(self) -> str | None:
        """Send everything; None, or why it stopped early. Raises LoopError, Unavailable."""
        limits = self._ingest.limits()
        if self._pace.runs_per_s is not None:  # no request holds more than a second's runs
            limits = replace(limits, runs=min(limits.runs, max(1, int(self._pace.runs_per_s))))
        workers = [
            threading.Thread(target=self._worker, args=(limits,), daemon=True)
            for _ in range(self._pace.workers)
        ]
        for worker in workers:
            worker.start()
        try:
            for batch in batches(self._journal, limits):
                self._put(batch)
                if self._gate.stopped:
                    break
        except BaseException:
            self._gate.stop("interrupted")
            raise
        finally:
            for _ in workers:
                self._put(None)
            for worker in workers:
                worker.join()
        return self._gate.reason

    def _put(self, work: list[Pending] | None) -> None:
        while True:
            try:
                self._work.put(work, timeout=0.2)
                return
            except queue.Full:
                if self._gate.stopped:
                    return

    def _worker(self, limits: UploadLimits) -> None:
        while not self._gate.stopped:
            try:
                batch = self._work.get(timeout=0.2)
            except queue.Empty:
                continue
            if batch is None:
                return
            try:
                for piece in pieces(batch, limits):
                    self._deliver(piece)
            except Exception as error:  # noqa: BLE001 - a worker that dies silently loses runs
                self._gate.stop(f"{type(error).__name__}: {error}")

    def _deliver(self, runs: list[Pending]) -> None:
        """Send until acknowledged or refused; halves, first half first, of what is refused."""
        body = self._journal.runs(runs)
        attempt = 0
        while self._gate.enter(len(runs)):
            delivery = self._ingest.send(body)
            if delivery.outcome is UploadOutcome.ACCEPTED:
                self._gate.succeeded()
                self._journal.mark_sent(runs)
                self._on_progress(sum("." not in run.dotted for run in runs))
                return
            if delivery.outcome is UploadOutcome.DENIED:
                self._gate.stop(delivery.reason)
                return
            if delivery.outcome in (UploadOutcome.TOO_LARGE, UploadOutcome.INVALID):
                self._gate.succeeded()
                self._halve(runs, delivery.reason)
                return
            attempt += 1
            self._gate.failed(delivery)
            if not delivery.retry_after_s:
                self._gate.sleep(self._backoff_s(attempt))

    def _halve(self, runs: list[Pending], reason: str) -> None:
        if len(runs) == 1:
            self._journal.mark_dead(runs[0], reason)
            return
        middle = len(runs) // 2
        self._deliver(runs[:middle])
        self._deliver(runs[middle:])


def batches(journal: Journal, limits: UploadLimits) -> Iterator[list[Pending]]:
    """Whole traces, as many as fit into a request; a trace that does not fit is a batch alone."""
    batch: list[Pending] = []
    size = 0
    for trace in _traces(journal):
        grown = sum(_size(run) for run in trace)
        if batch and (len(batch) + len(trace) > limits.runs or size + grown > limits.body_bytes):
            yield batch
            batch, size = [], 0
        batch += trace
        size += grown
    if batch:
        yield batch


def pieces(batch: list[Pending], limits: UploadLimits) -> Iterator[list[Pending]]:
    """A batch in requests that keep the limits, in order."""
    piece: list[Pending] = []
    size = 0
    for run in batch:
        if piece and (len(piece) == limits.runs or size + _size(run) > limits.body_bytes):
            yield piece
            piece, size = [], 0
        piece.append(run)
        size += _size(run)
    if piece:
        yield piece


def read_back(
    journal: Journal, ingest: Ingest, *, patience_s: float, sleep: Callable[[float], None]
) -> tuple[int, int]:
    """How many acknowledged runs are found, and how many are not; those are pending again.

    What a service has acknowledged may take a moment to be listed. Raises LoopError, Unavailable.
    """
    times, sent = journal.times(), journal.counts().sent
    if times is None or not sent:
        return 0, 0
    since, until = times[0] - timedelta(seconds=1), times[1] + timedelta(seconds=1)
    deadline, wait_s = time.monotonic() + patience_s, 0.25
    while True:
        held = len(set(ingest.held(since, until)))
        if held >= sent or time.monotonic() + wait_s > deadline:
            break
        sleep(wait_s)
        wait_s = min(wait_s * 2, 5.0)
    missing = journal.revive_missing(ingest.held(since, until))
    return sent - missing, missing


def _size(run: Pending) -> int:
    return run.bytes + _FORM_BYTES


def _traces(journal: Journal) -> Iterator[list[Pending]]:
    """The pending runs of each trace; the order makes them neighbours."""
    trace: list[Pending] = []
    after = root = ""
    while page := journal.pending(after):
        after = page[-1].dotted
        for run in page:
            if run.root != root:
                if trace:
                    yield trace
                trace, root = [], run.root
            trace.append(run)
    if trace:
        yield trace


class _Gate:
    """What all workers share: one pause, one rate, one end."""

    def __init__(self, pace: Pace) -> None:
        self._pace = pace
        self._lock = threading.Lock()
        self._end = threading.Event()
        self._open_at = self._next_at = self._succeeded_at = time.monotonic()
        self.reason: str | None = None

    @property
    def stopped(self) -> bool:
        return self._end.is_set()

    def enter(self, runs: int) -> bool:
        """Wait for the end of a pause and for the rate; False if the upload is over."""
        while not self.stopped:
            with self._lock:
                now = time.monotonic()
                wait_s = max(self._open_at, self._next_at) - now
                if wait_s <= 0:
                    if self._pace.runs_per_s is not None:
                        self._next_at = max(self._next_at, now) + runs / self._pace.runs_per_s
                    return True
            self.sleep(wait_s)
        return False

    def sleep(self, seconds: float) -> None:
        self._end.wait(seconds)

    def succeeded(self) -> None:
        with self._lock:
            self._succeeded_at = time.monotonic()

    def failed(self, delivery: Delivery) -> None:
        """Pause everyone if the service says for how long; end after too long without success."""
        with self._lock:
            now = time.monotonic()
            if now - self._succeeded_at > self._pace.give_up_after_s:
                self._stop(f"no success for {self._pace.give_up_after_s:g} s: {delivery.reason}")
            if delivery.retry_after_s is not None:
                self._open_at = max(self._open_at, now + delivery.retry_after_s)

    def stop(self, reason: str) -> None:
        with self._lock:
            self._stop(reason)

    def _stop(self, reason: str) -> None:
        if self.reason is None:
            self.reason = reason
        self._end.set()
