"""What one file may cost is bounded, and looked at before the work is done."""

import struct
from pathlib import Path

import pytest
from tests.adapters.files import pdf_of, plain_pages, zip_of
from tests.adapters.parsing import RealClock, in_s, reading, source_of

from foliotrace.adapters.local.files.blobs import FolderBlobs
from foliotrace.adapters.local.files.filetype import sniff
from foliotrace.adapters.local.readers.parser import local_parsers
from foliotrace.adapters.local.readers.reading_options import ReadingLimits
from foliotrace.adapters.local.readers.worker_pool import WorkerPool
from foliotrace.errors import FileRefused
from foliotrace.parse import ParserChain

pytestmark = pytest.mark.anyio


async def test_a_small_file_that_states_many_pages_is_refused_before_they_are_read(
    tmp_path: Path,
) -> None:
    path = tmp_path / "liar.pdf"
    path.write_bytes(pdf_of(plain_pages(1)).replace(b"/Count 1", b"/Count 90000"))
    async with reading() as here:
        with pytest.raises(FileRefused) as refused:
            await here.order.inspect(source_of(path), deadline=in_s(60))
    assert refused.value.error_code == "file_malformed"
    assert "90000" in refused.value.message


async def test_a_file_with_more_pages_than_the_setting_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "long.pdf"
    path.write_bytes(pdf_of(plain_pages(5)))
    async with reading(reading_limits=ReadingLimits(pages=4)) as here:
        with pytest.raises(FileRefused) as refused:
            await here.order.inspect(source_of(path), deadline=in_s(60))
    assert refused.value.error_code == "file_too_complex"


async def test_a_file_that_has_used_its_cpu_time_is_read_no_further(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("some text")
    workers = WorkerPool(size=1)
    order = ParserChain(local_parsers(workers, RealClock(), max_cpu_s=10))
    try:
        source = source_of(path)
        await order.inspect(source, deadline=in_s(60))
        workers._fair_slots().charge(path.parent.parent, source.path, 11)
        with pytest.raises(FileRefused, match="more than 10 s of CPU") as refused:
            [page async for page in order.parse(source, pages=range(1, 2), deadline=in_s(60))]
        assert refused.value.error_code == "file_too_complex"
        await order.inspect(source, deadline=in_s(60))  # a new job has a new budget
        pages = order.parse(source, pages=range(1, 2), deadline=in_s(60))
        assert [page.text async for page in pages] == ["some text"]
    finally:
        await workers.close()


def bomb_of(path: Path, entries: int) -> Path:
    """An archive whose directory alone is large: no data, `entries` names."""
    name = b"word/document.xml"
    entry = struct.pack("<4s6H3I5H2I", b"PK\x01\x02", 20, 20, 0, 0, 0, 0, 0, 0, 0, len(name),
                        0, 0, 0, 0, 0, 0) + name  # fmt: skip
    local = struct.pack("<4s5H3I2H", b"PK\x03\x04", 20, 0, 0, 0, 0, 0, 0, 0, len(name), 0) + name
    end = struct.pack(
        "<4s4H2IH", b"PK\x05\x06", 0, 0, 0xFFFF, 0xFFFF, len(entry) * entries, len(local), 0
    )
    path.write_bytes(local + entry * entries + end)
    return path


async def test_the_directory_of_an_archive_is_read_outside_the_server(tmp_path: Path) -> None:
    read_here: list[Path] = []

    def here(path: Path, name: str) -> str:
        read_here.append(path)
        return sniff(path, name)

    content = bomb_of(tmp_path / "bomb.docx", 1_500_000).read_bytes()
    sniffers = WorkerPool(size=1, memory_bytes=300 * 1024 * 1024)
    blobs = FolderBlobs(tmp_path / "data", here, sniff_archive=sniffers.sniff)
    docx = zip_of(tmp_path / "good.docx", {"word/document.xml": b"<w/>"}).read_bytes()

    async def bytes_of(whole: bytes):  # type: ignore[no-untyped-def]
        yield whole

    try:
        with pytest.raises(FileRefused) as refused:
            await blobs.put("t", "bomb.docx", bytes_of(content), limit_bytes=1 << 30)
        good = await blobs.put("t", "good.docx", bytes_of(docx), limit_bytes=1 << 30)
        assert read_here == []
        await blobs.put("t", "a.txt", bytes_of(b"text"), limit_bytes=1 << 30)
        assert len(read_here) == 1
    finally:
        await sniffers.close()
    assert refused.value.error_code == "file_too_complex"
    assert good.media_type.endswith("wordprocessingml.document")
    assert not list((tmp_path / "data").rglob("*.partial"))
