"""The service without HTTP: hosts, jobs and background tasks of one data folder."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from functools import partial
from pathlib import Path
from time import monotonic
from typing import Any, Final

import structlog
from workflows.events import StartEvent

from foliotrace.adapters.local.sqlite.database import translated
from foliotrace.errors import FoliotraceError, NotFound
from foliotrace.events import INSTRUMENTS, NAMESPACE
from foliotrace.ingest.publish import compact, delete_orphaned_originals
from foliotrace.ingest.services import IngestServices
from foliotrace.model import Answer, JobKind, Principal
from foliotrace.ports import IndexWriter
from foliotrace.query.workflow import QueryWorkflow
from foliotrace_loop.store import LoopStore
from foliotrace_otel import Metrics
from foliotrace_server.assembly import Assembly
from foliotrace_server.folder.reserve import DeletionReserve
from foliotrace_server.host.durable_host import DurableHost
from foliotrace_server.host.reading_again import ReadingAgain
from foliotrace_server.host.run_ends import EndedRun
from foliotrace_server.http.quotas import Quotas
from foliotrace_server.http.request_body import start_event
from foliotrace_server.jobs.service import JobService
from foliotrace_server.jobs.small_files import ingest_runs
from foliotrace_server.settings import Settings

_DELAY_S: Final = 2.0  # so that a hundred deletions in a row cause one compaction
_REST: Final = 9.0  # pause, in durations of a compaction: it takes a tenth of the time
_AT_STOP_S: Final = 10.0
_JOBS_PER_PARSER: Final = 4  # so a small file does not wait for the end of large ones


class Compaction:
    """Rewrites the files of a data folder after content was removed from it."""

    def __init__(
        self, ingest: IngestServices, durable: DurableHost, reserve: DeletionReserve
    ) -> None:
        self._ingest = ingest
        self._durable = durable
        self._reserve = reserve
        self._due = asyncio.Event()

    def request(self) -> None:
        """Compact soon: content was removed."""
        self._due.set()

    async def run(self) -> None:
        """Compact on request, until cancelled."""
        while True:
            await self._due.wait()
            await asyncio.sleep(_DELAY_S)
            began_s = monotonic()
            await self._compact()
            await asyncio.sleep(_REST * (monotonic() - began_s))

    async def finish(self) -> None:
        """Compact before the process ends, if requested; after a limit, leave it to the next."""
        if self._due.is_set():
            try:
                async with asyncio.timeout(_AT_STOP_S):
                    await self._compact()
            except TimeoutError:
                _log.warning("compaction.postponed", limit_s=_AT_STOP_S)

    async def _compact(self) -> None:
        self._due.clear()
        try:
            await compact(self._ingest)
            with translated():  # of the journals: a full disk, or a process that reads them
                await self._durable.records.compact()
            await asyncio.to_thread(self._reserve.hold)
        except FoliotraceError as error:
            self._due.set()  # a long read blocks it, or the disk is full: retry later
            _log.warning("compaction.failed", code=error.error_code)
        except BaseException:
            self._due.set()
            raise


_log = structlog.get_logger(__name__)
_RETENTION_EVERY_S = 3600.0
_CATCH_UP_EVERY_S = 5.0
_STEP_LIMIT_S = 2 * 3600.0  # twice what the longest deadline inside a step allows


def answer_of(answered: object) -> Answer:
    """The answer in a query workflow's stop event."""
    answer = getattr(answered, "answer", None)
    assert isinstance(answer, Answer)  # noqa: S101 - `Answered` has no other
    return answer


