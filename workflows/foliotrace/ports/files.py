"""Original files and their parsers.

Every method of `Blobs` may raise LibraryUnavailable.
"""

from collections.abc import AsyncIterator, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

from foliotrace.model import (
    Deadline,
    Inspection,
    PageNumbers,
    ParsedPage,
    SourceFile,
)


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
        self, source: SourceFile, *, pages: PageNumbers, deadline: Deadline
    ) -> AsyncIterator[ParsedPage]:
        """Parse the pages numbered `pages` (from 1), in order, one for each number.

        A page that cannot be read is yielded with its status and problem, never skipped.
        Raises FileRefused, ParserUnavailable, DeadlineExceeded.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class WholeFile:
    """A small file that was read in one go: its title, if the file states one, and every page."""

    title: str | None
    pages: Sequence[ParsedPage]


@runtime_checkable
class GroupParser(Parser, Protocol):
    """A `Parser` that reads many small files in one call."""

    async def read_whole(
        self, sources: Sequence[SourceFile], *, deadline: Deadline
    ) -> Sequence[WholeFile | None]:
        """One result for each source: every page of it, all readable; or None.

        None says only that the file must be read by itself, which then reports what is wrong.
        """
        ...
