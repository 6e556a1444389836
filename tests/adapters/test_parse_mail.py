"""Mail through the real parsers: headers, the best body, attachments, and nothing raw."""

from email.message import EmailMessage
from pathlib import Path

import pytest
from tests.adapters.files import docx_of
from tests.adapters.parsing import EXAMPLES, reading

from foliotrace.adapters.local.files.filetype import EMAIL, HTML, MARKDOWN, TEXT, sniff
from foliotrace.catalog import PageProblem
from foliotrace.model import PageStatus, ParsedPage

pytestmark = pytest.mark.anyio

PDF = next(EXAMPLES.glob("*.pdf"))


def mail(subject: str = "Prüfung der Winde") -> EmailMessage:
    message = EmailMessage()
    message["From"] = "Ann Müller <ann@example.org>"
    message["To"] = "office@example.org"
    message["Subject"] = subject
    message["Date"] = "Mon, 02 Mar 2026 10:00:00 +0100"
    message.set_content("The winch passed.\n\nThe rope needs changing.\n", cte="base64")
    return message


async def read(folder: Path, content: bytes, name: str = "mail.eml") -> list[ParsedPage]:
    path = folder / name
    path.write_bytes(content)
    async with reading(size=1) as at:
        return await at.read(path)


async def test_headers_are_decoded_and_stand_before_the_body(tmp_path: Path) -> None:
    (page,) = await read(tmp_path, mail().as_bytes())
    assert page.text == (
        "Prüfung der Winde\n\n"
        "From: Ann Müller <ann@example.org>\nTo: office@example.org\n"
        "Subject: Prüfung der Winde\nDate: Mon, 02 Mar 2026 10:00:00 +0100\n\n"
        "The winch passed.\n\nThe rope needs changing."
    )


async def test_of_two_alternatives_the_plain_text_is_read_once(tmp_path: Path) -> None:
    message = mail()
    message.add_alternative("<p>The winch <b>passed</b>.</p>", subtype="html")
    (page,) = await read(tmp_path, message.as_bytes())
    assert page.text.count("winch") == 1
    assert "<p>" not in page.text


async def test_a_mail_in_html_alone_is_read_as_html(tmp_path: Path) -> None:
    message = mail()
    message.set_content("<h1>Report</h1><p>All <b>well</b>.</p>", subtype="html")
    (page,) = await read(tmp_path, message.as_bytes())
    assert page.text.endswith("Report\n\nAll well.")


async def test_the_words_of_attachments_are_found_on_pages_named_after_them(tmp_path: Path) -> None:
    message = mail()
    office = docx_of(tmp_path / "note.docx", "<w:p><w:r><w:t>Cable length 900 m</w:t></w:r></w:p>")
    message.add_attachment(
        office.read_bytes(), maintype="application", subtype="octet-stream", filename="note.docx"
    )
    message.add_attachment(
        PDF.read_bytes(), maintype="application", subtype="pdf", filename="report.pdf"
    )
    first, *rest = await read(tmp_path, message.as_bytes())
    assert "Attachment: note.docx\nAttachment: report.pdf" in first.text
    assert rest[0].label == "note.docx"
    assert rest[0].text == "Cable length 900 m"
    assert rest[1].label == "report.pdf > page 1"
    assert len(rest[1].text) > 100
    assert [page.number for page in (first, *rest)] == list(range(1, len(rest) + 2))


async def test_an_attachment_that_cannot_be_read_is_a_page_that_says_so(tmp_path: Path) -> None:
    message = mail()
    message.add_attachment(b"\x7fELF" + bytes(99), maintype="x", subtype="y", filename="tool.bin")
    first, unread = await read(tmp_path, message.as_bytes())
    assert "Attachment: tool.bin" in first.text
    assert unread.label == "tool.bin"
    assert unread.status is PageStatus.FAILED
    assert unread.problem == PageProblem.ATTACHMENT_NOT_READ


async def test_a_forwarded_mail_is_read_with_its_own_headers(tmp_path: Path) -> None:
    message = mail("Fwd: winch")
    message.add_attachment(mail("The older one"))
    pages = await read(tmp_path, message.as_bytes())
    assert "Subject: The older one" in pages[1].text


@pytest.mark.parametrize(
    ("name", "content", "media_type"),
    [
        ("a.eml", "Subject: hello\n\n<html><body>x</body></html>", EMAIL),
        ("a.txt", "Received: by x\nFrom: a@b.de\nSubject: hello\n\nBody", EMAIL),
        ("a.txt", "From: Ann\nTo: Ben\nSubject: hello\nDate: today\n\nDear Ben", TEXT),
        ("a.md", "# Page\n\n```html\n<!DOCTYPE html>\n<html>\n```\n", MARKDOWN),
        ("a.md", "<p align=center>logo</p>\n\n# Title\n", MARKDOWN),
        ("a.txt", "We write <div > for a block.", TEXT),
        ("a.txt", "<!DOCTYPE html><html><body>x</body></html>", HTML),
        ("a", "<div >x</div>", HTML),
    ],
)
def test_the_type_follows_from_content_and_name(
    tmp_path: Path, name: str, content: str, media_type: str
) -> None:
    path = tmp_path / name
    path.write_text(content)
    assert sniff(path, name) == media_type


ENCODED = "TWFuIGlzIGRpc3Rpbmd1aXNoZWQsIG5vdCBvbmx5IGJ5IGhpcyByZWFzb24sIGJ1dCBieSB0\n" * 20
HASHES = "--hash=sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08\n" * 20


@pytest.mark.parametrize(
    "text", [ENCODED, "A" * 76 + "\n" + ("A" * 76 + "\n") * 20, "<row><cell/></row>\n" * 40]
)
async def test_markup_and_base64_are_failed_pages_and_never_text(tmp_path: Path, text: str) -> None:
    (page,) = await read(tmp_path, text.encode(), "data.txt")
    assert (page.text, page.status) == ("", PageStatus.FAILED)
    assert page.problem == PageProblem.MARKUP_NOT_TEXT


@pytest.mark.parametrize("text", [HASHES, "=" * 400, "src/foliotrace/adapters/local/" * 20])
async def test_hashes_rulers_and_paths_are_text(tmp_path: Path, text: str) -> None:
    (page,) = await read(tmp_path, text.encode(), "data.txt")
    assert page.status is PageStatus.OK


async def test_what_stands_behind_the_end_of_the_html_is_read_too(tmp_path: Path) -> None:
    content = b"<html><body><p>inside</p></body></html><p>behind</p>and more"
    (page,) = await read(tmp_path, content, "page.html")
    assert page.text == "inside\n\nbehind\n\nand more"
