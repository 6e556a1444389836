"""Workbooks: the stored values of each sheet, with cell names; nothing is calculated.

A formula without a stored value is read as its text. Comments, the data of charts, the words of
pictures and the printed header and footer follow the cells. The label of a hidden sheet says so.
"""

import math
import re
from collections.abc import Iterator
from datetime import datetime, time, timedelta
from pathlib import Path

from lxml import etree

from foliotrace.adapters.local.readers.office.drawings import Drawings
from foliotrace.adapters.local.readers.office.ooxml import R_ID, Package, package, whole_number
from foliotrace.adapters.local.readers.reading_options import ReadingLimits, ReadingOptions, Refusal
from foliotrace.adapters.local.readers.sections import Element, Prose, paginate
from foliotrace.adapters.local.readers.streamed import StreamedReader
from foliotrace.adapters.local.readers.text.csv_table import elements, one_line
from foliotrace.catalog import ErrorCode
from foliotrace.model import BlockKind, PageKind, ParsedPage

_S = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
_BOOK = "xl/workbook.xml"
_EPOCH_1900, _EPOCH_1904 = datetime(1899, 12, 30), datetime(1904, 1, 1)  # noqa: DTZ001 - sheets have no time zone
_BUILT_IN = {9: "0%", 10: "0.00%"} | dict.fromkeys(
    (*range(14, 23), *range(27, 37), *range(45, 48), *range(50, 59)), "yyyy-mm-dd"
)
_MARGIN_CODES = re.compile(r'&(?:"[^"]*"|K[0-9A-Fa-f]{6}|\d+|[A-Z])')
_LITERALS = re.compile(r'"[^"]*"|\\.|\[[^\]]*\]|_.|\*.')
_FORMAT_PIECES = re.compile(
    r'(?P<digits>[#0?][#0?.,]*)|"(?P<text>[^"]*)"|\\(?P<mark>.)|\[\$(?P<currency>[^\]-]*)[^\]]*\]'
    r"|\[[^\]]*\]|_.|\*.|(?:(?P<symbol>[$\u20ac\u00a3\u00a5 ]))"
)
_CURRENCIES = "$\u20ac\u00a3\u00a5"
_SCALED = re.compile(r"[0#?],+(?![0#?])")  # thousands or millions are shown, not what is stored
Row = tuple[int, list[tuple[int, str]]]


def stream(path: Path, options: ReadingOptions) -> Iterator[ParsedPage]:
    """All sheets, in the workbook's order."""
    with package(path, options.limits) as parts:
        yield from paginate(_elements(parts, options), PageKind.SHEET)


def _elements(parts: Package, options: ReadingOptions) -> Iterator[Element]:
    book = parts.require(_BOOK)
    relations = parts.relations(_BOOK)
    by_kind = dict(relations.values())
    properties = book.find(f"{_S}workbookPr")
    is_mac = properties is not None and properties.get("date1904") in {"1", "true"}
    values = _Values(
        shared=_shared_strings(parts, by_kind.get("sharedStrings", "")),
        formats=_formats(parts, by_kind.get("styles", "")),
        is_1904=is_mac,
    )
    drawings = Drawings(parts, options)
    for sheet in book.iter(f"{_S}sheet"):
        kind, target = relations.get(sheet.get(R_ID, ""), ("", ""))
        if kind in ("worksheet", "chartsheet") and target in parts.names:
            margins: list[Prose] = []
            rows = _rows(parts, target, values, options.limits, margins)
            label = hidden_label(sheet.get("name", ""), hidden="idden" in sheet.get("state", ""))
            yield from elements(label, rows)
            yield from _annotations(parts, target, drawings)
            yield from margins


def hidden_label(name: str, *, hidden: bool) -> str:
    """The label of a sheet's pages: its name, and whether users see it."""
    return f"{name} (hidden)" if hidden else name


def _annotations(parts: Package, sheet: str, drawings: Drawings) -> Iterator[Element]:
    """The comments of a sheet and what is drawn on it."""
    for kind, target in parts.relations(sheet).values():
        root = parts.xml(target) if kind in ("comments", "drawing") else None
        if root is None:
            continue
        if kind == "drawing":
            yield from drawings.inside(root, target)
            continue
        for comment in root.iter(f"{_S}comment"):
            text = one_line("".join(t.text or "" for t in comment.iter(f"{_S}t")))
            if text:
                yield Prose(f"Comment on {comment.get('ref')}: {text}", BlockKind.FOOTNOTE)


def _margins(element: etree._Element) -> Iterator[Prose]:
    """The printed header and footer, without their codes for fonts and page numbers."""
    for name, kind in (("oddHeader", BlockKind.HEADER), ("oddFooter", BlockKind.FOOTER)):
        text = one_line(_MARGIN_CODES.sub(" ", element.findtext(_S + name) or ""))
        if any(c.isalpha() for c in text):
            yield Prose(text, kind)


def _shared_strings(parts: Package, name: str) -> list[str]:
    if name not in parts.names:
        return []
    strings: list[str] = []
    for item in _each(parts, name, f"{_S}si"):
        phonetic = {t for run in item.iter(f"{_S}rPh") for t in run.iter(f"{_S}t")}
        strings.append(
            one_line("".join(t.text or "" for t in item.iter(f"{_S}t") if t not in phonetic))
        )
    return strings


def _formats(parts: Package, name: str) -> list[str]:
    """The number format of each cell style."""
    root = parts.xml(name)
    if root is None:
        return []
    custom = {f.get("numFmtId"): f.get("formatCode", "") for f in root.iter(f"{_S}numFmt")}
    styles = root.find(f"{_S}cellXfs")
    ids = [xf.get("numFmtId", "0") for xf in styles] if styles is not None else []
    return [custom.get(i) or _BUILT_IN.get(whole_number(i, -1), "") for i in ids]


