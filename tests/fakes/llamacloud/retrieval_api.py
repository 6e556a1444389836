"""Retrieval over an index: retrieve, find, grep, read."""

import re
from collections.abc import Callable
from typing import Any

from llama_cloud.pagination import SyncPaginatedCursorPost
from llama_cloud.types import (
    RetrievalFindResponse,
    RetrievalGrepResponse,
    RetrievalReadResponse,
    RetrievalRetrieveResponse,
    retrieval_find_params,
    retrieval_grep_params,
    retrieval_read_params,
    retrieval_retrieve_params,
)
from tests.fakes.llamacloud import search
from tests.fakes.llamacloud.index_api import find as find_index
from tests.fakes.llamacloud.routing import Call, endpoint
from tests.fakes.llamacloud.state import Index, IndexedFile, Refused, paged

RETRIEVAL = "/api/v1/retrieval"
DEFAULT_TOP_K, MOST_TOP_K = 10, 500
CONTEXT_CHARS = 100
OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    "eq": lambda held, asked: held == asked,
    "ne": lambda held, asked: held != asked,
    "gt": lambda held, asked: held > asked,
    "gte": lambda held, asked: held >= asked,
    "lt": lambda held, asked: held < asked,
    "lte": lambda held, asked: held <= asked,
    "in": lambda held, asked: held in asked,
    "nin": lambda held, asked: held not in asked,
}


def _passes(held: Any, filters: Any) -> bool:
    for condition in filters if isinstance(filters, list) else [filters]:
        operator, asked = condition["operator"], condition["value"]
        if operator in ("in", "nin") and not isinstance(asked, list):
            raise Refused(422, f"{operator} needs a list")
        values = held if isinstance(held, list) else [held]
        try:
            results = [bool(OPERATORS[operator](value, asked)) for value in values]
        except TypeError:
            return False
        if not (all(results) if operator in ("ne", "nin") else any(results)):
            return False
    return True


def _allowed(file: IndexedFile, body: dict[str, Any]) -> bool:
    static = (body.get("static_filters") or {}).get("parsed_directory_file_id")
    if static and not _passes(file.id, static):
        return False
    custom = (body.get("custom_filters") or {}).items()
    return all(_passes(file.entry.metadata.get(k), f) for k, f in custom if f is not None)


def _weight(body: dict[str, Any], name: str) -> float:
    weight = body.get(name)
    if weight is None:
        return 0.5
    if not 0 <= weight <= 1:
        raise Refused(422, f"{name} must be between 0 and 1")
    return float(weight)


@endpoint(
    "POST",
    f"{RETRIEVAL}/retrieve",
    params=retrieval_retrieve_params.RetrievalRetrieveParams,
    takes="json",
    returns=RetrievalRetrieveResponse,
)
async def retrieve(call: Call) -> Any:
    """The best chunks, reranked unless switched off."""
    index, body = await find_index(call, call.body["index_id"]), call.body
    top_k = body.get("top_k") or DEFAULT_TOP_K
    if top_k < 1 or not body["query"].strip():
        raise Refused(422, "top_k must be positive and query must not be empty")
    rerank = body.get("rerank") or {}
    chunks = [
        chunk
        for file in index.exported.values()
        if _allowed(file, body)
        for chunk in search.chunks_of(file, other_engine_chars=call.cloud.other_engine_chars)
    ]
    vector_weight = _weight(body, "vector_pipeline_weight") if index.vectors else 0.0
    text_weight = _weight(body, "full_text_pipeline_weight")
    hits = search.ranked(
        body["query"], chunks, vector_weight=vector_weight, text_weight=text_weight
    )
    least = body.get("score_threshold")
    hits = [hit for hit in hits if least is None or hit.score >= least][: min(top_k, MOST_TOP_K)]
    reranked = rerank.get("enabled", True)
    if reranked:
        hits = sorted(hits, key=lambda hit: -hit.rerank_score)[: rerank.get("top_n") or len(hits)]
    return {"results": [_hit_json(index, hit, reranked=reranked) for hit in hits]}


