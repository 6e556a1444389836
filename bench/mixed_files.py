"""A share of mixed files: every format, every defect; each file is read or refused, rightly or not.

Sources are the sample files of other projects in ../shared/data (where present), the shipped
documents, and one file written here for each format that neither has. Every source is tried as it
is, empty, cut in half, under a wrong ending, and inside an archive; mutants (20 random bytes) are
counted apart, because nobody can say what reading them rightly means: they must end in pages or in
a code, and never in markup. `python -m bench.reading` runs this.
"""

import hashlib
import io
import json
import random
import resource
import zipfile
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from email.message import EmailMessage
from pathlib import Path
from time import monotonic
from typing import Any

from bench.labelled import FOLDERS
from foliotrace.adapters.local.clock import SystemClock
from foliotrace.adapters.local.files.filetype import sniff
from foliotrace.adapters.local.readers.encoded import is_markup
from foliotrace.adapters.local.readers.parser import local_parsers
from foliotrace.adapters.local.readers.reading_options import ReadingOptions
from foliotrace.adapters.local.readers.worker_pool import WorkerPool
from foliotrace.errors import FileRefused, FoliotraceError
from foliotrace.model import Deadline, PageStatus, ParsedPage, SourceFile
from foliotrace.parse import ParserChain

MUTANTS = 3
MUTATED_BYTES = 20
# refused as they are, for this reason
REFUSED = {"password.pdf": "file_encrypted", "fake-power-point-malformed.pptx": None}
ENDINGS = {".pdf": ".docx", ".docx": ".pdf"}  # every other becomes .bin
DAMAGED = {"file_truncated", "file_malformed", "file_empty", "file_encrypted"}
TEXTS = {".txt", ".md", ".csv", ".html", ".json", ".xml", ".eml", ".rtf"}


@dataclass(frozen=True)
class Tried:
    """A file and what happened to it."""

    source: str
    defect: str
    outcome: str  # "read", "needs_ocr", a code, or the name of an exception
    right: bool
    markup_pages: int = 0


# --- sources ------------------------------------------------------------------------------------


def sources() -> Iterator[tuple[str, bytes]]:
    """(name, content) of each distinct file."""
    seen: set[bytes] = set()
    for folder in FOLDERS.values():
        for path in sorted(folder.glob("*")) if folder.exists() else ():
            content = path.read_bytes()
            digest = hashlib.sha256(content).digest()
            if path.is_file() and digest not in seen:
                seen.add(digest)
                yield path.name, content
    yield from written()


def written() -> Iterator[tuple[str, bytes]]:
    """A small file of each format that is missing elsewhere."""
    from PIL import Image

    yield "note.txt", b"The winch passed its check.\n\nThe rope is new.\n" * 40
    yield "fees.csv", b"Item,EUR\n" + b"Winch,9.00\nCrane,40.00\n" * 40
    yield "boats.json", json.dumps([{"name": "Ant", "length": n} for n in range(40)]).encode()
    boats = b"<boat><name>Ant</name><length>4</length></boat>" * 40
    yield "boats.xml", b"<fleet>" + boats + b"</fleet>"
    yield "note.rtf", rb"{\rtf1\ansi The winch passed.\par The rope is new.\par}"
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"] = "a@example.org", "b@example.org", "Winch"
    mail.set_content("The winch passed.\n" * 40, cte="base64")
    mail.add_attachment(b"Cable length 900 m", maintype="text", subtype="plain", filename="a.txt")
    yield "mail.eml", mail.as_bytes()
    for form in ("bmp", "tiff", "gif", "webp"):
        out = io.BytesIO()
        Image.new("L", (200, 80), 255).save(out, form.upper())
        yield f"blank.{form}", out.getvalue()
    yield "notes.zip", zipped({"a.txt": b"The winch passed.", "b/c.txt": b"The rope is new."})
    office = "urn:oasis:names:tc:opendocument:xmlns"
    for ending, kind, body in (
        ("odt", "text", "<text:p>The winch passed.</text:p>"),
        ("ods", "spreadsheet", "<table:table><table:table-row><table:table-cell><text:p>Winch"
         "</text:p></table:table-cell></table:table-row></table:table>"),
        ("odp", "presentation", "<draw:page><text:p>The winch passed.</text:p></draw:page>"),
    ):  # fmt: skip
        content = (
            f'<office:document-content xmlns:office="{office}:office:1.0" '
            f'xmlns:text="{office}:text:1.0" xmlns:table="{office}:table:1.0" '
            f'xmlns:draw="{office}:drawing:1.0"><office:body><office:{kind}>{body}'
            f"</office:{kind}></office:body></office:document-content>"
        )
        mimetype = f"application/vnd.oasis.opendocument.{kind}".encode()
        yield f"winch.{ending}", zipped({"mimetype": mimetype, "content.xml": content.encode()})


