"""Index v2: create over a directory, sync, cancel, delete."""

import json
from typing import Any

from llama_cloud.pagination import SyncPaginatedCursor
from llama_cloud.types import (
    IndexCreateResponse,
    IndexGetResponse,
    IndexListResponse,
    index_cancel_sync_params,
    index_create_params,
    index_delete_params,
    index_get_params,
    index_list_params,
    index_sync_params,
)
from tests.fakes.llamacloud import content
from tests.fakes.llamacloud.jobs import PARSE_CREDITS, Charge, Job, now
from tests.fakes.llamacloud.routing import Call, endpoint
from tests.fakes.llamacloud.state import (
    Directory,
    DirectoryFile,
    Index,
    IndexedFile,
    Refused,
    iso,
    new_id,
    own,
    paged,
)

INDEXES = "/api/v1/indexes"
ONE = INDEXES + "/{index_id}"
ATTACHMENTS = frozenset({"screenshots", "items"})
FREQUENCIES = frozenset({"manual", "daily", "on_source_change"})
SYNC_TIER = "cost_effective"


def index_json(held: Index, *, expand: bool = False) -> dict[str, Any]:
    """An index; `metadata.status` is pending, syncing, ready, failed or cancelled."""
    shown: dict[str, Any] = {
        "id": held.id,
        "name": held.name,
        "project_id": held.project_id,
        "source_directory_id": held.source_directory_id,
        "output_directory_id": held.output_directory_id,
        "sync_config_id": held.sync_config_id,
        "export_config_id": held.export_config_id,
        "description": held.description,
        "created_at": iso(held.created_at),
        "updated_at": iso(held.updated_at),
        "last_synced_at": iso(held.last_synced_at),
        "last_exported_at": iso(held.last_exported_at),
        "metadata": _metadata(held),
    }
    if expand:
        shown["sync_in_progress"] = held.syncing
    return shown


def _metadata(held: Index) -> dict[str, Any]:
    words = {"PENDING": "pending", "RUNNING": "syncing", "COMPLETED": "ready", "FAILED": "failed"}
    status = words.get(held.sync.status, "cancelled") if held.sync else "pending"
    metadata: dict[str, Any] = {"status": status}
    if held.sync and held.sync.error:
        metadata["error_message"] = held.sync.error
    if held.skipped:
        metadata["skipped_files"] = dict(held.skipped)
    return metadata


async def find(call: Call, index_id: str) -> Index:
    """The project's index; a sync that runs by the clock is brought up to date."""
    held: Index = own(call.cloud.state.indexes, index_id, call.project_id, "Index")
    if held.syncing and held.sync is not None and held.sync.pace.seconds is not None:
        await call.cloud.poll(held.sync)
    return held


def begin_sync(call: Call, held: Index) -> None:
    """Start a sync. Raises `Refused` with 409 while one runs."""
    if held.syncing:
        raise Refused(409, f"Index {held.id} is already syncing")
    job = Job(
        new_id("snc"),
        "sync",
        held.project_id,
        work=lambda: _export(call, held, job),
        pace=call.cloud.pace_of("sync"),
        behaviours=call.behaviours,
    )
    held.sync, held.updated_at = job, now()
    call.cloud.state.jobs[job.id] = job


def _export(call: Call, held: Index, job: Job) -> None:
    state = call.cloud.state
    exported: dict[str, IndexedFile] = {}
    held.skipped.clear()
    entries = [
        e for e in state.directory_files.values() if e.directory_id == held.source_directory_id
    ]
    for entry in entries:
        before = held.exported.get(entry.id)
        if entry.display_name in call.cloud.skips:  # without a word, and the sync succeeds
            continue
        try:
            exported[entry.id] = _indexed(call, held, job, entry, before)
        except (content.Unreadable, Refused) as error:
            held.skipped[entry.id] = str(error)
    held.exported = {} if job.behaves("zero_chunks") else exported
    held.last_synced_at = held.last_exported_at = now()
    _fill_output(call, held)


def _indexed(
    call: Call, held: Index, job: Job, entry: DirectoryFile, before: IndexedFile | None
) -> IndexedFile:
    stored = call.cloud.state.file(entry.file_id, held.project_id)
    if before is not None and before.digest == stored.digest:
        return IndexedFile(before.id, entry, before.digest, before.pages)
    pages = content.read(stored.name, stored.content)
    work = json.dumps(["sync", held.id, stored.digest])
    spent = PARSE_CREDITS[SYNC_TIER] * len(pages)
    charge = Charge(f"{job.id}/{entry.id}", "sync", spent, len(pages), call.key, work, now())
    call.cloud.bill(charge)
    return IndexedFile(before.id if before else new_id("dfl"), entry, stored.digest, pages)


