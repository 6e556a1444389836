"""What `compose` returns to a host: the services, the workflows and their readiness.

Hosts are our server, llamactl and llama-deploy. Nothing is imported from llama-agents, which cannot
be installed beside llama-deploy 0.9.2.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, Protocol

from workflows import Workflow

from foliotrace.budget import open_run
from foliotrace.catalog import Reason, ReasonFamily
from foliotrace.errors import BudgetExceeded, LedgerUnavailable, LibraryUnavailable, Unavailable
from foliotrace.ingest.services import IngestServices
from foliotrace.model import (
    AnswerMode,
    Deadline,
    ExecutionMode,
    Principal,
    Query,
    RetrievalMode,
    Run,
)
from foliotrace.ports import Erased, ErasureScope, IndexSource, Prompt, Runs, TextGenerator
from foliotrace.query.retrieve.paths import RetrievalPath
from foliotrace.query.retrieve.rerank import Reranking
from foliotrace.query.workflow import QueryServices
from foliotrace_server.bodies import CapabilityBody, FolderProblemBody
from foliotrace_server.external.own_parts import OwnParts
from foliotrace_server.http.quotas import Quotas
from foliotrace_server.observing.telemetry import Observability

if TYPE_CHECKING:
    from foliotrace.adapters.llamacloud.managed_index.writer import ManagedIndexWriter

_PROBE_S: Final = 1.0  # orchestrators wait no longer
_OWN_EVERY_S: Final = 10.0
_NEWEST: Final = 50  # changes of the library among which a document is looked for
_QUESTION_CHARACTERS: Final = 200
_PING: Final = Prompt(system="Reply with one word.", user="ping", version="readiness")


class Audited(Protocol):
    """What the audit log does for durable jobs, so that each has one first and one last record."""

    async def recall(self, run_ids: Collection[str], since: datetime | None) -> None:
        """Learn which records of these jobs exist. Raises AuditUnavailable."""

    def lacks_records(self, run_id: str) -> bool:
        """Whether the first or the last record of a job is missing."""

    async def settled(self, run_id: str) -> None:
        """Wait until the records of an ended job are on the disk. Raises AuditUnavailable."""


class NotAudited:
    """For hosts and tests with an audit log of their own."""

    async def recall(self, run_ids: Collection[str], since: datetime | None) -> None:
        """Do nothing."""

    def lacks_records(self, run_id: str) -> bool:
        """That is for the log to say."""
        return False

    async def settled(self, run_id: str) -> None:
        """Do nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Assembly:
    """The services and workflows that a host runs."""

    ingest: IngestServices  # the stores among them
    runs: Runs
    query: Callable[[], Workflow]  # a new one for each host
    durable: Mapping[str, Workflow]  # ingest, extract and the user's, by name
    capabilities: Callable[[], Awaitable[Mapping[str, CapabilityBody]]]
    check_schema: Callable[[dict[str, Any]], object]
    problems: Callable[[], Sequence[FolderProblemBody]] = lambda: ()  # of the data folder
    check_extract_path: Callable[[ExecutionMode | None], object] = lambda mode: None
    audited: Audited = field(default_factory=NotAudited)
    erasers: Mapping[str, Callable[[ErasureScope], Awaitable[Erased]]] = field(
        default_factory=dict
    )  # by what they erase; see `folder.erasure`
    on_rated: Callable[[Run, float | None], None] = lambda run, score: None  # by a caller
    background: Sequence[Callable[[], Coroutine[Any, Any, None]]] = ()  # run until cancelled
    managed_index: "ManagedIndexWriter | None" = None
    webhook: Callable[[bytes, str | None], Awaitable[object]] | None = None  # raw body, signature
    closing: Sequence[Callable[[], Awaitable[None]]] = ()  # in order, at the end
    close_logs: Callable[[], None] = lambda: None  # at exit, where `closing` is not called
    observability: Observability | None = None
    quotas: Quotas | None = None  # None: those of the settings, which nothing has used yet
    reload: Callable[[Any], None] = lambda settings: None  # prices and lexicon


_RETRIEVING: Final = (
    "query.retriever",
    "query.rerankers*",
    "embedding.model",
    "index.vector_store",
)


