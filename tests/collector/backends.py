"""Sinks in the place of Jaeger and LangSmith: how a collector is told of them, what they got."""

from collections import Counter

from tests.otlp_sink import OtlpSink


def as_jaeger(sink: OtlpSink) -> dict[str, str]:
    return {"JAEGER_EXPORTER": "otlp_grpc/jaeger", "JAEGER_OTLP": f"127.0.0.1:{sink.grpc_port}"}


def as_langsmith(sink: OtlpSink) -> dict[str, str]:
    return {
        "LANGSMITH_EXPORTER": "otlp_http/langsmith",
        "LANGSMITH_ENDPOINT": f"http://127.0.0.1:{sink.http_port}",
    }


def span_ids(sink: OtlpSink) -> Counter[str]:
    return Counter(span.span_id.hex() for span in sink.spans)


def figures(sink: OtlpSink, sent: int) -> dict[str, int]:
    received = span_ids(sink)
    twice = sum(count - 1 for count in received.values())
    return {"sent": sent, "received twice": twice, "lost": sent - len(received)}
