"""OpenDocument texts and electronic books through the real parsers."""

from pathlib import Path

import pytest
from tests.adapters.files import zip_of
from tests.adapters.parsing import reading

from foliotrace.errors import FileRefused
from foliotrace.model import BlockKind, ParsedPage

pytestmark = pytest.mark.anyio

ODT = b"application/vnd.oasis.opendocument.text"
NAMES = " ".join(
    f'xmlns:{name}="urn:oasis:names:tc:opendocument:xmlns:{name}:1.0"'
    for name in ("office", "text", "table", "manifest")
)
CONTAINER = (
    b'<container xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><rootfiles>'
    b'<rootfile full-path="book/a.opf"/></rootfiles></container>'
)
BOOK = (
    b'<package xmlns="http://www.idpf.org/2007/opf"><manifest>'
    b'<item id="two" href="2.xhtml"/><item id="one" href="the%20first.xhtml"/></manifest>'
    b'<spine><itemref idref="one"/><itemref idref="two"/></spine></package>'
)
CHAPTERS = {
    "book/the first.xhtml": b"<html><body><h1>One</h1><p>Ropes.</p></body></html>",
    "book/2.xhtml": b"<html><body><h1>Two</h1><p>Knots.</p></body></html>",
}


async def read(path: Path) -> list[ParsedPage]:
    async with reading(size=1) as at:
        return await at.read(path)


def odt_of(path: Path, body: str, manifest: str = "") -> Path:
    content = (
        f"<office:document-content {NAMES}><office:body><office:text>{body}"
        "</office:text></office:body></office:document-content>"
    )
    listed = f"<manifest:manifest {NAMES}>{manifest}</manifest:manifest>"
    parts = {"mimetype": ODT, "content.xml": content.encode()}
    return zip_of(path, {**parts, "META-INF/manifest.xml": listed.encode()})


async def test_an_odt_keeps_headings_lists_tables_and_notes(tmp_path: Path) -> None:
    cell = "<table:table-cell><text:p>{}</text:p></table:table-cell>".format
    (page,) = await read(
        odt_of(
            tmp_path / "a.odt",
            '<text:h text:outline-level="2">Fees</text:h>'
            "<text:p>Paid<text:s/>yearly<text:note><text:note-body><text:p>or monthly</text:p>"
            "</text:note-body></text:note>.</text:p>"
            "<text:list><text:list-item><text:p>launch</text:p></text:list-item></text:list>"
            f"<table:table><table:table-row>{cell('Fee')}{cell('EUR')}</table:table-row>"
            f"<table:table-row>{cell('Winch')}{cell('9.00')}</table:table-row></table:table>",
        )
    )
    assert page.text == ("Fees\n\nPaid yearly.\n\nor monthly\n\nlaunch\n\nFee\tEUR\nWinch\t9.00")
    kinds = [block.kind for block in page.blocks]
    assert kinds == [
        BlockKind.HEADING,
        BlockKind.TEXT,
        BlockKind.FOOTNOTE,
        BlockKind.LIST,
        BlockKind.TABLE,
    ]


async def test_a_text_box_of_an_odt_stands_apart_from_the_words_beside_it(tmp_path: Path) -> None:
    box = "<text:p>Moor<text:span><text:p>BOX</text:p></text:span>ing \u00adrope</text:p>"
    cells = f"<table:table-row><table:table-cell>{box}</table:table-cell></table:table-row>"
    (page,) = await read(odt_of(tmp_path / "a.odt", f"{box}<table:table>{cells}</table:table>"))
    assert page.text == "Moor BOXing rope\n\nMoor BOXing rope"


async def test_a_locked_odt_is_refused_as_encrypted(tmp_path: Path) -> None:
    entry = "<manifest:file-entry><manifest:encryption-data/></manifest:file-entry>"
    with pytest.raises(FileRefused) as refused:
        await read(odt_of(tmp_path / "a.odt", "", entry))
    assert refused.value.error_code == "file_encrypted"


async def test_a_book_is_read_in_the_order_of_its_spine(tmp_path: Path) -> None:
    parts = {"mimetype": b"application/epub+zip", "META-INF/container.xml": CONTAINER}
    path = zip_of(tmp_path / "a.epub", {**parts, "book/a.opf": BOOK, **CHAPTERS})
    (page,) = await read(path)
    assert page.text == "One\n\nRopes.\n\nTwo\n\nKnots."


async def test_a_book_whose_chapters_are_locked_is_refused_as_encrypted(tmp_path: Path) -> None:
    locked = b'<encryption><CipherReference URI="book/2.xhtml"/></encryption>'
    parts = {"mimetype": b"application/epub+zip", "META-INF/container.xml": CONTAINER}
    more = {"META-INF/encryption.xml": locked, "book/a.opf": BOOK}
    with pytest.raises(FileRefused) as refused:
        await read(zip_of(tmp_path / "a.epub", {**parts, **more, **CHAPTERS}))
    assert refused.value.error_code == "file_encrypted"
