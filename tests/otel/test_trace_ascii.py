"""A trace can be read in a terminal."""

import re

from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import Status, StatusCode

from foliotrace_otel.export.trace_ascii import RecentTraces, draw_trace


def provider(recent: RecentTraces) -> TracerProvider:
    made = TracerProvider(shutdown_on_exit=False)
    made.add_span_processor(recent)
    return made


def one_trace(tracer_provider: TracerProvider) -> str:
    tracer = tracer_provider.get_tracer("test")
    with tracer.start_as_current_span("POST /v1/query") as root:
        with tracer.start_as_current_span("retrieve") as span:
            span.set_attribute("foliotrace.retrieval.mode", "keyword")
        with tracer.start_as_current_span("synthesize") as span:
            with tracer.start_as_current_span("chat gpt-4o"):
                pass
            span.set_status(Status(StatusCode.ERROR))
    return f"{root.get_span_context().trace_id:032x}"


def test_the_tree_shows_who_called_whom_in_order() -> None:
    recent = RecentTraces()
    drawn = draw_trace(
        recent.trace(one_trace(provider(recent))), ["foliotrace.retrieval.mode"]
    ).splitlines()
    names = [re.split("[·█]", line)[0].rstrip() for line in drawn]
    assert names == ["POST /v1/query", "├─ retrieve", "└─ synthesize", "   └─ chat gpt-4o"]
    assert drawn[1].endswith("mode=keyword")
    assert drawn[2].endswith("ERROR")


def test_only_the_last_traces_are_kept() -> None:
    recent = RecentTraces(traces=2)
    made = provider(recent)
    first, second, third = (one_trace(made) for _ in range(3))
    assert recent.trace(first) == ()
    assert len(recent.trace(second)) == len(recent.trace(third)) == 4


def test_a_span_whose_parent_is_elsewhere_stands_at_the_top() -> None:
    recent = RecentTraces()
    spans = recent.trace(one_trace(provider(recent)))
    without_root = [span for span in spans if span.parent is not None]
    assert draw_trace(without_root).splitlines()[0].startswith("retrieve")


def test_an_unknown_trace_draws_nothing() -> None:
    assert draw_trace(RecentTraces().trace("0" * 32)) == ""
