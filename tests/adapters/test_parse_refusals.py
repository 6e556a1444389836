"""Files that cannot be read: each names itself, its reason by a stable code, and what to do."""

import struct
import zipfile
import zlib
from pathlib import Path

import pytest
from tests.adapters.files import W, docx_of, pdf_of, plain_pages, zip_of
from tests.adapters.parsing import EXAMPLES, reading

from foliotrace.adapters.local.readers.reading_options import ReadingLimits
from foliotrace.errors import FileRefused, UnsupportedFile

pytestmark = pytest.mark.anyio


async def code_of(path: Path, limits: ReadingLimits | None = None) -> str:
    async with reading(reading_limits=limits) as local:
        with pytest.raises(FileRefused) as refused:
            await local.read(path)
    error = refused.value
    assert path.name in error.message
    assert error.hint
    assert isinstance(error, UnsupportedFile) == (error.error_code == "file_type_unsupported")
    return error.error_code


async def test_an_empty_file(tmp_path: Path) -> None:
    (tmp_path / "empty.pdf").touch()
    assert await code_of(tmp_path / "empty.pdf") == "file_empty"


async def test_bytes_of_no_known_type_called_pdf(tmp_path: Path) -> None:
    (tmp_path / "tool.pdf").write_bytes(bytes(range(256)) * 10)
    assert await code_of(tmp_path / "tool.pdf") == "file_type_unsupported"


