"""Spans of jobs, written to a file as they start: a killed process leaves no span without a parent.

A span is exported when it ends, so those that are open when a process is killed never are, and what
has ended below them has a parent that no back end knows. The next process reads them here and
exports them as interrupted; the run that it resumes links to them. Content is not written.
"""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from threading import Lock
from typing import Any, ClassVar, Final

from opentelemetry.context import Context
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, TraceFlags

from foliotrace_otel.export.redacting import WrappedExporter
from foliotrace_otel.semconv import span_names
from foliotrace_otel.spans.carried_context import OWN_TRACE_KEY, parse_traceparent, traceparent

_MOST_SPANS: Final = 10_000
_MOST_BYTES: Final = 1 << 20
_CALL: Final = "llamaindex.handler_id"
_INTERRUPTED: Final = "interrupted"


class SpanJournal(SpanProcessor):
    """The file of open spans. Only what continues a trace of ours is written: runs of jobs.

    `interrupted`: the spans that `recover` found open, by the id of their run, for links.
    Losing the file loses nothing but this; errors of the disk are ignored.
    """

    starts_with: ClassVar = OWN_TRACE_KEY

    def __init__(self, path: Path, namespace: str) -> None:
        self.path = path
        self.interrupted: dict[str, SpanContext] = {}
        self._outcome = span_names(namespace).outcome
        self._lines: dict[int, str] = {}
        self.ends_with = self._lines
        self._file = -1
        self._bytes = 0
        self._lock = Lock()

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Write down a span of a job."""
        if not parent_context or OWN_TRACE_KEY not in parent_context:
            return
        context, parent = span.get_span_context(), span.parent
        if context is None or not context.trace_flags.sampled or len(self._lines) >= _MOST_SPANS:
            return
        line = json.dumps(
            {
                "span": traceparent(context),
                "parent": traceparent(parent) if parent is not None else None,
                "remote": parent is not None and parent.is_remote,
                "name": span.name,
                "kind": span.kind.name,
                "start_ns": span.start_time,
                "attributes": dict(span.attributes or {}),
            },
            default=str,
        )
        with self._lock:
            self._lines[context.span_id] = line
            self._write(line)

    def on_end(self, span: ReadableSpan) -> None:
        """Write down that a span has ended; it waits for its export."""
        context = span.get_span_context()
        if context is None or context.span_id not in self._lines:
            return
        line = json.dumps({"ended": f"{context.span_id:016x}", "end_ns": span.end_time})
        with self._lock:
            self._lines[context.span_id] += f"\n{line}"
            self._write(line)

    def handed_over(self, spans: Sequence[ReadableSpan]) -> None:
        """Forget spans that were exported, or could not be."""
        if not self._lines:
            return
        ids = {c.span_id for span in spans if (c := span.get_span_context()) is not None}
        with self._lock:
            known = ids & self._lines.keys()
            if not known:
                return
            for span_id in known:
                del self._lines[span_id]
            self._write(json.dumps({"sent": [f"{span_id:016x}" for span_id in sorted(known)]}))
            if not self._lines or self._bytes > _MOST_BYTES:
                self._rewrite()

    def recover(self, resource: Resource) -> list[ReadableSpan]:
        """What an earlier process left unexported; for open spans the end is its last sign."""
        started: dict[str, dict[str, Any]] = {}
        ended: dict[str, int] = {}
        last_ns = 0
        for line in self._read():
            if "span" in line:
                started[line["span"].split("-")[2]] = line
            elif "ended" in line:
                ended[line["ended"]] = line["end_ns"]
            for sent in line.get("sent", ()):
                started.pop(sent, None)
            last_ns = max(last_ns, line.get("start_ns", 0), line.get("end_ns", 0))
        with suppress(OSError):
            self.path.unlink(missing_ok=True)
        return [
            self._span(line, ended.get(span_id), last_ns, resource)
            for span_id, line in started.items()
        ]

    def close(self) -> None:
        """Close the file; what is open stays in it."""
        with self._lock, suppress(OSError):
            if self._file >= 0:
                os.close(self._file)
            self._file = -1

    def _span(
        self, line: Mapping[str, Any], end_ns: int | None, last_ns: int, resource: Resource
    ) -> ReadableSpan:
        context = _local(line["span"])
        attributes = dict(line["attributes"])
        if end_ns is None:
            attributes[self._outcome] = _INTERRUPTED
            call = attributes.get(_CALL)
            if isinstance(call, str) and context is not None:  # the first one is the run's
                self.interrupted.setdefault(call, context)
        parent = line["parent"]
        return ReadableSpan(
            name=line["name"],
            context=context,
            parent=parse_traceparent(parent) if line["remote"] else _local(parent),
            resource=resource,
            attributes=attributes,
            kind=SpanKind[line["kind"]],
            start_time=line["start_ns"],
            end_time=end_ns if end_ns is not None else max(last_ns, line["start_ns"]),
            instrumentation_scope=InstrumentationScope(__package__.partition(".")[0]),
        )

    def _read(self) -> Iterator[dict[str, Any]]:
        try:
            lines = self.path.read_bytes().splitlines()
        except OSError:
            return
        for line in lines:
            with suppress(ValueError):  # the last one may be torn
                found = json.loads(line)
                if isinstance(found, dict):
                    yield found

    def _write(self, line: str) -> None:
        with suppress(OSError):
            if self._file < 0:
                flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
                self._file = os.open(self.path, flags, 0o600)
            self._bytes += os.write(self._file, f"{line}\n".encode("utf-8", "replace"))

    def _rewrite(self) -> None:
        """Start the file again with what is still open."""
        with suppress(OSError):
            if not self._lines:
                os.ftruncate(self._file, 0)
                self._bytes = 0
                return
            beside = self.path.with_suffix(".new")
            old, self._file = self._file, -1
            os.close(old)
            content = "".join(f"{line}\n" for line in self._lines.values())
            beside.write_text(content, "utf-8")
            beside.chmod(0o600)
            beside.replace(self.path)
            self._bytes = 0  # counted from here, so that much of what is open is not copied often


class JournalledExporter(WrappedExporter):
    """Tells the journal what has been exported, or could not be."""

    def __init__(self, exporter: SpanExporter, journal: SpanJournal) -> None:
        super().__init__(exporter)
        self._journal = journal

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Export; called by one thread at a time."""
        try:
            return self.exporter.export(spans)
        finally:
            self._journal.handed_over(spans)


def _local(text: str | None) -> SpanContext | None:
    """A span of our own, which was not remote to its children."""
    remote = parse_traceparent(text)
    if remote is None:
        return None
    return SpanContext(
        remote.trace_id, remote.span_id, is_remote=False, trace_flags=TraceFlags(TraceFlags.SAMPLED)
    )
