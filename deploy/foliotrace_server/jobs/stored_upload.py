"""An upload whose file was stored while its form was still being read."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

from foliotrace.ingest.upload import Upload
from foliotrace.model import ExecutionMode, Metadata
from foliotrace.ports import Blobs, StoredBlob


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredUpload:
    """A file that was stored while its form was still being read."""

    name: str
    blob: StoredBlob
    collection: str
    metadata: Metadata
    idempotency_key: str | None = None
    path: ExecutionMode | None = None
    pages: str | None = None

    def without_content(self) -> Upload:
        """The upload for the ingest journey, whose blob store returns the stored file."""
        return Upload(
            name=self.name,
            content=_no_content(),
            collection=self.collection,
            metadata=self.metadata,
            idempotency_key=self.idempotency_key,
            path=self.path,
            pages=self.pages,
        )


class StoredBlobs:
    """A `Blobs` whose `put` returns the file that is stored already."""

    def __init__(self, blobs: Blobs, blob: StoredBlob) -> None:
        self._blob = blob
        self.path, self.delete = blobs.path, blobs.delete
        self.hashes, self.tenants = blobs.hashes, blobs.tenants

    async def put(
        self, tenant: str, name: str, content: AsyncIterator[bytes], *, limit_bytes: int
    ) -> StoredBlob:
        """The stored file; `content` is not read."""
        return self._blob


async def _no_content() -> AsyncIterator[bytes]:
    return
    yield b""
