"""What `compose` returns to a host: the services, the workflows and their readiness.

Hosts are our server, llamactl and llama-deploy. Nothing is imported from llama-agents, which cannot
be installed beside llama-deploy 0.9.2.
"""

from collections.abc import Awaitable, Callable, Collection, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import takewhile
from typing import Any, Final, Protocol

from workflows import Workflow

from foliotrace.catalog import ReasonFamily
from foliotrace.errors import LibraryUnavailable, Unavailable
from foliotrace.ingest.services import IngestServices
from foliotrace.model import (
    AnswerMode,
    Deadline,
    ExecutionMode,
    Principal,
    Query,
    RetrievalMode,
)
from foliotrace.ports import Erased, ErasureScope, Runs
from foliotrace.query.workflow import QueryServices
from foliotrace_server.bodies import CapabilityBody, FolderProblemBody
from foliotrace_server.external.own_parts import OwnParts
from foliotrace_server.http.quotas import Quotas
from foliotrace_server.observing.telemetry import Observability

_PROBE_S: Final = 2.0


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
    background: Sequence[Callable[[], Coroutine[Any, Any, None]]] = ()  # run until cancelled
    webhook: Callable[[bytes, str | None], Awaitable[object]] | None = None  # raw body, signature
    closing: Sequence[Callable[[], Awaitable[None]]] = ()  # in order, at the end
    seal: Callable[[], None] = lambda: None  # at exit, for hosts that do not call `closing`
    observability: Observability | None = None
    quotas: Quotas | None = None  # None: those of the settings, which nothing has used yet
    reload: Callable[[Any], None] = lambda settings: None  # prices and lexicon


class Readiness:
    """Reports what each capability is configured for and can do now.

    The keyword index and the library are read as a question reads them; no other service is asked:
    of those, the circuit breakers and the last calls say whether they answer.
    """

    def __init__(self, query: QueryServices, parts: OwnParts) -> None:
        self._query = query
        self._parts = parts

    async def __call__(self) -> Mapping[str, CapabilityBody]:
        """The state of `retrieve` and `answer`."""
        return {"retrieve": await self._retrieve(), "answer": self._answer()}

    async def _retrieve(self) -> CapabilityBody:
        best = self._query.configured.retrieval[0]
        broken = await self._broken()
        ready = [
            path.mode
            for path in self._query.paths
            if path.mode not in broken and path.retriever.ready
        ]
        reached = ready[0] if ready else RetrievalMode.NONE
        level = 0 if reached is best else 2 if ready else 4
        reasons = () if reached is best else (broken.get(best) or ReasonFamily.NOT_READY.of(best),)
        return CapabilityBody(
            configured=best,
            reachable=reached,
            level=level,
            reasons=reasons,
            failures=tuple(self._parts.failures("query.retriever", "embedding.model")),
        )

    async def _broken(self) -> Mapping[RetrievalMode, str]:
        """The paths that a question would find broken on this machine, each with the reason."""
        paths = self._query.paths
        try:
            await self._query.library.version()
        except LibraryUnavailable as error:
            return {path.mode: error.reason for path in paths}
        keyword = next((p for p in paths if p.mode is RetrievalMode.KEYWORD), None)
        if keyword is None:
            return {}
        question = Query(text="ping", principal=Principal())
        deadline = Deadline(self._query.clock.monotonic_s() + _PROBE_S)
        try:
            await keyword.retriever.retrieve(question, top_k=1, deadline=deadline)
        except Unavailable as error:
            return dict.fromkeys((RetrievalMode.KEYWORD, RetrievalMode.HYBRID), error.reason)
        return {}

    def _answer(self) -> CapabilityBody:
        """Generated answers if any language model is ready, else quotes."""
        generators = self._query.generators
        if not generators:
            quotes = AnswerMode.EXTRACTIVE
            return CapabilityBody(configured=quotes, reachable=quotes, level=0, reasons=())
        down = list(takewhile(lambda generator: not generator.ready, generators))
        all_down = len(down) == len(generators)
        return CapabilityBody(
            configured=AnswerMode.GENERATED,
            reachable=AnswerMode.EXTRACTIVE if all_down else AnswerMode.GENERATED,
            level=2 if all_down else min(1, len(down)),
            reasons=tuple(
                ReasonFamily.NOT_READY.of(f"llm_{number}") for number in range(1, len(down) + 1)
            ),
            failures=tuple(self._parts.failures("llm*")),
        )
