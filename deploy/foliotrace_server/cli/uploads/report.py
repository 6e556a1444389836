"""What `foliotrace ingest` is asked to do, and what it did."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from foliotrace_server.cli import output

_NAMES_PRINTED: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class IngestRequest:
    """What to do with the files."""

    collection: str = "default"
    metadata: Mapping[str, Any] = field(default_factory=dict)
    delete_missing: bool = False
    dry_run: bool = False
    path: str | None = None
    pages: str | None = None  # in the short form


@dataclass(slots=True)
class IngestReport:
    """What was done with the files; with `dry_run`, what would be done."""

    dry_run: bool = False
    ingested: list[dict[str, Any]] = field(default_factory=list)
    unchanged: int = 0
    deleted: list[str] = field(default_factory=list)
    skipped_links: list[str] = field(default_factory=list)
    failed: list[dict[str, Any]] = field(default_factory=list)

    def add_failure(self, name: str, code: str, detail: str | None) -> None:
        """Record that the file `name` failed."""
        self.failed.append({"name": name, "code": code, "detail": detail})


def print_report(report: IngestReport) -> None:
    """Print what was done, one line per deletion and per kind of failure, and a summary."""
    for line in _report_lines(report):
        output.print_line(line)


def _report_lines(report: IngestReport) -> Iterator[str]:
    would = "would be " if report.dry_run else ""
    if report.dry_run:
        yield from (f"would be ingested: {each['name']}" for each in report.ingested)
    yield from (f"{would}deleted: {name}" for name in report.deleted)
    if report.skipped_links:
        yield (
            f"skipped: {_names(report.skipped_links, 'symbolic links')}: a link to a folder, or "
            "out of the folder, is not followed; name its target instead"
        )
    by_cause: dict[tuple[str, str], list[str]] = {}
    for failed in report.failed:
        detail = (failed["detail"] or "").removeprefix(f"{failed['name']}: ")
        by_cause.setdefault((failed["code"], detail), []).append(failed["name"])
    for (code, detail), names in by_cause.items():
        yield f"failed: {_names(names, 'files')} [{code}] {detail}".rstrip()
    pages = sum(each.get("pages", 0) for each in report.ingested)
    counts = [
        f"{len(report.ingested)} {would}ingested" + ("" if report.dry_run else f" ({pages} pages)"),
        f"{report.unchanged} unchanged",
        *([f"{len(report.deleted)} {would}deleted"] if report.deleted else []),
        f"{len(report.failed)} failed",
    ]
    yield ", ".join(counts)


def _names(names: Sequence[str], kind: str) -> str:
    """The names if they are few, else how many there are and the first of them."""
    if len(names) == 1:
        return names[0]
    more = f" and {len(names) - _NAMES_PRINTED} more" if len(names) > _NAMES_PRINTED else ""
    return f"{len(names)} {kind} ({', '.join(names[:_NAMES_PRINTED])}{more})"
