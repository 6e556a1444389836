"""What commands print: text for people, one JSON value for programs."""

import sys
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from pydantic import BaseModel

    from foliotrace_server import contract

T = TypeVar("T")


def as_json(value: object) -> None:
    """One JSON value on standard output."""
    from pydantic import BaseModel

    shown = value.model_dump(mode="json", by_alias=True) if isinstance(value, BaseModel) else value
    line(_json(shown))


def told(found: T, output: str, as_text: Callable[[T], None]) -> None:
    """`found` in the form that was asked for."""
    if output == "json":
        as_json(found)
    else:
        as_text(found)


def _json(value: object) -> str:
    from foliotrace_server.wire import dumps

    return dumps(value).decode()


def line(text: str = "") -> None:
    """One line on standard output."""
    sys.stdout.write(text + "\n")


def answer(found: "contract.AnswerBody") -> None:
    """An answer, its citations, and what was lost."""
    line(found.answer)
    if found.citations:
        line()
    for citation in found.citations:
        anchor = citation.anchor
        where = f"{anchor.kind} {anchor.page}" + (f" {anchor.cells}" if anchor.cells else "")
        line(f"[{citation.marker}] {citation.document_name}, {where}: “{citation.quote}”")
    if found.notice:
        line(f"\n{found.notice}")
    if found.degradation.level:
        reasons = ", ".join(found.degradation.reasons)
        line(f"\nDegraded (level {int(found.degradation.level)}): {reasons}")
    for name, address in found.links.items():
        line(f"\n{name}: {address}")


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Columns, as wide as they need to be."""
    cells = [[str(cell) for cell in row] for row in (head, *rows)]
    widths = [max(len(row[at]) for row in cells) for at in range(len(head))]
    for row in cells:
        line("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def fields(found: "BaseModel") -> None:
    """One thing, a field on a line; what it does not have is left out."""
    for name, value in found.model_dump(mode="json").items():
        if value not in (None, {}, []):
            line(f"{name}: {value if isinstance(value, str) else _json(value)}")


def progress(job: Mapping[str, Any]) -> None:
    """How far a job is."""
    line(f"{job['stage']}  {job['pages_done']}/{job['pages_total']} pages  {job['chunks']} chunks")


def documents(found: "contract.DocumentsBody") -> None:
    """Documents, one on a line."""
    rows = [
        (d.id, d.status, f"{d.pages_stored}/{d.pages_total}", d.chunks, d.name)
        for d in found.documents
    ]
    table(("ID", "STATUS", "PAGES", "CHUNKS", "NAME"), rows)


def jobs(found: "contract.JobsBody") -> None:
    """Jobs, one on a line."""
    rows = [
        (j.id, j.kind, j.status, j.stage, f"{j.pages_done}/{j.pages_total}", j.problem or "")
        for j in found.jobs
    ]
    table(("ID", "KIND", "STATUS", "STAGE", "PAGES", "PROBLEM"), rows)


def extraction(found: "contract.ExtractionBody") -> None:
    """A record, field by field, with where each value stands."""
    for field in found.fields:
        sure = "" if field.confidence is None else f" ({field.confidence:.0%})"
        at = "; ".join(
            f"{c.document_name}, {c.anchor.kind} {c.anchor.page}" for c in field.citations
        )
        line(f"{field.pointer}: {field.value!r}{sure}" + (f"  [{at}]" if at else ""))
    for error in found.errors:
        line(f"invalid: {error}")
    if found.status != "completed":
        line(f"the job has {found.status}: {found.job.problem}")
