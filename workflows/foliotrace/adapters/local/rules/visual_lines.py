"""The lines of a page as the eye sees them: by the words' boxes, else by line ends. Pure.

The stored text follows columns, so that a label and its value may stand far apart in it although
they share a line on paper.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from foliotrace.model import ParsedPage, Word

_SAME_LINE = 0.5
_WIDE_GAP = 1.5  # of the line's height: a wider gap separates cells


@dataclass(frozen=True, slots=True)
class Segment:
    """A run of words that stand next to each other on the page and in the text."""

    text: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class VisualLine:
    """Segments from left to right, and the height of the type (0 where it is unknown)."""

    segments: tuple[Segment, ...]
    height: float = 0.0

    @property
    def text(self) -> str:
        """The line as it would be read aloud."""
        return " ".join(segment.text for segment in self.segments)

    @property
    def spans(self) -> tuple[tuple[int, int], ...]:
        """The spans of the page's text that make up the line."""
        return tuple((segment.start, segment.end) for segment in self.segments)


def visual_lines(page: ParsedPage) -> list[VisualLine]:
    """Every line of the page, from top to bottom."""
    if not len(page.words):
        return list(_text_lines(page.text))
    rows: list[list[Word]] = []
    for word in sorted(page.words, key=lambda w: w.box.y + w.box.height / 2):
        nearest = max(rows[-3:], key=lambda row: _overlap(row, word), default=None)
        if nearest is not None and _overlap(nearest, word) >= _SAME_LINE:
            nearest.append(word)
        else:
            rows.append([word])
    return [_line(page.text, sorted(row, key=lambda w: w.box.x)) for row in rows]


def _overlap(row: Sequence[Word], word: Word) -> float:
    """The share of the word's height that the row's nearest word covers; 0 if they collide."""
    box, covered = word.box, 0.0
    distance = float("inf")
    for other in (w.box for w in row):
        gap = max(other.x - box.x - box.width, box.x - other.x - other.width)
        if gap < -0.3 * min(box.width, other.width):
            return 0.0
        if gap < distance:
            distance = gap
            shared = min(box.y + box.height, other.y + other.height) - max(box.y, other.y)
            covered = shared / max(min(box.height, other.height), 0.1)
    return covered


def _line(text: str, row: Sequence[Word]) -> VisualLine:
    height = sorted(word.box.height for word in row)[len(row) // 2]
    runs: list[list[Word]] = []
    for word in row:
        if runs and _continues(text, runs[-1][-1], word, height):
            runs[-1].append(word)
        else:
            runs.append([word])
    segments = [
        Segment(text[run[0].start : run[-1].end], run[0].start, run[-1].end) for run in runs
    ]
    return VisualLine(tuple(segments), height)


def _continues(text: str, before: Word, word: Word, height: float) -> bool:
    near = word.box.x - before.box.x - before.box.width <= _WIDE_GAP * height
    return near and before.end <= word.start and text[before.end : word.start] in ("", " ")


def _text_lines(text: str) -> Iterator[VisualLine]:
    at = 0
    for line in text.split("\n"):
        segments: list[Segment] = []
        start = at
        for cell in line.split("\t"):
            if bare := cell.strip():
                left = start + cell.find(bare)
                segments.append(Segment(bare, left, left + len(bare)))
            start += len(cell) + 1
        if segments:
            yield VisualLine(tuple(segments))
        at += len(line) + 1
