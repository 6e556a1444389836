"""Directories and the files in them."""

import json
from typing import Any

from llama_cloud.pagination import SyncPaginatedCursor
from llama_cloud.types.beta import (
    DirectoryCreateResponse,
    DirectoryGetResponse,
    DirectoryListResponse,
    DirectoryUpdateResponse,
    directory_create_params,
    directory_delete_params,
    directory_get_params,
    directory_list_params,
    directory_update_params,
)
from llama_cloud.types.beta.directories import (
    FileAddResponse,
    FileGetResponse,
    FileListResponse,
    FileUpdateResponse,
    FileUploadResponse,
    file_add_params,
    file_delete_params,
    file_get_params,
    file_list_params,
    file_update_params,
    file_upload_params,
)
from tests.fakes.llamacloud.files_api import store
from tests.fakes.llamacloud.jobs import now
from tests.fakes.llamacloud.routing import Call, endpoint
from tests.fakes.llamacloud.state import (
    Directory,
    DirectoryFile,
    Refused,
    StoredFile,
    iso,
    new_id,
    own,
    paged,
)

DIRECTORIES = "/api/v1/beta/directories"
ONE = DIRECTORIES + "/{directory_id}"
FILES = ONE + "/files"
FILE = FILES + "/{directory_file_id}"


def directory_json(held: Directory) -> dict[str, Any]:
    """A directory."""
    return {
        "id": held.id,
        "name": held.name,
        "project_id": held.project_id,
        "type": held.type,
        "description": held.description,
        "system_metadata": held.system_metadata,
        "created_at": iso(held.created_at),
        "updated_at": iso(held.updated_at),
        "expires_at": iso(held.expires_at),
    }


def entry_json(call: Call, entry: DirectoryFile) -> dict[str, Any]:
    """A directory file."""
    shown = {
        "id": entry.id,
        "directory_id": entry.directory_id,
        "display_name": entry.display_name,
        "project_id": entry.project_id,
        "unique_id": entry.unique_id,
        "file_id": entry.file_id,
        "metadata": entry.metadata,
        "created_at": iso(entry.created_at),
        "updated_at": iso(entry.updated_at),
    }
    if "download_url" in call.many.get("expand", []):
        shown["download_url"] = call.cloud.presign(call.base_url, f"files/{entry.file_id}")
    return shown


def _directory(call: Call) -> Directory:
    held: Directory = own(
        call.cloud.state.directories, call.path["directory_id"], call.project_id, "Directory"
    )
    return held


def _entry(call: Call) -> DirectoryFile:
    directory = _directory(call)
    entry: DirectoryFile = own(
        call.cloud.state.directory_files,
        call.path["directory_file_id"],
        call.project_id,
        "Directory file",
    )
    if entry.directory_id != directory.id:
        raise Refused(404, f"Directory file {entry.id} not found")
    return entry


@endpoint(
    "POST",
    DIRECTORIES,
    params=directory_create_params.DirectoryCreateParams,
    takes="json",
    returns=DirectoryCreateResponse,
)
async def create(call: Call) -> Any:
    """Create a directory."""
    held = Directory(
        new_id("dir"),
        call.project_id,
        call.body["name"],
        call.body.get("type", "user"),
        call.body.get("description"),
        call.body.get("system_metadata"),
    )
    call.cloud.state.directories[held.id] = held
    return directory_json(held)


@endpoint(
    "GET",
    DIRECTORIES,
    params=directory_list_params.DirectoryListParams,
    returns=SyncPaginatedCursor[DirectoryListResponse],
)
async def list_directories(call: Call) -> Any:
    """Directories by name and type."""
    types = call.many.get("types", []) + call.many.get("type", [])
    found = [
        held
        for held in call.cloud.state.directories.values()
        if held.project_id == call.project_id
        and call.one("name") in (None, held.name)
        and (not types or held.type in types)
    ]
    items, token = paged(found, call.number("page_size"), call.one("page_token"))
    return {"items": [directory_json(held) for held in items], "next_page_token": token}


@endpoint("GET", ONE, params=directory_get_params.DirectoryGetParams, returns=DirectoryGetResponse)
async def get(call: Call) -> Any:
    """One directory."""
    return directory_json(_directory(call))


@endpoint(
    "PATCH",
    ONE,
    params=directory_update_params.DirectoryUpdateParams,
    takes="json",
    returns=DirectoryUpdateResponse,
)
async def update(call: Call) -> Any:
    """Rename or describe."""
    held = _directory(call)
    held.name = call.body.get("name") or held.name
    held.description = call.body.get("description", held.description)
    held.updated_at = now()
    return directory_json(held)


