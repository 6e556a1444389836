"""Stored bytes, and parsers of them."""

from collections.abc import AsyncIterator, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from foliotrace.model import Deadline, Inspection, ParsedPage, SourceFile


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredBlob:
    """An original, on disk before this value exists."""

    content_hash: str
    size_bytes: int
    media_type: str


class Blobs(Protocol):
    """The originals, by content hash within a tenant."""

    async def put(
        self, tenant: str, name: str, content: AsyncIterator[bytes], *, limit_bytes: int
    ) -> StoredBlob:
        """Store (fsynced) and name the type by content.

        Raises FileRefused `file_empty` or `file_too_large`; then nothing is kept.
        """
        ...

    async def path(self, tenant: str, content_hash: str) -> Path:
        """A readable local path. Raises NotFound."""
        ...

    async def delete(self, tenant: str, content_hash: str) -> None:
        """Remove the bytes. Twice is fine."""
        ...

    async def hashes(self, tenant: str) -> Collection[str]:
        """The hashes of all stored originals."""
        ...

    async def tenants(self) -> Collection[str]:
        """Every tenant that has ever stored an original here."""
        ...


class Parser(Protocol):
    """One engine that turns some types of file into pages."""

    @property
    def engine(self) -> str:
        """Name and version; part of a document's revision."""
        ...

    def accepts(self, media_type: str) -> bool:
        """Whether this engine can parse the type at all."""
        ...

    async def inspect(self, source: SourceFile, *, deadline: Deadline) -> Inspection:
        """How many pages there are. Raises FileRefused, ParserUnavailable."""
        ...

    def parse(
        self, source: SourceFile, *, pages: range, deadline: Deadline
    ) -> AsyncIterator[ParsedPage]:
        """The pages of `pages` (numbers from 1), in order, one for each number.

        A page that cannot be read is yielded with its status and problem, never left out.
        Raises FileRefused, ParserUnavailable, DeadlineExceeded.
        """
        ...
