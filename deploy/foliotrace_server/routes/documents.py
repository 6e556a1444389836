"""`/v1/documents`: uploads, listings, pages, deletion."""

import asyncio
from collections.abc import AsyncIterator, Sequence

import orjson
from starlette.requests import Request

from foliotrace.catalog import ErrorCode
from foliotrace.errors import FoliotraceError, InvalidRequest, NotAllowed, NotFound
from foliotrace.ingest.publish import hold_originals
from foliotrace.ingest.upload import Accepted, checked_selection
from foliotrace.jobs import document_of
from foliotrace.model import (
    DEFAULT_COLLECTION,
    Document,
    DocumentView,
    ExecutionMode,
    Metadata,
    Principal,
)
from foliotrace.ports import StoredBlob
from foliotrace.query.validate import validate_filters
from foliotrace_server.bodies import (
    AcceptedBody,
    DocumentsBody,
    PageBody,
    ProblemBody,
    RefusedBody,
    UploadBody,
    page_body,
)
from foliotrace_server.engine import Engine
from foliotrace_server.http.identity import caller
from foliotrace_server.http.overload import ConcurrencyLimit
from foliotrace_server.http.problems import problem_of
from foliotrace_server.http.request_body import checked_collection, checked_key, stream_body
from foliotrace_server.jobs.stored_upload import StoredUpload
from foliotrace_server.openapi.limits import COLLECTION
from foliotrace_server.openapi.operation import header_parameter, paging, query_parameter
from foliotrace_server.routes.endpoint import endpoint
from foliotrace_server.routes.upload_form import Form, receive, refuse_other_fields

_MAX_PAGE = 1000
_MULTIPART_OVERHEAD_BYTES = 1024 * 1024
_TEXT = {"type": "string"}
_FORM_FIELDS = {
    "collection": COLLECTION,
    "metadata": {"type": "string", "description": "A flat JSON object of texts and numbers."},
    "path": {
        "type": "string",
        "enum": [mode.value for mode in ExecutionMode],
        "description": "Where to parse. Overrides the server default.",
    },
    "pages": {
        "type": "string",
        "pattern": r"^\s*\d+\s*(-\s*\d+\s*)?(,\s*\d+\s*(-\s*\d+\s*)?)*$",
        "description": "The pages to read of PDF, TIFF and PPTX files, as in `1-3,7`."
        " They keep their numbers. Default: all.",
    },
}
_FILES = {"type": "array", "items": {"type": "string", "format": "binary"}, "minItems": 1}
_UPLOAD = {
    "required": True,
    "content": {
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "properties": {"file": _FILES, **_FORM_FIELDS},
                "required": ["file"],
                "additionalProperties": False,
            }
        }
    },
}


