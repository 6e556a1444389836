"""The loop's `Target` and `RunSource` over a client: a server at a URL, or one in this process."""

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from foliotrace.catalog import ErrorCode
from foliotrace.errors import FoliotraceError
from foliotrace.model import Citation, RunContent, RunView, Versions
from foliotrace_loop.datasets.placeholders import stand_ins
from foliotrace_loop.ports import LoopError, TargetUnavailable
from foliotrace_loop.shapes import (
    Configuration,
    Inputs,
    Outcome,
    RecordedContent,
    RecordedRun,
)

if TYPE_CHECKING:
    from foliotrace_server import bodies
    from foliotrace_server.client import AsyncFoliotraceClient

PROJECT = "evaluation"
"""The project of the runs that evaluations cause, so that figures of production leave them out."""
_REFUSED = (400, 422)
"""The service read the question and does not answer it. A refused key, an unknown address and an
outage say nothing about the question."""
_CONTENT = {RunContent.WHOLE: RecordedContent.WHOLE, RunContent.REDACTED: RecordedContent.REDACTED}


class ClientTarget:
    """Asks a service, past its caches, and reads back what answered."""

    def __init__(self, client: "AsyncFoliotraceClient") -> None:
        self._client = client
        self._documents = _Documents(client)

    async def answer(self, inputs: Inputs) -> Outcome:
        """The service's answer; placeholders in the question are asked with values of their kind.

        Raises TargetUnavailable where the service cannot be asked.
        """
        from foliotrace_server.client import ServerProblem

        if "schema" in inputs:
            return await self._extracted(inputs)
        request = {name: value for name, value in inputs.items() if name != "query"}
        if unknown := set(request) - {"collection", "top_k", "path", "filters"}:
            raise LoopError(f"the inputs hold {min(unknown)}, which a question does not take")
        if "filters" in request:
            request["filters"] = await self._documents.resolved(request["filters"])
        try:
            question = stand_ins(str(inputs["query"]))
            answer = await self._client.ask(
                question, bypass_cache=True, metadata={"project": PROJECT}, **request
            )
            run = await self._client.run(answer.run_id)
            outputs = await self._outputs(answer)
        except ServerProblem as error:
            if error.status not in _REFUSED:
                raise TargetUnavailable(f"{error.message} [{error.error_code}]") from error
            return Outcome(id="", inputs=inputs, error=error.error_code)
        except FoliotraceError as error:
            raise TargetUnavailable(f"{error.message} [{error.error_code}]") from error
        return Outcome(
            id=answer.run_id,
            inputs=inputs,
            outputs=outputs,
            elapsed_ms=run.elapsed_ms,
            cost_usd=answer.usage.cost_usd,
            tokens=answer.usage.total_tokens,
            trace_id=answer.trace_id,
            configuration=configuration_of(run.versions),
        )

    async def _extracted(self, inputs: Inputs) -> Outcome:
        """The record of a `document`, by its content hash, for a `schema`."""
        from foliotrace_server.client import ServerProblem

        if set(inputs) - {"document", "schema", "instructions"} or "document" not in inputs:
            raise LoopError("inputs with a schema hold document, schema and instructions only")
        began_s = time.monotonic()
        try:
            hashes = {"content_hashes": [str(inputs["document"])]}
            found = await self._documents.resolved(hashes)
            started = await self._client.extract(
                found["document_ids"][0],
                dict(inputs["schema"]),
                instructions=inputs.get("instructions"),
            )
            async for _ in self._client.follow(started.job.id):
                pass
            ended = await self._client.extraction(started.id)
        except ServerProblem as error:
            if error.status not in _REFUSED:
                raise TargetUnavailable(f"{error.message} [{error.error_code}]") from error
            return Outcome(id="", inputs=inputs, error=error.error_code)
        except FoliotraceError as error:
            raise TargetUnavailable(f"{error.message} [{error.error_code}]") from error
        if ended.record is None:
            problem = ended.job.problem or ended.status.value
            if problem != ErrorCode.RECORD_INVALID:
                raise TargetUnavailable(f"extraction {ended.id}: {problem}")
            return Outcome(id=ended.id, inputs=inputs, error=problem)
        return Outcome(
            id=ended.id,
            inputs=inputs,
            outputs={"record": ended.record},
            elapsed_ms=(time.monotonic() - began_s) * 1000,
            cost_usd=ended.usage.cost_usd if ended.usage is not None else Decimal(0),
            tokens=ended.usage.total_tokens if ended.usage is not None else 0,
        )

    async def _outputs(self, answer: "bodies.AnswerBody") -> Mapping[str, Any]:
        hashes = await self._documents.hashes(c.document_id for c in answer.citations)
        return {
            "answer": answer.answer,
            "answer_mode": answer.answer_mode.value,
            "citations": citations_of(answer.citations, hashes),
            "degradation": _degradation(answer),
            "notice": answer.notice,
        }


