"""`/v1/documents`: uploads, listings, pages, deletion."""

from collections.abc import AsyncIterator
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response

from foliotrace.catalog import ErrorCode
from foliotrace.errors import FoliotraceError, InvalidRequest, NotFound
from foliotrace.ingest.publish import keeping
from foliotrace.ingest.upload import Accepted
from foliotrace.model import DEFAULT_COLLECTION, ExecutionMode, Metadata, Principal
from foliotrace.ports import StoredBlob
from foliotrace.query.validate import validate_filters
from foliotrace_server.engine import Engine
from foliotrace_server.http_guard import ConcurrencyLimit
from foliotrace_server.identity import caller
from foliotrace_server.jobs import StoredUpload
from foliotrace_server.names import checked_collection, checked_key
from foliotrace_server.problems import Problem, problem_of
from foliotrace_server.request_body import limited
from foliotrace_server.uploads import Form, receive, refuse_other_fields
from foliotrace_server.wire import document_body, dumps, job_body, page_body

_FIELDS = ("collection", "metadata", "path")
_MAX_PAGE = 1000
_MULTIPART_OVERHEAD_BYTES = 1024 * 1024


class Documents:
    """Documents over HTTP."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._ingest = engine.parts.ingest
        limits = engine.settings.ingest
        self._limits = limits
        self._max_upload_bytes = (
            limits.max_file_bytes * limits.max_files_per_request + _MULTIPART_OVERHEAD_BYTES
        )
        at_once = engine.settings.server.max_concurrent_uploads
        self._slots = ConcurrencyLimit(at_once, waiting=0, retry_after_s=2.0)

    async def upload(self, request: Request) -> Response:
        """Store files and start their ingestion. 202 once that will happen whatever is killed."""
        key = checked_key(request.headers.get("idempotency-key"))
        principal = caller()

        self._engine.durable.refuse_if_full()
        async with self._slots.slot(), keeping(self._ingest, principal.tenant) as keep:

            async def put(name: str, content: AsyncIterator[bytes]) -> StoredBlob:
                limit_bytes = self._limits.max_file_bytes
                blobs = self._ingest.blobs
                return keep(
                    await blobs.put(principal.tenant, name, content, limit_bytes=limit_bytes)
                )

            form = await receive(
                limited(request, self._max_upload_bytes),
                request.headers.get("content-type", ""),
                put,
                max_files=self._limits.max_files_per_request,
            )
            if not form.files:
                raise InvalidRequest("the upload holds no file", hint="Send it as field `file`.")
            refuse_other_fields(form.fields, _FIELDS)
            return await self._accept(principal, form, key)

    async def _accept(self, principal: Principal, form: Form, key: str | None) -> Response:
        collection = form.fields.get("collection", DEFAULT_COLLECTION)
        metadata = metadata_of(form.fields.get("metadata", "{}"))
        path = path_of(form.fields.get("path"))
        accepted: list[dict[str, Any]] = []
        refused: list[tuple[str, Problem]] = []
        for number, file in enumerate(form.files):
            try:
                if file.blob is None:
                    raise file.refused or InvalidRequest("the file could not be stored")
                upload = StoredUpload(
                    name=file.name,
                    blob=file.blob,
                    collection=collection,
                    metadata=metadata,
                    idempotency_key=f"{key}/{number}" if key else None,
                    path=path,
                )
                accepted.append(_accepted(await self._engine.intake.upload(principal, upload)))
            except FoliotraceError as error:
                refused.append((file.name, problem_of(error)))
        if not accepted:
            return refused[0][1].response()
        body = {
            "accepted": accepted,
            "refused": [{"name": name, "problem": problem.body()} for name, problem in refused],
        }
        return Response(dumps(body), status_code=202, media_type="application/json")

    async def listing(self, request: Request) -> Response:
        """Documents in order of id. Other query parameters than ours filter by metadata."""
        asked = request.query_params
        limit = whole_number(asked.get("limit"), "limit", default=100, least=1, most=_MAX_PAGE)
        collection = asked.get("collection")
        ours = ("limit", "after", "collection", "name")
        wanted = {name: asked.getlist(name) for name in asked if name not in ours}
        found = await self._ingest.library.documents(
            caller().tenant,
            collection=checked_collection(collection) if collection is not None else None,
            filters=validate_filters(wanted),
            name=asked.get("name"),
            limit=limit,
            after=asked.get("after"),
        )
        body = {
            "documents": [document_body(document) for document in found],
            "next": found[-1].id if len(found) == limit else None,
        }
        return Response(dumps(body), media_type="application/json")

    async def one(self, request: Request) -> Response:
        """A document."""
        document = await self._ingest.library.document(caller().tenant, request.path_params["id"])
        return Response(dumps(document_body(document)), media_type="application/json")

    async def delete(self, request: Request) -> Response:
        """Forget a document with everything made from it; its last state."""
        document = await self._engine.intake.forget(caller(), request.path_params["id"])
        return Response(dumps(document_body(document)), media_type="application/json")

    async def page(self, request: Request) -> Response:
        """One page: text, blocks, tables, words and their boxes."""
        document_id, number = request.path_params["id"], request.path_params["number"]
        if not (number.isdecimal() and len(number) < 10 and int(number)):
            raise NotFound(code=ErrorCode.PAGE_NOT_FOUND)
        page = await self._ingest.library.page(caller().tenant, document_id, int(number))
        return Response(dumps(page_body(document_id, page)), media_type="application/json")


def _accepted(taken: Accepted) -> dict[str, Any]:
    return {
        "document": document_body(taken.document),
        "job": job_body(taken.job),
        "unchanged": taken.unchanged,
    }


def metadata_of(text: str) -> Metadata:
    """A JSON object; the journey checks its values. Raises InvalidRequest."""
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        raise InvalidRequest("`metadata` is not JSON") from None
    if not isinstance(value, dict):
        raise InvalidRequest("`metadata` must be a JSON object of texts and numbers")
    return value


def path_of(given: str | None) -> ExecutionMode | None:
    """Who reads the files. Raises InvalidRequest."""
    try:
        return ExecutionMode(given) if given is not None else None
    except ValueError:
        raise InvalidRequest(f"`path` must be one of {', '.join(ExecutionMode)}") from None


def whole_number(given: str | None, name: str, *, default: int, least: int, most: int) -> int:
    """A query parameter in range. Raises InvalidRequest."""
    if given is None:
        return default
    if not (given.isascii() and given.isdecimal() and len(given) < 10):
        raise InvalidRequest(f"`{name}` must be a whole number")
    if not least <= int(given) <= most:
        raise InvalidRequest(f"`{name}` must be {least} to {most}")
    return int(given)
