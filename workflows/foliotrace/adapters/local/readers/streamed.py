"""Readers of formats that can only be read from the start, in bounded memory.

The pages of the last file are kept if they are small; of a large file, only the position is.
"""

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

from foliotrace.adapters.local.readers.reading_options import Overview, ReadingOptions
from foliotrace.model import ParsedPage

Stream = Callable[[Path, ReadingOptions], Iterator[ParsedPage]]
_KEEP_CHARACTERS = 16 * 1024 * 1024


class StreamedReader:
    """A Reader over a function that yields all pages of a file in order, numbered from 1."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._file: tuple[str, int, int] = ("", 0, 0)
        self._kept: list[ParsedPage] | None = None
        self._cursor: Iterator[ParsedPage] = iter(())
        self._next = 0

    def overview(self, path: Path, options: ReadingOptions) -> Overview:
        """Count the pages by reading them; keep them if they are small."""
        self._file, self._kept, self._next = _key(path), None, 0
        kept: list[ParsedPage] = []
        characters = total = 0
        title: str | None = None
        for page in self._stream(path, options):
            total += 1
            title = title or page.label
            characters += len(page.text) + 200
            if characters <= _KEEP_CHARACTERS:
                kept.append(page)
            else:
                kept.clear()
        if len(kept) == total:
            self._kept = kept
        return Overview(pages_total=total, title=title)

    def pages(self, path: Path, numbers: range, options: ReadingOptions) -> Iterator[ParsedPage]:
        """The pages of `numbers`: kept ones, or read on from the position or from the start."""
        if self._file != _key(path):
            self._file, self._kept, self._next = _key(path), None, 0
        if self._kept is not None:
            yield from self._kept[numbers.start - 1 : numbers.stop - 1]
            return
        if self._next != numbers.start:
            everything = self._stream(path, options)
            self._cursor = itertools.islice(everything, numbers.start - 1, None)
        self._next = numbers.stop
        yield from itertools.islice(self._cursor, len(numbers))


def _key(path: Path) -> tuple[str, int, int]:
    stat = path.stat()
    return (str(path), stat.st_size, stat.st_mtime_ns)
