"""What each backend's bytes hold: no personal value, no key; in Jaeger no content."""

from collections.abc import Callable

import pytest
from tests.collector.backends import as_jaeger, as_langsmith
from tests.collector.processes import Collector, Jaeger, eventually
from tests.collector.program import program
from tests.otlp_sink import OtlpSink

from foliotrace_otel.semconv import CONTENT_ATTRIBUTES

pytestmark = pytest.mark.real_servers

PLANTED = {
    "e-mail": "jane.doe+claims@example.org",
    "OpenAI key": "sk-proj-abcdefghij0123456789",
    "LlamaCloud key": "llx-AbCdEfGhIjKlMnOpQrStUv012345",
    "LangSmith key": "lsv2_pt_0123456789abcdef0123456789abcdef",
    "GitHub token": "ghp_0123456789abcdefABCDEF0123456789abcd",
    "AWS key": "AKIAIOSFODNN7EXAMPLE",
    "bearer": "Bearer dGhpc2lzYXRva2Vu",
    "JSON web token": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.SflKxwRJSMeKKF2QT4",
    "IBAN": "DE89 3704 0044 0532 0130 00",
    "card": "4111 1111 1111 1111",
    "social security": "078-05-1120",
    "telephone": "+49 30 901820-12",
}
CONTENT = (
    *CONTENT_ATTRIBUTES,
    *(f"{name}.0.content" for name in CONTENT_ATTRIBUTES),
    # What other instrumentations send:
    "retrieval.documents.0.document.content",
    "retrieval.documents.12.document.metadata",
    "reranker.query",
    "reranker.input_documents.3.document.content",
    "embedding.embeddings.0.embedding.text",
    "llm.prompt_template.template",
    "traceloop.entity.input",
)
KEPT = {
    "gen_ai.usage.input_tokens": 1234567890123,
    "gen_ai.usage.output_tokens": 34,
    "gen_ai.request.model": "small-2026",
    "retrieval.documents.0.document.id": "3f2b8a1c4d5e6f708192a3b4",
    "retrieval.documents.0.document.score": 0.73,
    "foliotrace.query_hmac": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "url.path": "/v1/query",
    "http.response.status_code": 200,
}


@pytest.fixture
def backends(
    run_collector: Callable[..., Collector], langsmith: OtlpSink, jaeger_stand_in: OtlpSink
) -> tuple[Collector, OtlpSink, OtlpSink]:
    collector = run_collector(
        **as_jaeger(jaeger_stand_in),
        **as_langsmith(langsmith),
        OTELCOL_SPAN_METRICS_EVERY="500ms",
    )
    return collector, jaeger_stand_in, langsmith


def wait_for_both(jaeger: OtlpSink, langsmith: OtlpSink, spans: int = 3) -> None:
    eventually(lambda: len(jaeger.spans) >= spans and len(langsmith.spans) >= spans)


def test_planted_values_reach_neither_backend_nor_a_metric_label(
    backends: tuple[Collector, OtlpSink, OtlpSink],
) -> None:
    collector, jaeger, langsmith = backends
    every = "; ".join(PLANTED.values())
    with program(collector, resource={"deployment.owner": every}) as sender:
        with sender.tracer.start_as_current_span(f"ask {every}") as span:
            span.set_attribute("note", every)
            span.set_attribute("gen_ai.request.model", PLANTED["e-mail"])
            span.set_attribute("list", list(PLANTED.values()))
            span.set_attribute("number", 4111111111111111)
            span.add_event(f"event {every}", {"exception.message": every})
        sender.query(error=every)
    wait_for_both(jaeger, langsmith, spans=4)
    metrics = eventually(lambda: "traces_span_metrics" in (m := collector.span_metrics()) and m)
    for where, received in {
        "Jaeger": jaeger.raw(),
        "LangSmith": langsmith.raw(),
        "metrics": metrics.encode(),
        "log": collector.log.read_bytes(),
    }.items():
        found = [name for name, value in PLANTED.items() if value.encode() in received]
        assert not found, where
    assert not [s for s in jaeger.spans for a in s.attributes if a.value.int_value == 4 * 10**15]
    names = {span.name for span in jaeger.spans}
    assert any(name.startswith("ask ****") for name in names)
    assert {"POST /v1/query", "synthesize", "chat small"} < names


def test_header_like_keys_are_masked_whole_and_token_counts_are_not(
    backends: tuple[Collector, OtlpSink, OtlpSink],
) -> None:
    collector, jaeger, langsmith = backends
    secret = {"http.request.header.authorization": "opaque-1", "db.password": "opaque-2"}
    with program(collector) as sender:
        sender.query({**KEPT, **secret})
    wait_for_both(jaeger, langsmith)
    for backend in (jaeger, langsmith):
        (call,) = [span for span in backend.spans if span.name == "chat small"]
        sent = {a.key: getattr(a.value, a.value.WhichOneof("value")) for a in call.attributes}
        assert {key: sent[key] for key in KEPT} == KEPT
        assert {key: sent[key] for key in secret} == dict.fromkeys(secret, "****")
        assert not [key for key in sent if key.startswith("_")]


def test_content_reaches_langsmith_redacted_and_never_jaeger(
    backends: tuple[Collector, OtlpSink, OtlpSink],
) -> None:
    collector, jaeger, langsmith = backends
    canary = "the refund window of the Bluebird contract"
    attributes = dict.fromkeys(CONTENT, f"{canary}, ask {PLANTED['e-mail']}")
    with program(collector) as sender:
        sender.query({**KEPT, **attributes})
        with sender.tracer.start_as_current_span("events") as span:
            span.add_event("gen_ai.client.inference.operation.details", attributes)
            span.add_event("gen_ai.user.message", {"content": canary})
    wait_for_both(jaeger, langsmith, spans=4)
    for span in jaeger.spans:
        keys = {attribute.key for holder in (span, *span.events) for attribute in holder.attributes}
        assert not keys & {*CONTENT, "content"}
        assert span.name != "chat small" or set(KEPT) <= keys
    assert canary.encode() not in jaeger.raw()

    assert PLANTED["e-mail"].encode() not in langsmith.raw()
    (call,) = [span for span in langsmith.spans if span.name == "chat small"]
    kept = {attribute.key: attribute.value.string_value for attribute in call.attributes}
    assert {key: kept.get(key) for key in CONTENT} == dict.fromkeys(CONTENT, f"{canary}, ask ****")


def test_the_real_jaeger_shows_no_content(
    run_collector: Callable[..., Collector], jaeger: Jaeger
) -> None:
    collector = run_collector(JAEGER_EXPORTER="otlp_grpc/jaeger", JAEGER_OTLP=jaeger.otlp)
    with program(collector) as sender:
        trace = sender.query(dict.fromkeys(CONTENT, "canary-7391") | {"kept": "yes"})
    eventually(lambda: len(jaeger.spans(trace)) == 3)
    shown = jaeger.trace_bytes(trace)
    assert b"canary-7391" not in shown
    assert b'"kept"' in shown
