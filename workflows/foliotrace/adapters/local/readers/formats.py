"""The formats that are read: media types, reader, and what a page of each is."""

from dataclasses import dataclass
from importlib import import_module
from typing import Final, cast

from foliotrace.adapters.local.files import filetype as types
from foliotrace.adapters.local.readers.reading_options import Reader


@dataclass(frozen=True, slots=True)
class Format:
    """A family of files with one reader; `title`, `page` and `anchor` are for the reference."""

    title: str
    module: str
    media_types: tuple[str, ...]
    page: str
    anchor: str
    engine: str = "our reader"


_SECTION: Final = "a section: split at headings of level 1 to 3 from 1,500 characters on, by 6,000"
_PATH: Final = "heading path, offsets"
_LXML: Final = "our reader (lxml)"

# the name of a reader is part of the protocol between the service and its parser processes
FORMATS: Final = {
    "pdf": Format("PDF", "pdf.reader", (types.PDF,), "a page", "boxes", "liteparse"),
    "image": Format(
        "PNG, JPEG, TIFF, BMP, GIF, WebP, HEIC (extra `heic`)",
        "pdf.image",
        (types.PNG, types.JPEG, types.TIFF, types.BMP, types.GIF, types.WEBP, types.HEIC),
        "an image, or a frame of several",
        "boxes",
        "liteparse with Tesseract models, Pillow",
    ),
    "docx": Format(
        "DOCX", "office.docx", (types.DOCX, types.ENCRYPTED_OFFICE), _SECTION, _PATH, _LXML
    ),
    "pptx": Format(
        "PPTX", "office.pptx", (types.PPTX,), "a slide, with its notes", "slide title", _LXML
    ),
    "xlsx": Format(
        "XLSX",
        "office.xlsx",
        (types.XLSX,),
        "a window of a sheet's rows, up to 6,000 characters; the header row is repeated",
        "sheet, cells",
        _LXML,
    ),
    "opendocument": Format(
        "ODT, ODS, ODP",
        "office.opendocument",
        (types.ODT, types.ODS, types.ODP),
        "as in DOCX, XLSX and PPTX",
        "as there",
        _LXML,
    ),
    "old-office": Format(
        "DOC, PPT",
        "office.old",
        (types.DOC, types.PPT),
        "as in DOCX and PPTX",
        "as there",
        "LibreOffice (`soffice`), where installed",
    ),
    "xls": Format("XLS", "office.xls", (types.XLS,), "as in XLSX", "sheet, cells", "xlrd"),
    "epub": Format(
        "EPUB", "office.epub", (types.EPUB,), "as in DOCX; chapters in reading order", _PATH, _LXML
    ),
    "mail": Format(
        "Mail (EML)",
        "mail.message",
        (types.EMAIL,),
        "headers and body: a section, as in DOCX; then the pages of each attachment",
        "subject or attachment's name, offsets",
        "our reader (`email`)",
    ),
    "outlook": Format(
        "Outlook (MSG)", "mail.outlook", (types.OUTLOOK,), "as in mail", "as there", "python-oxmsg"
    ),
    "zip": Format(
        "ZIP",
        "archive.zip",
        (types.ZIP,),
        "the pages of each member, in the archive's order",
        "the member's name, offsets",
        "our reader (`zipfile`)",
    ),
    "html": Format("HTML", "text.html", (types.HTML,), "as in DOCX", _PATH, _LXML),
    "markdown": Format("Markdown", "text.markdown", (types.MARKDOWN,), "as in DOCX", _PATH),
    "rtf": Format("RTF", "text.rtf", (types.RTF,), "as in DOCX", _PATH, "striprtf"),
    "xml": Format("XML", "text.xml_tree", (types.XML,), "as in DOCX", _PATH, _LXML),
    "json": Format(
        "JSON, lines of JSON", "text.json_tree", (types.JSON,), "as in DOCX", _PATH, "orjson"
    ),
    "csv": Format("CSV, TSV", "text.csv_table", (types.CSV,), "as in XLSX", "cells"),
    "text": Format("Text", "text.plain", (types.TEXT,), "up to 6,000 characters", "offsets"),
}
CONVERTING: Final = frozenset({"old-office"})
"""Readers that start a program; they have a parser process of their own."""
MEDIA_TYPES: Final = {name: found.media_types for name, found in FORMATS.items()}
_READER_OF: Final = {kind: name for name, kinds in MEDIA_TYPES.items() for kind in kinds}


def reader_called(name: str) -> Reader:
    """The reader, imported when it is first needed."""
    module = f"foliotrace.adapters.local.readers.{FORMATS[name].module}"
    return cast("Reader", import_module(module))


def reader_of(media_type: str) -> Reader | None:
    """The reader of a media type, or None."""
    name = _READER_OF.get(media_type)
    return None if name is None else reader_called(name)