class Documents:
    """Documents over HTTP."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._ingest = engine.assembly.ingest
        limits = engine.settings.ingest
        self._limits = limits
        self._max_upload_bytes = (
            limits.max_file_bytes * limits.max_files_per_request + _MULTIPART_OVERHEAD_BYTES
        )
        at_once = engine.settings.server.max_concurrent_uploads
        self._slots = ConcurrencyLimit(at_once, waiting=0, retry_after_s=2.0)

    @endpoint(
        "POST",
        "/v1/documents",
        tag="documents",
        status=202,
        request=_UPLOAD,
        parameters=[
            header_parameter("Idempotency-Key", "The same key again returns the same jobs.")
        ],
        problems=(400, 408, 409, 413, 415, 422, 429, 503),
    )
    async def upload_documents(self, request: Request) -> UploadBody:
        """Upload files.

        Answered once the files are stored durably; their jobs survive a crash.
        """
        key = checked_key(request.headers.get("idempotency-key"))
        principal = caller()

        self._engine.durable.accepted.refuse_if_full()
        async with self._slots.slot(), hold_originals(self._ingest, principal.tenant) as hold:

            async def put(name: str, content: AsyncIterator[bytes]) -> StoredBlob:
                limit_bytes = self._limits.max_file_bytes
                blobs = self._ingest.blobs
                return hold(
                    await blobs.put(principal.tenant, name, content, limit_bytes=limit_bytes)
                )

            form = await receive(
                stream_body(request, self._max_upload_bytes),
                request.headers.get("content-type", ""),
                put,
                max_files=self._limits.max_files_per_request,
            )
            if not form.files:
                raise InvalidRequest("the upload holds no file", hint="Send it as field `file`.")
            refuse_other_fields(form.fields, tuple(_FORM_FIELDS))
            return await self._accept(principal, form, key)

    async def _accept(self, principal: Principal, form: Form, key: str | None) -> UploadBody:
        collection = form.fields.get("collection", DEFAULT_COLLECTION)
        metadata = metadata_of(form.fields.get("metadata", "{}"))
        path = path_of(form.fields.get("path"))
        pages = checked_selection(form.fields.get("pages"))
        uploads = [
            StoredUpload(
                name=file.name,
                blob=file.blob,
                collection=collection,
                metadata=metadata,
                idempotency_key=f"{key}/{number}" if key else None,
                path=path,
                pages=pages,
            )
            if file.blob is not None
            else file.refused or InvalidRequest("the file could not be stored")
            for number, file in enumerate(form.files)
        ]
        outcomes = await self._accepted_or_refused(principal, uploads)
        accepted = [each for each in outcomes if isinstance(each, Accepted)]
        refused = [
            (file.name, each)
            for file, each in zip(form.files, outcomes, strict=True)
            if isinstance(each, FoliotraceError)
        ]
        if not accepted:
            raise refused[0][1]
        return UploadBody(
            accepted=tuple(
                AcceptedBody(document=each.document, job=each.job, unchanged=each.unchanged)
                for each in accepted
            ),
            refused=tuple(
                RefusedBody(name=name, problem=ProblemBody(**problem_of(error).body()))
                for name, error in refused
            ),
        )

    async def _accepted_or_refused(
        self, principal: Principal, uploads: Sequence[StoredUpload | FoliotraceError]
    ) -> Sequence[Accepted | FoliotraceError]:
        """What became of each file; they wait together for the disk."""

        async def outcome(upload: StoredUpload | FoliotraceError) -> Accepted | FoliotraceError:
            if isinstance(upload, FoliotraceError):
                return upload
            try:
                return await self._engine.jobs.upload(principal, upload)
            except FoliotraceError as error:
                return error

        names = [each.name for each in uploads if isinstance(each, StoredUpload)]
        if len(set(names)) < len(names):  # the last one of a name counts
            return [await outcome(upload) for upload in uploads]
        tasks = [asyncio.create_task(outcome(upload)) for upload in uploads]
        try:
            return await asyncio.gather(*tasks)
        finally:  # one that fails unexpectedly, or a caller that leaves, waits for the others
            await asyncio.gather(*tasks, return_exceptions=True)

    @endpoint(
        "GET",
        "/v1/documents",
        tag="documents",
        parameters=[
            *paging("The `next` of the page before: a document id."),
            query_parameter("collection", COLLECTION, "Only this collection."),
            query_parameter("name", _TEXT, "Only this name."),
        ],
        problems=(400, 404, 503),
    )
    async def list_documents(self, request: Request) -> DocumentsBody:
        """List documents.

        In order of id. Query parameters that are not ours filter by metadata.
        """
        query = request.query_params
        limit = whole_number(query.get("limit"), "limit", default=100, least=1, most=_MAX_PAGE)
        collection = query.get("collection")
        ours = ("limit", "after", "collection", "name")
        filters = {name: query.getlist(name) for name in query if name not in ours}
        documents: list[Document] = []
        for each in collections_for(caller(), collection):
            documents += await self._ingest.library.documents(
                caller().tenant,
                collection=each,
                filters=validate_filters(filters),
                name=query.get("name"),
                limit=limit,
                after=query.get("after"),
            )
        documents = sorted(documents, key=lambda document: document.id)[:limit]
        following = documents[-1].id if len(documents) == limit else None
        return DocumentsBody(documents=tuple(documents), next=following)

    @endpoint("GET", "/v1/documents/{id}", tag="documents", problems=(404, 503))
    async def get_document(self, request: Request) -> DocumentView:
        """Get a document."""
        return await document_of(self._ingest.library, caller(), request.path_params["id"])

    @endpoint("DELETE", "/v1/documents/{id}", tag="documents", problems=(404, 503))
    async def delete_document(self, request: Request) -> DocumentView:
        """Delete a document and everything derived from it."""
        return await self._engine.jobs.forget(caller(), request.path_params["id"])

    @endpoint(
        "GET",
        "/v1/documents/{id}/pages/{number}",
        tag="documents",
        path_types={"number": {"type": "integer", "minimum": 1}},
        problems=(404, 503),
    )
    async def get_page(self, request: Request) -> PageBody:
        """Get a page: its text, blocks, tables, words and boxes."""
        document_id, number = request.path_params["id"], request.path_params["number"]
        if not (number.isdecimal() and len(number) < 10 and int(number)):
            raise NotFound(code=ErrorCode.PAGE_NOT_FOUND)
        await document_of(self._ingest.library, caller(), document_id)
        page = await self._ingest.library.page(caller().tenant, document_id, int(number))
        return page_body(document_id, page)


def collections_for(principal: Principal, asked: str | None) -> Sequence[str | None]:
    """The collections to list; None for all of the tenant. Raises InvalidRequest, NotAllowed."""
    if asked is None:
        return [None] if principal.collections is None else sorted(principal.collections)
    if not principal.may_use(checked_collection(asked)):
        raise NotAllowed(code=ErrorCode.COLLECTION_NOT_ALLOWED)
    return [asked]


def metadata_of(text: str) -> Metadata:
    """A JSON object; the journey checks its values. Raises InvalidRequest."""
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        raise InvalidRequest("`metadata` is not JSON") from None
    if not isinstance(value, dict):
        raise InvalidRequest("`metadata` must be a JSON object of texts and numbers")
    return value


def path_of(text: str | None) -> ExecutionMode | None:
    """Where to parse the files. Raises InvalidRequest."""
    try:
        return ExecutionMode(text) if text is not None else None
    except ValueError:
        raise InvalidRequest(f"`path` must be one of {', '.join(ExecutionMode)}") from None


def whole_number(text: str | None, name: str, *, default: int, least: int, most: int) -> int:
    """A query parameter in range. Raises InvalidRequest."""
    if text is None:
        return default
    if not (text.isascii() and text.isdecimal() and len(text) < 10):
        raise InvalidRequest(f"`{name}` must be a whole number")
    if not least <= int(text) <= most:
        raise InvalidRequest(f"`{name}` must be {least} to {most}")
    return int(text)
