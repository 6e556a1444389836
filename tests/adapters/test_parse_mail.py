"""Mail through the real parsers: headers, the best body, attachments, and nothing raw."""

import struct
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
from tests.adapters.files import docx_of
from tests.adapters.parsing import EXAMPLES, reading

from foliotrace.adapters.local.files.filetype import EMAIL, HTML, MARKDOWN, TEXT, sniff
from foliotrace.adapters.local.readers.reading_options import ReadingOptions
from foliotrace.catalog import PageProblem
from foliotrace.errors import FileRefused
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


def storage(path: str, *held: tuple[str, bytes], inner: tuple[Any, ...] = (), skip: int = 8) -> Any:
    """What oxmsg makes of a folder of an Outlook file, which has no writer."""
    from oxmsg.storage import Storage, Stream

    entries = b"".join(
        struct.pack("<HHII", int(tag[4:], 16), int(tag[:4], 16), 6, len(value) + 2) + bytes(4)
        for tag, value in held
    )
    listed = Stream(f"{path}/__properties_version1.0", bytes(skip) + entries)
    streams = [Stream(f"{path}/__substg1.0_{tag}", value) for tag, value in held]
    return Storage(path, (listed, *streams), inner)


def test_an_outlook_mail_has_headers_body_and_the_mail_forwarded_in_it() -> None:
    from foliotrace.adapters.local.readers.mail.letter import pages_of_letter
    from foliotrace.adapters.local.readers.mail.outlook import letter_of

    def words(text: str) -> bytes:
        return text.encode("utf-16-le")

    older = storage(
        "a/__substg1.0_3701000D",
        ("0037001F", words("The older one")),
        ("1000001F", words("Rope first.")),
        skip=24,
    )
    forwarded = storage("__attach_version1.0_#00000000", inner=(older,))
    note = storage(
        "__attach_version1.0_#00000001",
        ("3707001F", words("note.txt")),
        ("37010102", b"Cable length 900 m"),
    )
    root = storage(
        "",
        ("0037001F", words("Winch")),
        ("0C1A001F", words("Ann")),
        ("0C1F001F", words("ann@example.org")),
        ("1000001F", words("It passed.")),
        inner=(forwarded, note),
        skip=32,
    )
    first, second, third = pages_of_letter(letter_of(root), ReadingOptions(), None)
    assert first.text.startswith("Winch\n\nFrom: Ann <ann@example.org>\nSubject: Winch\n")
    assert first.text.endswith("It passed.")
    assert "Subject: The older one" in second.text
    assert second.text.endswith("Rope first.")
    assert (third.label, third.text) == ("note.txt", "Cable length 900 m")


async def test_an_outlook_file_that_is_damaged_is_refused(tmp_path: Path) -> None:
    damaged = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600)
    damaged += "__properties_version1.0".encode("utf-16-le")
    with pytest.raises(FileRefused) as refused:
        await read(tmp_path, damaged, "a.msg")
    assert refused.value.error_code == "file_malformed"


async def test_a_plain_text_that_only_points_to_the_html_is_not_the_body(tmp_path: Path) -> None:
    message = EmailMessage()
    message["Subject"] = "Your order"
    message.set_content("Your mail program shows no HTML.")
    rows = "<tr><td>Rope</td><td>12.50</td></tr><tr><td>Chain</td><td>30.00</td></tr>"
    words = "Delivery on 4 March 2026 to the yard in Oakham by our own van."
    message.add_alternative(f"<p>{words}</p><table>{rows}</table>", subtype="html")
    (page,) = await read(tmp_path, message.as_bytes())
    assert words in page.text
    assert page.tables


async def test_raw_bytes_in_headers_and_in_latin_1_are_read(tmp_path: Path) -> None:
    content = (
        b"From: a@b.de\nSubject: Caf\xe9 bill\nContent-Type: text/plain; charset=iso-8859-1\n\n"
        b"The caf\xe9 owes \x80 45, \x93soon\x94.\n"
    )
    (page,) = await read(tmp_path, content)
    assert "Subject: Café bill" in page.text
    assert "The café owes € 45, \u201csoon\u201d." in page.text


async def test_a_signature_is_no_attachment(tmp_path: Path) -> None:
    message = mail("Signed")
    message.add_attachment(
        b"\x30\x82", maintype="application", subtype="pkcs7-signature", filename="smime.p7s"
    )
    (page,) = await read(tmp_path, message.as_bytes())
    assert "smime" not in page.text
