"""What `foliotrace demo` tells: the whole story on the example documents, in six chapters."""

import asyncio
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from importlib.resources import files
from os.path import relpath
from pathlib import Path
from shutil import rmtree, which
from typing import Any

from rich.console import Console
from rich.table import Table

from foliotrace.adapters.local.files.lease import WriterLease
from foliotrace.errors import NotFound
from foliotrace.model import AnswerMode, Citation
from foliotrace_audit.verify.verdict import VerdictStatus
from foliotrace_server import contract
from foliotrace_server.cli.failures import Exit
from foliotrace_server.cli.ingesting import Outcome, Wanted, ingest
from foliotrace_server.cli.local_files import find
from foliotrace_server.cli.session import Options, embedded
from foliotrace_server.client import AsyncFoliotraceClient
from foliotrace_server.observing.auditing import verify_audit
from foliotrace_server.settings import Settings

QUESTIONS = (
    "Why did the airplane contact trees near Tallahassee?",
    "What is the hourly rate of D-ELKB?",
    "How long before it starts must an unused booking be cancelled?",
)
UNANSWERABLE = "Which antibiotic is given for bacterial pneumonia in children?"
EXTRACTED_FROM = "ntsb-NYC08CA055-tallahassee.pdf"


def run_demo(options: Options, *, keep: bool) -> Exit:
    """Tell the story on `options.data_dir`, emptied first unless `keep`."""
    data_dir = options.data_dir or Path("foliotrace-demo")
    if data_dir.exists() and not keep and (data_dir / "library.db").exists():
        rmtree(data_dir)
    console = Console(file=sys.stderr if options.output == "json" else sys.stdout)
    settings = replace(options, data_dir=data_dir, url=None).settings()
    told = Story()

    async def run() -> None:
        async with embedded(settings) as here:
            await tell(here.client, console, told)
            with _chapter(console, "5. The last answer's trace"):
                told.trace = here.trace_tree(told.last_trace_id or "")
                console.print(told.trace, highlight=False, soft_wrap=True)

    with WriterLease.acquire(data_dir):
        asyncio.run(run())
    with _chapter(console, "6. The audit log, verified"):
        _verify(console, settings, told)
    if options.output == "json":
        sys.stdout.write(told.as_json() + "\n")
    else:
        what_next(console, data_dir)
    return Exit.DONE if told.ok else Exit.FAILED


@dataclass(slots=True)
class Story:
    """What the demo saw; `ok` only if every chapter ended as it should."""

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
        """Three cited answers, one refusal, one grounded record, a trace, an untouched chain."""
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
        told = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return json.dumps({"ok": self.ok, **told}, ensure_ascii=False, indent=1, default=str)


def examples() -> Path:
    """The example documents: in the wheel, or in the checkout that is installed as editable."""
    packed = Path(str(files("foliotrace_server"))) / "examples"
    in_checkout = Path(__file__).parents[3] / "examples"
    for folder in (packed, in_checkout):
        if (folder / "documents").is_dir():
            return folder
    raise NotFound("the example documents are not installed", hint="Install foliotrace again.")


async def tell(client: AsyncFoliotraceClient, console: Console, story: Story) -> None:
    """Ingest, ask, refuse and extract through `client`, showing each chapter."""
    folder = examples()
    with _chapter(console, "1. Real documents become pages, chunks and an index"):
        await _ingest(client, console, folder / "documents", story)
    with _chapter(console, "2. Three questions, answered with quotes that open"):
        for question in QUESTIONS:
            story.answered.append(await _ask(client, console, question, story))
    with _chapter(console, "3. A question these documents do not answer"):
        refused = await client.ask(UNANSWERABLE)
        story.refused = refused.answer_mode == AnswerMode.ABSTAINED
        console.print(f"[bold]Q[/] {UNANSWERABLE}\n[bold]A[/] {refused.answer}")
    with _chapter(console, "4. A typed record, every value with its place on the page"):
        schema = json.loads((folder / "accident.schema.json").read_text())
        await _extract(client, console, schema, story)


