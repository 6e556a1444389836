"""`foliotrace demo`: every feature on the example documents, in six steps."""

import asyncio
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from importlib.resources import files
from os.path import relpath
from pathlib import Path
from shutil import rmtree, which
from typing import TYPE_CHECKING, Any

import click

from foliotrace.errors import NotFound
from foliotrace_server.cli.command import (
    Command,
    Exit,
    Options,
    embedded,
    pass_options,
    with_exit_code,
)
from foliotrace_server.cli.uploads.folder import ingest_files
from foliotrace_server.cli.uploads.local_files import find_files
from foliotrace_server.cli.uploads.report import IngestReport, IngestRequest

if TYPE_CHECKING:
    from rich.console import Console

    from foliotrace.model import Citation
    from foliotrace_server.client import AsyncFoliotraceClient
    from foliotrace_server.settings import Settings

QUESTIONS = (
    "Why did the airplane contact trees near Tallahassee?",
    "What is the hourly rate of D-ELKB?",
    "How long before it starts must an unused booking be cancelled?",
)
UNANSWERABLE = "Which antibiotic is given for bacterial pneumonia in children?"
EXTRACTED_FROM = "ntsb-NYC08CA055-tallahassee.pdf"


@click.command(cls=Command)
@click.option("--keep", is_flag=True, help="Reuse ./foliotrace-demo of an earlier run.")
@pass_options
@with_exit_code
def demo(options: Options, keep: bool) -> Exit:
    """Run every feature on example documents: ingest, ask, abstain, extract, trace, audit.

    Needs no key, no server and no network.

    Examples:
      foliotrace demo
      foliotrace demo --output json
    """
    from rich.console import Console

    from foliotrace.adapters.local.files.lease import WriterLease
    from foliotrace.adapters.local.files.permissions import private_files

    data_dir = options.data_dir or Path("foliotrace-demo")
    if data_dir.exists() and not keep and (data_dir / "library.db").exists():
        rmtree(data_dir)
    console = Console(file=sys.stderr if options.output == "json" else sys.stdout)
    settings = replace(options, data_dir=data_dir, url=None).settings()
    report = DemoReport()

    async def run() -> None:
        async with embedded(settings) as server:
            await run_steps(server.client, console, report)
            with _step(console, "5. The last answer's trace"):
                report.trace = server.trace_tree(report.last_trace_id or "")
                console.print(report.trace, highlight=False, soft_wrap=True)

    with private_files(), WriterLease.acquire(data_dir):
        asyncio.run(run())
    with _step(console, "6. The audit log, verified"):
        _verify(console, settings, report)
    if options.output == "json":
        sys.stdout.write(report.as_json() + "\n")
    else:
        print_next_steps(console, data_dir)
    return Exit.DONE if report.ok else Exit.FAILED


@dataclass(slots=True)
class DemoReport:
    """What the demo produced; `ok` only if every step ended as expected."""

    documents: int = 0
    pages: int = 0
    chunks: int = 0
    unreadable_pages: int = 0
    answered: list[dict[str, Any]] = field(default_factory=list)
    refused: bool = False
    record: dict[str, Any] = field(default_factory=dict)
    grounded_fields: int = 0
    last_trace_id: str | None = None
    trace: str = ""
    audit: str = ""
    audit_records: int = 0

    @property
    def ok(self) -> bool:
        """Three cited answers, an abstention, a grounded record, a trace, an intact audit log."""
        from foliotrace_audit.verify.verdict import VerdictStatus

        cited = all(a["citations"] and a["level"] == 0 for a in self.answered)
        return bool(
            len(self.answered) == len(QUESTIONS)
            and cited
            and self.refused
            and self.grounded_fields >= 4
            and "retrieve" in self.trace
            and self.audit_records
            and self.audit in (VerdictStatus.SOUND, VerdictStatus.UNANCHORED)
        )

    def as_json(self) -> str:
        """For `--output json`."""
        return json.dumps(
            {"ok": self.ok, **asdict(self)}, ensure_ascii=False, indent=1, default=str
        )


def examples_folder() -> Path:
    """The example documents: in the wheel, or in the checkout of an editable install."""
    packaged = Path(str(files("foliotrace_server"))) / "examples"
    in_checkout = Path(__file__).parents[3] / "examples"
    for folder in (packaged, in_checkout):
        if (folder / "documents").is_dir():
            return folder
    raise NotFound("the example documents are not installed", hint="Reinstall foliotrace.")


async def run_steps(
    client: "AsyncFoliotraceClient", console: "Console", report: DemoReport
) -> None:
    """Ingest, ask, abstain and extract through `client`, printing each step."""
    folder = examples_folder()
    with _step(console, "1. Documents become pages, chunks and an index"):
        await _ingest(client, console, folder / "documents", report)
    with _step(console, "2. Three questions, answered with citations"):
        for question in QUESTIONS:
            report.answered.append(await _ask(client, console, question, report))
    with _step(console, "3. A question that these documents do not answer"):
        abstained = await client.ask(UNANSWERABLE)
        report.refused = abstained.answer_mode == "abstained"
        console.print(f"[bold]Q[/] {UNANSWERABLE}\n[bold]A[/] {abstained.answer}")
    with _step(console, "4. A typed record; every value with its location on the page"):
        schema = json.loads((folder / "accident.schema.json").read_text())
        await _extract(client, console, schema, report)


