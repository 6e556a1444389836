"""A question's journey under our own span handler, read back as a person finds it in Jaeger."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.collector.backends import as_jaeger, as_langsmith
from tests.collector.processes import Collector, Jaeger, eventually
from tests.lazy_sdk import lazy, lazy_call
from tests.otlp_sink import OtlpSink, attributes_of
from tests.query import query_stack

from foliotrace.adapters.local.clock import SystemClock
from foliotrace.errors import GeneratorUnavailable
from foliotrace.model import Answer
from foliotrace_otel import configure
from foliotrace_otel.setup.configure import Telemetry

LlamaIndexGenerator = lazy_call("foliotrace.adapters.llamaindex.generator:LlamaIndexGenerator")

llms = lazy("llama_index.core.llms")
pytestmark = [pytest.mark.real_servers, pytest.mark.anyio]
QUESTION = "When are refunds paid?"
TEXTS = (QUESTION, "Refunds are paid within 30 days")
Configure = Callable[..., Telemetry]


@pytest.fixture
def tracing(monkeypatch: pytest.MonkeyPatch) -> Iterator[Configure]:
    """Set tracing up with these variables, towards a collector."""
    set_up: list[Telemetry] = []

    def start(collector: Collector, **env: str) -> Telemetry:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://{collector.grpc}")
        monkeypatch.setenv("OTEL_SERVICE_NAME", "foliotrace")
        for name, value in env.items():
            monkeypatch.setenv(name, value)
        set_up.append(configure(redaction_key=b"test", set_global=False, namespace="foliotrace"))
        return set_up[-1]

    yield start
    for telemetry in set_up:
        telemetry.shutdown(5)


async def asked(folder: Path, telemetry: Telemetry, **ports: object) -> Answer:
    async with query_stack.open_query_stack(folder, **ports) as stack:
        await stack.serve(*query_stack.HANDBOOK, name="handbook.txt")
        answer = await stack.ask(QUESTION)
    assert telemetry.flush(5)
    return answer


async def test_the_tree_in_jaeger_is_the_journey_and_holds_no_content(
    run_collector: Callable[..., Collector], jaeger: Jaeger, tracing: Configure, tmp_path: Path
) -> None:
    collector = run_collector(JAEGER_EXPORTER="otlp_grpc/jaeger", JAEGER_OTLP=jaeger.otlp)
    telemetry = tracing(collector)
    llm = LlamaIndexGenerator(
        lazy("llama_index.core.llms").MockLLM(), clock=SystemClock(), model="mock-1"
    )
    await asked(tmp_path, telemetry, generators=(llm,))
    (trace,) = eventually(lambda: jaeger.traces("foliotrace"))
    spans = eventually(lambda: len(jaeger.spans(trace)) >= 6 and jaeger.spans(trace))
    spans.sort(key=lambda span: int(span["startTimeUnixNano"]))
    names = {span["spanId"]: span["name"] for span in spans}
    tree = [(names.get(span.get("parentSpanId", "")), span["name"]) for span in spans]
    (root,) = [name for parent, name in tree if parent is None]
    assert root.startswith("invoke_workflow ")
    stages = ["validate", "retrieve", "synthesize", "ground"]
    assert [name for parent, name in tree if parent == root] == stages
    (call,) = [name for parent, name in tree if parent == "synthesize"]
    assert call.startswith("chat")
    assert len(spans) <= 10
    assert not [text for text in TEXTS if text.encode() in jaeger.trace_bytes(trace)]


async def test_content_when_switched_on_reaches_langsmith_redacted_and_jaeger_never(
    run_collector: Callable[..., Collector],
    jaeger_stand_in: OtlpSink,
    langsmith: OtlpSink,
    tracing: Configure,
    tmp_path: Path,
) -> None:
    collector = run_collector(**as_jaeger(jaeger_stand_in), **as_langsmith(langsmith))
    telemetry = tracing(collector, OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT="SPAN_ONLY")
    llm = LlamaIndexGenerator(
        lazy("llama_index.core.llms").MockLLM(), clock=SystemClock(), model="mock-1"
    )
    async with query_stack.open_query_stack(tmp_path, generators=(llm,)) as stack:
        await stack.serve(f"{TEXTS[1]}. Ask jane.doe@example.org.", name="handbook.txt")
        await stack.ask(QUESTION)
    assert telemetry.flush(5)
    eventually(lambda: len(langsmith.spans) == len(jaeger_stand_in.spans) >= 6)
    assert [text for text in TEXTS if text.encode() in langsmith.raw()] == list(TEXTS)
    assert not [text for text in TEXTS if text.encode() in jaeger_stand_in.raw()]
    assert b"jane.doe@example.org" not in langsmith.raw() + jaeger_stand_in.raw()


async def test_a_degraded_answer_reaches_langsmith_whatever_the_share(
    run_collector: Callable[..., Collector],
    jaeger_stand_in: OtlpSink,
    langsmith: OtlpSink,
    tracing: Configure,
    tmp_path: Path,
) -> None:
    collector = run_collector(
        **as_jaeger(jaeger_stand_in), **as_langsmith(langsmith), LANGSMITH_SHARE_PERCENT="0"
    )
    telemetry = tracing(collector)
    await asked(tmp_path / "sound", telemetry)
    down = query_stack.Scripted(error=GeneratorUnavailable("503", reason="llm_503"))
    answer = await asked(tmp_path / "degraded", telemetry, generators=(down,))
    assert answer.degradation.level > 0
    eventually(lambda: len(langsmith.spans) >= 5)
    (root,) = [span for span in langsmith.spans if not span.parent_span_id]
    assert attributes_of(root)["foliotrace.degraded"] is True
    assert attributes_of(root)["foliotrace.degradation.reasons"] == "llm_503"
    assert len({span.trace_id for span in langsmith.spans}) == 1
    assert len({span.trace_id for span in jaeger_stand_in.spans}) == 2
