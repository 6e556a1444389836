"""Open a citation with pypdfium2: is the quote inside the anchor's boxes, and are they tight?

Used by bench/answers.py and by the test over the real PDFs. The rule: the characters whose middle
pypdfium2 places inside the boxes are those of the quote (`complete`), and spell it from left to
right (`in_order`; a sign printed over another may stand on either side of it), once white space,
dots between a label and its value, hyphens and the shapes of quotation marks are left out; and the
boxes' area is at most 1.5 times that of the quote's words.
"""

import re
from collections import Counter
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import TracebackType
from unicodedata import normalize

import pypdfium2 as pdfium

from foliotrace.model import Box, Citation, ParsedPage

MOST_AREA = 1.5
_LEFT_OUT = re.compile(r"[\s\u00ad\u2010-\u2015\u2212\ufffe\x02\x00-]+|(?:\.\s*){4,}")
_QUOTES = str.maketrans("\u2018\u2019\u201a\u201c\u201d\u201e\u2032\u2033`", "'''\"\"\"'\"'")
_Character = tuple[float, float, str]


@dataclass(frozen=True)
class Opened:
    """What stands inside the boxes; `area_ratio` is their area over that of the quote's words."""

    found: str
    in_order: bool
    complete: bool
    area_ratio: float
    words: int

    @property
    def valid(self) -> bool:
        return self.complete and self.area_ratio <= MOST_AREA


class Opener:
    """Opens citations of the PDFs in a folder, by document name."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._documents: dict[str, pdfium.PdfDocument] = {}
        self._characters = lru_cache(64)(self._read)

    def __enter__(self) -> "Opener":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for document in self._documents.values():
            document.close()

    def open(self, citation: Citation, page: ParsedPage) -> Opened:
        """Read what stands inside the citation's boxes; `page` is the stored page it is on."""
        anchor = citation.anchor
        characters = self._characters(citation.document_name, anchor.page)
        found = "".join(_inside(characters, box) for box in anchor.boxes)
        quote, there = bare(citation.quote), bare(found)
        words = [w.box for w in page.words if w.start < anchor.end and w.end > anchor.start]
        area = sum(box.width * box.height for box in anchor.boxes)
        return Opened(
            found=found,
            in_order=bool(anchor.boxes) and quote in there,
            complete=bool(anchor.boxes) and Counter(quote) <= Counter(there),
            area_ratio=area / max(1e-9, sum(box.width * box.height for box in words)),
            words=len(citation.quote.split()),
        )

    def _read(self, name: str, number: int) -> list[_Character]:
        """The page's characters with their middles, in points from the top left corner."""
        if name not in self._documents:
            self._documents[name] = pdfium.PdfDocument(self._folder / name)
        page = self._documents[name][number - 1]
        text = page.get_textpage()
        left, _, _, top = page.get_cropbox()
        found = []
        for index in range(text.count_chars()):
            x0, y0, x1, y1 = text.get_charbox(index, loose=True)
            found.append(((x0 + x1) / 2 - left, top - (y0 + y1) / 2, text.get_text_range(index, 1)))
        text.close()
        page.close()
        return found


def bare(text: str) -> str:
    """Without white space and hyphens, compatibility forms and quotation marks unified."""
    return _LEFT_OUT.sub("", normalize("NFKC", text).translate(_QUOTES))


def _inside(characters: list[_Character], box: Box) -> str:
    """From left to right: a box is one line, and raised signs come late in a content stream."""
    right, bottom = box.x + box.width, box.y + box.height
    inside = [c for c in characters if box.x <= c[0] <= right and box.y <= c[1] <= bottom]
    return "".join(text for _, _, text in sorted(inside, key=lambda c: c[0]))
