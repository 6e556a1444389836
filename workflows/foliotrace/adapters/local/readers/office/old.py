"""Old Office files: DOC and PPT by way of LibreOffice, where it is installed; XLS by xlrd."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from foliotrace.adapters.local.files.filetype import DOC, PPT, sniff
from foliotrace.adapters.local.readers.office import docx, pptx
from foliotrace.adapters.local.readers.reading_options import ReadingOptions, Refusal
from foliotrace.adapters.local.readers.streamed import StreamedReader
from foliotrace.catalog import ErrorCode
from foliotrace.model import ParsedPage

_TARGETS: Final = {DOC: ("docx", docx.stream), PPT: ("pptx", pptx.stream)}
_PROGRAMS: Final = ("soffice", "libreoffice")
_CONVERSION_S: Final = 100.0
PLACES: Final = "/usr/bin:/usr/local/bin:/opt/libreoffice/program:/usr/lib/libreoffice/program"
"""Where LibreOffice is looked for; a parser process has no PATH."""


def stream(path: Path, options: ReadingOptions) -> Iterator[ParsedPage]:
    """The pages of the converted file."""
    ending, read = _TARGETS[sniff(path)]
    program = next((p for name in _PROGRAMS if (p := shutil.which(name, path=PLACES))), None)
    if program is None:
        raise Refusal(
            ErrorCode.NEEDS_CONVERTER,
            "it is an old Office file, and LibreOffice (soffice) is not installed",
        )
    with TemporaryDirectory(prefix="foliotrace-") as folder:
        yield from read(_converted(path, program, ending, Path(folder)), options)


def _converted(path: Path, program: str, ending: str, folder: Path) -> Path:
    """Macros are never run: a profile of its own has the safest settings."""
    source = folder / "in" / "document"
    source.parent.mkdir()
    shutil.copyfile(path, source)
    profile = f"-env:UserInstallation={(folder / 'profile').as_uri()}"
    command = (program, profile, "--headless", "--norestore", "--convert-to", ending)
    try:
        subprocess.run(  # noqa: S603 - the program was found on PATH, the names are ours
            (*command, "--outdir", str(folder), str(source)),
            check=True, capture_output=True, timeout=_CONVERSION_S,
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise Refusal(ErrorCode.FILE_TOO_COMPLEX, "LibreOffice took too long over it") from error
    except (subprocess.CalledProcessError, OSError) as error:
        raise Refusal(ErrorCode.FILE_MALFORMED, "LibreOffice cannot convert it") from error
    made = folder / f"document.{ending}"
    if not made.exists():
        raise Refusal(ErrorCode.FILE_MALFORMED, "LibreOffice cannot convert it")
    return made


_reader = StreamedReader(stream)
overview, pages = _reader.overview, _reader.pages