@contextmanager
def _step(console: "Console", title: str) -> Iterator[None]:
    console.print(f"\n[bold cyan]{title}[/]")
    yield


async def _ingest(
    client: "AsyncFoliotraceClient", console: "Console", folder: Path, report: DemoReport
) -> None:
    from rich.table import Table

    local = [file for file in find_files([folder]) if file.path.suffix != ".md"]
    await ingest_files(client, local, IngestRequest(), IngestReport())
    table = Table("document", "type", "pages", "chunks", "notes", box=None, header_style="dim")
    for document in (await client.documents()).documents:
        report.documents += 1
        report.pages += document.pages_stored
        report.chunks += document.chunks
        report.unreadable_pages += document.pages_unreadable
        needs_ocr = "needs OCR: `apt install tesseract-ocr`, then run the demo again"
        note = document.problem or (needs_ocr if document.pages_unreadable else "")
        kind = document.media_type.rpartition("/")[2].rpartition(".")[2]
        table.add_row(document.name, kind, str(document.pages_total), str(document.chunks), note)
    console.print(table)


async def _ask(
    client: "AsyncFoliotraceClient", console: "Console", question: str, report: DemoReport
) -> dict[str, Any]:
    from rich.markup import escape

    answer = await client.ask(question)
    report.last_trace_id = answer.trace_id or report.last_trace_id
    console.print(f"[bold]Q[/] {question}")
    figure = None
    for citation in answer.citations[:1]:
        if citation.figure:  # its cell, with row, period and unit; the row it stands in below
            figure = answer.answer.splitlines()[0]
            console.print(f"[bold]A[/] {escape(figure)}", highlight=False)
            console.print(f"  [dim]in: {escape(' '.join(citation.quote.split()))}[/]")
            citation = replace(citation, anchor=citation.figure.cells[-1])  # the value's own box
        else:
            console.print(f"[bold]A[/] {escape(' '.join(citation.quote.split()))}", highlight=False)
        console.print(f"  [dim]{location_of(citation)}[/]", highlight=False)
    return {
        "question": question,
        "mode": str(answer.answer_mode),
        "level": int(answer.degradation.level),
        "citations": [f"{c.quote} ({location_of(c)})" for c in answer.citations],
        "figure": figure,
    }


def location_of(citation: "Citation") -> str:
    """Document, page, cells and box of a citation as text."""
    anchor = citation.anchor
    parts = [citation.document_name, f"{anchor.kind} {anchor.page}"]
    if anchor.label:
        parts.append(anchor.label)
    if anchor.cells:
        parts.append(f"cells {anchor.cells}")
    if anchor.boxes:
        box = anchor.boxes[0]
        parts.append(f"box {box.x:.0f},{box.y:.0f} {box.width:.0f}x{box.height:.0f} pt")
    return ", ".join(parts)


async def _extract(
    client: "AsyncFoliotraceClient", console: "Console", schema: dict[str, Any], report: DemoReport
) -> None:
    from rich.table import Table

    document = (await client.documents(name=EXTRACTED_FROM)).documents[0]
    job = await client.extract(document.id, schema)
    async for _ in client.follow(job.id):
        pass
    extraction = await client.extraction(job.id)
    report.record = extraction.record or {}
    table = Table("field", "value", "confidence", "where", box=None, header_style="dim")
    for each in extraction.fields:
        report.grounded_fields += bool(each.citations)
        location = location_of(each.citations[0]) if each.citations else ""
        confidence = "" if each.confidence is None else f"{each.confidence:.2f}"
        table.add_row(each.pointer[1:], str(each.value), confidence, location)
    console.print(table)


def _verify(console: "Console", settings: "Settings", report: DemoReport) -> None:
    """Verify the audit log, and print what the verdict means."""
    from foliotrace_audit.verify.verdict import VerdictStatus
    from foliotrace_server.observing.audit_commands import verify_audit

    verdict = verify_audit(settings)
    report.audit, report.audit_records = str(verdict.status()), verdict.records
    console.print(
        f"{verdict.records} records, {len(verdict.findings)} findings: {report.audit}",
        highlight=False,
    )
    if verdict.status() is VerdictStatus.UNANCHORED:
        console.print(
            "  [dim]The hash chain is intact. With development keys and no checkpoints kept "
            "elsewhere,\n  only this machine can vouch for it (docs/how-to/prove-the-audit-log.md)."
            "[/]",
            highlight=False,
        )


def print_next_steps(console: "Console", data_dir: Path) -> None:
    """Print commands to try after the demo, as they can be typed in this shell."""
    console.print("\n[bold cyan]Try next[/]")
    command = f"{_program()} --data-dir {data_dir}"
    for line in (
        f'{command} ask "When was the alternator of D-ELKA exchanged?"',
        f"{command} ingest ./your-documents",
        f"{command} serve    (then open http://127.0.0.1:8080/docs)",
        f"{_program()} doctor    (what a key, a model or a server would add)",
    ):
        console.print(f"  {line}", highlight=False, soft_wrap=True)


def _program() -> str:
    """`foliotrace`, or the path to it when it is not on the shell's PATH (./run demo)."""
    beside = Path(sys.executable).with_name("foliotrace")
    if which("foliotrace") or not beside.exists():
        return "foliotrace"
    return relpath(beside)
