"""What is drawn in Office files: the data of charts as tables, the words of pictures by OCR."""

import io
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from lxml import etree
from PIL import Image, UnidentifiedImageError

from foliotrace.adapters.local.readers.office.ooxml import Package, whole_number
from foliotrace.adapters.local.readers.pdf.ocr import read_picture
from foliotrace.adapters.local.readers.reading_options import ReadingOptions
from foliotrace.adapters.local.readers.sections import Element, GridCell, Prose, grid
from foliotrace.model import BlockKind

_A = "{http://schemas.openxmlformats.org/drawingml/2006/main}"
_C = "{http://schemas.openxmlformats.org/drawingml/2006/chart}"
_R = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}"
_DIAGRAM = "{http://schemas.openxmlformats.org/drawingml/2006/diagram}"
_LEAST_PIXELS: Final = (60, 20)  # smaller pictures are icons
_PICTURE_BYTES: Final = 64 * 1024 * 1024
_FORMATS: Final = ("PNG", "JPEG", "TIFF", "BMP", "GIF", "WEBP")
_DPI: Final = 150.0
_POINTS: Final = 2000  # of a series


@dataclass(slots=True)
class Drawings:
    """Reads each picture of a document once, up to `limits.pictures` of them."""

    parts: Package
    options: ReadingOptions
    seen: set[str] = field(default_factory=set)

    def inside(self, element: etree._Element, part: str) -> Iterator[Element]:
        """The charts and pictures that `element` of the part called `part` refers to, in order."""
        relations = self.parts.relations(part)
        for child in element.iter(f"{_C}chart", f"{_A}blip", f"{_DIAGRAM}relIds"):
            relation = next((v for a in ("id", "embed", "dm") if (v := child.get(_R + a))), "")
            kind, target = relations.get(relation, ("", ""))
            if kind == "chart" and target not in self.seen:
                self.seen.add(target)
                yield from self._chart(target)
            elif kind == "diagramData" and target not in self.seen:
                self.seen.add(target)
                yield from self._diagram(target)
            elif kind == "image":
                yield from self.picture(target)

    def _chart(self, name: str) -> Iterator[Element]:
        root = self.parts.xml(name)
        if root is not None:
            yield from chart_elements(root)

    def _diagram(self, name: str) -> Iterator[Element]:
        """The words of each point of a SmartArt diagram."""
        root = self.parts.xml(name)
        for point in root.iter(f"{_DIAGRAM}pt") if root is not None else ():
            text = " ".join("".join(t.text or "" for t in point.iter(f"{_A}t")).split())
            if text:
                yield Prose(text, BlockKind.LIST)

    def picture(self, name: str) -> Iterator[Element]:
        """The paragraphs recognised in a picture; none without models."""
        pictures = sum(not seen.endswith(".xml") for seen in self.seen)
        is_new = name in self.parts.names and name not in self.seen
        if self.options.tessdata is None or not is_new or pictures >= self.options.limits.pictures:
            return
        self.seen.add(name)
        with self.parts.open(name) as part:
            content = part.read(_PICTURE_BYTES + 1)
        self.parts.count(len(content))
        if len(content) <= _PICTURE_BYTES:
            for paragraph in _words(content, self.options).split("\n\n"):
                if paragraph.strip():
                    yield Prose(paragraph.strip())


def _words(content: bytes, options: ReadingOptions) -> str:
    """The text in a picture; empty if it has none or cannot be decoded (EMF and WMF are not)."""
    Image.MAX_IMAGE_PIXELS = options.limits.image_pixels
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(content), formats=_FORMATS) as image:
                if image.width < _LEAST_PIXELS[0] or image.height < _LEAST_PIXELS[1]:
                    return ""
                page = read_picture(image, _DPI, options)
    except (
        Image.DecompressionBombError, Image.DecompressionBombWarning, UnidentifiedImageError,
        OSError, ValueError, SyntaxError,
    ):  # fmt: skip
        return ""
    return page.text if page else ""


def chart_elements(root: etree._Element) -> Iterator[Element]:
    """A chart as its title and a table: categories down, series across."""
    title = root.find(f".//{_C}chart/{_C}title")
    words = "".join(t.text or "" for t in title.iter(f"{_A}t")) if title is not None else ""
    if words.strip():
        yield Prose(" ".join(words.split()), BlockKind.CAPTION)
    names: list[str] = []
    categories: dict[int, str] = {}
    columns: list[dict[int, str]] = []
    for series in root.iter(f"{_C}ser"):
        names.append(_first(series.find(f"{_C}tx")) or f"Series {len(names) + 1}")
        labels = _points(_either(series, "cat", "xVal"))
        categories = {**labels, **categories}
        columns.append(_points(_either(series, "val", "yVal")))
    if not any(columns):  # the program that wrote the chart left its values to the reader
        return
    head = [GridCell(name, column) for column, name in enumerate(names, 1)]
    body = []
    for index in sorted({i for column in columns for i in column} | categories.keys()):
        cells = [categories.get(index, str(index + 1)), *(c.get(index, "") for c in columns)]
        body.append([GridCell(text, n) for n, text in enumerate(cells) if text])
    yield from grid([head, *body], 1)


def _either(series: etree._Element, *names: str) -> etree._Element | None:
    return next((e for name in names if (e := series.find(_C + name)) is not None), None)


def _first(element: etree._Element | None) -> str:
    if element is None:
        return ""
    return next((" ".join((v.text or "").split()) for v in element.iter(f"{_C}v")), "")


def _points(element: etree._Element | None) -> dict[int, str]:
    """The cached values by index; of categories on several levels, the innermost."""
    if element is None:
        return {}
    level = element.find(f".//{_C}lvl")
    points = (level if level is not None else element).iter(f"{_C}pt")
    found: dict[int, str] = {}
    for point in points:
        text = " ".join((point.findtext(f"{_C}v") or "").split())
        index = whole_number(point.get("idx", ""), len(found))
        if text and len(found) < _POINTS:
            found[index] = text
    return found
