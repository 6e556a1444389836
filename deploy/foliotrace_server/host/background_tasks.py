"""Tasks that nobody awaits: their errors are logged, and the durable host waits for their end."""

import asyncio
from collections.abc import Coroutine
from contextvars import Context
from typing import Any

import structlog

from foliotrace.errors import FoliotraceError

_log = structlog.get_logger(__name__)


class BackgroundTasks:
    """Runs coroutines in the background until `finish`."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()
        self._finishing = asyncio.Event()

    def spawn(
        self, work: Coroutine[Any, Any, None], context: Context | None = None
    ) -> asyncio.Task[None]:
        """Run `work`; what it raises is logged, but for our errors: callers await those."""
        task = asyncio.create_task(work, context=context)
        self._tasks.add(task)
        task.add_done_callback(self._on_done)
        return task

    async def finish(self) -> None:
        """Make `finishes_within` return, and wait for all tasks and those that they start."""
        self._finishing.set()
        while self._tasks:
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def finishes_within(self, seconds: float) -> bool:
        """Wait for `finish`; False after so many seconds without."""
        try:
            await asyncio.wait_for(self._finishing.wait(), seconds)
        except TimeoutError:
            return False
        return True

    def _on_done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None and not isinstance(error, FoliotraceError):  # those are for callers
            _log.warning("jobs.task_failed", error_type=type(error).__name__)


def is_cancelled_itself() -> bool:
    """Whether a CancelledError is meant for the running task, not for what it awaited."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