@endpoint("DELETE", ONE, params=directory_delete_params.DirectoryDeleteParams)
async def delete(call: Call) -> None:
    """Delete a directory and its entries; the files stay."""
    held = _directory(call)
    entries = call.cloud.state.directory_files
    for entry in [e for e in entries.values() if e.directory_id == held.id]:
        del entries[entry.id]
    del call.cloud.state.directories[held.id]


def _put(call: Call, stored: StoredFile, metadata: Any) -> DirectoryFile:
    directory = _directory(call)
    unique_id = call.body.get("unique_id") or stored.external_file_id or stored.name
    entries = call.cloud.state.directory_files
    same = [
        e for e in entries.values() if (e.directory_id, e.unique_id) == (directory.id, unique_id)
    ]
    if same and not call.cloud.unique_id_replaces:
        raise Refused(409, f"unique_id {unique_id} already exists in {directory.id}")
    entry = DirectoryFile(
        same[0].id if same else new_id("dfl"),
        directory.id,
        call.project_id,
        stored.id,
        call.body.get("display_name") or stored.name,
        unique_id,
        dict(metadata or {}),
    )
    entries[entry.id] = entry
    call.cloud.source_changed(call, directory.id)
    return entry


@endpoint(
    "POST", FILES, params=file_add_params.FileAddParams, takes="json", returns=FileAddResponse
)
async def add(call: Call) -> Any:
    """Put a stored file into the directory."""
    stored = call.cloud.state.file(call.body["file_id"], call.project_id)
    return entry_json(call, _put(call, stored, call.body.get("metadata")))


@endpoint(
    "POST",
    f"{FILES}/upload",
    params=file_upload_params.FileUploadParams,
    takes="form",
    returns=FileUploadResponse,
    required_files=("upload_file",),
)
async def upload(call: Call) -> Any:
    """Upload a file into the directory. `metadata` is a JSON string."""
    try:
        metadata = json.loads(call.body.get("metadata") or "{}")
    except ValueError as error:
        raise Refused(422, "metadata must be a JSON object") from error
    if not isinstance(metadata, dict):
        raise Refused(422, "metadata must be a JSON object")
    external_id = call.body.get("external_file_id")
    stored = store(call, call.files["upload_file"], "user_data", external_id)
    return entry_json(call, _put(call, stored, metadata))


@endpoint(
    "GET",
    FILES,
    params=file_list_params.FileListParams,
    returns=SyncPaginatedCursor[FileListResponse],
)
async def list_files(call: Call) -> Any:
    """The directory's files, filtered."""
    directory = _directory(call)
    contains = (call.one("display_name_contains") or "").lower()
    after, before = call.moment("updated_at_on_or_after"), call.moment("updated_at_on_or_before")
    found = [
        entry
        for entry in call.cloud.state.directory_files.values()
        if entry.directory_id == directory.id
        and call.one("unique_id") in (None, entry.unique_id)
        and call.one("file_id") in (None, entry.file_id)
        and call.one("display_name") in (None, entry.display_name)
        and contains in entry.display_name.lower()
        and (after is None or entry.updated_at >= after)
        and (before is None or entry.updated_at <= before)
    ]
    items, token = paged(found, call.number("page_size"), call.one("page_token"))
    return {"items": [entry_json(call, entry) for entry in items], "next_page_token": token}


@endpoint("GET", FILE, params=file_get_params.FileGetParams, returns=FileGetResponse)
async def get_file(call: Call) -> Any:
    """One directory file."""
    return entry_json(call, _entry(call))


@endpoint(
    "PATCH",
    FILE,
    params=file_update_params.FileUpdateParams,
    takes="json",
    returns=FileUpdateResponse,
)
async def update_file(call: Call) -> Any:
    """Change names or metadata, or move."""
    entry = _entry(call)
    target = call.body.get("target_directory_id")
    if target:
        own(call.cloud.state.directories, target, call.project_id, "Directory")
        entry.directory_id = target
    entry.display_name = call.body.get("display_name") or entry.display_name
    entry.unique_id = call.body.get("unique_id") or entry.unique_id
    if call.body.get("metadata") is not None:
        entry.metadata = dict(call.body["metadata"])
    entry.updated_at = now()
    call.cloud.source_changed(call, entry.directory_id)
    return entry_json(call, entry)


@endpoint("DELETE", FILE, params=file_delete_params.FileDeleteParams)
async def delete_file(call: Call) -> None:
    """Take a file out of the directory."""
    entry = _entry(call)
    del call.cloud.state.directory_files[entry.id]
    call.cloud.source_changed(call, entry.directory_id)