class ClientRuns:
    """Reads recorded runs from a service."""

    def __init__(self, client: "AsyncFoliotraceClient") -> None:
        self._client = client
        self._documents = _Documents(client)

    async def run(self, run_id: str) -> RecordedRun:
        """One run by its id or trace id. Raises LoopError, TargetUnavailable."""
        from foliotrace_server.client import ServerProblem

        try:
            found = await self._client.run(run_id)
            filters = found.request.filters or {}
            ids = [str(each) for each in filters.get("document_ids", ())]
            hashes = await self._documents.hashes([*ids, *(c.document_id for c in found.citations)])
        except ServerProblem as error:
            if error.status == 404:
                raise LoopError(f"there is no run {run_id}, or it is not yours to read") from error
            raise TargetUnavailable(f"{error.message} [{error.error_code}]") from error
        except FoliotraceError as error:
            raise TargetUnavailable(f"{error.message} [{error.error_code}]") from error
        feedback = tuple(asdict(each) for each in found.feedback)
        return recorded(found, hashes=hashes, feedback=feedback)

    async def find(self, filter_: str | None, *, limit: int) -> Sequence[RecordedRun]:
        """Runs, newest first, without their texts. Raises LoopError, TargetUnavailable."""
        from foliotrace_server.client import ServerProblem

        try:
            page = await self._client.runs(filter=filter_, limit=limit)
        except ServerProblem as error:
            kind = LoopError if error.status < 500 else TargetUnavailable
            raise kind(f"{error.message} [{error.error_code}]") from error
        except FoliotraceError as error:
            raise TargetUnavailable(f"{error.message} [{error.error_code}]") from error
        return [recorded(run) for run in page.runs]


class _Documents:
    """Content hashes of documents, and back; each is asked for once."""

    def __init__(self, client: "AsyncFoliotraceClient") -> None:
        self._client = client
        self._hashes: dict[str, str] = {}

    async def hashes(self, ids: Iterable[str]) -> Mapping[str, str]:
        """Content hash by id; a deleted document is left out."""
        from foliotrace_server.client import ServerProblem

        wanted = set(ids)
        for each in wanted - set(self._hashes):
            try:
                self._hashes[each] = (await self._client.document(each)).content_hash
            except ServerProblem as error:
                if error.status != 404:
                    raise
        return {each: self._hashes[each] for each in wanted if each in self._hashes}

    async def resolved(self, filters: Mapping[str, Any]) -> Mapping[str, Any]:
        """The filters with the ids of this service's documents. Raises TargetUnavailable."""
        hashes = filters.get("content_hashes")
        rest = {name: value for name, value in filters.items() if name != "content_hashes"}
        if not hashes:
            return rest
        ids: dict[str, str] = {}
        after: str | None = None
        while True:
            page = await self._client.documents(limit=1000, after=after)
            ids |= {each.content_hash: each.id for each in page.documents}
            after = page.next
            if after is None:
                break
        missing = [each for each in hashes if each not in ids]
        if missing:
            raise TargetUnavailable(f"no document has the content {missing[0]}: ingest it first")
        return {**rest, "document_ids": [ids[each] for each in hashes]}


def recorded(
    run: RunView,
    *,
    hashes: Mapping[str, str] | None = None,
    feedback: tuple[Mapping[str, Any], ...] = (),
) -> RecordedRun:
    """A stored run in the loop's shape."""
    asked = run.request
    filters = {name: list(values) for name, values in (asked.filters or {}).items() if values}
    known: dict[str, Any] = {
        "query": run.query_text,
        "collection": asked.collection if asked.collection != "default" else None,
        "top_k": asked.top_k if asked.top_k != 5 else None,
        "path": asked.path.value if asked.path is not None else None,
        "filters": filters or None,
    }
    inputs = {name: each for name, each in known.items() if each is not None}
    outputs = {
        "answer": run.answer_text,
        "answer_mode": run.degradation.answer.value,
        "citations": citations_of(run.citations, hashes or {}),
        "degradation": _degradation(run),
        "content_hashes": dict(hashes or {}),
    }
    return RecordedRun(
        outcome=Outcome(
            id=run.id,
            inputs=inputs,
            outputs=outputs,
            error=run.error,
            elapsed_ms=run.elapsed_ms,
            cost_usd=run.usage.cost_usd,
            tokens=run.usage.total_tokens,
            trace_id=run.trace_id,
            configuration=configuration_of(run.versions),
        ),
        content=_CONTENT.get(run.content, RecordedContent.NONE),
        feedback=feedback,
        at=run.created_at - timedelta(milliseconds=run.elapsed_ms),
        lost_citations=sum(c.document_id not in hashes for c in run.citations)
        if hashes is not None
        else 0,
    )


def configuration_of(versions: Versions) -> Configuration:
    """The versions of a run in the loop's shape."""
    return Configuration(
        code=versions.code,
        prompt=versions.prompt,
        model=versions.model,
        index=versions.index,
        settings=versions.settings or None,
    )


def citations_of(
    citations: Sequence[Citation], hashes: Mapping[str, str]
) -> Sequence[Mapping[str, Any]]:
    """Quotes with the content hash of their documents."""
    return [
        {
            "quote": c.quote,
            "document": c.document_name,
            "page": c.anchor.page,
            "content_hash": hashes.get(c.document_id),
        }
        for c in citations
    ]


def _degradation(answer: "bodies.AnswerBody | RunView") -> Mapping[str, Any]:
    mark = answer.degradation
    return {"level": int(mark.level), "reasons": list(mark.reasons)}
