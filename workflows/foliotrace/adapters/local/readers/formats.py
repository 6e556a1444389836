"""Which reader reads which media type, and the module it is in."""

from importlib import import_module
from typing import Final, cast

from foliotrace.adapters.local.files.filetype import (
    CSV,
    DOCX,
    EMAIL,
    ENCRYPTED_OFFICE,
    EPUB,
    HTML,
    JPEG,
    MARKDOWN,
    ODT,
    PDF,
    PNG,
    PPTX,
    TEXT,
    TIFF,
    XLSX,
)
from foliotrace.adapters.local.readers.reading_options import Reader

READERS: Final = {
    "pdf": "pdf.reader",
    "image": "pdf.image",
    "docx": "office.docx",
    "pptx": "office.pptx",
    "xlsx": "office.xlsx",
    "csv": "text.csv_table",
    "html": "text.html",
    "markdown": "text.markdown",
    "text": "text.plain",
    "mail": "mail.message",
    "odt": "office.odt",
    "epub": "office.epub",
}
MEDIA_TYPES: Final = {
    "pdf": (PDF,),
    "image": (PNG, JPEG, TIFF),
    "docx": (DOCX, ENCRYPTED_OFFICE),
    "pptx": (PPTX,),
    "xlsx": (XLSX,),
    "csv": (CSV,),
    "html": (HTML,),
    "markdown": (MARKDOWN,),
    "text": (TEXT,),
    "mail": (EMAIL,),
    "odt": (ODT,),
    "epub": (EPUB,),
}


def reader_called(name: str) -> Reader:
    """The reader, imported when it is first needed."""
    return cast("Reader", import_module(f"foliotrace.adapters.local.readers.{READERS[name]}"))


def reader_of(media_type: str) -> Reader | None:
    """The reader of a media type, or None."""
    names = [name for name, types in MEDIA_TYPES.items() if media_type in types]
    return reader_called(names[0]) if names else None
