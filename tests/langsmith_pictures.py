"""Makes the pictures of what-langsmith-shows.md: `python -m tests.langsmith_pictures`.

Runs the service with a fake model and content switched on, collects what it exports, and
photographs the stand-in's pages with Chromium (`.ci/install-debian`). `--folder` to put them
elsewhere.
"""

import argparse
import asyncio
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any, Final

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from tests import langsmith_page as pages
from tests.fakes.openai import running_fake_openai
from tests.fakes.wire import Fault
from tests.langsmith_view import Run, roots_of, thread_view
from tests.otel.recorded_spans import recording
from tests.otlp_sink import spans_in
from tests.server.observed_service import Observed, observed

from foliotrace_otel.content.capture import ContentPolicy
from foliotrace_otel.export.span_encoding import SpanEncoder
from foliotrace_otel.export.span_redaction import Redactor, SpanRedactor

IMAGES: Final = Path(__file__).parents[1] / "docs" / "images"
LARGEST_BYTES: Final = 150_000
QUESTIONS: Final = ("Within how many days are refunds paid?", "And who pays for shipping?")
SCHEMA: Final = {"type": "object", "properties": {"refund_days": {"type": "integer"}}}
ASKED: Final = {"session_id": "thread-7", "user_id": "bob", "tags": ["beta"]}
_THREAD: Final = "thread-7"
_TALLEST, _TALL, _FLAT = (1180, 900), (1180, 560), (1180, 310)


async def all_pages(folder: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, tuple[str, Any]]:
    """File name -> HTML and the size of its window."""
    agent = await _agent_page()  # first: the service below becomes the process's tracing
    with running_fake_openai() as model:
        llm = {"provider": "openai", "model": "gpt-4o-mini", "api_base": model.url}
        llm["api_key"] = "sk-fake-pictured"
        settings: dict[str, Any] = {
            "telemetry": {"content": "redacted", "environment": "staging"},
            "llm": llm,
            "llm_fallbacks": [{**llm, "model": "gpt-4o"}],
            "resilience": {"attempts": 1},
        }
        async with observed(folder, monkeypatch, **settings) as service:
            return {**await _pages_of(service, model), "agent": (agent, _TALL)}


async def _pages_of(service: Observed, model: Any) -> dict[str, tuple[str, Any]]:
    accepted = await service.ingest()
    asked = [await service.ask(question, **ASKED) for question in QUESTIONS]
    model.fail("POST /v1/chat/completions", Fault.unavailable, times=1)
    degraded = await service.ask("Are refunds paid in cash?", user_id="bob")
    model.recover()
    body = {"document_id": accepted["document"]["id"], "schema": SCHEMA}
    job = (await service.client.post("/v1/extractions", json=body)).json()
    await service.ended(job["id"])
    for answer in (*asked, degraded):
        service.trace(answer.headers["x-trace-id"], ends_with="POST /v1/query")
    traces = {"extraction": job["job"]["trace_id"], "ingest": accepted["job"]["trace_id"]}
    for name, run in (("extraction", "ExtractWorkflow"), ("ingest", "IngestWorkflow")):
        await service.job_trace(traces[name], ends_with=f"invoke_workflow {run}")
    roots = [r for r in roots_of(service.sink.spans) if not r.name.startswith("GET")]
    traces |= {"trace": asked[0].headers["x-trace-id"], "degraded": degraded.headers["x-trace-id"]}
    opened = {"trace": "retrieve", "degraded": "", "extraction": "validate", "ingest": ""}
    made: dict[str, tuple[str, Any]] = {
        "list": (pages.page("Runs", "project refunds", pages.run_table(roots)), _FLAT),
        "thread": (
            pages.page("Thread", _THREAD, pages.thread(thread_view(roots, _THREAD))),
            (900, 330),
        ),
    }
    for name, run in opened.items():
        (root,) = [root for root in roots if root.trace == traces[name]]
        made[name] = (_trace_page(root, run), _TALLEST if name == "degraded" else _TALL)
    return made


def _trace_page(root: Run, opened: str) -> str:
    """The trace with the run of that name opened; without a name, the root."""
    chosen = next((run for run in root.walk() if run.name == opened), root)
    return pages.page(root.name, f"trace {root.trace}", pages.tree_with(root, chosen))


async def _agent_page() -> str:
    from tests.otel.agent_program import ask_agent  # imports LlamaIndex

    with recording(content=ContentPolicy(capture=True)) as seen:
        await ask_agent()
    encoder = SpanEncoder(SpanRedactor(Redactor(b"pictured"), content=True))
    sent = ExportTraceServiceRequest.FromString(encoder.request(seen.spans))
    (root,) = roots_of(spans_in(sent))
    return _trace_page(root, "execute_tool add")


def photograph(html: str, size: tuple[int, int], target: Path) -> None:
    """A PNG of the page. Raises ValueError where it is larger than a picture of the docs may be."""
    browser = shutil.which("chromium")
    if browser is None:
        raise SystemExit("chromium is missing: run .ci/install-debian")
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "page.html"
        source.write_text(html, "utf-8")
        subprocess.run(
            [
                browser, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
                f"--user-data-dir={folder}/profile", f"--window-size={size[0]},{size[1]}",
                f"--screenshot={target}", source.as_uri(),
            ],
            check=True, capture_output=True, timeout=120,
        )  # fmt: skip
    if target.stat().st_size > LARGEST_BYTES:
        raise ValueError(f"{target.name} is larger than {LARGEST_BYTES} bytes")


def main() -> None:
    """Write the pictures."""
    parser = argparse.ArgumentParser(description="Make the pictures of what LangSmith shows.")
    parser.add_argument("--folder", type=Path, default=IMAGES)
    target = parser.parse_args().folder
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as monkeypatch:
        made = asyncio.run(all_pages(Path(folder), monkeypatch))
    for name, (html, size) in made.items():
        photograph(html, size, target / f"langsmith-{name}.png")
        print(f"langsmith-{name}.png")


if __name__ == "__main__":
    main()
