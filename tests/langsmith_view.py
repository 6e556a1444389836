"""A stand-in for what LangSmith shows of OTLP spans: runs, the run list, the view of a thread.

Source: LangSmith's attribute mapping, https://docs.langchain.com/langsmith/trace-with-opentelemetry
(`langsmith.*`, `gen_ai.*`, `retrieval.documents.*`). A span whose parent never arrives is dropped.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

from tests.otlp_sink import attributes_of

_INPUTS: Final = ("gen_ai.prompt", "gen_ai.input.messages", "input.value")
_OUTPUTS: Final = ("gen_ai.completion", "gen_ai.output.messages", "output.value")
_OPERATIONS: Final = {"chat": "llm", "text_completion": "llm", "embeddings": "embedding"}


@dataclass
class Run:
    id: str
    trace: str
    parent: str | None
    name: str
    run_type: str
    inputs: Any
    outputs: Any
    error: str | None
    thread: str | None
    tags: tuple[str, ...]
    metadata: dict[str, Any]
    documents: list[dict[str, Any]]
    usage: dict[str, int]
    invocation: dict[str, Any]
    start_ns: int
    end_ns: int
    children: list["Run"] = field(default_factory=list)

    def walk(self) -> Iterable["Run"]:
        yield self
        for child in self.children:
            yield from child.walk()

    @property
    def total_tokens(self) -> int:
        """LangSmith adds up the usage of every run below a root."""
        return sum(sum(run.usage.values()) for run in self.walk())


def roots_of(spans: Iterable[Any]) -> list[Run]:
    """The root runs, newest first, with their trees; entries of the service are roots."""
    runs = {run.id: run for run in map(_run, spans)}
    roots = []
    for run in sorted(runs.values(), key=lambda run: run.start_ns):
        if run.parent is None:
            roots.append(run)
        elif run.parent in runs:
            runs[run.parent].children.append(run)
    return roots[::-1]


def run_list(roots: Iterable[Run]) -> str:
    """The table that a project opens with."""
    return "\n".join(
        " | ".join(
            (
                *(r.name, short(r.inputs), short(r.outputs), r.error or ""),
                *(str(r.total_tokens), ",".join(r.tags)),
            )
        )
        for r in roots
    )


def thread_view(roots: Iterable[Run], thread: str) -> list[tuple[str, str]]:
    """(question, answer) of each turn of a thread, in order."""
    turns = sorted((r for r in roots if r.thread == thread), key=lambda run: run.start_ns)
    return [(short(turn.inputs), short(turn.outputs)) for turn in turns]


def _run(span: Any) -> Run:
    shown = attributes_of(span)
    is_root = not span.parent_span_id or shown.get("foliotrace.entry") is True
    operation = str(shown.get("gen_ai.operation.name", ""))
    return Run(
        id=span.span_id.hex(),
        trace=span.trace_id.hex(),
        parent=None if is_root else span.parent_span_id.hex(),
        name=shown.get("langsmith.trace.name", span.name),
        run_type=shown.get("langsmith.span.kind", _OPERATIONS.get(operation, "chain")),
        inputs=_first(shown, _INPUTS),
        outputs=_first(shown, _OUTPUTS),
        error=shown.get("error.type", "error") if span.status.code == 2 else None,
        thread=shown.get("langsmith.trace.session_id"),
        tags=tuple(filter(None, str(shown.get("langsmith.span.tags", "")).split(","))),
        metadata=_below(shown, "langsmith.metadata."),
        documents=_documents(shown),
        usage={
            kind: shown[name]
            for kind in ("input", "output")
            if (name := f"gen_ai.usage.{kind}_tokens") in shown
        },
        invocation=_below(shown, "gen_ai.request."),
        start_ns=span.start_time_unix_nano,
        end_ns=span.end_time_unix_nano,
    )


def _first(shown: dict[str, Any], names: tuple[str, ...]) -> Any:
    text = next((shown[name] for name in names if name in shown), None)
    return json.loads(text) if text is not None else None


def _below(shown: dict[str, Any], prefix: str) -> dict[str, Any]:
    return {k.removeprefix(prefix): v for k, v in shown.items() if k.startswith(prefix)}


def _documents(shown: dict[str, Any]) -> list[dict[str, Any]]:
    found: dict[int, dict[str, Any]] = {}
    for key, value in _below(shown, "retrieval.documents.").items():
        number, _, name = key.partition(".document.")
        found.setdefault(int(number), {})[name] = value
    return [found[number] for number in sorted(found)]


def short(data: Any) -> str:
    """One text out of inputs or outputs, as the list shows it."""
    while isinstance(data, dict) and data:
        for name in ("query", "text", "answer", "output", "record", "name"):
            if name in data:
                data = data[name]
                break
        else:
            data = next(iter(data.values()))
    return "" if data is None else str(data)[:120]
