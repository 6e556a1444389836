"""The media type of a file by its content; its name only tells formats of text apart."""

import re
import zipfile
import zlib
from pathlib import Path, PurePath

from foliotrace.adapters.local.readers.text.charset import encoding_of

PDF = "application/pdf"
DOCX = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
PPTX = "application/vnd.openxmlformats-officedocument.presentationml.presentation"
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
CSV, HTML, MARKDOWN, TEXT = "text/csv", "text/html", "text/markdown", "text/plain"
XML, JSON, RTF = "application/xml", "application/json", "application/rtf"
PNG, JPEG, TIFF = "image/png", "image/jpeg", "image/tiff"
BMP, GIF, WEBP, HEIC = "image/bmp", "image/gif", "image/webp", "image/heic"
EMAIL = "message/rfc822"
ODT = "application/vnd.oasis.opendocument.text"
ODS = "application/vnd.oasis.opendocument.spreadsheet"
ODP = "application/vnd.oasis.opendocument.presentation"
ZIP = "application/zip"
DOC, PPT = "application/msword", "application/vnd.ms-powerpoint"
XLS = "application/vnd.ms-excel"
EPUB = "application/epub+zip"
EMPTY = "application/x-empty"
BINARY = "application/octet-stream"
OLE = "application/x-ole-storage"
ENCRYPTED_OFFICE = "application/x-encrypted-office"
OUTLOOK = "application/vnd.ms-outlook"

