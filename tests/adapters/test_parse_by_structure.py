"""XML, JSON, RTF, archives and old Office files through the real parsers."""

import io
import json
import zipfile
from pathlib import Path

import pytest
from tests.adapters.files import docx_of, pdf_of, plain_pages, zip_of
from tests.adapters.parsing import reading

from foliotrace.adapters.local.files.filetype import HTML, JSON, RTF, TEXT, XML, ZIP, sniff
from foliotrace.adapters.local.readers.reading_options import (
    ReadingLimits,
    ReadingOptions,
    Refusal,
)
from foliotrace.catalog import PageProblem
from foliotrace.errors import FileRefused
from foliotrace.model import BlockKind, PageStatus, ParsedPage

pytestmark = pytest.mark.anyio


async def read(path: Path, content: bytes | None = None, **limits: int) -> list[ParsedPage]:
    if content is not None:
        path.write_bytes(content)
    async with reading(size=1, reading_limits=ReadingLimits(**limits)) as at:
        return await at.read(path)


def zipped(**members: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return out.getvalue()


# --- XML and JSON --------------------------------------------------------------------------------


async def test_records_of_an_xml_file_are_the_rows_of_a_table(tmp_path: Path) -> None:
    content = (
        b"<?xml version='1.0'?><fleet owner='Harbour Club'><boat id='7'><name>Ant</name>"
        b"<length>4.2</length></boat><boat id='9'><name>Bee</name></boat></fleet>"
    )
    (page,) = await read(tmp_path / "fleet.xml", content)
    assert page.text.startswith("fleet\n\nowner: Harbour Club\n\nboat\n\n")
    assert page.text.endswith("id\tname\tlength\n7\tAnt\t4.2\n9\tBee")
    assert [row.is_header for row in page.tables[0].rows] == [True, False, False]
    assert [cell.column for cell in page.tables[0].rows[2].cells] == [0, 1]


async def test_an_attribute_of_a_value_stands_behind_it(tmp_path: Path) -> None:
    content = b"<fees><fee><price currency='EUR'>9.00</price><for>winch</for></fee></fees>"
    (page,) = await read(tmp_path / "fees.xml", content)
    assert page.text == "fees\n\nfee\n\nprice: 9.00 (currency: EUR)\nfor: winch"


async def test_prose_of_an_xml_file_keeps_its_sentences_and_sections(tmp_path: Path) -> None:
    content = b"<book><chapter><title>Knots</title><p>Tie it <b>twice</b>.</p></chapter></book>"
    (page,) = await read(tmp_path / "book.xml", content)
    assert "Tie it twice." in page.text
    assert "title: Knots" in page.text
    assert [block.kind for block in page.blocks][:2] == [BlockKind.HEADING, BlockKind.HEADING]


async def test_html_inside_an_xml_feed_is_read_as_text(tmp_path: Path) -> None:
    content = (
        b"<rss><channel><item><description>&lt;p&gt;Ferry &lt;b&gt;late&lt;/b&gt;&lt;/p&gt;"
        b"</description></item></channel></rss>"
    )
    (page,) = await read(tmp_path / "feed.xml", content)
    assert "Ferry late" in page.text
    assert "<" not in page.text


@pytest.mark.parametrize(
    ("content", "code"),
    [(b"<?xml version='1.0'?><a><b>1</b>", "file_truncated"), (b"<a><b></a>", "file_malformed")],
)
async def test_xml_that_is_not_well_formed_is_refused(
    tmp_path: Path, content: bytes, code: str
) -> None:
    with pytest.raises(FileRefused) as refused:
        await read(tmp_path / "a.xml", content)
    assert refused.value.error_code == code


async def test_a_json_file_is_read_as_fields_lists_and_tables(tmp_path: Path) -> None:
    value = {
        "club": "Harbour",
        "open": True,
        "tags": ["sail", "row"],
        "boats": [{"name": "Ant", "length": 4.2}, {"name": "Bee", "length": None}],
        "address": {"city": "Kiel"},
    }
    (page,) = await read(tmp_path / "club.json", json.dumps(value).encode())
    assert page.text.startswith("club: Harbour\nopen: true")
    assert "name\tlength\nAnt\t4.2\nBee" in page.text
    assert "address\n\ncity: Kiel" in page.text
    assert BlockKind.LIST in {block.kind for block in page.blocks}


async def test_lines_of_json_are_records(tmp_path: Path) -> None:
    (page,) = await read(tmp_path / "log.jsonl", b'{"at": 1, "ok": true}\n{"at": 2, "ok": false}\n')
    assert page.text == "at\tok\n1\ttrue\n2\tfalse"


async def test_json_with_comments_is_still_read(tmp_path: Path) -> None:
    (page,) = await read(tmp_path / "a.json", b'{\n  // why\n  "a": 1\n}')
    assert '"a": 1' in page.text


@pytest.mark.parametrize(
    ("name", "content", "media_type"),
    [
        ("a.xml", "<a/>", XML),
        ("a", "<?xml version='1.0'?><a/>", XML),
        ("a.txt", "<?xml version='1.0'?><a/>", TEXT),
        ("a.json", '{"a": 1}', JSON),
        ("a", '[{"a": 1}]', JSON),
        ("a.txt", '{"a": 1}', TEXT),
        ("a.json", "see the other file", TEXT),
        ("a.rtf", "{\\rtf1 x}", RTF),
        ("a.fb2", "<?xml version='1.0'?><FictionBook><body><p>x</p></body></FictionBook>", XML),
        ("a.xhtml", "<?xml version='1.0'?><?x y?><html><body>x</body></html>", HTML),
        ("a.ipynb", '{"cells": []}', JSON),
    ],
)
def test_structured_text_is_known_by_content_and_name(
    tmp_path: Path, name: str, content: str, media_type: str
) -> None:
    path = tmp_path / name
    path.write_text(content)
    assert sniff(path, name) == media_type


# --- RTF -----------------------------------------------------------------------------------------


async def test_rtf_is_read_with_its_letters_and_table_rows(tmp_path: Path) -> None:
    content = (
        rb"{\rtf1\ansi\ansicpg1252{\fonttbl{\f0 Arial;}}{\*\generator x;}Pr\'fcfung der Winde\par"
        rb"\trowd Fee\cell EUR\cell\row\trowd Winch\cell 9.00\cell\row Done \u8364?5\par}"
    )
    (page,) = await read(tmp_path / "a.rtf", content)
    assert page.text == "Prüfung der Winde\n\nFee\tEUR\nWinch\t9.00\n\nDone €5"


async def test_rtf_keeps_paragraphs_of_a_cell_in_their_row(tmp_path: Path) -> None:
    """As pandoc and Word write cells: a paragraph, or several, inside each."""
    row = rb"{\trowd\cellx1\cellx2{{\pard\intbl %s\par}\cell}{{\pard\intbl %s\par}\cell}\row}"
    rows = row % (b"Part", b"Price") + row % (rb"Rope\par of hemp", b"12.50")
    (page,) = await read(tmp_path / "a.rtf", rb"{\rtf1\ansi " + rows + rb"\pard After.\par}")
    (table,) = page.tables
    cells = [[page.text[c.start : c.end] for c in r.cells] for r in table.rows]
    assert cells == [["Part", "Price"], ["Rope of hemp", "12.50"]]
    assert page.text.endswith("After.")


async def test_rtf_marks_headings_notes_and_margins_and_drops_deleted_text(tmp_path: Path) -> None:
    content = (
        rb"{\rtf1\ansi{\stylesheet{\s1\sb480 heading 1;}}{\header Yard of Oakham\par}"
        rb"{\pard\s1 Rules\par}{\pard It lifts {\deleted 90}40 t.{\*\footnote Tested.}\par}"
        rb"{\shp{\*\shpinst{\shptxt{\pard In a box\par}}}}{\*\annotation Check}{\footer Page x}}"
    )
    (page,) = await read(tmp_path / "a.rtf", content)
    assert [(b.kind.value, page.text[b.start : b.end]) for b in page.blocks] == [
        ("header", "Yard of Oakham"),
        ("heading", "Rules"),
        ("text", "It lifts 40 t."),
        ("footnote", "Tested."),
        ("text", "In a box"),
        ("footnote", "Check"),
        ("footer", "Page x"),
    ]


async def test_rtf_that_ends_early_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileRefused) as refused:
        await read(tmp_path / "a.rtf", rb"{\rtf1\ansi Some {\b words")
    assert refused.value.error_code == "file_truncated"