async def test_half_a_pdf(tmp_path: Path) -> None:
    whole = (EXAMPLES / "ntsb-NYC08CA055-tallahassee.pdf").read_bytes()
    (tmp_path / "half.pdf").write_bytes(whole[: len(whole) // 2])
    assert await code_of(tmp_path / "half.pdf") == "file_truncated"


async def test_a_pdf_with_a_broken_inside(tmp_path: Path) -> None:
    (tmp_path / "broken.pdf").write_bytes(b"%PDF-1.7\n" + b"garbage " * 100 + b"\n%%EOF\n")
    assert await code_of(tmp_path / "broken.pdf") == "file_malformed"


@pytest.mark.parametrize("name", ["larkfield-handbook.docx", "larkfield-maintenance-2026.xlsx"])
async def test_half_an_office_file(tmp_path: Path, name: str) -> None:
    whole = (EXAMPLES / name).read_bytes()
    (tmp_path / name).write_bytes(whole[: len(whole) * 2 // 3])
    assert await code_of(tmp_path / name) in {"file_truncated", "file_type_unsupported"}


async def test_a_word_document_whose_xml_is_broken(tmp_path: Path) -> None:
    path = zip_of(tmp_path / "bad.docx", {"word/document.xml": b"<w:document"})
    assert await code_of(path) == "file_malformed"


async def test_a_presentation_without_slides(tmp_path: Path) -> None:
    path = zip_of(tmp_path / "none.pptx", {"ppt/presentation.xml": b"<p/>"})
    assert await code_of(path) == "file_malformed"


async def test_an_archive_with_a_damaged_part(tmp_path: Path) -> None:
    path = docx_of(tmp_path / "bad.docx", "<w:p/>" * 500)
    content = bytearray(path.read_bytes())
    content[60:80] = b"\x00" * 20
    path.write_bytes(content)
    assert await code_of(path) == "file_malformed"


async def test_an_archive_that_is_encrypted(tmp_path: Path) -> None:
    path = docx_of(tmp_path / "locked.docx", "<w:p/>")
    content = path.read_bytes()
    for mark, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = content.index(mark) + place
        content = content[:at] + struct.pack("<H", 1) + content[at + 2 :]
    path.write_bytes(content)
    assert await code_of(path) == "file_encrypted"


async def test_an_office_file_with_a_password(tmp_path: Path) -> None:
    ole = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(1000) + "EncryptedPackage".encode("utf-16-le")
    (tmp_path / "secret.xlsx").write_bytes(ole)
    assert await code_of(tmp_path / "secret.xlsx") == "file_encrypted"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.7z", b"7z\xbc\xaf\x27\x1c" + bytes(50)),
        ("a.rar", b"Rar!\x1a\x07\x00" + bytes(50)),
        ("a.gz", b"\x1f\x8b\x08" + bytes(50)),
        ("tool", b"\x7fELF" + bytes(50)),
    ],
)
async def test_types_nobody_reads(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    assert await code_of(tmp_path / name) == "file_type_unsupported"


async def test_a_zip_bomb_by_ratio(tmp_path: Path) -> None:
    path = zip_of(tmp_path / "bomb.docx", {"word/document.xml": b" " * 40_000_000})
    assert path.stat().st_size < 100_000
    assert await code_of(path) == "file_too_complex"


async def test_a_zip_bomb_by_entries(tmp_path: Path) -> None:
    parts = {f"word/{n}.xml": b"" for n in range(10_001)} | {"word/document.xml": b"<w/>"}
    assert await code_of(zip_of(tmp_path / "many.docx", parts)) == "file_too_complex"


async def test_a_zip_bomb_that_declares_a_small_size(tmp_path: Path) -> None:
    path = tmp_path / "liar.docx"
    zip_of(path, {"word/document.xml": b"<a>" + b" " * 70_000_000})
    content = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        (entry,) = archive.infolist()
    size = struct.pack("<I", entry.file_size)
    while (at := content.find(size)) >= 0:
        content[at : at + 4] = struct.pack("<I", 1000)
    path.write_bytes(content)
    limits = ReadingLimits(archive_bytes=50 * 1024 * 1024)
    assert await code_of(path, limits) in {"file_malformed", "file_too_complex"}


async def test_an_entity_bomb_is_refused(tmp_path: Path) -> None:
    bomb = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10}">' for n in range(1, 12))
    document = f'<!DOCTYPE d [<!ENTITY e0 "lol">{bomb}]><document>&e11;</document>'
    path = zip_of(tmp_path / "bomb.docx", {"word/document.xml": document.encode()})
    assert await code_of(path) == "file_malformed"


async def test_an_entity_fetches_no_file(tmp_path: Path) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("canary")
    document = (
        f'<!DOCTYPE d [<!ENTITY f SYSTEM "file://{secret}">]>'
        f'<w:document xmlns:w="{W}"><w:body><w:p><w:r><w:t>before</w:t></w:r>'
        "<w:r><w:t>&f;</w:t></w:r><w:r><w:t>after</w:t></w:r></w:p></w:body></w:document>"
    )
    path = zip_of(tmp_path / "fetch.docx", {"word/document.xml": document.encode()})
    async with reading() as local:
        (page,) = await local.read(path)
    assert page.text == "beforeafter"


@pytest.mark.parametrize("cut", [40, 2000])
async def test_a_picture_that_ends_early(tmp_path: Path, cut: int) -> None:
    (tmp_path / "cut.png").write_bytes((EXAMPLES / "scanned-receipt.png").read_bytes()[:cut])
    assert await code_of(tmp_path / "cut.png") in {"file_truncated", "file_malformed"}


async def test_a_picture_with_too_many_pixels(tmp_path: Path) -> None:
    def chunk(kind: bytes, body: bytes) -> bytes:
        checksum = struct.pack(">I", zlib.crc32(kind + body))
        return struct.pack(">I", len(body)) + kind + body + checksum

    header = struct.pack(">IIBBBBB", 60_000, 60_000, 1, 0, 0, 0, 0)
    picture = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b""))
    (tmp_path / "huge.png").write_bytes(picture + chunk(b"IEND", b""))
    assert await code_of(tmp_path / "huge.png") == "file_too_complex"


async def test_a_refused_file_does_not_stop_the_next_one(tmp_path: Path) -> None:
    (tmp_path / "bad.pdf").write_bytes(b"%PDF-1.7\n%%EOF")
    (tmp_path / "good.pdf").write_bytes(pdf_of(plain_pages(1)))
    async with reading(size=1) as local:
        with pytest.raises(FileRefused):
            await local.read(tmp_path / "bad.pdf")
        (page,) = await local.read(tmp_path / "good.pdf")
    assert page.text == "page number 1"
