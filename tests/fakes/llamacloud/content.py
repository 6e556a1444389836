"""What a file says: pages of lines of words with boxes, read from the uploaded bytes."""

import hashlib
import html
import json
import re
import subprocess
import sys
import textwrap
import zipfile
from dataclasses import dataclass
from functools import lru_cache
from html.parser import HTMLParser
from io import BytesIO
from pathlib import Path
from xml.etree import ElementTree

Box = tuple[float, float, float, float]

PAGE_WIDTH, PAGE_HEIGHT = 612.0, 792.0
MARGIN, LINE_HEIGHT, CHAR_WIDTH, FONT_SIZE = 36.0, 12.0, 5.0, 10.0
LINES_PER_PAGE = 60
LINE_CHARS = 108
PDF_TIMEOUT_S = 120
CELL_GAP = 1.4


class Unreadable(Exception):
    """The file cannot be parsed; the text becomes the job's error message."""


@dataclass(frozen=True)
class Word:
    """One word; `box` is (left, top, right, bottom) in points from the top left."""

    text: str
    box: Box


@dataclass(frozen=True)
class Line:
    """Words on one baseline, from left to right."""

    words: tuple[Word, ...]
    size: float

    @property
    def text(self) -> str:
        """The words with one blank between them."""
        return " ".join(word.text for word in self.words)

    @property
    def cells(self) -> tuple[tuple[Word, ...], ...]:
        """The words grouped wherever the gap is wider than text has it."""
        groups: list[list[Word]] = []
        for word in self.words:
            height = word.box[3] - word.box[1]
            if groups and word.box[0] - groups[-1][-1].box[2] < CELL_GAP * height:
                groups[-1].append(word)
            else:
                groups.append([word])
        return tuple(tuple(group) for group in groups)


@dataclass(frozen=True)
class Page:
    """One page, 1-based `number`, size in points."""

    number: int
    width: float
    height: float
    lines: tuple[Line, ...]

    @property
    def text(self) -> str:
        """The lines, one per line; cells are set apart by blanks."""
        return "\n".join("   ".join(phrase(cell) for cell in line.cells) for line in self.lines)


def phrase(words: tuple[Word, ...]) -> str:
    """The text of some words."""
    return " ".join(word.text for word in words)


def union(words: tuple[Word, ...]) -> Box:
    """The smallest box around some words."""
    return (
        min(w.box[0] for w in words),
        min(w.box[1] for w in words),
        max(w.box[2] for w in words),
        max(w.box[3] for w in words),
    )


def read(name: str, content: bytes) -> tuple[Page, ...]:
    """The pages of a file. Raises `Unreadable`. The same bytes are read once."""
    return _read(Path(name).suffix.lower(), hashlib.sha256(content).digest(), _Bytes(content))


class _Bytes:
    """Bytes that do not take part in the cache key (their digest does)."""

    def __init__(self, content: bytes) -> None:
        self.content = content

    def __hash__(self) -> int:
        return 0

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Bytes)


@lru_cache(maxsize=256)
def _read(suffix: str, _digest: bytes, held: _Bytes) -> tuple[Page, ...]:
    content = held.content
    if not content:
        raise Unreadable("The file is empty")
    if b"%PDF-" in content[:1024]:
        return _pdf(content)
    if content[:4] == b"PK\x03\x04":
        return _office(content)
    if b"\x00" in content[:1024] or suffix == ".pdf":
        raise Unreadable("Unsupported or damaged file")
    text = content.decode("utf-8", errors="replace")
    if suffix in (".html", ".htm") or text.lstrip()[:14].lower().startswith(
        ("<!doctype html", "<html")
    ):
        text = _html_text(text)
    if suffix == ".csv":
        text = "\n".join("\t".join(row.split(",")) for row in text.splitlines())
    return _typeset(text.split("\f"))


def screenshot(content: bytes, page_number: int) -> bytes:
    """One PDF page as a PNG at 72 dpi."""
    return _worker(content, "png", str(page_number))


def _worker(content: bytes, *arguments: str) -> bytes:
    script = str(Path(__file__).with_name("pdf_worker.py"))
    done = subprocess.run(
        [sys.executable, script, *arguments],
        input=content,
        capture_output=True,
        timeout=PDF_TIMEOUT_S,
        check=False,
    )
    if done.returncode:
        raise Unreadable(done.stderr.decode(errors="replace")[-300:] or "PDF could not be read")
    return done.stdout


def _pdf(content: bytes) -> tuple[Page, ...]:
    pages = []
    for number, page in enumerate(json.loads(_worker(content, "text")), start=1):
        lines = tuple(
            Line(tuple(Word(w["text"], tuple(w["box"])) for w in line), line[0]["size"])
            for line in page["lines"]
        )
        pages.append(Page(number, page["width"], page["height"], lines))
    return tuple(pages)


