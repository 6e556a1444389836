"""The records of a question: audit entries, its run, and the event for observers."""

from dataclasses import replace
from typing import Final

from foliotrace.errors import FoliotraceError
from foliotrace.events import QueryAnswered, RunDescribed, emit
from foliotrace.model import (
    BASE_RELEASE,
    Answer,
    ExecutionMode,
    Principal,
    Query,
    Run,
    RunContent,
    RunRequest,
    Usage,
    Versions,
)
from foliotrace.ports import AuditEntry, Clock
from foliotrace.query.validate import valid_name
from foliotrace.settings import RunsSettings
from foliotrace_detect import Detector

_PERSONAL: Final = Detector(prose=True)


def received(
    principal: Principal,
    run_id: str,
    user_id: str | None,
    *,
    key_id: str,
    query_hash: str,
    release: str,
) -> AuditEntry:
    """The entry before the work. A `user_id` that validation will refuse is left out."""
    return AuditEntry(
        event="query_received",
        run_id=run_id,
        tenant=principal.tenant,
        user_id=user_id if user_id is not None and valid_name(user_id) else None,
        query_hash=query_hash,
        key_id=key_id,
        release=release,
    )


def completed(before: AuditEntry, answer: Answer) -> AuditEntry:
    """The entry after an answer, of any level."""
    mark = answer.degradation
    return AuditEntry(
        event="query_completed",
        run_id=before.run_id,
        tenant=before.tenant,
        user_id=before.user_id,
        query_hash=before.query_hash,
        key_id=before.key_id,
        release=before.release,
        success=True,
        response_length=len(answer.text),
        degradation_level=int(mark.level),
        degradation_reasons=mark.reasons,
        model=answer.model,
        tokens=answer.usage.total_tokens,
        cost_usd=answer.usage.cost_usd,
        document_ids=tuple(dict.fromkeys(c.document_id for c in answer.citations)),
    )


def failed(before: AuditEntry, error: BaseException, usage: Usage) -> AuditEntry:
    """The entry after a failure or a cancellation, without any text of the question."""
    known = error if isinstance(error, FoliotraceError) else None
    return AuditEntry(
        event="query_failed",
        run_id=before.run_id,
        tenant=before.tenant,
        user_id=before.user_id,
        query_hash=before.query_hash,
        key_id=before.key_id,
        release=before.release,
        success=False,
        error=known.message if known else None,
        error_type=known.error_code if known else type(error).__name__,
        tokens=usage.total_tokens,
        cost_usd=usage.cost_usd,
    )


def run_of(
    query: Query,
    outcome: Answer | BaseException,
    *,
    usage: Usage,
    path: ExecutionMode | None,
    traceparent: str | None,
    trace_id: str | None,
    versions: Versions,
    recording: RunsSettings,
    clock: Clock,
    started_s: float,
) -> Run:
    """The run that `/v1/runs/{id}` returns, of an answer or of a failure."""
    answer = outcome if isinstance(outcome, Answer) else Answer(text="")
    error = None
    if isinstance(outcome, FoliotraceError):
        error = outcome.error_code
    elif isinstance(outcome, BaseException):
        error = type(outcome).__name__
    project = query.metadata.get("project")
    run = Run(
        id=query.run_id,
        tenant=query.principal.tenant,
        subject=query.principal.subject,
        workflow="query",
        versions=replace(versions, model=answer.model),
        degradation=answer.degradation,
        citations=answer.citations,
        usage=usage,
        query_hash=query.query_hash,
        user_id=query.user_id,
        session_id=query.session_id,
        tags=query.tags,
        metadata=query.metadata,
        trace_id=trace_id,
        traceparent=traceparent,
        created_at=clock.now(),
        elapsed_ms=round((clock.monotonic_s() - started_s) * 1000, 3),
        project=project if isinstance(project, str) else recording.project,
        error=error,
        request=RunRequest(
            collection=query.collection,
            top_k=query.top_k,
            path=path,
            filters={
                **({"document_ids": ids} if (ids := query.filters.document_ids) else {}),
                **query.filters.metadata,
            },
        ),
        content=RunContent.WHOLE,
        query_text=query.text,
        answer_text=answer.text if error is None else None,
    )
    return _with_content(run, recording)


def _with_content(run: Run, recording: RunsSettings) -> Run:
    """The run with as much text as the settings let it keep."""
    if recording.keep_content == "encrypted":
        return run
    if recording.keep_content == "redacted":
        question = _redacted(run.query_text or "")
        return replace(
            run,
            content=RunContent.WHOLE if question == run.query_text else RunContent.REDACTED,
            query_text=question,
            answer_text=_redacted(run.answer_text) if run.answer_text is not None else None,
            request=replace(
                run.request,
                filters={
                    name: tuple(_redacted(v) if isinstance(v, str) else v for v in values)
                    for name, values in (run.request.filters or {}).items()
                },
            ),
            citations=tuple(
                replace(c, quote=_redacted(c.quote), figure=None) for c in run.citations
            ),
        )
    return replace(
        run,
        content=RunContent.OFF,
        query_text=None,
        answer_text=None,
        request=replace(run.request, filters=None),
        citations=tuple(replace(citation, quote="", figure=None) for citation in run.citations),
    )


def _redacted(text: str) -> str:
    return _PERSONAL.replace(text, lambda kind, _: f"[{kind} REDACTED]")


def emit_description(query: Query, versions: Versions) -> None:
    """Emit whose question this is, for observers that export content."""
    emit(
        RunDescribed(
            tenant=query.principal.tenant,
            user=query.user_id or query.principal.subject,
            session_id=query.session_id,
            labels=query.tags,
            entries=query.metadata,
            release=versions.code,
            prompt_version=versions.prompt,
            index_version=versions.index,
        )
    )


def emit_answered(answer: Answer, *, origin: str | None = None) -> None:
    """Emit how the question was answered, for the span of the run.

    `origin` is the traceparent of the earlier run that made a cached answer, to link to.
    """
    mark = answer.degradation
    emit(
        QueryAnswered(
            run_id=answer.run_id,
            level=int(mark.level),
            reasons=mark.reasons,
            retrieval_mode=mark.retrieval.value,
            contributed=tuple(mode.value for mode in mark.contributed),
            answer_mode=mark.answer.value,
            citations=len(answer.citations),
            removed_claims=answer.removed_claims or None,
            cache=answer.cache.value,
            release=answer.release if answer.release != BASE_RELEASE else None,
            model=answer.model,
            cost_usd=float(answer.usage.cost_usd) if answer.usage.cost_usd else None,
            origin=origin,
        )
    )
