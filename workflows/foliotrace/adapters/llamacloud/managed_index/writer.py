"""The managed index (LlamaCloud Index v2) as an `IndexWriter`.

It follows the library's changes like every index, and the local keyword index is always kept up to
date beside it. After each sync every placed document is looked for, because a sync may skip files.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

import structlog

from foliotrace.adapters.llamacloud.client import (
    CloudFailure,
    CloudProblem,
    as_port_error,
    translated_errors,
)
from foliotrace.adapters.llamacloud.gateway import CloudGateway
from foliotrace.adapters.llamacloud.managed_index.directory import Directory
from foliotrace.adapters.llamacloud.managed_index.placements import (
    ManagedIndex,
    Placement,
    Placements,
)
from foliotrace.adapters.llamacloud.managed_index.presence import not_found
from foliotrace.adapters.llamacloud.managed_index.retriever import search
from foliotrace.errors import IndexUnavailable, NotFound
from foliotrace.events import ManagedIndexSynced, emit
from foliotrace.model import Deadline, Document, DocumentStatus
from foliotrace.ports import Blobs, Change, Clock, LibraryReader

_log = structlog.get_logger(__name__)
_SYNC_LIMIT_S: Final = 1800.0
_POLL_S: Final = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """Document ids that are missing in the managed index, stale there, left over, or skipped.

    The cloud has the file of a skipped document, and its index does not find it.
    """

    missing: tuple[str, ...]
    stale: tuple[str, ...]
    left_over: tuple[str, ...]
    skipped: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.missing or self.stale or self.left_over or self.skipped)


class ManagedIndexWriter:
    """One managed index per tenant and collection. Raises IndexUnavailable with a reason."""

    def __init__(
        self,
        gateway: CloudGateway,
        placements: Placements,
        library: LibraryReader,
        blobs: Blobs,
        *,
        clock: Clock,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._gateway = gateway
        self._directory = Directory(gateway)
        self._placements = placements
        self._library = library
        self._blobs = blobs
        self._clock = clock
        self._sleep = sleep
        self._turn = asyncio.Lock()

    async def catch_up(self) -> int:
        """Upload every change, then sync and verify the indexes that were touched."""
        async with self._turn:
            try:
                version = self._placements.version
                while changes := await self._library.changes(version, limit=100):
                    for change in changes:
                        await self._apply(change)
                        version = change.version
                        self._placements.reach(version)
                await self._sync_unready()
                return version
            except CloudFailure as failure:
                raise _unavailable(failure) from failure

    async def rebuild(self) -> int:
        """Apply all changes again, from the first."""
        self._placements.reach(0)
        return await self.catch_up()

    async def compact(self) -> None:
        await self.catch_up()

    async def look(self) -> None:
        """Note which indexes were deleted in the cloud. Raises IndexUnavailable."""
        try:
            for index in self._placements.indexes():
                if index.answers and not await self._is_known(index):
                    self._placements.keep_index(replace(index, lost=True))
        except CloudFailure as failure:
            raise _unavailable(failure) from failure

    async def drift(self, tenant: str, collection: str) -> Drift:
        """Compare the library with the files that the cloud lists for the collection."""
        index = self._placements.index(tenant, collection)
        documents = await self._served(tenant, collection)
        try:
            there = (
                await self._directory.listed(index) if index and await self._is_known(index) else {}
            )
        except CloudFailure as failure:
            raise _unavailable(failure) from failure
        same = {i for i in documents.keys() & there.keys() if documents[i] == there[i]}
        return Drift(
            missing=tuple(sorted(documents.keys() - there.keys())),
            stale=tuple(sorted((documents.keys() & there.keys()) - same)),
            left_over=tuple(sorted(there.keys() - documents.keys())),
            skipped=tuple(sorted(same.intersection(self._placements.skipped(tenant, collection)))),
        )

    async def reconcile(self, tenant: str, collection: str) -> Drift:
        """Repair the differences that `drift` finds; returns them."""
        found = await self.drift(tenant, collection)
        async with self._turn:
            try:
                known = self._placements.index(tenant, collection)
                if known is not None and not await self._is_known(known):
                    await self._renew(known)
                elif known is not None:
                    await self._clear(known, {*found.left_over, *found.stale, *found.skipped})
                for document_id in found.left_over:
                    await self._withdraw(tenant, document_id)
                for document_id in (*found.missing, *found.stale, *found.skipped):
                    self._placements.remove(tenant, document_id)
                    await self._place(await self._library.document(tenant, document_id))
                await self._sync_unready()
            except CloudFailure as failure:
                raise _unavailable(failure) from failure
        return found

    async def _apply(self, change: Change) -> None:
        if change.deleted:
            await self._withdraw(change.tenant, change.document_id)
            return
        try:
            document = await self._library.document(change.tenant, change.document_id)
        except NotFound:
            return  # deleted since; a later change removes it
        await self._place(document)

    async def _place(self, document: Document) -> None:
        index = await self._index_of(document.tenant, document.collection)
        before = self._placements.placement(document.tenant, document.id)
        if before is not None and before.content_hash == document.content_hash:
            return
        if before is not None:
            await self._directory.remove(index, before.directory_file_id)
        path = await self._blobs.path(document.tenant, document.content_hash)
        source = document.source_file(path)
        file_id = await self._gateway.upload(document.tenant, source, self._deadline(300))
        try:
            directory_file_id = await self._directory.add(index, document, file_id)
        except CloudFailure as failure:
            if failure.problem is CloudProblem.NOT_FOUND:  # the directory is gone
                self._placements.keep_index(replace(index, lost=True))
            if failure.problem is not CloudProblem.CONFLICT:
                raise
            await self._clear(index, {document.id})  # an earlier reply was lost: the file is there
            directory_file_id = await self._directory.add(index, document, file_id)
        self._placements.keep_index(replace(index, dirty=True))
        self._placements.place(
            Placement(
                tenant=document.tenant,
                document_id=document.id,
                collection=document.collection,
                directory_file_id=directory_file_id,
                content_hash=document.content_hash,
            )
        )

    async def _clear(self, index: ManagedIndex, document_ids: Collection[str]) -> None:
        """Remove all files of these documents that the directory lists, recorded or not."""
        if await self._directory.clear(index, document_ids):
            self._placements.keep_index(replace(index, dirty=True))

    async def _withdraw(self, tenant: str, document_id: str) -> None:
        """Remove the document from the directory, and the cloud's copy of its file."""
        placed = self._placements.placement(tenant, document_id)
        if placed is None:
            return
        index = self._placements.index(tenant, placed.collection)
        if index is not None:
            await self._directory.remove(index, placed.directory_file_id)
            self._placements.keep_index(replace(index, dirty=True))
        if not await self._library.refers_to(tenant, placed.content_hash):
            await self._gateway.forget(tenant, placed.content_hash)
        self._placements.remove(tenant, document_id)

    async def _index_of(self, tenant: str, collection: str) -> ManagedIndex:
        known = self._placements.index(tenant, collection)
        if known is not None and known.lost:
            return await self._renew(known)
        if known is not None:
            return known
        with translated_errors("create a directory"):
            directory = await self._gateway.client.beta.directories.create(
                name=_name(tenant, collection), type="user", **self._gateway.scope
            )
        return await self._create(tenant, collection, directory.id)

    async def _create(self, tenant: str, collection: str, directory_id: str) -> ManagedIndex:
        """An index over the directory."""
        with translated_errors("create an index"):
            index = await self._gateway.client.indexes.create(
                source_directory_id=directory_id,
                name=_name(tenant, collection),
                sync_frequency="manual",
                **self._gateway.scope,
            )
        made = ManagedIndex(
            tenant=tenant,
            collection=collection,
            directory_id=directory_id,
            index_id=index.id,
            dirty=True,
        )
        self._placements.keep_index(made)
        return made

    async def _renew(self, index: ManagedIndex) -> ManagedIndex:
        """Replace an index that was deleted in the cloud: over its directory, if that is left."""
        try:
            await self._directory.listed(index)
        except CloudFailure as failure:
            if failure.problem is not CloudProblem.NOT_FOUND:
                raise
        else:
            return await self._create(index.tenant, index.collection, index.directory_id)
        self._placements.forget(index)
        made = await self._index_of(index.tenant, index.collection)
        for document_id in await self._served(index.tenant, index.collection):
            await self._place(await self._library.document(index.tenant, document_id))
        return made

    async def _sync_unready(self) -> None:
        for index in self._placements.unready_indexes():
            if index.lost:
                index = await self._renew(index)
            try:
                await self._sync(index)
            except CloudFailure as failure:
                if failure.problem is CloudProblem.NOT_FOUND:
                    self._placements.keep_index(replace(index, lost=True))
                raise

    async def _sync(self, index: ManagedIndex) -> None:
        """Sync, wait, and look for every placed document; those not found are served locally."""
        deadline = self._deadline(_SYNC_LIMIT_S)
        await self._wait_until_idle(index, deadline)
        try:
            with translated_errors("sync an index"):
                await self._gateway.client.indexes.sync(index.index_id, **self._gateway.scope)
        except CloudFailure as failure:
            if failure.problem is not CloudProblem.CONFLICT:
                raise  # a running sync is enough
        if await self._wait_until_idle(index, deadline) == "failed":
            raise CloudFailure(CloudProblem.JOB_FAILED, "the sync of the index failed")
        placed = self._placements.of(index.tenant, index.collection)
        searched = partial(search, self._gateway, index)
        skipped = await not_found(searched, self._library, index.tenant, placed)
        if placed and len(skipped) == len(placed):
            raise CloudFailure(CloudProblem.EMPTY, "the synced index holds no chunk")
        self._placements.record_proof(index, skipped)
        for document_id in sorted(skipped):
            _log.warning("managed_index.skipped", document_id=document_id)
        emit(ManagedIndexSynced(skipped=len(skipped)))
        self._placements.keep_index(replace(index, dirty=False, lost=False))

    async def _is_known(self, index: ManagedIndex) -> bool:
        """Whether the cloud still has the index."""
        try:
            with translated_errors("ask for an index"):
                await self._gateway.client.indexes.get(index.index_id, **self._gateway.scope)
        except CloudFailure as failure:
            if failure.problem is CloudProblem.NOT_FOUND:
                return False
            raise
        return True

    async def _wait_until_idle(self, index: ManagedIndex, deadline: Deadline) -> object:
        """The status in the metadata of the index once no sync runs."""
        while True:
            with translated_errors("ask for an index"):
                state = await self._gateway.client.indexes.get(
                    index.index_id, expand=["sync_in_progress"], **self._gateway.scope
                )
            if not state.sync_in_progress:
                return (state.metadata or {}).get("status")
            if deadline.remaining_s(self._clock.monotonic_s()) <= _POLL_S:
                raise CloudFailure(
                    CloudProblem.DEADLINE, "the sync of the index did not finish in time"
                )
            await self._sleep(_POLL_S)

    async def _served(self, tenant: str, collection: str) -> dict[str, str]:
        served: dict[str, str] = {}
        after: str | None = None
        while page := await self._library.documents(tenant, collection=collection, after=after):
            for document in page:
                if document.status is DocumentStatus.READY:
                    served[document.id] = document.content_hash
            after = page[-1].id
        return served

    def _deadline(self, limit_s: float) -> Deadline:
        return Deadline(self._clock.monotonic_s() + limit_s)


def _unavailable(failure: CloudFailure) -> IndexUnavailable:
    return as_port_error(IndexUnavailable, failure, setting="llamacloud.index")


def _name(tenant: str, collection: str) -> str:
    return f"foliotrace-{tenant}-{collection}"