@contextmanager
def _chapter(console: Console, title: str) -> Iterator[None]:
    console.print(f"\n[bold cyan]{title}[/]")
    yield


async def _ingest(
    client: AsyncFoliotraceClient, console: Console, folder: Path, story: Story
) -> None:
    found = [f for f in find([folder]) if f.path.suffix != ".md"]
    await ingest(client, found, Wanted(), Outcome())
    table = Table("document", "type", "pages", "chunks", "notes", box=None, header_style="dim")
    for document in (await client.documents()).documents:
        story.documents += 1
        story.pages += document.pages_stored
        story.chunks += document.chunks
        story.unreadable_pages += document.pages_unreadable
        note = document.problem or ("needs OCR" if document.pages_unreadable else "")
        kind = document.media_type.rpartition("/")[2].rpartition(".")[2]
        table.add_row(document.name, kind, str(document.pages_total), str(document.chunks), note)
    console.print(table)


async def _ask(
    client: AsyncFoliotraceClient, console: Console, question: str, story: Story
) -> dict[str, Any]:
    answer = await client.ask(question)
    story.last_trace_id = answer.trace_id or story.last_trace_id
    console.print(f"[bold]Q[/] {question}")
    for citation in answer.citations[:1]:
        console.print(f"[bold]A[/] {' '.join(citation.quote.split())}", highlight=False)
        console.print(f"  [dim]{where(citation)}[/]", highlight=False)
    return {
        "question": question,
        "mode": str(answer.answer_mode),
        "level": int(answer.degradation.level),
        "citations": [f"{c.quote} ({where(c)})" for c in answer.citations],
    }


def where(citation: Citation) -> str:
    """A citation's place in words."""
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
    client: AsyncFoliotraceClient, console: Console, schema: dict[str, Any], story: Story
) -> None:
    document = (await client.documents(name=EXTRACTED_FROM)).documents[0]
    job = await client.extract(document.id, schema)
    async for _ in client.follow(job.id):
        pass
    found: contract.ExtractionBody = await client.extraction(job.id)
    story.record = found.record or {}
    table = Table("field", "value", "confidence", "where", box=None, header_style="dim")
    for each in found.fields:
        story.grounded_fields += bool(each.citations)
        place = where(each.citations[0]) if each.citations else ""
        sure = "" if each.confidence is None else f"{each.confidence:.2f}"
        table.add_row(each.pointer[1:], str(each.value), sure, place)
    console.print(table)


def _verify(console: Console, settings: Settings, story: Story) -> None:
    """Say what can be proved of the chain, and what not."""
    verdict = verify_audit(settings)
    story.audit, story.audit_records = str(verdict.status()), verdict.records
    console.print(
        f"{verdict.records} records, {len(verdict.findings)} findings: {story.audit}",
        highlight=False,
    )
    if verdict.status() is VerdictStatus.UNANCHORED:
        console.print(
            "  [dim]the chain is whole; with its development keys, and no checkpoint kept "
            "elsewhere, nobody outside could tell (docs/how-to/prove-the-audit-log.md)[/]",
            highlight=False,
        )


def what_next(console: Console, data_dir: Path) -> None:
    """What to try after the demo, as it can be typed here."""
    console.print("\n[bold cyan]Try next[/]")
    here = f"{_program()} --data-dir {data_dir}"
    for line in (
        f'{here} ask "When was the alternator of D-ELKA exchanged?"',
        f"{here} ingest ./your-documents",
        f"{here} serve    (then open http://127.0.0.1:8080/docs)",
        f"{_program()} doctor    (what a key, a model or a server would add)",
    ):
        console.print(f"  {line}", highlight=False, soft_wrap=True)


def _program() -> str:
    """`foliotrace`, or the way to it when the shell would not find it (./run demo)."""
    beside = Path(sys.executable).with_name("foliotrace")
    if which("foliotrace") or not beside.exists():
        return "foliotrace"
    return relpath(beside)