_MAIL_HEAD = 16 * 1024  # characters
_HEAD_BYTES = 64 * 1024
_PDF = b"%PDF-"
_PDF_OBJECT = re.compile(rb"\d \d+ obj\b")
_ZIP = (b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08")
_MAGIC = (  # two letters may also begin a text: such a file must contain a NUL as well
    (b"\x89PNG\r\n\x1a\n", PNG),
    (b"\xff\xd8\xff", JPEG),
    (b"II*\x00", TIFF),
    (b"MM\x00*", TIFF),
    (b"BM", BMP),
    (b"GIF8", GIF),
    (b"{\\rtf", RTF),
    (b"\x1f\x8b", "application/gzip"),
    (b"7z\xbc\xaf\x27\x1c", "application/x-7z-compressed"),
    (b"Rar!", "application/vnd.rar"),
    (b"\x7fELF", "application/x-executable"),
    (b"MZ", "application/x-msdownload"),
    (b"SQLite format 3\x00", "application/vnd.sqlite3"),
)
_HEIC_BRANDS = (b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1", b"msf1")
_ZIP_PARTS = (
    ("word/document.xml", DOCX),
    ("ppt/presentation.xml", PPTX),
    ("xl/workbook.xml", XLSX),
)
_HEADER = re.compile(r"([A-Za-z][A-Za-z0-9-]{1,40}):(?: |\t|$|(?=\S))")
_MAIL_HEADERS = frozenset((
    "received", "return-path", "message-id", "mime-version", "delivered-to", "dkim-signature",
    "from", "to", "subject", "date",
))  # fmt: skip
_MAIL_LETTERS = frozenset(("from", "to", "subject", "date"))  # a typed letter has them too
_WHOLE_HTML = re.compile(
    r"\s*(?:<\?xml[^>]*>\s*)?(?:<!--(?:(?!-->).)*-->\s*)*<(?:!doctype\s+html|html)[\s>]",
    re.I | re.S,
)
_HTML_ROOT = re.compile(r"<(?:!doctype\s+html|html)[\s>]", re.I)
_HTML = re.compile(r"<(?:!doctype\s+html|html|head|body|table|div|p|article|h1)[\s>]", re.I)
_MARKDOWN = re.compile(r"^(?:#{1,6} \S|```|[-*] \[[ x]\] |\|.*\|\s*\n\|[ :|-]+\|)", re.M)


def sniff(path: Path, name: str = "") -> str:
    """The media type of the file at `path`; `name` tells CSV and Markdown from plain text.

    Never raises for its content: an unreadable file gets a type that no parser accepts.
    """
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    if not head:
        return EMPTY
    if head.startswith(_PDF) or (_PDF in head[:1024] and _PDF_OBJECT.search(head)):
        return PDF
    if head.startswith(_ZIP):
        return _zip_type(path)
    if head.startswith(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"):
        return _ole_type(path)
    if head[4:8] == b"ftyp" and head[8:12] in _HEIC_BRANDS:
        return HEIC
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return WEBP
    for magic, media_type in _MAGIC:
        if head.startswith(magic) and (len(magic) > 2 or b"\x00" in head):
            return media_type
    return _text_type(head, PurePath(name or path.name).suffix.lower())


def own_type(suffix: str) -> str:
    """The media type of files that a reader of the user's own takes by this ending of the name."""
    return f"application/x-reader{suffix.lower()}"


def is_archive(path: Path) -> bool:
    """Whether `sniff` would have to open the file as an archive."""
    with path.open("rb") as file:
        return file.read(4).startswith(_ZIP)


def _zip_type(path: Path) -> str:
    """An Office type by the parts of the archive; of a damaged one, by the names still in it."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = set(archive.namelist())
            if (declared := _declared_type(archive, names)) is not None:
                return declared
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES)
        names = {part for part, _ in _ZIP_PARTS if part.encode() in head}
    for part, media_type in _ZIP_PARTS:
        if part in names:
            return media_type
    return ZIP


def _declared_type(archive: zipfile.ZipFile, names: set[str]) -> str | None:
    """The type that OpenDocument files and books write into their part `mimetype`."""
    if "mimetype" not in names:
        return None
    try:
        with archive.open("mimetype") as part:
            declared = part.read(100).decode("ascii", errors="replace").strip()
    except (RuntimeError, zlib.error, EOFError):
        return None
    return declared if re.fullmatch(r"application/[a-z0-9.+-]+", declared) else None


_OLE_HEAD_BYTES = 4 * 1024 * 1024
_OLE_STREAMS = (
    ("EncryptedPackage", ENCRYPTED_OFFICE),
    ("__properties_version1.0", OUTLOOK),
    ("WordDocument", DOC),
    ("PowerPoint Document", PPT),
    ("Workbook", XLS),
    ("Book", XLS),
)


def _ole_type(path: Path) -> str:
    """The type of an old Office container, by the stream names in it (UTF-16)."""
    with path.open("rb") as file:
        content = file.read(_OLE_HEAD_BYTES)
    for stream, media_type in _OLE_STREAMS:
        if stream.encode("utf-16-le") in content:
            return media_type
    return _ole_type_by_directory(path) if len(content) == _OLE_HEAD_BYTES else OLE


def _ole_type_by_directory(path: Path) -> str:
    """The type of a large container, whose directory can stand at its end."""
    import olefile

    try:
        with olefile.OleFileIO(path) as container:
            streams = {entry[-1] for entry in container.listdir()}
    except (OSError, ValueError, LookupError, AssertionError, TypeError, OverflowError):
        return OLE
    return next((kind for stream, kind in _OLE_STREAMS if stream in streams), OLE)


def _text_type(head: bytes, suffix: str) -> str:
    text = head.decode(encoding_of(head), errors="replace")
    undecodable = sum(1 for c in text if c == "\ufffd" or (c < " " and c not in "\t\n\r\f\x1b"))
    if undecodable > 0.02 * len(text):
        return BINARY
    if suffix in _MARKDOWN_SUFFIXES:
        return MARKDOWN
    if _is_mail(text, suffix):
        return EMAIL
    if _WHOLE_HTML.match(text):
        return HTML
    if _XML_ROOT.match(text.lstrip("\ufeff")) and suffix not in _PLAIN_SUFFIXES:
        return HTML if _HTML_ROOT.search(text[:4096]) else XML
    if suffix not in _TEXT_SUFFIXES and _HTML.search(text[:4096]):
        return HTML
    if suffix not in _PLAIN_SUFFIXES and (kind := _structured(text, suffix)):
        return kind
    if suffix in {".csv", ".tsv"} or (suffix not in _TEXT_SUFFIXES and _looks_delimited(text)):
        return CSV
    if suffix == "" and _MARKDOWN.search(text):
        return MARKDOWN
    return TEXT


_MARKDOWN_SUFFIXES = frozenset({".md", ".markdown"})
_PLAIN_SUFFIXES = frozenset({".txt", ".log", ".rst", ".csv", ".tsv"})
_TEXT_SUFFIXES = frozenset(
    {".txt", ".log", ".rst", ".json", ".jsonl", ".ndjson", ".geojson", ".xml"}
)
_XML = re.compile(r"\s*<(?:\?xml\s|!DOCTYPE\s|!--|[A-Za-z_])", re.I)
_XML_ROOT = re.compile(r"\s*<\?xml\s", re.I)
_JSON = re.compile(r'\s*(?:\{\s*(?:"|\}|//|/\*)|\[\s*(?:[\[{"\]\d-]|true|false|null))')
_JSON_NAMED = re.compile(r"\s*[\[{]")


def _structured(text: str, suffix: str) -> str | None:
    """XML or JSON, if the content begins so; by its name, the beginning may be looser."""
    bare = text.lstrip("\ufeff")
    if _XML_ROOT.match(bare) or (suffix in _XML_SUFFIXES and _XML.match(bare)):
        return XML
    if suffix in _JSON_SUFFIXES:
        return JSON if _JSON_NAMED.match(bare) else None
    return JSON if suffix in _JSON_WITHIN and _JSON.match(bare) else None


_XML_SUFFIXES = frozenset({".xml", ".xsd", ".xsl", ".rss", ".atom", ".rdf", ".kml", ".gpx", ".svg"})
_JSON_WITHIN = frozenset({"", ".ipynb", ".webmanifest", ".har", ".map"})
_JSON_SUFFIXES = frozenset({".json", ".jsonl", ".ndjson", ".geojson"})


def _is_mail(text: str, suffix: str) -> bool:
    """Whether the file begins with the headers of a mail; by its name, one of them is enough."""
    found: set[str] = set()
    for line in text[:_MAIL_HEAD].lstrip("\ufeff").splitlines():
        if not line.strip():
            break
        if line.startswith(("From ", ">From ")) and not found:
            continue  # the separator of a mailbox
        match = _HEADER.match(line)
        if match is None and not (found and line[0] in " \t"):
            return False
        if match is not None and match[1].lower() in _MAIL_HEADERS:
            found.add(match[1].lower())
    if suffix == ".eml":
        return bool(found)
    return len(found) >= 3 and not found <= _MAIL_LETTERS


def _looks_delimited(text: str) -> bool:
    """Whether the first lines all have the same number, two or more, of one delimiter."""
    lines = [line for line in text.splitlines()[:20] if line.strip()][:-1]
    if len(lines) < 2:
        return False
    return any(lines[0].count(d) >= 2 and len({ln.count(d) for ln in lines}) == 1 for d in ",;\t|")
