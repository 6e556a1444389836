"""One trace of the real SDK, read back from the real Jaeger and from LangSmith's stand-in."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.collector.backends import as_langsmith
from tests.collector.processes import ROOT, Collector, Jaeger, eventually
from tests.collector.program import Protocol, program
from tests.otlp_sink import OtlpSink

pytestmark = pytest.mark.real_servers
TREE = {"POST /v1/query": "", "synthesize": "POST /v1/query", "chat small": "synthesize"}


@pytest.mark.parametrize("protocol", ["grpc", "http"])
def test_both_backends_hold_the_same_tree(
    protocol: Protocol,
    run_collector: Callable[..., Collector],
    jaeger: Jaeger,
    langsmith: OtlpSink,
) -> None:
    collector = run_collector(
        JAEGER_EXPORTER="otlp_grpc/jaeger",
        JAEGER_OTLP=jaeger.otlp,
        **as_langsmith(langsmith),
        LANGSMITH_API_KEY="lsv2_test",
        LANGSMITH_PROJECT="folio",
    )
    with program(collector, protocol) as sender:
        trace = sender.query({"gen_ai.usage.input_tokens": 12, "gen_ai.request.model": "small"})

    seen = eventually(lambda: len(jaeger.spans(trace)) == 3 and jaeger.spans(trace))
    names = {span["spanId"]: span["name"] for span in seen}
    assert {span["name"]: names.get(span.get("parentSpanId", ""), "") for span in seen} == TREE

    eventually(lambda: len(langsmith.spans) == 3)
    assert {span.span_id.hex() for span in langsmith.spans} == set(names)
    (delivery,) = langsmith.received
    assert delivery.path == "/otel/v1/traces"
    assert delivery.headers["x-api-key"] == "lsv2_test"
    assert delivery.headers["langsmith-project"] == "folio"
    assert delivery.headers["content-type"] == "application/x-protobuf"


def test_jaeger_finds_the_service_and_its_operations(
    run_collector: Callable[..., Collector], jaeger: Jaeger
) -> None:
    collector = run_collector(JAEGER_EXPORTER="otlp_grpc/jaeger", JAEGER_OTLP=jaeger.otlp)
    with program(collector, resource={"service.name": "foliotrace-listed"}) as sender:
        sender.query()
    eventually(lambda: "foliotrace-listed" in jaeger.get("/api/v3/services")["services"])
    listed = jaeger.get("/api/v3/operations?service=foliotrace-listed")["operations"]
    assert {operation["name"] for operation in listed} == set(TREE)


def test_jaeger_warns_of_a_degraded_answer_and_of_no_other(
    run_collector: Callable[..., Collector], jaeger: Jaeger
) -> None:
    collector = run_collector(JAEGER_EXPORTER="otlp_grpc/jaeger", JAEGER_OTLP=jaeger.otlp)
    marks = {"foliotrace.degraded": True, "foliotrace.degradation.reasons": "managed_index_timeout"}
    with program(collector) as sender:
        degraded = sender.query(root=marks)
        sound = sender.query(root={"foliotrace.degraded": False})

    def warnings(trace: str) -> list[str]:
        (found,) = jaeger.get(f"/api/traces/{trace}")["data"]
        return [warning for span in found["spans"] for warning in span["warnings"] or ()]

    eventually(lambda: len(jaeger.spans(degraded)) == len(jaeger.spans(sound)) == 3)
    assert warnings(degraded) == ["degraded answer: managed_index_timeout"]
    assert warnings(sound) == []


def test_the_run_script_sends_to_langsmith_as_soon_as_there_is_a_key(
    run_collector: Callable[..., Collector], langsmith: OtlpSink
) -> None:
    collector = run_collector(
        script=ROOT / "deploy/collector/run",
        PATH=os.defpath,
        HOME=str(Path.home()),
        **{name: value for name, value in os.environ.items() if name == "XDG_CACHE_HOME"},  # noqa: TID251 - where the binaries are
        LANGCHAIN_API_KEY="lsv2_older_name",
        LANGSMITH_ENDPOINT=f"http://127.0.0.1:{langsmith.http_port}",
    )
    with program(collector) as sender:
        sender.query()
    assert langsmith.wait_for_spans(3)
    headers = langsmith.received[0].headers
    assert (headers["x-api-key"], headers["langsmith-project"]) == ("lsv2_older_name", "default")
