"""What LLM, retrieval and our own events put on the spans and into the metrics; content or not."""

from contextlib import suppress
from typing import Any

import pytest
from llama_index_instrumentation import get_dispatcher
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ParentBased
from tests.lazy_sdk import lazy
from tests.otel.canary_texts import ANSWER, PASSAGE, QUESTION, RAW
from tests.otel.recorded_spans import recording

from foliotrace import events
from foliotrace_otel.content.capture import ContentPolicy

core = lazy("llama_index.core")
retrieval_events = lazy("llama_index.core.instrumentation.events.retrieval")
programs = lazy("tests.otel.llamaindex_programs")


def ask(**options: Any) -> None:
    programs.Shelf().retrieve(QUESTION)
    programs.Tiny(**options).chat([core.llms.ChatMessage(role="user", content=QUESTION)])


def test_a_model_call_tells_model_tokens_finish_and_lengths() -> None:
    with recording() as seen:
        ask()
    attributes = dict(seen.one("chat tiny").attributes or {})
    assert 0 < attributes.pop("duration_ms") < 10_000
    assert attributes == {
        "gen_ai.operation.name": "chat",
        "gen_ai.request.model": "tiny",
        "gen_ai.response.model": "tiny-2026",
        "gen_ai.response.id": "resp_1",
        "gen_ai.response.finish_reasons": ("stop",),
        "gen_ai.usage.input_tokens": 12,
        "gen_ai.usage.output_tokens": 5,
        "gen_ai.usage.cache_read.input_tokens": 4,
        "model": "tiny",
        "prompt.length": len(QUESTION),
        "response.length": len(ANSWER),
        "tokens.total": 17,
        "langsmith.span.kind": "llm",
        "foliotrace.entry": True,
    }


def test_a_retrieval_tells_ids_and_scores() -> None:
    with recording() as seen:
        ask()
    attributes = seen.one("retrieval Shelf").attributes or {}
    assert attributes["foliotrace.retrieved"] == 1
    assert attributes["foliotrace.retrieved.ids"] == ("n1",)
    assert attributes["foliotrace.retrieved.scores"] == (0.8765,)


def test_no_content_by_default_and_all_of_it_under_its_names_when_asked() -> None:
    with recording() as seen:
        ask()
    assert "canary" not in "".join(span.to_json() for span in seen.spans)
    with recording(content=ContentPolicy(capture=True)) as seen:
        ask()
    chat = seen.one("chat tiny").attributes or {}
    retrieval = seen.one("retrieval Shelf").attributes or {}
    assert QUESTION in chat["gen_ai.input.messages"]
    assert ANSWER in chat["gen_ai.output.messages"]
    assert retrieval["gen_ai.retrieval.query.text"] == QUESTION
    assert PASSAGE in retrieval["gen_ai.retrieval.documents"]


def test_captured_content_is_cut() -> None:
    with recording(content=ContentPolicy(capture=True, most_chars=16)) as seen:
        programs.Tiny().chat([core.llms.ChatMessage(role="user", content="word " * 1000)])
    assert len(seen.one("chat tiny").attributes["gen_ai.input.messages"]) < 120


def test_openinference_names_come_by_the_switch() -> None:
    with recording(openinference=True) as seen:
        ask()
    chat = seen.one("chat tiny").attributes or {}
    assert (chat["openinference.span.kind"], chat["llm.token_count.prompt"]) == ("LLM", 12)
    retrieval = seen.one("retrieval Shelf").attributes or {}
    assert retrieval["retrieval.documents.0.document.id"] == "n1"


@pytest.mark.parametrize(
    ("version", "name"),
    [
        ("1.41", "gen_ai.usage.cache_creation.input_tokens"),
        ("latest", "gen_ai.usage.cache_write.input_tokens"),
    ],
)
def test_moving_names_follow_the_version(
    version: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    anthropic = {"usage": {"input_tokens": 9, "output_tokens": 1, "cache_creation_input_tokens": 3}}
    monkeypatch.setitem(RAW, "usage", anthropic["usage"])
    with recording(version=version) as seen:
        ask()
    assert (seen.one("chat tiny").attributes or {})[name] == 3


@pytest.mark.parametrize("sampled", [True, False])
def test_metrics_are_the_same_whether_or_not_the_trace_is_sampled(sampled: bool) -> None:
    with recording(sampler=None if sampled else ParentBased(ALWAYS_OFF)) as seen:
        ask()
        with pytest.raises(TimeoutError):
            ask(fails=True)
    value = seen.metrics.registry.get_sample_value
    assert value("llm_request_latency_seconds_count", {"model": "tiny"}) == 2
    failed = {"model": "tiny", "error_type": "TimeoutError"}
    assert value("llm_request_errors_total", failed) == 1
    tokens = {
        "gen_ai_operation_name": "chat",
        "gen_ai_provider_name": "",
        "gen_ai_request_model": "tiny",
        "gen_ai_token_type": "input",
    }
    assert value("gen_ai_client_token_usage_sum", tokens) == 12
    assert not seen.tree.open
    assert bool(seen.spans) is sampled


def test_an_event_of_ours_lands_on_the_span_where_it_happened_and_can_link() -> None:
    origin = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    with recording() as seen, events.stage("cache"):
        events.emit(
            events.QueryAnswered(
                run_id="run_1",
                level=0,
                retrieval_mode="keyword",
                answer_mode="extractive",
                citations=1,
                cache="exact",
                origin=origin,
            )
        )
    span = seen.one("cache")
    assert span.attributes["foliotrace.cache.state"] == "exact"
    assert "foliotrace.link" not in span.attributes
    assert span.links[0].context.trace_id == 0x0AF7651916CD43DD8448EB211C80319C


def test_an_event_the_handler_does_not_understand_is_no_fault() -> None:
    with recording() as seen:
        event = retrieval_events.RetrievalEndEvent(
            str_or_query_bundle=QUESTION, nodes=[], span_id="nobody-knows"
        )
        get_dispatcher().event(event)
    assert seen.tree.faults == 0


def test_failed_attempts_repeat_the_model_and_not_the_length_of_the_prompt() -> None:
    with recording() as seen, events.stage("synthesize"):
        for number in (1, 2, 3):
            with events.attempt("llm_1-1", number), suppress(TimeoutError):
                ask(fails=number < 3)
    calls = [dict(span.attributes or {}) for span in seen.spans if span.name == "chat tiny"]
    assert [call.get("prompt.length") for call in calls] == [len(QUESTION), None, len(QUESTION)]
    assert {call["gen_ai.request.model"] for call in calls} == {"tiny"}
    assert [call.get("model") for call in calls] == ["tiny", None, "tiny"]
