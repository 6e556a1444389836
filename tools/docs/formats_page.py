"""Generates the reference page of file formats from the readers: docs/reference/formats.md."""

from collections.abc import Iterator

from foliotrace.adapters.local.readers import embedded
from foliotrace.adapters.local.readers.formats import FORMATS
from foliotrace.adapters.local.readers.reading_options import TESSDATA_FOLDERS, ReadingLimits
from foliotrace.catalog import ErrorCode
from foliotrace.model import BlockKind
from foliotrace.settings import WORKER_CPU_S, WORKER_MEMORY_BYTES

_REFUSALS = (
    ErrorCode.FILE_EMPTY,
    ErrorCode.FILE_TOO_LARGE,
    ErrorCode.FILE_ENCRYPTED,
    ErrorCode.FILE_MALFORMED,
    ErrorCode.FILE_TRUNCATED,
    ErrorCode.FILE_TYPE_UNSUPPORTED,
    ErrorCode.NEEDS_CONVERTER,
    ErrorCode.FILE_TOO_COMPLEX,
    ErrorCode.ZERO_CHUNKS,
)

_HEAD = """# Formats

The file formats of the default installation, how each is divided into numbered pages, and why a
file can be refused. Nothing here needs a key, a server or the network.

## What is read

The type is detected from content and name together. A PDF, an image, an archive or an Office file
is known by its content alone. Of texts, `.md` is Markdown even if it shows HTML, `.txt` is text
unless it is a whole HTML document, `.xml` and `.json` are read by structure if their content
begins so, and a file that begins with mail headers is mail (`.eml`: one header is enough; a
letter that merely says From and To stays text). """

_OFFICE = """
## Office files

- Page headers and footers of DOCX, ODT, PPTX and XLSX are blocks of the kinds `header` and
  `footer`: stored, never quoted.
- Comments follow their paragraph (DOCX, ODT), slide or sheet as blocks of the kind `footnote`,
  with their author or cell.
- A chart is a table (categories down, series across) behind a `caption` with its title.
- The words of pictures stand where the picture does, if OCR is installed; EMF, WMF and icons are
  left out.
- The label of a hidden sheet or slide ends in `(hidden)`: `Salaries (hidden)`.
- Spreadsheets show stored values, with the percent sign, currency or unit of their format (`$99`,
  `41.5 kg`); a formula that has none is shown as `=...`.
- Footnotes and endnotes are blocks of the kind `footnote`; the points of SmartArt are list items.
- DOC and PPT are converted by LibreOffice if `soffice` is in one of the usual places (`/usr/bin`,
  `/usr/local/bin`, `/opt/libreoffice/program`), with a fresh profile; without it they are refused
  with `needs_converter`. In archives and mails they are not converted.

Not read: deleted (tracked) text, macros (never run).

## XML and JSON

Values are lines `name: text`. Neighbours of one name that hold only values are the rows of a
table, with their names as header. Everything else is a section with its name as heading. Text
between elements is a paragraph. HTML inside a value is read as HTML. Lines of JSON are records. A
`.json` file that is no strict JSON (comments) is read as text.

## The stored text

- A space separates words, **a tab the cells of a table row**, a newline rows, an empty line
  blocks. A quote of a row is therefore found in the original once white space is normalised.
- Text is in reading order: columns one after the other.
- A word hyphenated over two lines is joined; each half keeps its box.
- The dots that lead from a label to its value (`Total ........ 9.00`) are left out.
- A lone currency sign joins the amount after it (`$ 680`), a lone `%` or `)` the amount before
  it.
- liteparse replaces typographic quotation marks of a PDF by `'` and `"`."""

_REST = """\
- Words have boxes in points, origin top-left. Table rows are marked as headers or not, and cells
  have a column. A table can also have a caption, unit, period and header path.

## Mail

The first section holds the subject, From, To, Cc, Subject and Date (decoded) and the names of the
attachments, then the body: of alternatives the plain text, else the HTML (also where the plain
text has less than half of its words). Signatures (S/MIME, PGP) are left out. Attachments of a type
in the table above follow as sections labelled with their names (`report.pdf > page 1`); they have
no boxes, because a box would point into another file. An attachment that cannot be read is a
failed page with its name and the problem `attachment_not_read`. Pictures that the HTML shows in
place (logos) are left out.

## Archives

A ZIP archive is one document: its members follow each other as attachments of a mail do, labelled
with their names (`reports/q1.pdf > page 2`), so that a citation names the member. To have a
document for each member, unpack the archive and ingest the folder. What operating systems leave
in archives (`__MACOSX`, `.DS_Store`) is skipped, the second of two members of one name is
labelled `name (2)`, and names are labels only: no member is written to a path."""

_PAGES = """
## Pages that cannot be read

Such a page has a `status` (`needs_ocr`, `failed`) and a `problem` that says why: [all of
them](errors.md#problems-of-pages).

A page of which more than half is tags is failed with `markup_not_text` and gives no chunk. Code
blocks of HTML and Markdown may show tags. Encoded data (200 characters of base64 or uuencode or
more) is left out of the text, with a note in its place (`[encoded data left out: 2,164
characters]`); a page of little else is failed.

A bad page costs one page, because its part is read again page by page. Every page number from 1
to the total is stored.

## Scanned pages

OCR reads the pages without any text if a folder with Tesseract's models is found:"""


def page() -> str:
    """The whole page, in Markdown."""
    limits = ReadingLimits()
    kinds = ", ".join(f"`{kind}`" for kind in BlockKind)
    folders = ", ".join(f"`{folder}`" for folder in TESSDATA_FOLDERS)
    return "\n".join(
        (
            _HEAD,
            "| Format | Read by | A page is | Anchor |",
            "|---|---|---|---|",
            *(f"| {f.title} | {f.engine} | {f.page} | {f.anchor} |" for f in FORMATS.values()),
            _OFFICE,
            f"- The kind of a block is one of {kinds}.",
            _REST,
            f"Files inside files are read {embedded.DEPTH} deep, within the limits of one file.",
            _PAGES,
            f"{folders}. On Debian and Ubuntu: `apt install tesseract-ocr`.",
            "foliotrace downloads no models.",
            "",
            "## Files that are refused",
            "",
            "| Code | Why | What to do |",
            "|---|---|---|",
            *_refusals(),
            "",
            f"Limits of one file: {limits.archive_entries:,} archive entries, "
            f"{limits.archive_bytes >> 20} MB unpacked, a part over 16 MB packed more than "
            f"{limits.archive_ratio:.0f} to 1; {limits.image_pixels // 10**6} million pixels; "
            f"{limits.cells // 10**6} million cells in a sheet; {limits.pages:,} pages; "
            f"{limits.pictures} pictures of an Office file for OCR.",
            "",
            "## Hostile files",
            "",
            "Files are parsed in worker processes "
            "(`foliotrace.adapters.local.readers.worker_pool`). "
            f"A worker is limited in address space ({WORKER_MEMORY_BYTES >> 30} GB) and CPU "
            f"({WORKER_CPU_S} s for a request), killed when it takes too long, replaced when it "
            "crashes, and can only send JSON to the service. XML entities are not expanded, "
            "nothing is fetched. Where the kernel can refuse it, a worker has no network and writes"
            " to its own folder alone ([threat model](../explanation/threat-model.md)).",
            "",
        )
    )


def _refusals() -> Iterator[str]:
    for code in _REFUSALS:
        yield f"| `{code}` | {code.message} | {code.hint or ''} |"