def _hit_json(index: Index, hit: search.Hit, *, reranked: bool) -> dict[str, Any]:
    chunk = hit.chunk
    fields = {
        "parsed_directory_file_id": chunk.file.id,
        "page_range_start": chunk.page,
        "page_range_end": chunk.page,
        "chunk_index": chunk.index,
        "chunk_start_char": chunk.start,
        "chunk_end_char": chunk.end,
        "chunk_token_count": max(1, len(chunk.content) // 4),
        "attachments": [
            {"attachment_name": name, "source_id": chunk.file.id, "type": kind}
            for kind, name in attachment_names(index, chunk.page)
        ],
    }
    return {
        "content": chunk.content,
        "score": hit.score,
        "rerank_score": hit.rerank_score if reranked else None,
        "metadata": chunk.file.entry.metadata,
        "static_fields": fields,
    }


def attachment_names(index: Index, page: int) -> list[tuple[str, str]]:
    """Kind and name of a page's attachments."""
    names = {"screenshots": f"page_{page}.png", "items": f"page_{page}_items.json"}
    return [(kind, names[kind]) for kind in index.attachments]


def _indexed(index: Index, file_id: str) -> IndexedFile:
    for file in index.exported.values():
        if file.id == file_id:
            return file
    raise Refused(404, f"File {file_id} is not in index {index.id}")


@endpoint(
    "POST",
    f"{RETRIEVAL}/files/find",
    params=retrieval_find_params.RetrievalFindParams,
    takes="json",
    returns=SyncPaginatedCursorPost[RetrievalFindResponse],
)
async def find(call: Call) -> Any:
    """Files by name."""
    index = await find_index(call, call.body["index_id"])
    name, part = call.body.get("file_name"), (call.body.get("file_name_contains") or "").lower()
    found = [
        file
        for file in index.exported.values()
        if name in (None, file.entry.display_name) and part in file.entry.display_name.lower()
    ]
    items, token = paged(found, call.body.get("page_size"), call.body.get("page_token"))
    shown = [{"file_id": file.id, "file_name": file.entry.display_name} for file in items]
    return {"items": shown, "next_page_token": token}


@endpoint(
    "POST",
    f"{RETRIEVAL}/files/grep",
    params=retrieval_grep_params.RetrievalGrepParams,
    takes="json",
    returns=SyncPaginatedCursorPost[RetrievalGrepResponse],
)
async def grep(call: Call) -> Any:
    """Matches of a regular expression in one file; offsets are those of the match."""
    text = _indexed(await find_index(call, call.body["index_id"]), call.body["file_id"]).text
    try:
        matches = list(re.finditer(call.body["pattern"], text))
    except re.error as error:
        raise Refused(422, f"Invalid pattern: {error}") from error
    asked = call.body.get("context_chars")
    around = CONTEXT_CHARS if asked is None else asked
    items, token = paged(matches, call.body.get("page_size"), call.body.get("page_token"))
    shown = [
        {
            "content": text[max(0, match.start() - around) : match.end() + around],
            "start_char": match.start(),
            "end_char": match.end(),
        }
        for match in items
    ]
    return {"items": shown, "next_page_token": token}


@endpoint(
    "POST",
    f"{RETRIEVAL}/files/read",
    params=retrieval_read_params.RetrievalReadParams,
    takes="json",
    returns=RetrievalReadResponse,
)
async def read(call: Call) -> Any:
    """A file's parsed text from an offset."""
    text = _indexed(await find_index(call, call.body["index_id"]), call.body["file_id"]).text
    start, most = call.body.get("offset", 0), call.body.get("max_length")
    if start < 0 or (most is not None and most < 1):
        raise Refused(422, "offset and max_length must not be negative")
    return {"content": text[start:] if most is None else text[start : start + most]}
