"""Which pages of a file are read: numbers, and their short form "1-3,7". Pages count from 1."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

PageNumbers: TypeAlias = Sequence[int]
"""Numbers of pages in ascending order, each once; a `range`, or a list with gaps."""

PAGED_TYPES: Final = frozenset(
    {
        "application/pdf",
        "application/vnd.openxmlformats-officedocument.presentationml.presentation",
        "image/tiff",
    }
)
"""Types whose pages every parser numbers alike, so that a request can name some of them."""

MOST_RANGES: Final = 200
_NUMBER: Final = re.compile("[0-9]{1,6}")


@dataclass(frozen=True, slots=True)
class PageSelection:
    """Pages of a file that were asked for: ranges in ascending order that do not touch."""

    ranges: tuple[range, ...]

    @classmethod
    def parse(cls, text: str) -> "PageSelection":
        """The selection that `text` stands for, as in "7, 1-3". Raises ValueError, which says why.

        Ranges may come in any order and overlap.
        """
        parts = text.split(",")
        if len(parts) > MOST_RANGES:
            raise ValueError(f"it has more than {MOST_RANGES} ranges")
        found = sorted((_range_of(part) for part in parts), key=lambda pages: pages.start)
        merged: list[range] = []
        for pages in found:
            if merged and pages.start <= merged[-1].stop:
                merged[-1] = range(merged[-1].start, max(merged[-1].stop, pages.stop))
            else:
                merged.append(pages)
        return cls(tuple(merged))

    def __str__(self) -> str:
        """The short form; equal selections have the same one."""
        return ",".join(
            str(pages.start) if len(pages) == 1 else f"{pages.start}-{pages.stop - 1}"
            for pages in self.ranges
        )

    @property
    def last(self) -> int:
        """The highest number."""
        return self.ranges[-1].stop - 1

    def numbers(self) -> PageNumbers:
        """The selected numbers."""
        return tuple(n for pages in self.ranges for n in pages)

    def overlaps(self, pages: range) -> bool:
        """Whether a page of `pages` is selected."""
        return any(max(r.start, pages.start) < min(r.stop, pages.stop) for r in self.ranges)


def page_numbers(selection: str | None, pages_total: int) -> PageNumbers:
    """The numbers to read: those of `selection`, without one all of `pages_total`."""
    if selection is None:
        return range(1, pages_total + 1)
    return PageSelection.parse(selection).numbers()


def runs_of(numbers: PageNumbers) -> Iterator[range]:
    """`numbers` as ranges without gaps, in order."""
    if isinstance(numbers, range) and numbers:
        yield numbers
        return
    start = 0
    for at in range(1, len(numbers) + 1):
        if at == len(numbers) or numbers[at] != numbers[at - 1] + 1:
            yield range(numbers[start], numbers[at - 1] + 1)
            start = at


def _range_of(part: str) -> range:
    first, dash, last = (each.strip() for each in part.partition("-"))
    ends = (first, last if dash else first)
    if not all(_NUMBER.fullmatch(end) for end in ends):
        raise ValueError("it is not a list of page numbers and ranges")
    start, end = map(int, ends)
    if start < 1:
        raise ValueError("pages count from 1")
    if end < start:
        raise ValueError(f"the range {start}-{end} ends before it starts")
    return range(start, end + 1)
