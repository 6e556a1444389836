"""A query journey over a real library and a real keyword index, with small real ports around."""

import hashlib
import hmac
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tests.ingest.pages import serve
from workflows.events import Event

from foliotrace.adapters.local.keyword.index import KeywordIndex
from foliotrace.adapters.local.sqlite.library import SqliteLibrary
from foliotrace.catalog import ErrorCode
from foliotrace.errors import FoliotraceError, IndexUnavailable, NotFound
from foliotrace.model import Answer, Deadline, Passage, Principal, Query, RetrievalMode, Run, Usage
from foliotrace.ports import AuditEntry, Delta, Generation, Prompt, Retriever
from foliotrace.query.retrieve.document_routing import RoutedRetriever
from foliotrace.query.retrieve.paths import RetrievalPath
from foliotrace.query.subjects.identities import DocumentIdentities
from foliotrace.query.subjects.subject_check import SubjectCheck
from foliotrace.query.workflow import (
    AnswerDelta,
    Answered,
    AskQuestion,
    QueryServices,
    QueryWorkflow,
)

HANDBOOK = (
    "Refunds are paid within 30 days of the return. The customer pays for shipping.",
    "Employees have 25 days of vacation each year. Unused days expire in March.",
)


class SetClock:
    """A clock that tests move; the monotonic side goes with it."""

    def __init__(self) -> None:
        self.at = datetime(2026, 11, 21, tzinfo=UTC)

    def now(self) -> datetime:
        return self.at

    def monotonic_s(self) -> float:
        return self.at.timestamp()

    def pass_s(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)


@dataclass
class MemoryAudit:
    entries: list[AuditEntry] = field(default_factory=list)

    async def append(self, entry: AuditEntry) -> None:
        self.entries.append(entry)


@dataclass
class MemoryRuns:
    kept: dict[str, Run] = field(default_factory=dict)

    async def save(self, run: Run) -> None:
        self.kept[run.id] = run

    async def run(self, tenant: str, run_id: str) -> Run:
        if run_id not in self.kept or self.kept[run_id].tenant != tenant:
            raise NotFound("There is no such run.", code=ErrorCode.RUN_NOT_FOUND)
        return self.kept[run_id]

    async def visit(self, tenant: str, visit: Callable[[Run], bool], **bounds: object) -> None:
        for run in sorted(self.kept.values(), key=lambda run: run.created_at, reverse=True):
            if run.tenant == tenant and not visit(run):
                return

    async def expire(self, *, before: datetime) -> int:
        return 0


class Down:
    """A retriever behind which nothing answers."""

    ready = True

    def __init__(self, reason: str = "index_down", retry_after_s: float | None = None) -> None:
        self.error = IndexUnavailable("down", reason=reason, retry_after_s=retry_after_s)

    async def retrieve(self, query: Query, *, top_k: int, deadline: Deadline) -> Sequence[Passage]:
        raise self.error


class Scripted:
    """An LLM that says what it was told to say, or fails as told; records its prompts."""

    ready = True

    def __init__(
        self,
        *texts: str,
        model: str = "scripted-1",
        error: FoliotraceError | None = None,
        error_after: int = 0,
        finish_reason: str = "stop",
    ) -> None:
        self.model = model
        self.prompts: list[Prompt] = []
        self._text = "".join(texts)
        self._pieces = texts
        self._error = error
        self._error_after = error_after
        self._finish_reason = finish_reason

    async def generate(self, prompt: Prompt, *, max_tokens: int, deadline: Deadline) -> Generation:
        self.prompts.append(prompt)
        if self._error is not None:
            raise self._error
        return self._generation()

    async def stream(
        self, prompt: Prompt, *, max_tokens: int, deadline: Deadline
    ) -> AsyncGenerator[Delta, None]:
        self.prompts.append(prompt)
        for number, piece in enumerate(self._pieces):
            if self._error is not None and number == self._error_after:
                raise self._error
            yield Delta(text=piece)
        if self._error is not None:
            raise self._error
        yield Delta(done=self._generation())

    def _generation(self) -> Generation:
        usage = Usage(prompt_tokens=100, completion_tokens=20, llm_calls=1)
        return Generation(
            text=self._text, model=self.model, usage=usage, finish_reason=self._finish_reason
        )


def keyed(tenant: str, text: str) -> tuple[str, str]:
    return "k1", hmac.digest(b"test", f"{tenant}|{text}".encode(), hashlib.sha256).hex()


@dataclass
class QueryStack:
    """A library with its index, and the questions asked of it."""

    library: SqliteLibrary
    index: KeywordIndex
    services: QueryServices
    audit: MemoryAudit
    runs: MemoryRuns
    clock: SetClock
    headers: DocumentIdentities

    def keyword(self) -> RetrievalPath:
        return RetrievalPath(RetrievalMode.KEYWORD, RoutedRetriever(self.index, self.headers))

    def use_paths(self, *paths: RetrievalPath) -> None:
        self.services = replace(self.services, paths=paths)

    def use(self, **ports: Any) -> None:
        self.services = replace(self.services, **ports)

    async def serve(self, *texts: str, **about: Any) -> str:
        document = await serve(self.library, *texts, tenant="default", **about)
        await self.index.catch_up()
        return document.id

    async def ask(self, query: str, **asked: Any) -> Answer:
        answered = await QueryWorkflow(self.services).run(
            start_event=AskQuestion(query=query, **asked)
        )
        assert isinstance(answered, Answered)
        return answered.answer

    async def watch(self, query: str, **asked: Any) -> tuple[list[Event], Answer]:
        handler = QueryWorkflow(self.services).run(
            start_event=AskQuestion(query=query, stream=True, **asked)
        )
        events = [event async for event in handler.stream_events()]
        answered = await handler
        return events, answered.answer


def streamed_text(events: Sequence[Event]) -> str:
    return "".join(event.text for event in events if isinstance(event, AnswerDelta))


@asynccontextmanager
async def open_query_stack(folder: Path, **ports: Any) -> AsyncIterator[QueryStack]:
    library = SqliteLibrary.open(folder)
    index = KeywordIndex(folder, library)
    await index.catch_up()
    headers = DocumentIdentities(library, index)
    audit, runs, clock = MemoryAudit(), MemoryRuns(), SetClock()
    routed: Retriever = RoutedRetriever(index, headers)
    services = QueryServices(
        library=library,
        vocabulary=index,
        paths=(RetrievalPath(RetrievalMode.KEYWORD, routed),),
        audit=audit,
        runs=runs,
        clock=clock,
        identify=Principal,
        hash_query=keyed,
        current_trace=lambda: "ab" * 16,
        subjects=SubjectCheck(headers, index, library),
    )
    made = QueryStack(library, index, replace(services, **ports), audit, runs, clock, headers)
    try:
        yield made
    finally:
        index.close()
        library.close()
