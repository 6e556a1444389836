"""Keeps a copy of ratings, datasets and experiments in LangSmith, beside the service's work."""

import asyncio
import sqlite3
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import structlog

from foliotrace_loop.datasets.rows import Datasets
from foliotrace_loop.experiments import archive
from foliotrace_loop.langsmith.sync import LangSmithSync, Pushed
from foliotrace_loop.ports import LoopError
from foliotrace_loop.store import LoopStore

if TYPE_CHECKING:
    from foliotrace_server.settings import Settings

PROJECT: Final = "default"
"""Where LangSmith's SDK sends runs without LANGSMITH_PROJECT."""
_STOP_S: Final = 1.0
_log = structlog.get_logger(__name__)


class LangSmithCopy:
    """Pushes what is new or changed, again and again; what fails is pushed the next time."""

    def __init__(
        self,
        sync: LangSmithSync,
        store: LoopStore,
        datasets: Datasets,
        *,
        project: str,
        every_s: float,
    ) -> None:
        self._sync = sync
        self._store = store
        self._datasets = datasets
        self._project = project
        self._every_s = every_s
        self._stop = threading.Event()
        self._rated_until: datetime | None = None
        self._file_times: dict[str, int] = {}
        self._experiments: set[str] = set()

    async def run(self) -> None:
        """Push until cancelled. A push that waits for LangSmith does not hold up the end."""
        # A daemon: threads of the event loop are joined at exit, however long they wait.
        worker = threading.Thread(target=self._work, name="langsmith-copy", daemon=True)
        worker.start()
        try:
            await asyncio.Event().wait()
        finally:
            self._stop.set()
            await asyncio.to_thread(worker.join, _STOP_S)

    def push(self) -> Pushed:
        """Push once; how much was new. A part that fails is logged and does not stop the others."""
        done = [
            self._attempted("feedback", self._feedback),
            self._attempted("datasets", self._rows),
            self._attempted("experiments", self._new_experiments),
        ]
        return Pushed(
            feedback=sum(each.feedback for each in done),
            untraced=sum(each.untraced for each in done),
            rows=sum(each.rows for each in done),
            experiments=sum(each.experiments for each in done),
        )

    def _work(self) -> None:
        while not self._stop.is_set():
            self.push()
            self._stop.wait(self._every_s)

    def _attempted(self, what: str, work: Callable[[], Pushed]) -> Pushed:
        try:
            return work()
        except (LoopError, sqlite3.Error, OSError) as error:
            _log.warning("langsmith.not_copied", what=what, error=type(error).__name__)
            return Pushed()

    def _feedback(self) -> Pushed:
        began = datetime.now(UTC)
        pushed = self._sync.push_feedback(
            self._project, self._store.feedback_changed_since(self._rated_until)
        )
        self._rated_until = began
        return pushed

    def _rows(self) -> Pushed:
        rows = 0
        for name in self._datasets.names():
            changed = self._datasets.path(name).stat().st_mtime_ns
            if self._file_times.get(name) != changed:
                rows += self._sync.push_dataset(name, self._datasets.read(name)).rows
                self._file_times[name] = changed
        return Pushed(rows=rows)

    def _new_experiments(self) -> Pushed:
        count = 0
        for id_ in archive.ids(self._store):
            if id_ in self._experiments:
                continue
            experiment = archive.find(self._store, id_)
            dataset = experiment.suite.partition("/")[0]
            known = dataset in self._datasets.names()
            rows = self._datasets.read(dataset) if known else ()
            count += self._sync.push_experiment(experiment, rows).experiments
            self._experiments.add(id_)
        return Pushed(experiments=count)


def langsmith_copy(settings: "Settings") -> LangSmithCopy | None:
    """The copy; None without a key, or where it is switched off. Nothing is sent yet."""
    every_s = settings.loop.sync_every_s
    if settings.langsmith_api_key is None or every_s is None:
        return None
    from foliotrace_loop.langsmith.wire import ENDPOINT, LangSmithApi

    api = LangSmithApi(
        settings.langsmith_endpoint or ENDPOINT,
        settings.langsmith_api_key.get_secret_value(),
        connections=1,
    )
    store = LoopStore(settings.data_dir / "loop.db")
    return LangSmithCopy(
        LangSmithSync(api, store),
        store,
        Datasets(settings.loop.datasets),
        project=settings.langsmith_project or PROJECT,
        every_s=every_s,
    )
