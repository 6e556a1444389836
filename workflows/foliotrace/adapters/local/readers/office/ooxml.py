"""Opens Office packages safely: bounded unpacking, XML without entities, no macros, no network."""

import posixpath
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from lxml import etree

from foliotrace.adapters.local.readers.reading_options import ReadingLimits, Refusal
from foliotrace.catalog import ErrorCode

RELATIONS = "{http://schemas.openxmlformats.org/package/2006/relationships}Relationship"
R_ID = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}id"
_COPY_BYTES = 1 << 20
_RATIO_MATTERS_BYTES = 16 * 1024 * 1024


def whole_number(text: str, default: int) -> int:
    """The number in an attribute; `default` if it is none, or absurdly large."""
    return int(text) if text.isdecimal() and len(text) < 10 else default


class Package:
    """The parts of an Office file, by name."""

    def __init__(self, archive: zipfile.ZipFile, limits: ReadingLimits) -> None:
        self._archive = archive
        self._left_bytes = limits.archive_bytes
        self.names = frozenset(archive.namelist())

    def xml(self, name: str) -> etree._Element | None:
        """The root of an XML part, or None if there is no such part. Raises Refusal."""
        if name not in self.names:
            return None
        parser = etree.XMLParser(resolve_entities=False, no_network=True, remove_comments=True)
        try:
            with self.open(name) as part:
                while piece := part.read(_COPY_BYTES):
                    self.count(len(piece))
                    parser.feed(piece)
            return parser.close()
        except etree.XMLSyntaxError as error:
            raise Refusal(
                ErrorCode.FILE_MALFORMED, f"its part {name} is not well-formed XML"
            ) from error

    def require(self, name: str) -> etree._Element:
        """The root of a required XML part. Raises Refusal."""
        root = self.xml(name)
        if root is None:
            raise Refusal(ErrorCode.FILE_MALFORMED, f"its part {name} is missing")
        return root

    @contextmanager
    def open(self, name: str) -> Iterator[IO[bytes]]:
        """The bytes of a part. Raises Refusal if the archive is damaged or encrypted there."""
        try:
            with self._archive.open(name) as part:
                yield part
        except (
            zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, OSError,
            UnicodeDecodeError,
        ) as error:  # fmt: skip
            raise Refusal(ErrorCode.FILE_MALFORMED, f"its part {name} is damaged") from error
        except RuntimeError as error:  # what zipfile raises for a missing password
            raise Refusal(ErrorCode.FILE_ENCRYPTED, "its archive is encrypted") from error

    def count(self, size_bytes: int) -> None:
        """Count unpacked bytes against the limit: an archive can declare less than it contains."""
        self._left_bytes -= size_bytes
        if self._left_bytes < 0:
            raise Refusal(ErrorCode.FILE_TOO_COMPLEX, "it unpacks to more than allowed")

    def relations(self, name: str) -> dict[str, tuple[str, str]]:
        """(last word of the type, target part) by relation id, for the part called `name`."""
        folder, file_name = posixpath.split(name)
        root = self.xml(f"{folder}/_rels/{file_name}.rels" if folder else f"_rels/{file_name}.rels")
        relations: dict[str, tuple[str, str]] = {}
        for relation in root.iter(RELATIONS) if root is not None else ():
            if relation.get("TargetMode") == "External":
                continue
            target = relation.get("Target", "")
            part = target[1:] if target.startswith("/") else posixpath.join(folder, target)
            kind = relation.get("Type", "").rsplit("/", 1)[-1]
            relations[relation.get("Id", "")] = (kind, posixpath.normpath(part))
        return relations


@contextmanager
def package(path: Path, limits: ReadingLimits) -> Iterator[Package]:
    """The parts of an Office file. Raises Refusal as `opened_archive` does."""
    with opened_archive(path, limits) as archive:
        yield Package(archive, limits)


@contextmanager
def opened_archive(path: Path, limits: ReadingLimits) -> Iterator[zipfile.ZipFile]:
    """Open an archive and check what it declares.

    Raises Refusal `file_malformed`, `file_truncated`, `file_encrypted` or `file_too_complex`.
    """
    try:
        archive = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise _damaged(path) from error
    with archive:
        _check(archive, limits)
        yield archive


def _damaged(path: Path) -> Refusal:
    with path.open("rb") as file:
        if file.read(4) == b"\xd0\xcf\x11\xe0":  # the container Office puts encrypted files in
            return Refusal(ErrorCode.FILE_ENCRYPTED, "it needs a password to open")
        file.seek(max(0, path.stat().st_size - 66_000))
        if b"PK\x05\x06" not in file.read():
            return Refusal(ErrorCode.FILE_TRUNCATED, "the archive ends before its directory")
    return Refusal(ErrorCode.FILE_MALFORMED, "the archive is damaged")


def _check(archive: zipfile.ZipFile, limits: ReadingLimits) -> None:
    entries = archive.infolist()
    if len(entries) > limits.archive_entries:
        raise Refusal(ErrorCode.FILE_TOO_COMPLEX, f"its archive has {len(entries)} entries")
    unpacked = sum(entry.file_size for entry in entries)
    if unpacked > limits.archive_bytes:
        raise Refusal(ErrorCode.FILE_TOO_COMPLEX, f"it unpacks to {unpacked // 2**20} MB")
    for entry in entries:
        if entry.flag_bits & 0x1:
            raise Refusal(ErrorCode.FILE_ENCRYPTED, "its archive is encrypted")
        if entry.file_size > _RATIO_MATTERS_BYTES and entry.file_size > limits.archive_ratio * max(
            entry.compress_size, 1
        ):
            raise Refusal(ErrorCode.FILE_TOO_COMPLEX, "its archive unpacks suspiciously large")
