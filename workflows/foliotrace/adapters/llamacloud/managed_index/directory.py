"""The files of a managed index: each document is one file of its directory in the cloud."""

from collections.abc import Collection
from typing import Any

from llama_cloud.types.beta.directories import FileListResponse

from foliotrace.adapters.llamacloud.client import CloudFailure, CloudProblem, translated_errors
from foliotrace.adapters.llamacloud.gateway import CloudGateway
from foliotrace.adapters.llamacloud.managed_index.placements import ManagedIndex
from foliotrace.model import Document


class Directory:
    """The directory behind an index. Every method may raise CloudFailure."""

    def __init__(self, gateway: CloudGateway) -> None:
        self._gateway = gateway

    async def add(self, index: ManagedIndex, document: Document, file_id: str) -> str:
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

    async def remove(self, index: ManagedIndex, directory_file_id: str) -> None:
        """Remove a file; one that is gone already is no failure."""
        try:
            with translated_errors("remove a file from a directory"):
                await self._gateway.client.beta.directories.files.delete(
                    directory_file_id, directory_id=index.directory_id, **self._gateway.scope
                )
        except CloudFailure as failure:
            if failure.problem is not CloudProblem.NOT_FOUND:
                raise

    async def clear(self, index: ManagedIndex, document_ids: Collection[str]) -> bool:
        """Remove all files of these documents, recorded or not; whether there were any."""
        unwanted = [f.id for f in await self._files(index) if _document_of(f) in document_ids]
        for directory_file_id in unwanted:
            await self.remove(index, directory_file_id)
        return bool(unwanted)

    async def listed(self, index: ManagedIndex) -> dict[str, str]:
        """Document id -> content hash of every file in the directory."""
        return {
            _document_of(file): str(_metadata_of(file).get("content_hash"))
            for file in await self._files(index)
        }

    async def _files(self, index: ManagedIndex) -> list[FileListResponse]:
        with translated_errors("list a directory"):
            return [
                file
                async for file in self._gateway.client.beta.directories.files.list(
                    index.directory_id, **self._gateway.scope
                )
            ]


def _document_of(file: FileListResponse) -> str:
    """The document id of a file in a directory."""
    return str(_metadata_of(file).get("document_id") or file.unique_id)


def _metadata_of(file: FileListResponse) -> dict[str, Any]:
    return dict(getattr(file, "metadata", None) or {})