def _fill_output(call: Call, held: Index) -> None:
    """The output directory lists the parsed files, each under an id of its own."""
    entries = call.cloud.state.directory_files
    for entry in [e for e in entries.values() if e.directory_id == held.output_directory_id]:
        del entries[entry.id]
    for file in held.exported.values():
        source = file.entry
        entries[file.id] = DirectoryFile(
            file.id,
            held.output_directory_id,
            held.project_id,
            source.file_id,
            source.display_name,
            source.unique_id,
            dict(source.metadata),
        )


@endpoint(
    "POST",
    INDEXES,
    params=index_create_params.IndexCreateParams,
    takes="json",
    returns=IndexCreateResponse,
)
async def create(call: Call) -> Any:
    """Create an index and start its first sync."""
    source: Directory = own(
        call.cloud.state.directories, call.body["source_directory_id"], call.project_id, "Directory"
    )
    attachments = tuple(call.body.get("store_attachments") or ())
    frequency = call.body.get("sync_frequency", "manual")
    if not ATTACHMENTS.issuperset(attachments) or frequency not in FREQUENCIES:
        raise Refused(422, "Unknown store_attachments or sync_frequency")
    for product in call.body.get("products") or ():
        _check_product(call, product)
    held = Index(
        new_id("idx"),
        call.project_id,
        call.body.get("name") or source.name,
        source.id,
        call.body.get("description"),
        frequency,
        attachments,
        vectors=call.body.get("vector_target", "DEFAULT") == "DEFAULT",
    )
    call.cloud.state.indexes[held.id] = held
    call.cloud.state.directories[held.output_directory_id] = Directory(
        held.output_directory_id, call.project_id, f"{held.name} (output)", "index"
    )
    begin_sync(call, held)
    return index_json(held)


def _check_product(call: Call, product: dict[str, Any]) -> None:
    kind = {"parse": "parse_v2", "extract": "extract_v2"}.get(
        product["product_type"], product["product_type"]
    )
    call.cloud.configuration(product["product_config_id"], kind, call.project_id)


@endpoint(
    "GET",
    INDEXES,
    params=index_list_params.IndexListParams,
    returns=SyncPaginatedCursor[IndexListResponse],
)
async def list_indexes(call: Call) -> Any:
    """The project's indexes."""
    source = call.one("source_directory_id")
    found = [
        held
        for held in call.cloud.state.indexes.values()
        if held.project_id == call.project_id and source in (None, held.source_directory_id)
    ]
    items, token = paged(found, call.number("page_size"), call.one("page_token"))
    return {"items": [index_json(held) for held in items], "next_page_token": token}


@endpoint("GET", ONE, params=index_get_params.IndexGetParams, returns=IndexGetResponse)
async def get(call: Call) -> Any:
    """One index; reading it moves a sync on."""
    held: Index = own(call.cloud.state.indexes, call.path["index_id"], call.project_id, "Index")
    expand = call.many.get("expand", [])
    if set(expand) - {"sync_in_progress"}:
        raise Refused(422, f"Cannot expand {expand}")
    if held.sync is not None and held.syncing:
        await call.cloud.poll(held.sync)
    return index_json(held, expand=bool(expand))


@endpoint("POST", ONE + "/sync", params=index_sync_params.IndexSyncParams, returns=object)
async def sync(call: Call) -> Any:
    """Sync again; 409 while a sync runs."""
    begin_sync(call, await find(call, call.path["index_id"]))
    return {}


@endpoint(
    "POST",
    ONE + "/sync/cancel",
    params=index_cancel_sync_params.IndexCancelSyncParams,
    returns=object,
)
async def cancel_sync(call: Call) -> Any:
    """Cancel the running sync; 409 if there is none. Retrieval keeps the last export."""
    held = await find(call, call.path["index_id"])
    if held.sync is None or not held.syncing:
        raise Refused(409, f"Index {held.id} is not syncing")
    held.sync.cancel()
    return {}


@endpoint("DELETE", ONE, params=index_delete_params.IndexDeleteParams)
async def delete(call: Call) -> None:
    """Delete an index and its output directory; the source stays."""
    held = await find(call, call.path["index_id"])
    held.exported = {}
    _fill_output(call, held)
    call.cloud.state.directories.pop(held.output_directory_id, None)
    del call.cloud.state.indexes[held.id]
