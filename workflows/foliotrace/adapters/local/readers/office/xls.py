"""Old workbooks (XLS) by xlrd: the stored values of each sheet, with cell names."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from foliotrace.adapters.local.readers.office.xlsx import (
    formatted_moment,
    formatted_number,
    hidden_label,
    number_as_shown,
)
from foliotrace.adapters.local.readers.reading_options import ReadingOptions, Refusal
from foliotrace.adapters.local.readers.sections import Element, paginate
from foliotrace.adapters.local.readers.streamed import StreamedReader
from foliotrace.adapters.local.readers.text.csv_table import elements, one_line
from foliotrace.catalog import ErrorCode
from foliotrace.model import PageKind, ParsedPage


def stream(path: Path, options: ReadingOptions) -> Iterator[ParsedPage]:
    """All sheets, in the workbook's order."""
    import xlrd

    try:
        with path.open("rb") as file:
            book = xlrd.open_workbook(
                file_contents=file.read(), on_demand=True, formatting_info=True
            )
        yield from paginate(_elements(book, options), PageKind.SHEET)
    except xlrd.XLRDError as error:
        if "encrypted" in str(error).lower():
            raise Refusal(ErrorCode.FILE_ENCRYPTED, "it needs a password to open") from error
        raise Refusal(ErrorCode.FILE_MALFORMED, "the workbook is damaged") from error
    except (LookupError, ValueError, AssertionError, OSError, TypeError, AttributeError) as error:
        raise Refusal(ErrorCode.FILE_MALFORMED, "the workbook is damaged") from error


def _elements(book: Any, options: ReadingOptions) -> Iterator[Element]:
    seen = 0
    for index in range(book.nsheets):
        sheet = book.sheet_by_index(index)
        seen += sheet.nrows * sheet.ncols
        if seen > options.limits.cells:
            raise Refusal(ErrorCode.FILE_TOO_COMPLEX, "its sheets have too many cells")
        label = hidden_label(sheet.name, hidden=bool(sheet.visibility))
        yield from elements(label, _rows(book, sheet))
        book.unload_sheet(index)


def _rows(book: Any, sheet: Any) -> Iterator[tuple[int, list[tuple[int, str]]]]:
    for number in range(sheet.nrows):
        formatted_cells = ((c, _formatted(cell, book)) for c, cell in enumerate(sheet.row(number)))
        yield number + 1, [(column, text) for column, text in formatted_cells if text]


def _formatted(cell: Any, book: Any) -> str:
    import xlrd

    if cell.ctype == xlrd.XL_CELL_TEXT:
        return one_line(cell.value)
    if cell.ctype == xlrd.XL_CELL_NUMBER:
        code = book.format_map.get(book.xf_list[cell.xf_index].format_key)
        return number_as_shown(cell.value, code.format_str if code else "")
    if cell.ctype == xlrd.XL_CELL_DATE:
        return formatted_moment(cell.value, is_1904=bool(book.datemode)) or formatted_number(
            cell.value
        )
    if cell.ctype == xlrd.XL_CELL_BOOLEAN:
        return "TRUE" if cell.value else "FALSE"
    if cell.ctype == xlrd.XL_CELL_ERROR:
        return str(xlrd.error_text_from_code.get(cell.value, "#ERR"))
    return ""


_reader = StreamedReader(stream)
overview, pages = _reader.overview, _reader.pages