class Readiness:
    """Reports what each capability is configured for, and what the next answer would get.

    The indexes of this machine and a retriever of the user's own are asked as a question asks them,
    for words of the newest document. Other services are asked only while their last call failed,
    and not while their circuit breaker is open: of the rest, the last call says how they are.
    """

    def __init__(
        self,
        query: QueryServices,
        parts: OwnParts,
        *,
        library: IndexSource,
        ledger: Callable[[], Awaitable[object]] | None = None,
    ) -> None:
        """`ledger` reads the budget ledger; None where nothing is paid for."""
        self._query = query
        self._parts = parts
        self._library = library
        self._ledger = ledger
        self._own_asked_s = -_OWN_EVERY_S

    async def __call__(self) -> Mapping[str, CapabilityBody]:
        """The state of `retrieve` and `answer`."""
        with open_run("readiness", None):
            retrieve, answer = await asyncio.gather(self._retrieve(), self._answer())
        return {"retrieve": retrieve, "answer": answer}

    async def _retrieve(self) -> CapabilityBody:
        best = self._query.configured.retrieval[0]
        reached, reasons = RetrievalMode.NONE, list[str]()
        try:
            question = await self._question()
            for path in self._query.paths:
                if (reason := await self._why_not(path, question)) is None:
                    reached = path.mode
                    break
                reasons.append(reason)
            reasons += await self._rerankers_that_fail(question)
        except LibraryUnavailable as error:
            reasons.append(error.reason)
        is_best = reached is best and not reasons
        return CapabilityBody(
            configured=best,
            reachable=reached,
            level=0 if is_best else 4 if reached is RetrievalMode.NONE else 2,
            reasons=tuple(dict.fromkeys(reasons)),
            failures=tuple(self._parts.failures(*_RETRIEVING)),
        )

    async def _rerankers_that_fail(self, question: Query) -> list[str]:
        """Why rerankers would be skipped; those whose last call failed are asked again."""
        failing = [each for each in self._query.rerankers if not each.ready]
        if not failing:
            return []
        keyword = next(p for p in self._query.paths if p.mode is RetrievalMode.KEYWORD)
        now_s = self._query.clock.monotonic_s()
        try:
            passages = await keyword.retriever.retrieve(
                question, top_k=2, deadline=Deadline(now_s + _PROBE_S)
            )
        except Unavailable:
            return [Reason.RERANKER_FAILED]
        _, failures = await Reranking(failing).apply(
            question,
            passages,
            clock=self._query.clock,
            deadline=Deadline(now_s + 2 * _PROBE_S),
            limit_s=_PROBE_S,
        )
        return [error.reason for error in failures]

    async def _question(self) -> Query:
        """A question for what stands in the newest document. Raises LibraryUnavailable."""
        version = await self._library.version()
        for change in reversed(await self._library.changes(max(0, version - _NEWEST))):
            chunks = await self._library.document_chunks(
                change.tenant, change.document_id, after_ordinal=-1, limit=1
            )
            if chunks and not change.deleted:
                principal = Principal(tenant=change.tenant)
                text = chunks[0].text[:_QUESTION_CHARACTERS]
                return Query(text=text, principal=principal, collection=change.collection)
        return Query(text="ping", principal=Principal())

    async def _why_not(self, path: RetrievalPath, question: Query) -> str | None:
        """Why a question would not be answered by `path`; None if it would."""
        ready = path.retriever.ready
        if ready and path.mode is RetrievalMode.HYBRID:
            keyword = next(p for p in self._query.paths if p.mode is RetrievalMode.KEYWORD)
            return await self._why_not(keyword, question)
        if ready and path.mode is not RetrievalMode.KEYWORD and not self._asks_own(path):
            return None
        now_s = self._query.clock.monotonic_s()
        try:
            async with asyncio.timeout(_PROBE_S):
                await path.retriever.retrieve(
                    question, top_k=1, deadline=Deadline(now_s + _PROBE_S)
                )
        except Unavailable as error:
            return error.reason
        except TimeoutError:
            return ReasonFamily.PATH_TIMEOUT.of(path.mode.value)
        return None

    def _asks_own(self, path: RetrievalPath) -> bool:
        """Whether to ask the user's own retriever again, which may fail without a call of ours."""
        now_s = self._query.clock.monotonic_s()
        due = path.mode is RetrievalMode.CUSTOM and now_s - self._own_asked_s >= _OWN_EVERY_S
        self._own_asked_s = now_s if due else self._own_asked_s
        return due

    async def _answer(self) -> CapabilityBody:
        """Generated answers if any language model answers, else quotes."""
        generators = self._query.generators
        if not generators:
            quotes = AnswerMode.EXTRACTIVE
            return CapabilityBody(configured=quotes, reachable=quotes, level=0, reasons=())
        reasons: list[str] = []
        unpaid = await self._why_nothing_is_paid()
        for number, generator in enumerate(generators, 1):
            if not unpaid and (generator.ready or await self._answers(generator)):
                break
            reasons.append(unpaid or ReasonFamily.NOT_READY.of(f"llm_{number}"))
        all_down = len(reasons) == len(generators)
        return CapabilityBody(
            configured=AnswerMode.GENERATED,
            reachable=AnswerMode.EXTRACTIVE if all_down else AnswerMode.GENERATED,
            level=2 if all_down else min(1, len(reasons)),
            reasons=tuple(dict.fromkeys(reasons)),
            failures=tuple(self._parts.failures("llm*")),
        )

    async def _why_nothing_is_paid(self) -> str | None:
        """Why the budget ledger admits no call; None if it does."""
        if self._ledger is None:
            return None
        try:
            await self._ledger()
        except LedgerUnavailable as error:
            return error.reason
        return None

    async def _answers(self, generator: TextGenerator) -> bool:
        """Ask a model whose last call failed for one word, unless its breaker is open."""
        deadline = Deadline(self._query.clock.monotonic_s() + _PROBE_S)
        try:
            async with asyncio.timeout(_PROBE_S):
                await generator.generate(_PING, max_tokens=8, deadline=deadline)
        except (Unavailable, BudgetExceeded, TimeoutError):
            return False
        return generator.ready
