"""The managed index (LlamaCloud Index v2) as an `IndexWriter` and a `Retriever`.

It follows the library's changes like every index, and the local keyword index is always kept up to
date beside it. Its hits are aligned to the stored pages, so that their citations can be opened.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from llama_cloud.types.beta.directories import FileListResponse
from llama_cloud.types.retrieval_retrieve_response import Result

from foliotrace.adapters.llamacloud.client import (
    CloudFailure,
    CloudProblem,
    as_port_error,
    translated_errors,
)
from foliotrace.adapters.llamacloud.gateway import CloudGateway
from foliotrace.adapters.llamacloud.grounding import passage_of
from foliotrace.adapters.llamacloud.placements import ManagedIndex, Placement, Placements
from foliotrace.catalog import Reason
from foliotrace.errors import IndexUnavailable, LibraryUnavailable, NotFound
from foliotrace.events import PassagesAligned, emit
from foliotrace.model import (
    Deadline,
    Document,
    DocumentStatus,
    Passage,
    Query,
)
from foliotrace.ports import Blobs, Change, Clock, LibraryReader

_SYNC_LIMIT_S: Final = 1800.0
_POLL_S: Final = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """Document ids that are missing in the managed index, stale there, or left over."""

    missing: tuple[str, ...]
    stale: tuple[str, ...]
    left_over: tuple[str, ...]

    def __bool__(self) -> bool:
        return bool(self.missing or self.stale or self.left_over)


class CloudIndex:
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
        self._placements = placements
        self._library = library
        self._blobs = blobs
        self._clock = clock
        self._sleep = sleep
        self._turn = asyncio.Lock()

    @property
    def ready(self) -> bool:
        """Whether no index waits for a sync; `retrieve` judges one collection."""
        return not self._placements.dirty_indexes()

    # --- writing ---------------------------------------------------------------------------

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
                for index in self._placements.dirty_indexes():
                    await self._sync(index)
                return version
            except CloudFailure as failure:
                raise _unavailable(failure) from failure

    async def rebuild(self) -> int:
        """Apply all changes again, from the first."""
        self._placements.reach(0)
        return await self.catch_up()

    async def compact(self) -> None:
        await self.catch_up()

    async def drift(self, tenant: str, collection: str) -> Drift:
        """Compare the library with the files that the cloud lists for the collection."""
        index = self._placements.index(tenant, collection)
        documents = await self._served(tenant, collection)
        try:
            there = await self._listed(index) if index else {}
        except CloudFailure as failure:
            raise _unavailable(failure) from failure
        return Drift(
            missing=tuple(sorted(documents.keys() - there.keys())),
            stale=tuple(
                sorted(i for i in documents.keys() & there.keys() if documents[i] != there[i])
            ),
            left_over=tuple(sorted(there.keys() - documents.keys())),
        )

    async def reconcile(self, tenant: str, collection: str) -> Drift:
        """Repair the differences that `drift` finds; returns them."""
        found = await self.drift(tenant, collection)
        async with self._turn:
            try:
                known = self._placements.index(tenant, collection)
                if known is not None:
                    await self._clear(known, {*found.left_over, *found.stale})
                for document_id in found.left_over:
                    await self._withdraw(tenant, document_id)
                for document_id in (*found.missing, *found.stale):
                    self._placements.remove(tenant, document_id)
                    await self._place(await self._library.document(tenant, document_id))
                for index in self._placements.dirty_indexes():
                    await self._sync(index)
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
            await self._remove_file(index, before.directory_file_id)
        path = await self._blobs.path(document.tenant, document.content_hash)
        source = document.source_file(path)
        file_id = await self._gateway.upload(document.tenant, source, self._deadline(300))
        try:
            directory_file_id = await self._add(index, document, file_id)
        except CloudFailure as failure:
            if failure.problem is not CloudProblem.CONFLICT:
                raise
            await self._clear(index, {document.id})  # an earlier reply was lost: the file is there
            directory_file_id = await self._add(index, document, file_id)
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

    async def _add(self, index: ManagedIndex, document: Document, file_id: str) -> str:
        """The id of the file in the directory."""
        with translated_errors("add a file to a directory"):
            added = await self._gateway.client.beta.directories.files.add(
                index.directory_id,
                file_id=file_id,
                unique_id=document.id,
                display_name=document.name,
                metadata={"document_id": document.id, "content_hash": document.content_hash},
                **self._gateway.scope,
            )
        return added.id

    async def _clear(self, index: ManagedIndex, document_ids: Collection[str]) -> None:
        """Remove all files of these documents that the directory lists, recorded or not."""
        with translated_errors("list a directory"):
            unwanted = [
                file.id
                async for file in self._gateway.client.beta.directories.files.list(
                    index.directory_id, **self._gateway.scope
                )
                if _document_of(file) in document_ids
            ]
        for directory_file_id in unwanted:
            await self._remove_file(index, directory_file_id)
            self._placements.keep_index(replace(index, dirty=True))

    async def _withdraw(self, tenant: str, document_id: str) -> None:
        """Remove the document from the directory, and the cloud's copy of its file."""
        placed = self._placements.placement(tenant, document_id)
        if placed is None:
            return
        index = self._placements.index(tenant, placed.collection)
        if index is not None:
            await self._remove_file(index, placed.directory_file_id)
            self._placements.keep_index(replace(index, dirty=True))
        if not await self._library.refers_to(tenant, placed.content_hash):
            await self._gateway.forget(tenant, placed.content_hash)
        self._placements.remove(tenant, document_id)

    async def _remove_file(self, index: ManagedIndex, directory_file_id: str) -> None:
        try:
            with translated_errors("remove a file from a directory"):
                await self._gateway.client.beta.directories.files.delete(
                    directory_file_id, directory_id=index.directory_id, **self._gateway.scope
                )
        except CloudFailure as failure:
            if failure.problem is not CloudProblem.NOT_FOUND:
                raise

    async def _index_of(self, tenant: str, collection: str) -> ManagedIndex:
        known = self._placements.index(tenant, collection)
        if known is not None:
            return known
        name = f"foliotrace-{tenant}-{collection}"
        with translated_errors("create a directory"):
            directory = await self._gateway.client.beta.directories.create(
                name=name, type="user", **self._gateway.scope
            )
        with translated_errors("create an index"):
            index = await self._gateway.client.indexes.create(
                source_directory_id=directory.id,
                name=name,
                sync_frequency="manual",
                **self._gateway.scope,
            )
        made = ManagedIndex(
            tenant=tenant, collection=collection, directory_id=directory.id, index_id=index.id
        )
        self._placements.keep_index(made)
        return made

    async def _sync(self, index: ManagedIndex) -> None:
        """Sync, wait, and verify with a query: an index may report success and hold nothing."""
        deadline = self._deadline(_SYNC_LIMIT_S)
        await self._wait_until_idle(index, deadline)
        try:
            with translated_errors("sync an index"):
                await self._gateway.client.indexes.sync(index.index_id, **self._gateway.scope)
        except CloudFailure as failure:
            if failure.problem is not CloudProblem.CONFLICT:
                raise  # a running sync is enough
        await self._wait_until_idle(index, deadline)
        for document_id in self._placements.of(index.tenant, index.collection)[-1:]:
            await self._verify(index, document_id)
        self._placements.keep_index(replace(index, dirty=False))

    async def _verify(self, index: ManagedIndex, document_id: str) -> None:
        """Query the first words of a document: its chunks must be found."""
        chunks = await self._library.document_chunks(index.tenant, document_id, limit=1)
        if chunks and not await self._ask(
            index, chunks[0].text[:200], top_k=1, document_ids=[document_id]
        ):
            raise CloudFailure(CloudProblem.EMPTY, "the synced index holds no chunk")

    async def _wait_until_idle(self, index: ManagedIndex, deadline: Deadline) -> None:
        while True:
            with translated_errors("ask for an index"):
                state = await self._gateway.client.indexes.get(
                    index.index_id, expand=["sync_in_progress"], **self._gateway.scope
                )
            if (state.metadata or {}).get("status") == "failed":
                raise CloudFailure(CloudProblem.JOB_FAILED, "the sync of the index failed")
            if not state.sync_in_progress:
                return
            if deadline.remaining_s(self._clock.monotonic_s()) <= _POLL_S:
                raise CloudFailure(
                    CloudProblem.DEADLINE, "the sync of the index did not finish in time"
                )
            await self._sleep(_POLL_S)

    async def _listed(self, index: ManagedIndex) -> dict[str, str]:
        """Document id -> content hash of every file in the directory."""
        there: dict[str, str] = {}
        with translated_errors("list a directory"):
            async for file in self._gateway.client.beta.directories.files.list(
                index.directory_id, **self._gateway.scope
            ):
                metadata: dict[str, Any] = dict(getattr(file, "metadata", None) or {})
                there[_document_of(file)] = str(metadata.get("content_hash"))
        return there

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

    # --- reading ---------------------------------------------------------------------------

    async def retrieve(self, query: Query, *, top_k: int, deadline: Deadline) -> Sequence[Passage]:
        """An index that is behind the library is not queried: it would miss documents."""
        tenant = query.principal.tenant
        index = self._placements.index(tenant, query.collection)
        if index is None or index.dirty or await self._is_behind(tenant, query.collection):
            raise IndexUnavailable(reason=Reason.MANAGED_INDEX_PENDING, lasting=True, answered=True)
        ids: Sequence[str] | None = None
        if query.filters:
            ids = await self._library.matching(tenant, query.collection, query.filters)
            if not ids:
                return []
        try:
            results = await self._ask(index, query.text, top_k=top_k, document_ids=ids)
        except CloudFailure as failure:
            raise _unavailable(failure) from failure
        if not results and ids is None:
            raise IndexUnavailable(reason=Reason.LLAMACLOUD_EMPTY, lasting=True, answered=True)
        try:
            passages = [await passage_of(self._library, tenant, result) for result in results]
        except LibraryUnavailable as error:
            raise IndexUnavailable(error.message, reason=error.reason) from error
        found = [passage for passage in passages if passage is not None]
        emit(PassagesAligned(not_aligned=sum(not p.exact for p in found)))
        return found

    async def _is_behind(self, tenant: str, collection: str) -> bool:
        """Whether this collection has changes that were not uploaded yet."""
        return await self._library.changed_since(self._placements.version, tenant, collection)

    async def _ask(
        self,
        index: ManagedIndex,
        question: str,
        *,
        top_k: int,
        document_ids: Sequence[str] | None,
    ) -> Sequence[Result]:
        wanted: dict[str, Any] = {"index_id": index.index_id, "query": question, "top_k": top_k}
        if document_ids is not None:
            wanted["custom_filters"] = {
                "document_id": {"operator": "in", "value": list(document_ids)}
            }
        with translated_errors("retrieve"):
            reply = await self._gateway.client.retrieval.retrieve(**wanted, **self._gateway.scope)
        return reply.results


def _unavailable(failure: CloudFailure) -> IndexUnavailable:
    return as_port_error(IndexUnavailable, failure, setting="llamacloud.index")


def _document_of(file: FileListResponse) -> str:
    """The document id of a file in a directory."""
    metadata: dict[str, Any] = dict(getattr(file, "metadata", None) or {})
    return str(metadata.get("document_id") or file.unique_id)