def _each(parts: Package, name: str, *tags: str) -> Iterator[etree._Element]:
    """The elements called by one of `tags` of a part, one at a time, in bounded memory."""
    with parts.open(name) as part:
        try:
            for _, element in etree.iterparse(
                part, tag=tags, resolve_entities=False, no_network=True, remove_comments=True
            ):
                yield element
                element.clear()
                while element.getprevious() is not None:
                    del element.getparent()[0]
        except etree.XMLSyntaxError as error:
            raise Refusal(
                ErrorCode.FILE_MALFORMED, f"its part {name} is not well-formed XML"
            ) from error


def _rows(
    parts: Package, name: str, values: "_Values", limits: ReadingLimits, margins: list[Prose]
) -> Iterator[Row]:
    """The rows; the header and footer, which stand behind them, are put into `margins`."""
    number = seen = 0
    for row in _each(parts, name, f"{_S}row", f"{_S}headerFooter"):
        if row.tag == f"{_S}headerFooter":
            margins += _margins(row)
            continue
        number = whole_number(row.get("r", ""), number + 1)
        cells: list[tuple[int, str]] = []
        column = -1
        for cell in row.iter(f"{_S}c"):
            column = _column(cell.get("r", ""), column + 1)
            if text := values.text(cell):
                cells.append((column, text))
        seen += len(cells)
        if seen > limits.cells:
            raise Refusal(ErrorCode.FILE_TOO_COMPLEX, f"a sheet has more than {limits.cells} cells")
        yield number, cells


def _column(ref: str, following: int) -> int:
    letters = ref.rstrip("0123456789").upper()
    if not letters.isalpha() or not letters.isascii():
        return following
    column = 0
    for letter in letters[:3]:
        column = column * 26 + ord(letter) - 64
    return column - 1


class _Values:
    """The text that a cell shows, from its stored value, type and number format."""

    def __init__(self, shared: list[str], formats: list[str], *, is_1904: bool) -> None:
        self._shared = shared
        self._formats = formats
        self._is_1904 = is_1904

    def text(self, cell: etree._Element) -> str:
        """The cell as text; "" for an empty one."""
        kind = cell.get("t", "n")
        if kind == "inlineStr":
            return one_line("".join(t.text or "" for t in cell.iter(f"{_S}t")))
        value = cell.findtext(f"{_S}v")
        if not value:
            formula = cell.findtext(f"{_S}f")
            return one_line(f"={formula}") if formula else ""
        if kind == "s":
            index = whole_number(value, -1)
            return self._shared[index] if 0 <= index < len(self._shared) else ""
        if kind == "b":
            return "TRUE" if value == "1" else "FALSE"
        if kind == "d":
            return value.removesuffix("T00:00:00")
        if kind in {"str", "e"}:
            return one_line(value)
        index = whole_number(cell.get("s", ""), 0)
        return self._number(value, self._formats[index] if index < len(self._formats) else "")

    def _number(self, value: str, code: str) -> str:
        try:
            number = float(value)
        except ValueError:
            return one_line(value)
        if not math.isfinite(number):
            return one_line(value)
        if is_date_format(code):
            return formatted_moment(number, is_1904=self._is_1904) or formatted_number(number)
        return number_as_shown(number, code)


def formatted_moment(number: float, *, is_1904: bool) -> str | None:
    """A date, a date and time, or (below 1) a time; None beyond the end of the calendar."""
    try:
        moment = (_EPOCH_1904 if is_1904 else _EPOCH_1900) + timedelta(days=number)
    except OverflowError:
        return None
    moment = (moment + timedelta(milliseconds=500)).replace(microsecond=0)
    clock = moment.time().isoformat("seconds")
    if 0 <= number < 1:
        return clock
    day = moment.date().isoformat()
    return day if moment.time() == time() else f"{day} {clock}"


def is_date_format(code: str) -> bool:
    """Whether a number format shows days, months, years or hours outside its literals."""
    return bool(re.search("[dmyhs]", _LITERALS.sub("", code.split(";")[0]), re.IGNORECASE))


def number_as_shown(number: float, code: str) -> str:
    """A number with its percent sign, currency or unit; its digits are those that are stored."""
    first = code.split(";")[0]
    if first.endswith("%"):
        places = len(first.split(".")[-1].rstrip("%")) if "." in first else 0
        return f"{number * 100:.{places}f}%"
    digits = formatted_number(number)
    if first in ("", "General") or _SCALED.search(first):
        return digits
    before, after = _unit_around(first)
    sign, digits = ("-", digits[1:]) if digits.startswith("-") else ("", digits)
    return one_line(f"{sign}{before}{digits}{after}")


def _unit_around(code: str) -> tuple[str, str]:
    """What a number format prints before and after the digits: `"$"`, `" kg"`."""
    pieces = ["", ""]
    side = 0
    for match in _FORMAT_PIECES.finditer(code):
        if match["digits"]:
            side = 1
        else:
            pieces[side] += (
                match["text"] or match["mark"] or match["currency"] or match["symbol"] or ""
            )
    before, after = (
        piece if any(c.isalpha() or c in _CURRENCIES for c in piece) else "" for piece in pieces
    )
    return before, after


def formatted_number(number: float) -> str:
    """At most 15 digits, as spreadsheets show: 0.1 + 0.2 is 0.3."""
    if number == int(number) and abs(number) < 1e15:
        return str(int(number))
    return format(number, ".15g")


_reader = StreamedReader(stream)
overview, pages = _reader.overview, _reader.pages
