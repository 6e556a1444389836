"""Workbooks: the stored values of each sheet, with cell names; nothing is calculated.

A formula without a stored value is read as its text.
"""

import math
import re
from collections.abc import Iterator
from datetime import datetime, time, timedelta
from pathlib import Path

from lxml import etree

from foliotrace.adapters.local.readers.office.ooxml import R_ID, Package, package, whole_number
from foliotrace.adapters.local.readers.reading_options import ReadingLimits, ReadingOptions, Refusal
from foliotrace.adapters.local.readers.sections import Element, paginate
from foliotrace.adapters.local.readers.streamed import StreamedReader
from foliotrace.adapters.local.readers.text.csv_table import elements, one_line
from foliotrace.catalog import ErrorCode
from foliotrace.model import PageKind, ParsedPage

_S = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
_BOOK = "xl/workbook.xml"
_EPOCH_1900, _EPOCH_1904 = datetime(1899, 12, 30), datetime(1904, 1, 1)  # noqa: DTZ001 - sheets have no time zone
_BUILT_IN = {9: "0%", 10: "0.00%"} | dict.fromkeys(
    (*range(14, 23), *range(27, 37), *range(45, 48), *range(50, 59)), "yyyy-mm-dd"
)
_LITERALS = re.compile(r'"[^"]*"|\\.|\[[^\]]*\]|_.|\*.')
Row = tuple[int, list[tuple[int, str]]]


def stream(path: Path, options: ReadingOptions) -> Iterator[ParsedPage]:
    """All sheets, in the workbook's order."""
    with package(path, options.limits) as parts:
        yield from paginate(_elements(parts, options.limits), PageKind.SHEET)


def _elements(parts: Package, limits: ReadingLimits) -> Iterator[Element]:
    book = parts.require(_BOOK)
    relations = parts.relations(_BOOK)
    by_kind = dict(relations.values())
    properties = book.find(f"{_S}workbookPr")
    is_mac = properties is not None and properties.get("date1904") in {"1", "true"}
    values = _Values(
        shared=_shared_strings(parts, by_kind.get("sharedStrings", "")),
        formats=_formats(parts, by_kind.get("styles", "")),
        epoch=_EPOCH_1904 if is_mac else _EPOCH_1900,
    )
    for sheet in book.iter(f"{_S}sheet"):
        kind, target = relations.get(sheet.get(R_ID, ""), ("", ""))
        if kind == "worksheet" and target in parts.names:
            yield from elements(sheet.get("name"), _rows(parts, target, values, limits))


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


def _each(parts: Package, name: str, tag: str) -> Iterator[etree._Element]:
    """The elements called `tag` of a part, one at a time, in bounded memory."""
    with parts.open(name) as part:
        try:
            for _, element in etree.iterparse(
                part, tag=tag, resolve_entities=False, no_network=True, remove_comments=True
            ):
                yield element
                element.clear()
                while element.getprevious() is not None:
                    del element.getparent()[0]
        except etree.XMLSyntaxError as error:
            raise Refusal(
                ErrorCode.FILE_MALFORMED, f"its part {name} is not well-formed XML"
            ) from error


def _rows(parts: Package, name: str, values: "_Values", limits: ReadingLimits) -> Iterator[Row]:
    number = seen = 0
    for row in _each(parts, name, f"{_S}row"):
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

    def __init__(self, shared: list[str], formats: list[str], epoch: datetime) -> None:
        self._shared = shared
        self._formats = formats
        self._epoch = epoch

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
            return self._moment(number) or _plain(number)
        if code.endswith("%"):
            places = len(code.split(".")[-1].rstrip("%")) if "." in code else 0
            return f"{number * 100:.{places}f}%"
        return _plain(number)

    def _moment(self, number: float) -> str | None:
        """A date, a date and time, or (below 1) a time; None beyond the end of the calendar."""
        try:
            moment = self._epoch + timedelta(days=number)
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


def _plain(number: float) -> str:
    """At most 15 digits, as spreadsheets show: 0.1 + 0.2 is 0.3."""
    if number == int(number) and abs(number) < 1e15:
        return str(int(number))
    return format(number, ".15g")


_reader = StreamedReader(stream)
overview, pages = _reader.overview, _reader.pages
