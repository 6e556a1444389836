"""Original files and their parsers."""

from collections.abc import AsyncIterator, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from foliotrace.model import Deadline, Inspection, ParsedPage, SourceFile


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredBlob:
    """An original file, durably stored."""

    content_hash: str
    size_bytes: int
    media_type: str


class Blobs(Protocol):
    """Original files, by content hash within a tenant."""

    async def put(
        self, tenant: str, name: str, content: AsyncIterator[bytes], *, limit_bytes: int
    ) -> StoredBlob:
        """Store durably (fsync) and detect the type by content.

        Raises FileRefused `file_empty` or `file_too_large`; nothing is stored then.
        """
        ...

    async def path(self, tenant: str, content_hash: str) -> Path:
        """A readable local path. Raises NotFound."""
        ...

    async def delete(self, tenant: str, content_hash: str) -> None:
        """Delete the file. Deleting twice changes nothing."""
        ...

    async def hashes(self, tenant: str) -> Collection[str]:
        """The hashes of all stored files."""
        ...

    async def tenants(self) -> Collection[str]:
        """Every tenant that has ever stored a file."""
        ...


class Parser(Protocol):
    """An engine that parses some types of file into pages."""

    @property
    def engine(self) -> str:
        """Name and version; part of a document's revision."""
        ...

    def accepts(self, media_type: str) -> bool:
        """Whether this engine can parse the type at all."""
        ...

    async def inspect(self, source: SourceFile, *, deadline: Deadline) -> Inspection:
        """Count the pages. Raises FileRefused, ParserUnavailable."""
        ...

    def parse(
        self, source: SourceFile, *, pages: range, deadline: Deadline
    ) -> AsyncIterator[ParsedPage]:
        """Parse the pages numbered `pages` (from 1), in order, one for each number.

        A page that cannot be read is yielded with its status and problem, never skipped.
        Raises FileRefused, ParserUnavailable, DeadlineExceeded.
        """
        ...
