"""What a reader is: its options, its limits, and how it refuses a file."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol, runtime_checkable

from foliotrace.catalog import ErrorCode
from foliotrace.errors import BadInput
from foliotrace.model import ParsedPage

TESSDATA_FOLDERS: Final = (
    "/usr/share/tesseract-ocr/5/tessdata",
    "/usr/share/tesseract-ocr/4.00/tessdata",
    "/usr/share/tessdata",
    "/usr/local/share/tessdata",
    "/opt/homebrew/share/tessdata",
    "/opt/local/share/tessdata",
)
_NO_LANGUAGES: Final = {"osd", "equ", "snum"}
_LANGUAGES: Final = 4


def find_tessdata(folders: Sequence[str] = TESSDATA_FOLDERS) -> str | None:
    """The first folder that holds a Tesseract model of a language, or None.

    Nothing is downloaded.
    """
    return next((folder for folder in folders if installed_languages(folder)), None)


def installed_languages(folder: str) -> str | None:
    """The languages of a folder of models, as Tesseract takes them ("eng+deu"), or None.

    At most four, English first: each one more makes OCR slower.
    """
    found = {path.stem for path in Path(folder).glob("*.traineddata")} - _NO_LANGUAGES
    ordered = sorted(found, key=lambda language: (language != "eng", language))
    return "+".join(ordered[:_LANGUAGES]) or None


class Refusal(BadInput):
    """The file cannot be read. Leaves the process as (code, why); `why` quotes no content."""

    def __init__(self, code: ErrorCode, why: str) -> None:
        super().__init__(why, code=code)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadingLimits:
    """Bounds on what one file may cost."""

    archive_entries: int = 10_000
    archive_bytes: int = 512 * 1024 * 1024
    archive_ratio: float = 200.0
    image_pixels: int = 100_000_000
    cells: int = 5_000_000
    pages: int = 100_000
    pictures: int = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadingOptions:
    """Settings of a reader. `tessdata` is a folder of Tesseract models, or None for no OCR."""

    tessdata: str | None = None
    ocr_language: str = "eng"
    limits: ReadingLimits = ReadingLimits()


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """How many pages a file has, and its own title when it states one."""

    pages_total: int
    title: str | None = None


class Reader(Protocol):
    """Turns one file into pages. Synchronous: it has a process of its own."""

    def overview(self, path: Path, options: ReadingOptions) -> Overview:
        """Raises Refusal."""
        ...

    def pages(self, path: Path, numbers: range, options: ReadingOptions) -> Iterator[ParsedPage]:
        """One page for each number (from 1), in order. Raises Refusal."""
        ...


@runtime_checkable
class ContainerReader(Protocol):
    """A reader of a file that holds files, which count against the limits of the outer one."""

    holds_files: bool

    def stream(self, path: Path, options: ReadingOptions, nesting: Any) -> Iterator[ParsedPage]:
        """All pages; `nesting` is an `embedded.Nesting`. Raises Refusal."""
        ...