def zipped(members: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return out.getvalue()


def huge() -> Iterator[tuple[str, bytes, set[str]]]:
    """Files that cost too much, and the codes that are right for them."""
    allowed = {"file_too_complex", "file_malformed"}
    yield "bomb.zip", zipped({"a.txt": b"0" * (600 << 20)}), allowed
    inner = zipped({"a.txt": b"0" * (200 << 20)})
    members = zipped({f"{n}.zip": inner for n in range(8)})
    yield "nested.zip", members, allowed | {"empty"}  # each member is a page that was not read
    yield "many.zip", zipped({str(n): b"" for n in range(10_001)}, zipfile.ZIP_STORED), allowed
    yield "bomb.docx", zipped({"word/document.xml": b" " * (600 << 20)}), allowed
    laughs = "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 12))
    bomb = f'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a0 "ha">{laughs}]><x>&a11;</x>'
    yield "laughs.xml", bomb.encode(), allowed | {"read"}
    yield "deep.xml", b"<a>" * 100_000 + b"</a>" * 100_000, allowed
    yield "deep.json", b"[" * 100_000 + b"]" * 100_000, allowed | {"read"}
    catalog = b"1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n"
    pages = b"2 0 obj<</Type/Pages/Kids[]/Count 2000000000>>endobj\n"
    trailer = b"trailer<</Root 1 0 R>>\n%%EOF"
    yield "pages.pdf", b"%PDF-1.4\n" + catalog + pages + trailer, allowed


# --- trying -------------------------------------------------------------------------------------


class Share:
    """Reads one file after the other by the parsers of the default installation, without OCR."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._workers = WorkerPool()
        parsers = local_parsers(self._workers, SystemClock(), options=ReadingOptions())
        self._order = ParserChain(parsers)

    async def outcome(self, name: str, content: bytes) -> tuple[str, list[ParsedPage]]:
        path = self._folder / f"file{Path(name).suffix}"
        path.write_bytes(content)
        source = SourceFile(
            path=path,
            name=name,
            media_type=sniff(path, name),
            content_hash=hashlib.sha256(content).hexdigest(),
            size_bytes=len(content),
        )
        deadline = Deadline(monotonic() + 100)
        try:
            seen = await self._order.inspect(source, deadline=deadline)
            numbers = range(1, seen.pages_total + 1)
            parsed = self._order.parse(source, pages=numbers, deadline=deadline)
            pages = [page async for page in parsed]
        except FileRefused as refused:
            return str(refused.error_code), []
        except FoliotraceError as error:
            return f"error {error.error_code}", []
        if any(page.text for page in pages):
            return "read", pages
        statuses = {page.status for page in pages}
        return ("needs_ocr" if PageStatus.NEEDS_OCR in statuses else "empty"), pages

    async def close(self) -> None:
        await self._workers.close()


def variants(name: str, content: bytes) -> Iterator[tuple[str, str, bytes]]:
    """(defect, name, content)."""
    yield "none", name, content
    yield "empty", name, b""
    yield "truncated", name, content[: len(content) // 2]
    suffix = Path(name).suffix
    if suffix not in TEXTS:  # the name is part of what a text is
        yield "wrong ending", Path(name).stem + ENDINGS.get(suffix, ".bin"), content
    yield "in an archive", "files.zip", zipped({name: content})
    chance = random.Random(hashlib.sha256(content).hexdigest())
    for _ in range(MUTANTS):
        mutant = bytearray(content)
        for _ in range(MUTATED_BYTES):
            mutant[chance.randrange(len(mutant))] = chance.randrange(256)
        yield "mutant", name, bytes(mutant)


def is_right(name: str, defect: str, outcome: str, plain: str) -> bool:
    """Whether the file ended as its defect demands; `plain` is how it ended without one."""
    if defect == "none":
        if name in REFUSED:
            return REFUSED[name] in (outcome, None) and not outcome.startswith("error")
        return outcome in ("read", "needs_ocr") or name == "table-multi-row-column-cells.pdf"
    if defect == "empty":
        return outcome in ("file_empty", "file_type_unsupported")
    if defect == "truncated":
        return outcome in DAMAGED | {"read", "needs_ocr", "file_type_unsupported"}
    if defect == "wrong ending":
        return outcome == plain
    if defect == "in an archive":
        return outcome == plain or (outcome == "empty" and plain not in ("read", "needs_ocr"))
    return not outcome.startswith("error")


async def measure_share(folder: Path) -> dict[str, Any]:
    """Figures by defect and by source; memory of the parser processes and of this one."""
    share, tried = Share(folder), []
    before_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    distinct = 0
    try:
        for name, content in sources():
            distinct += 1
            plain = ""
            for defect, shown, changed in variants(name, content):
                outcome, pages = await share.outcome(shown, changed)
                plain = outcome if defect == "none" else plain
                markup = sum(is_markup(page) for page in pages if page.status is PageStatus.OK)
                right = is_right(name, defect, outcome, plain) and not markup
                tried.append(Tried(name, defect, outcome, right, markup))
        after_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for name, content, codes in huge():
            outcome, _ = await share.outcome(name, content)
            tried.append(Tried(name, "huge", outcome, outcome in codes))
    finally:
        await share.close()
    return {
        "distinct_sources": distinct,
        **_figures([t for t in tried if t.defect != "mutant"]),
        "mutants": _figures([t for t in tried if t.defect == "mutant"]),
        "pages_of_markup": sum(t.markup_pages for t in tried),
        "service_grew_mb": round((after_kb - before_kb) / 1024),
        "largest_parser_process_mb": round(
            resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
        ),
    }


def _figures(tried: list[Tried]) -> dict[str, Any]:
    by_defect: defaultdict[str, Counter[bool]] = defaultdict(Counter)
    outcomes: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for each in tried:
        by_defect[each.defect][each.right] += 1
        outcomes[each.defect][each.outcome] += 1
    right = sum(each.right for each in tried)
    return {
        "files": len(tried),
        "right": round(right / max(len(tried), 1), 4),
        "by_defect": {d: f"{c[True]} of {c.total()}" for d, c in by_defect.items()},
        "outcomes": {defect: dict(found) for defect, found in outcomes.items()},
        "not right": [f"{t.source}: {t.defect}: {t.outcome}" for t in tried if not t.right],
    }
