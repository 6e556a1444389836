"""Files inside files: attachments of mail and members of archives, read by their own readers.

Such a file becomes pages labelled with its name. One that cannot be read becomes a page that says
so: nothing is lost in silence.
"""

import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Final

from foliotrace.adapters.local.files.filetype import sniff
from foliotrace.adapters.local.readers.formats import reader_of
from foliotrace.adapters.local.readers.reading_options import (
    ContainerReader,
    ReadingLimits,
    ReadingOptions,
    Refusal,
)
from foliotrace.adapters.local.readers.sections import PATH_MARK
from foliotrace.catalog import ErrorCode, PageProblem
from foliotrace.model import PageKind, PageStatus, ParsedPage, Table, Words

DEPTH: Final = 3  # of files inside files inside files


@dataclass(slots=True)
class UnpackingAllowance:
    """What all files inside one file may still unpack to, however they are nested."""

    left_bytes: int
    left_files: int

    @classmethod
    def of(cls, limits: ReadingLimits) -> "UnpackingAllowance":
        """Of a file that a user sent."""
        return cls(limits.archive_bytes, limits.archive_entries)

    def count(self, size_bytes: int) -> None:
        """Raises Refusal."""
        self.left_bytes -= size_bytes
        if self.left_bytes < 0:
            raise Refusal(ErrorCode.FILE_TOO_COMPLEX, "it unpacks to more than allowed")

    def count_file(self) -> None:
        """Raises Refusal."""
        self.left_files -= 1
        if self.left_files < 0:
            raise Refusal(ErrorCode.FILE_TOO_COMPLEX, "it holds too many files")


@dataclass(frozen=True, slots=True)
class Nesting:
    """How deep inside the file that a user sent another one is."""

    allowance: UnpackingAllowance
    depth: int = 0


def pages_of_embedded(
    name: str,
    content: Iterable[bytes],
    options: ReadingOptions,
    nesting: Nesting,
    *,
    media_type: str | None = None,
    named: str | None = None,
) -> Iterator[ParsedPage]:
    """The pages of the file shown as `name`, or one page that says it was not read.

    Its type follows from its content and from `named`, if it has another name of its own. Raises
    Refusal if all files together unpack to more than allowed.
    """
    nesting.allowance.count_file()
    found = False
    try:
        with content_at_path(_counted(content, nesting.allowance)) as path:
            kind = media_type or sniff(path, named or name)
            for page in _pages(path, kind, options, replace(nesting, depth=nesting.depth + 1)):
                found = True
                yield as_section(page, name)
    except Refusal:
        if nesting.allowance.left_bytes < 0 or nesting.allowance.left_files < 0:
            raise
        found = False
    if not found:
        yield unread(name, too_deep=nesting.depth >= DEPTH)


def _pages(
    path: Path, media_type: str, options: ReadingOptions, nesting: Nesting
) -> Iterator[ParsedPage]:
    reader = reader_of(media_type)
    if reader is None or nesting.depth > DEPTH:
        return
    if isinstance(reader, ContainerReader):
        yield from reader.stream(path, options, nesting)
        return
    total = reader.overview(path, options).pages_total
    yield from reader.pages(path, range(1, total + 1), options)


def _counted(content: Iterable[bytes], allowance: UnpackingAllowance) -> Iterator[bytes]:
    for piece in content:
        allowance.count(len(piece))
        yield piece


def unread(name: str, *, too_deep: bool = False) -> ParsedPage:
    """A page that says that the file was not read."""
    problem = PageProblem.NESTED_TOO_DEEP if too_deep else PageProblem.ATTACHMENT_NOT_READ
    return ParsedPage(
        number=1,
        text="",
        kind=PageKind.SECTION,
        label=name,
        status=PageStatus.FAILED,
        problem=problem,
    )


def as_section(page: ParsedPage, name: str) -> ParsedPage:
    """A page of a file inside another, without boxes: they would point into the outer file."""
    label = page.label or (f"page {page.number}" if page.kind is PageKind.PAGE else None)
    return replace(
        page,
        kind=PageKind.SECTION,
        label=PATH_MARK.join(part for part in (name, label) if part),
        words=Words(),
        blocks=tuple(replace(block, box=None) for block in page.blocks),
        tables=tuple(_table_without_boxes(table) for table in page.tables),
    )


def _table_without_boxes(table: Table) -> Table:
    rows = tuple(
        replace(row, cells=tuple(replace(cell, box=None, ref=None) for cell in row.cells))
        for row in table.rows
    )
    return replace(table, rows=rows, box=None)


@contextmanager
def content_at_path(content: Iterable[bytes]) -> Iterator[Path]:
    """A path to `content`, for readers that open paths.

    In memory on Linux, so that a killed worker leaves nothing; else a temporary file.
    """
    if sys.platform == "linux":
        descriptor = os.memfd_create("embedded")
        with os.fdopen(descriptor, "wb") as file:
            file.writelines(content)
            file.flush()
            yield Path(f"/proc/self/fd/{descriptor}")
        return
    with NamedTemporaryFile() as named:
        named.writelines(content)
        named.flush()
        yield Path(named.name)
