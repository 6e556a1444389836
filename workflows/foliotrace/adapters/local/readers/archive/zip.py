"""ZIP archives as folders: the pages of each member, in the archive's order.

Names of members are labels and never become paths. What operating systems leave in archives is
skipped. Members of members are read to a depth of three, within one limit of unpacked bytes.
"""

import re
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

from foliotrace.adapters.local.readers.embedded import (
    Nesting,
    UnpackingAllowance,
    pages_of_embedded,
)
from foliotrace.adapters.local.readers.office.ooxml import opened_archive
from foliotrace.adapters.local.readers.reading_options import ReadingOptions, Refusal
from foliotrace.adapters.local.readers.streamed import StreamedReader
from foliotrace.catalog import ErrorCode
from foliotrace.model import ParsedPage

_COPY_BYTES: Final = 1 << 20
_LEFTOVERS: Final = re.compile(
    r"(?:^|/)(?:__MACOSX/|\.DS_Store$|Thumbs\.db$|desktop\.ini$|\._)", re.I
)
_NOT_NAMES: Final = ("", ".", "..")
holds_files = True


def stream(
    path: Path, options: ReadingOptions, nesting: Nesting | None = None
) -> Iterator[ParsedPage]:
    """The pages of every member."""
    within = nesting or Nesting(UnpackingAllowance.of(options.limits))
    names: Counter[str] = Counter()
    number = 0
    with opened_archive(path, options.limits) as archive:
        members = [m for m in archive.infolist() if not m.is_dir()]
        members = [m for m in members if not _LEFTOVERS.search(m.filename)]
        if not members:
            raise Refusal(ErrorCode.FILE_EMPTY, "the archive holds no file")
        for member in members:
            name = _label(member.filename)
            names[name] += 1
            label = f"{name} ({names[name]})" if names[name] > 1 else name
            content = _content(archive, member)
            for page in pages_of_embedded(label, content, options, within, named=name):
                number += 1
                yield replace(page, number=number)


def _label(name: str) -> str:
    """The member's name without drive, root and ways out of the folder."""
    parts = re.split(r"[/\\]", re.sub(r"^[A-Za-z]:", "", name))
    return "/".join(part for part in parts if part not in _NOT_NAMES)[:300] or "unnamed"


def _content(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> Iterator[bytes]:
    """The member's bytes; those before the damage, if it is damaged."""
    try:
        with archive.open(member) as part:
            while piece := part.read(_COPY_BYTES):
                yield piece
    except (
        zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, OSError,
        UnicodeDecodeError,
    ) as error:  # fmt: skip
        raise Refusal(ErrorCode.FILE_MALFORMED, "a member of the archive is damaged") from error


_reader = StreamedReader(stream)
overview, pages = _reader.overview, _reader.pages
