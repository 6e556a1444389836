"""Our values as JSON, written by hand for the hot path: the shapes of `contract.py`."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import orjson

from foliotrace.model import (
    Answer,
    Document,
    Extraction,
    Job,
    Metadata,
    ParsedPage,
    Run,
    Usage,
    Versions,
)


def dumps(body: object) -> bytes:
    """JSON; dataclasses, enums and times included."""
    return orjson.dumps(body, default=_other, option=orjson.OPT_UTC_Z | orjson.OPT_NON_STR_KEYS)


def _other(value: object) -> object:
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, (frozenset, set)):
        return list(value)
    raise TypeError(f"{type(value).__name__} has no JSON form")


def usage_body(usage: Usage) -> dict[str, Any]:
    """UsageBody."""
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "embedding_tokens": usage.embedding_tokens,
        "llm_calls": usage.llm_calls,
        "cost_usd": str(usage.cost_usd),
        "credits": usage.credits,
    }


def answer_body(answer: Answer, links: Mapping[str, str]) -> dict[str, Any]:
    """AnswerBody; `links` open the answer's trace."""
    return {
        "answer": answer.text,
        "answer_mode": answer.degradation.answer,
        "citations": answer.citations,
        "degradation": answer.degradation,
        "usage": usage_body(answer.usage),
        "model": answer.model,
        "cache": answer.cache,
        "removed_claims": answer.removed_claims,
        "notice": answer.notice,
        "age_s": answer.age_s,
        "retry_after_s": answer.retry_after_s,
        "trace_id": answer.trace_id,
        "links": links,
        "run_id": answer.run_id,
    }


def document_body(document: Document) -> dict[str, Any]:
    """DocumentBody."""
    return {
        "id": document.id,
        "collection": document.collection,
        "name": document.name,
        "content_hash": document.content_hash,
        "media_type": document.media_type,
        "size_bytes": document.size_bytes,
        "status": document.status,
        "pages_total": document.pages_total,
        "pages_stored": document.pages_stored,
        "pages_unreadable": document.pages_unreadable,
        "chunks": document.chunks,
        "identity": document.identity,
        "metadata": _plain(document.metadata),
        "problem": document.problem,
        "problem_detail": document.problem_detail,
        "created_at": document.created_at,
        "updated_at": document.updated_at,
    }


def page_body(document_id: str, page: ParsedPage) -> dict[str, Any]:
    """PageBody."""
    return {
        "document_id": document_id,
        "number": page.number,
        "kind": page.kind,
        "label": page.label,
        "text": page.text,
        "width": page.width,
        "height": page.height,
        "blocks": page.blocks,
        "tables": page.tables,
        "words": list(page.words),
        "status": page.status,
        "problem": page.problem,
        "engine": page.engine,
        "confidence": page.confidence,
        "degraded_from": page.degraded_from,
    }


def job_body(job: Job) -> dict[str, Any]:
    """JobBody."""
    return {
        "id": job.id,
        "kind": job.kind,
        "document_id": job.document_id,
        "status": job.status,
        "stage": job.stage,
        "pages_done": job.pages_done,
        "pages_total": job.pages_total,
        "chunks": job.chunks,
        "problem": job.problem,
        "problem_detail": job.problem_detail,
        "trace_id": job.trace_id,
        "created_at": job.created_at,
        "updated_at": job.updated_at,
    }


def extraction_body(job: Job, extraction: Extraction | None) -> dict[str, Any]:
    """ExtractionBody."""
    return {
        "id": job.id,
        "status": job.status,
        "document_id": job.document_id,
        "job": job_body(job),
        "record": extraction.record if extraction else None,
        "fields": extraction.fields if extraction else (),
        "valid": extraction.valid if extraction else None,
        "errors": extraction.errors if extraction else (),
        "degradation": extraction.degradation if extraction else None,
        "usage": usage_body(extraction.usage) if extraction else None,
    }


def run_body(run: Run) -> dict[str, Any]:
    """RunBody."""
    return {
        "id": run.id,
        "workflow": run.workflow,
        "versions": _versions(run.versions),
        "degradation": run.degradation,
        "citations": run.citations,
        "usage": usage_body(run.usage),
        "query_hash": run.query_hash,
        "user_id": run.user_id,
        "session_id": run.session_id,
        "tags": run.tags,
        "metadata": _plain(run.metadata),
        "trace_id": run.trace_id,
        "created_at": run.created_at,
        "elapsed_ms": run.elapsed_ms,
        "query_text": run.query_text,
        "answer_text": run.answer_text,
    }


def _versions(versions: Versions) -> dict[str, Any]:
    return {
        "code": versions.code,
        "prompt": versions.prompt,
        "model": versions.model,
        "index": versions.index,
    }


def _plain(metadata: Metadata) -> dict[str, Any]:
    return dict(metadata)