# --- archives ------------------------------------------------------------------------------------


async def test_members_of_an_archive_are_pages_named_after_them(tmp_path: Path) -> None:
    office = docx_of(tmp_path / "n.docx", "<w:p><w:r><w:t>Cable 900 m</w:t></w:r></w:p>")
    path = zip_of(
        tmp_path / "a.zip",
        {
            "files/": b"",
            "files/note.docx": office.read_bytes(),
            "files/two.pdf": pdf_of(plain_pages(2)),
            "__MACOSX/._note.docx": b"junk",
            "tool.bin": b"\x7fELF" + bytes(99),
        },
    )
    assert sniff(path) == ZIP
    pages = await read(path)
    assert [(page.number, page.label) for page in pages] == [
        (1, "files/note.docx"),
        (2, "files/two.pdf > page 1"),
        (3, "files/two.pdf > page 2"),
        (4, "tool.bin"),
    ]
    assert pages[0].text == "Cable 900 m"
    assert pages[3].status is PageStatus.FAILED
    assert pages[3].problem == PageProblem.ATTACHMENT_NOT_READ


async def test_archives_in_archives_are_read_three_deep(tmp_path: Path) -> None:
    content = zipped(**{"deepest.txt": b"too deep"})
    for depth in (3, 2, 1):
        content = zipped(**{f"{depth}.zip": content, f"{depth}.txt": b"level %d" % depth})
    pages = await read(tmp_path / "a.zip", content)
    assert [page.text for page in pages if page.text] == ["level 3", "level 2", "level 1"]
    assert [page.problem for page in pages if not page.text] == [PageProblem.NESTED_TOO_DEEP]