class Engine:
    """Starts, runs and stops everything in the process; used by the app, the CLI and tests."""

    def __init__(self, settings: Settings, assembly: Assembly, folder: Path) -> None:
        self.settings = settings
        self.assembly = assembly
        self.query = assembly.query()
        self.answer: Callable[[Any], Awaitable[Answer]] = (  # one question that is not streamed
            self.query.answer_directly
            if isinstance(self.query, QueryWorkflow)
            else self._answer_by_run
        )
        ingest = assembly.durable[JobKind.INGEST]
        self.durable = DurableHost(
            folder,
            assembly.durable,
            on_ended=self._ended,
            max_concurrent=_JOBS_PER_PARSER * settings.ingest.parser_processes,
            max_pending=settings.server.max_pending_jobs,
            max_starts=settings.ingest.max_job_attempts,
            step_limits_s=dict.fromkeys(JobKind, _STEP_LIMIT_S),
            together={JobKind.INGEST: partial(ingest_runs, assembly.ingest, ingest)},
        )
        if assembly.observability is not None:
            self.metrics = assembly.observability.metrics
        else:
            self.metrics = Metrics(INSTRUMENTS, namespace=NAMESPACE)
        depth = self.metrics.own.queue_depth.name
        self.metrics.watch(depth, self.durable.accepted.__len__, {"queue": "jobs"})
        self.quotas = assembly.quotas or Quotas.of(settings)
        self._reserve = DeletionReserve(folder)
        self.compaction = Compaction(assembly.ingest, self.durable, self._reserve)
        self.jobs = JobService(
            assembly,
            self.durable,
            make_room=self._reserve.make_room,
            on_removed=self.compaction.request,
        )
        self.loop = LoopStore(folder / "loop.db")
        self._tasks: list[asyncio.Task[None]] = []
        self.ready = False

    async def start(self) -> None:
        """Resume jobs, start background tasks, then accept work."""
        await delete_orphaned_originals(self.assembly.ingest)
        await asyncio.to_thread(self._reserve.hold)
        await self.jobs.recall()
        await self.durable.start()
        await self.jobs.repair()
        work = [self._catch_up(index) for index in self.assembly.ingest.indexes]
        work += [
            self._apply_retention(),
            ReadingAgain(self.assembly.ingest, self.jobs.read_again).run(),
            self.compaction.run(),
            *(task() for task in self.assembly.background),
        ]
        self._tasks = [asyncio.create_task(each) for each in work]
        self.ready = True

    async def stop(self) -> None:
        """Stop accepting work; unfinished jobs continue at the next start."""
        self.ready = False
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.durable.settle()
        await self.compaction.finish()
        await self.durable.stop()
        for close in self.assembly.closing:
            await close()
        self.loop.close()

    async def ask(self, **question: object) -> Answer:
        """Answer one question in this process, by the same workflow as over HTTP.

        Raises InvalidRequest, InvalidQuery, AuditUnavailable.
        """
        event = start_event(self.query.start_event_class, question)
        return await self.answer(event)

    async def _answer_by_run(self, question: StartEvent) -> Answer:
        return answer_of(await self.query.run(start_event=question).stop_event_result())

    async def _ended(self, ended: EndedRun) -> None:
        job = await self.jobs.ends.settle(ended)
        _log.info(
            "job.ended",
            job_id=ended.handler_id,
            workflow=ended.workflow,
            status=ended.status,
            **({"problem": job.problem} if job is not None and job.problem else {}),
        )
        if job is not None and job.kind is JobKind.INGEST:
            owner = Principal(tenant=job.tenant, subject=job.subject)
            await self.quotas.add(owner, pages=job.pages_done)
        self.compaction.request()  # the document may have replaced an earlier state

    async def forget_feedback(self) -> None:
        """Delete the feedback of runs that are gone: expired, or with a document they cited."""
        for tenant, run_id in await asyncio.to_thread(self.loop.rated_runs):
            try:
                await self.assembly.runs.run(tenant, run_id)
            except NotFound:
                await asyncio.to_thread(self.loop.forget_run, tenant, run_id)

    async def _catch_up(self, index: IndexWriter) -> None:
        """Keep an index in step with the library, also after an outage."""
        while True:
            try:
                await index.catch_up()
            except FoliotraceError as error:
                _log.warning("index.catch_up_failed", code=error.error_code)
            await asyncio.sleep(_CATCH_UP_EVERY_S)

    async def _apply_retention(self) -> None:
        """Delete runs past their retention, and compact the files."""
        runs = self.settings.runs
        while True:
            now = self.assembly.ingest.clock.now()
            before = now - timedelta(days=runs.retention_days)
            by_project = {
                project: now - timedelta(days=days)
                for project, days in runs.retention_days_by_project.items()
            }
            try:
                expired = await self.assembly.runs.expire(before=before, by_project=by_project)
                await self.forget_feedback()
                finished = await self.durable.records.forget_finished(before)
                self.compaction.request()
                _log.debug("retention.applied", runs=expired, handlers=finished)
            except FoliotraceError as error:
                _log.warning("retention.failed", code=error.error_code)
            await asyncio.sleep(_RETENTION_EVERY_S)
