"""Files: upload, list, content by presigned URL, delete."""

from typing import Any

from llama_cloud.pagination import SyncPaginatedCursor
from llama_cloud.types import (
    FileCreateResponse,
    FileListResponse,
    FileQueryResponse,
    FileRetrieveResponse,
    PresignedURL,
    file_content_params,
    file_create_params,
    file_delete_params,
    file_list_params,
    file_query_params,
    file_retrieve_params,
)
from tests.fakes.llamacloud.routing import Call, Upload, endpoint
from tests.fakes.llamacloud.state import Refused, StoredFile, iso, new_id, own, paged

FILES = "/api/v1/beta/files"
PURPOSES = frozenset({"user_data", "parse", "extract", "split", "classify", "sheet", "agent_app"})
ORDERS = {"name": ("name", False), "id": ("id", False), "created_at": ("created_at", True)}


def store(call: Call, upload: Upload, purpose: str, external_id: str | None) -> StoredFile:
    """Keep an upload."""
    if purpose not in PURPOSES:
        raise Refused(422, f"purpose must be one of {sorted(PURPOSES)}")
    kept = StoredFile(
        new_id("dfl"), call.project_id, upload.name, upload.content, purpose, external_id
    )
    call.cloud.state.files[kept.id] = kept
    return kept


def file_json(call: Call, stored: StoredFile, expand: list[str]) -> dict[str, Any]:
    """A file as every file call answers it."""
    shown: dict[str, Any] = {
        "id": stored.id,
        "name": stored.name,
        "project_id": stored.project_id,
        "file_type": stored.file_type,
        "purpose": stored.purpose,
        "external_file_id": stored.external_file_id,
        "expires_at": iso(stored.expires_at),
        "last_modified_at": iso(stored.created_at),
    }
    if "download_url" in expand:
        shown["download_url"] = call.cloud.presign(call.base_url, f"files/{stored.id}")
    return shown


@endpoint(
    "POST",
    FILES,
    params=file_create_params.FileCreateParams,
    takes="form",
    returns=FileCreateResponse,
    required_files=("file",),
)
async def create(call: Call) -> Any:
    """Upload a file."""
    external_id = call.body.get("external_file_id")
    return file_json(call, store(call, call.files["file"], call.body["purpose"], external_id), [])


def _selected(call: Call, wanted: dict[str, Any]) -> list[StoredFile]:
    ids, name, external = wanted["file_ids"], wanted["file_name"], wanted["external_file_id"]
    return [
        stored
        for stored in call.cloud.state.files.values()
        if stored.project_id == call.project_id
        and (not ids or stored.id in ids)
        and name in (None, stored.name)
        and external in (None, stored.external_file_id)
    ]


@endpoint(
    "GET",
    FILES,
    params=file_list_params.FileListParams,
    returns=SyncPaginatedCursor[FileListResponse],
)
async def list_files(call: Call) -> Any:
    """List files, newest first unless ordered otherwise."""
    order = call.one("order_by") or "created_at"
    if order not in ORDERS:
        raise Refused(422, f"order_by must be one of {sorted(ORDERS)}")
    attribute, newest_first = ORDERS[order]
    found = _selected(
        call,
        {
            "file_ids": call.many.get("file_ids"),
            "file_name": call.one("file_name"),
            "external_file_id": call.one("external_file_id"),
        },
    )
    found.sort(key=lambda stored: getattr(stored, attribute), reverse=newest_first)
    items, token = paged(found, call.number("page_size"), call.one("page_token"))
    expand = call.many.get("expand", [])
    return {"items": [file_json(call, f, expand) for f in items], "next_page_token": token}


@endpoint(
    "POST",
    f"{FILES}/query",
    params=file_query_params.FileQueryParams,
    takes="json",
    returns=FileQueryResponse,
)
async def query(call: Call) -> Any:
    """The deprecated list by POST."""
    asked = call.body.get("filter") or {}
    wanted = {name: asked.get(name) for name in ("file_ids", "file_name", "external_file_id")}
    found = _selected(call, wanted)
    items, token = paged(found, call.body.get("page_size"), call.body.get("page_token"))
    shown = [file_json(call, stored, []) for stored in items]
    return {"items": shown, "next_page_token": token, "total_size": len(found)}


@endpoint(
    "GET",
    FILES + "/{file_id}",
    params=file_retrieve_params.FileRetrieveParams,
    returns=FileRetrieveResponse,
)
async def retrieve(call: Call) -> Any:
    """One file's metadata."""
    stored = call.cloud.state.file(call.path["file_id"], call.project_id)
    return file_json(call, stored, call.many.get("expand", []))


@endpoint(
    "GET",
    FILES + "/{file_id}/content",
    params=file_content_params.FileContentParams,
    returns=PresignedURL,
)
async def content(call: Call) -> Any:
    """A URL that gives the bytes until it expires."""
    stored = call.cloud.state.file(call.path["file_id"], call.project_id)
    seconds = call.number("expires_at_seconds")
    return call.cloud.presign(call.base_url, f"files/{stored.id}", seconds)


@endpoint("DELETE", FILES + "/{file_id}", params=file_delete_params.FileDeleteParams)
async def delete(call: Call) -> None:
    """Delete a file."""
    own(call.cloud.state.files, call.path["file_id"], call.project_id, "File")
    del call.cloud.state.files[call.path["file_id"]]