async def test_paths_of_members_are_names_and_never_places(tmp_path: Path) -> None:
    path = zip_of(tmp_path / "a.zip", {"../../etc/one.txt": b"one", "C:\\x\\two.txt": b"two"})
    pages = await read(path)
    assert [page.label for page in pages] == ["etc/one.txt", "x/two.txt"]
    assert not (tmp_path.parent.parent / "etc").exists()


@pytest.mark.filterwarnings("ignore:Duplicate name")
async def test_two_members_of_one_name_are_both_read(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("a.txt", "first")
        archive.writestr("a.txt", "second")
    pages = await read(tmp_path / "a.zip")
    found = [(page.label, page.text) for page in pages]
    assert found == [("a.txt", "first"), ("a.txt (2)", "second")]


async def test_nested_archives_share_one_limit_of_unpacked_bytes(tmp_path: Path) -> None:
    half = zipped(**{"zeros.txt": b"0 " * 300_000})
    with pytest.raises(FileRefused) as refused:
        await read(
            tmp_path / "a.zip", zipped(**{"1.zip": half, "2.zip": half}), archive_bytes=1_000_000
        )
    assert refused.value.error_code == "file_too_complex"


async def test_a_member_whose_name_is_damaged_is_reported_and_the_rest_is_read(
    tmp_path: Path,
) -> None:
    content = zipped(**{"a\u00e9.txt": b"first", "b.txt": b"second"})
    damaged = content.replace("\u00e9".encode(), b"\xff\xfe", 1)  # in front of the member
    pages = await read(tmp_path / "a.zip", damaged)
    assert [page.text for page in pages] == ["", "second"]
    assert pages[0].problem == PageProblem.ATTACHMENT_NOT_READ


async def test_an_archive_without_files_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileRefused) as refused:
        await read(tmp_path / "a.zip", zipped(**{"empty/": b""}))
    assert refused.value.error_code == "file_empty"


# --- old Office ----------------------------------------------------------------------------------

OLD_WORD = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600) + "WordDocument".encode("utf-16-le")


def old_word(
    folder: Path, monkeypatch: pytest.MonkeyPatch, program: str | None
) -> list[ParsedPage]:
    """The pages of an old file, read in this process: a parser process has no PATH of ours."""
    from foliotrace.adapters.local.readers.office import old

    monkeypatch.setattr(old, "PLACES", str(folder / "bin"))
    (folder / "bin").mkdir()
    if program is not None:
        (folder / "bin/soffice").write_text(program)
        (folder / "bin/soffice").chmod(0o755)
    (folder / "a.doc").write_bytes(OLD_WORD)
    return list(old.stream(folder / "a.doc", ReadingOptions()))


def test_an_old_word_file_names_the_converter_that_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(Refusal) as refused:
        old_word(tmp_path, monkeypatch, None)
    assert refused.value.error_code == "needs_converter"
    assert "soffice" in refused.value.message


def test_an_old_word_file_is_read_by_way_of_the_converter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = docx_of(tmp_path / "made.docx", "<w:p><w:r><w:t>Old words</w:t></w:r></w:p>")
    program = (
        '#!/bin/sh\nwhile [ $# -gt 1 ]; do [ "$1" = --outdir ] && out=$2; shift; done\n'
        f'cp "{made}" "$out/document.docx"\n'
    )
    (page,) = old_word(tmp_path, monkeypatch, program)
    assert page.text == "Old words"


def test_a_converter_that_fails_refuses_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(Refusal) as refused:
        old_word(tmp_path, monkeypatch, "#!/bin/sh\nexit 1\n")
    assert refused.value.error_code == "file_malformed"