def _typeset(sections: list[str]) -> tuple[Page, ...]:
    """Text without geometry gets a fixed-pitch one; a section starts a new page."""
    pages: list[Page] = []
    for section in sections:
        rows = [part for row in section.splitlines() for part in _wrapped(row)] or [""]
        for start in range(0, len(rows), LINES_PER_PAGE):
            lines = [
                line
                for index, row in enumerate(rows[start : start + LINES_PER_PAGE])
                if (line := _typeset_line(row, MARGIN + index * LINE_HEIGHT)) is not None
            ]
            rights = [line.words[-1].box[2] + MARGIN for line in lines]
            width = max([PAGE_WIDTH, *rights])
            pages.append(Page(len(pages) + 1, width, PAGE_HEIGHT, tuple(lines)))
    return tuple(pages)


def _wrapped(row: str) -> list[str]:
    if "\t" in row or "|" in row:
        return [row]
    return textwrap.wrap(row, LINE_CHARS) or [""]


def _typeset_line(row: str, top: float) -> Line | None:
    words = tuple(
        Word(
            match.group(),
            (
                MARGIN + match.start() * CHAR_WIDTH,
                top,
                MARGIN + match.end() * CHAR_WIDTH,
                top + FONT_SIZE,
            ),
        )
        for match in re.finditer(r"\S+", row.replace("\t", "    ").replace("|", "    "))
    )
    if not words:
        return None
    level = re.match(r"#{1,6} ", row)
    if level:
        return Line(words[1:], FONT_SIZE + 8 - len(level.group())) if words[1:] else None
    return Line(words, FONT_SIZE)


class _Text(HTMLParser):
    BLOCKS = frozenset(
        {"p", "div", "br", "li", "tr", "h1", "h2", "h3", "h4", "h5", "h6"}
        | {"table", "section", "article", "title"}
    )

    def __init__(self) -> None:
        super().__init__()
        self.pieces: list[str] = []
        self.hidden = 0

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.hidden += tag in ("script", "style")
        if tag in self.BLOCKS:
            self.pieces.append("\n")
        if tag in ("td", "th"):
            self.pieces.append("\t")
        if re.fullmatch(r"h[1-6]", tag):
            self.pieces.append("#" * int(tag[1]) + " ")

    def handle_endtag(self, tag: str) -> None:
        self.hidden -= tag in ("script", "style")
        if tag in self.BLOCKS:
            self.pieces.append("\n")

    def handle_data(self, data: str) -> None:
        if not self.hidden:
            self.pieces.append(re.sub(r"\s+", " ", data))


def _html_text(source: str) -> str:
    parser = _Text()
    parser.feed(source)
    return html.unescape(re.sub(r"\n\s*\n+", "\n", "".join(parser.pieces)))


def _office(content: bytes) -> tuple[Page, ...]:
    try:
        with zipfile.ZipFile(BytesIO(content)) as archive:
            names = archive.namelist()
            if "word/document.xml" in names:
                return _typeset([_paragraphs(archive.read("word/document.xml"))])
            slides = sorted(
                (n for n in names if re.fullmatch(r"ppt/slides/slide\d+\.xml", n)), key=_ordinal
            )
            if slides:
                return _typeset([_paragraphs(archive.read(n)) for n in slides])
            sheets = sorted(
                (n for n in names if re.fullmatch(r"xl/worksheets/sheet\d+\.xml", n)), key=_ordinal
            )
            if sheets:
                shared = _shared_strings(archive)
                return _typeset([_rows(archive.read(n), shared) for n in sheets])
    except (zipfile.BadZipFile, ElementTree.ParseError, KeyError) as error:
        raise Unreadable("Unsupported or damaged file") from error
    raise Unreadable("Unsupported or damaged file")


def _ordinal(name: str) -> int:
    return int(re.findall(r"\d+", name)[-1])


def _local(element: ElementTree.Element) -> str:
    return element.tag.rsplit("}", 1)[-1]


def _paragraphs(xml: bytes) -> str:
    return "\n".join(
        "".join(element.text or "" for element in paragraph.iter() if _local(element) == "t")
        for paragraph in ElementTree.fromstring(xml).iter()
        if _local(paragraph) == "p"
    )


def _shared_strings(archive: zipfile.ZipFile) -> list[str]:
    if "xl/sharedStrings.xml" not in archive.namelist():
        return []
    root = ElementTree.fromstring(archive.read("xl/sharedStrings.xml"))
    return ["".join(e.text or "" for e in si.iter() if _local(e) == "t") for si in root]


def _rows(xml: bytes, shared: list[str]) -> str:
    rows = []
    for row in ElementTree.fromstring(xml).iter():
        if _local(row) != "row":
            continue
        cells = []
        for cell in row:
            value = "".join(e.text or "" for e in cell.iter() if _local(e) in ("v", "t"))
            cells.append(shared[int(value)] if cell.get("t") == "s" and value else value)
        rows.append("\t".join(cells))
    return "\n".join(rows)
