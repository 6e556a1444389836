"""Files that once lost text without a word, or were refused for the wrong reason."""

import zipfile
from pathlib import Path

import pytest
from tests.adapters.parsing import reading
from tests.lazy_sdk import lazy_call

from foliotrace.adapters.local.files.filetype import sniff
from foliotrace.errors import FileRefused
from foliotrace.ingest.chunk import HEADER_CHARACTERS, chunk_pages
from foliotrace.model import ParsedPage

Workbook = lazy_call("openpyxl:Workbook")

pytestmark = pytest.mark.anyio


async def read(path: Path) -> list[ParsedPage]:
    async with reading(size=1) as local:
        return await local.read(path)


async def text_of(path: Path) -> str:
    return "\n".join(page.text for page in await read(path))


async def code_of(path: Path) -> str:
    with pytest.raises(FileRefused) as refused:
        await read(path)
    return refused.value.error_code


async def test_a_long_cell_is_kept_whole(tmp_path: Path) -> None:
    note = " ".join(f"word{n}" for n in range(3000))
    book = Workbook()
    book.active.append(["note", note])
    book.save(tmp_path / "notes.xlsx")
    (tmp_path / "notes.csv").write_text(f'key,note\n1,"{note}"\n')
    for name in ("notes.xlsx", "notes.csv"):
        assert "word2999" in await text_of(tmp_path / name)


async def test_a_field_too_long_for_a_table_is_refused_wherever_it_is(tmp_path: Path) -> None:
    field = "x y " * 300_000
    (tmp_path / "early.csv").write_text(f'a,b\n1,"{field}"\n')
    (tmp_path / "late.csv").write_text("a,b\n" + "1,2\n" * 100 + f'1,"{field}"\n')
    for name in ("early.csv", "late.csv"):
        assert await code_of(tmp_path / name) == "file_too_complex"


@pytest.mark.parametrize("mark", ["\x0b", "\x1c", "\x85", "\u2028", "\u2029"])
async def test_only_line_ends_end_a_row(tmp_path: Path, mark: str) -> None:
    (tmp_path / "a.csv").write_text(
        f"name of the place,where it is\nHut{mark}on the hill of roses,in the canton of Bern\n",
        "utf-8",
    )
    (page,) = await read(tmp_path / "a.csv")
    assert [len(row.cells) for table in page.tables for row in table.rows] == [2, 2]


async def test_a_long_line_of_html_is_read(tmp_path: Path) -> None:
    lines = "a line of the log\n" * 700_000
    (tmp_path / "log.html").write_text(
        f"<html><body><pre>{lines}</pre><p>The end.</p></body></html>"
    )
    async with reading(size=1) as local:
        pages = await local.read(tmp_path / "log.html")
    assert pages[-1].text.endswith("The end.")


async def test_html_nested_too_deeply_is_refused_and_not_blank(tmp_path: Path) -> None:
    deep = "<div>" * 20_000 + "words" + "</div>" * 20_000
    (tmp_path / "deep.html").write_text(f"<html><body>{deep}</body></html>")
    assert await code_of(tmp_path / "deep.html") == "file_too_complex"


@pytest.mark.parametrize("span", ["²", "9" * 5000, "-1", ""])
async def test_a_span_that_is_no_number_counts_as_one(tmp_path: Path, span: str) -> None:
    rows = f"<tr><td colspan='{span}'>Rent</td><td>900</td></tr><tr><td>Heat</td><td>80</td></tr>"
    (tmp_path / "a.html").write_text(f"<html><body><table>{rows}</table></body></html>", "utf-8")
    assert "Rent\t900" in await text_of(tmp_path / "a.html")


@pytest.mark.parametrize("number", ["²", "9" * 5000, "x"])
async def test_a_workbook_whose_numbers_are_none_is_read(tmp_path: Path, number: str) -> None:
    book = Workbook()
    book.active.append(["key", "value"])
    book.save(tmp_path / "plain.xlsx")
    with (
        zipfile.ZipFile(tmp_path / "plain.xlsx") as plain,
        zipfile.ZipFile(tmp_path / "odd.xlsx", "w") as odd,
    ):
        for part in plain.namelist():
            content = plain.read(part)
            if part.endswith("sheet1.xml"):
                content = content.replace(b'r="1"', f'r="{number}"'.encode())
            odd.writestr(part, content)
    assert "key\tvalue" in await text_of(tmp_path / "odd.xlsx")


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("The refund costs £10 for each order. Please keep the receipt and the box.", "cp1252"),
        ("Zürich grüßt", "cp1252"),
        ("Le café de Zürich coûte dix francs à midi, déjà vu.", "cp1252"),
        ("A informação não está disponível até amanhã de manhã.", "cp1252"),
        ("Återbetalning inom trettio dagar för köp över hundra kronor är möjlig.", "cp1252"),
        ("La devolución se hará en treinta días. El niño irá a España con Muñoz.", "cp1252"),
        ("Zażółć gęślą jaźń. Zwrot w ciągu trzydziestu dni jest możliwy.", "cp1250"),
        ("Příliš žluťoučký kůň úpěl ďábelské ódy. Vrácení peněz do třiceti dnů.", "cp1250"),
        ("Restituirea banilor se face în treizeci de zile, dacă aţi păstrat bonul şi", "cp1250"),
        ("Возврат денег в течение тридцати дней.", "cp1251"),
        ("İade süresi otuz gündür. Şirket ağırlığı göz önünde bulundurur.", "cp1254"),  # noqa: RUF001 - Turkish
    ],
)
async def test_old_code_pages_keep_their_letters(tmp_path: Path, text: str, encoding: str) -> None:
    (tmp_path / "old.txt").write_bytes(text.encode(encoding))
    assert await text_of(tmp_path / "old.txt") == text


@pytest.mark.parametrize(
    "text", ["MZ Holdings pays a dividend.", "PK Foods\nreport", "A PDF begins with %PDF-1.7."]
)
async def test_a_text_is_no_program_archive_or_pdf_for_its_first_words(
    tmp_path: Path, text: str
) -> None:
    (tmp_path / "a.txt").write_text(text)
    assert sniff(tmp_path / "a.txt") == "text/plain"
    assert await text_of(tmp_path / "a.txt") == text


async def test_a_header_of_many_columns_is_not_repeated_whole_with_every_chunk(
    tmp_path: Path,
) -> None:
    head = ",".join(f"column{n}" for n in range(3000))
    row = ",".join(str(n) for n in range(3000))
    (tmp_path / "wide.csv").write_text(f"{head}\n{row}\n")
    chunks = chunk_pages(
        await read(tmp_path / "wide.csv"), document_id="d", revision="r", first_ordinal=0
    )
    assert any("column0" in chunk.context for chunk in chunks)
    assert max(len(chunk.context) for chunk in chunks) == HEADER_CHARACTERS


async def test_a_pdf_that_claims_countless_pages_is_refused_at_once(tmp_path: Path) -> None:
    objects = (
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids[3 0 R]/Count 1000000>>",
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 612 792]>>",
    )
    content, places = b"%PDF-1.4\n", []
    for number, body in enumerate(objects, 1):
        places.append(len(content))
        content += b"%d 0 obj%b\nendobj\n" % (number, body)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    (tmp_path / "many.pdf").write_bytes(
        content
        + b"xref\n0 4\n0000000000 65535 f \n"
        + table
        + b"trailer<</Size 4/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF" % len(content)
    )
    assert await code_of(tmp_path / "many.pdf") == "file_too_complex"
