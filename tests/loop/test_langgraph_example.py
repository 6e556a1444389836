"""examples/langgraph: an agent in front of a real service, in one trace with it."""

import json
from collections.abc import AsyncIterator, Iterator
from functools import cache
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.trace import TracerProvider  # noqa: TID251 - the agent's own tracer
from opentelemetry.sdk.trace.export import SimpleSpanProcessor  # noqa: TID251
from opentelemetry.sdk.trace.export.in_memory_span_exporter import (  # noqa: TID251
    InMemorySpanExporter,
)
from pydantic import ValidationError
from tests.audit.log_reading import audit_records
from tests.fakes.langsmith import running_fake_langsmith
from tests.fakes.openai import FakeOpenAI, running_fake_openai
from tests.fakes.wire import Fault
from tests.free_ports import free_port
from tests.lazy_sdk import lazy
from tests.server.observed_service import QUESTION, Observed, observed

from foliotrace_server.client import ServerProblem, Unreachable

langsmith = lazy("langsmith")
pytestmark = pytest.mark.anyio
EXAMPLE = Path(__file__).parents[2] / "examples/langgraph"


@cache
def agent_module() -> Any:
    spec = spec_from_file_location("langgraph_agent", EXAMPLE / "agent.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def model() -> Iterator[FakeOpenAI]:
    with running_fake_openai() as model:
        yield model


@pytest.fixture
async def service(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: FakeOpenAI
) -> AsyncIterator[Observed]:
    llm = {"provider": "openai", "model": "gpt-4o-mini", "api_base": model.url}
    llm["api_key"] = model.api_key
    async with observed(tmp_path / "service", monkeypatch, llm=llm) as service:
        await service.ingest()
        yield service


def agent(service: Observed, folder: Path, *before: str, **more: Any) -> Any:
    urls = [*before, str(service.client.base_url)]
    kind = agent_module().ProductionAgent
    return kind(urls=urls, folder=folder / "agent", longest_wait_s=0.01, **more)


def ask(text: str = QUESTION, session: str = "s1") -> Any:
    return agent_module().UserQuery(query=text, user_id="ada", session_id=session)


async def test_an_answer_is_streamed_counted_audited_and_in_one_trace(
    service: Observed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(agent_module(), "tracer", provider.get_tracer("agent"))
    async with agent(service, tmp_path, max_cost_per_query=0.10) as under_test:
        pieces = [piece async for piece in under_test.stream(ask())]
    response = pieces[-1]
    assert response.degradation_level == 0
    assert "30 days" in "".join(p["text"] for p in pieces[:-1] if p["event"] == "delta")
    assert "30 days" in response.answer
    assert response.citations
    assert response.total_tokens == response.prompt_tokens + response.completion_tokens > 0
    assert 0 < response.cost_usd < 0.10
    own = {span.name: span for span in exporter.get_finished_spans()}
    theirs = service.trace(response.trace_id, ends_with="POST /v1/query")
    asked = own["agent.ask"].context.span_id.to_bytes(8, "big")
    assert asked in {span.parent_span_id for span in theirs}, "the service's spans are below ours"
    assert own["agent.ask"].parent.span_id == own["agent.query"].context.span_id
    records = audit_records(tmp_path / "agent/audit")
    events = [each for each in records if each["event"].startswith("query_")]
    assert [each["event"] for each in events] == ["query_received", "query_completed"]
    assert {each["trace_id"] for each in events} == {response.trace_id}
    assert QUESTION not in json.dumps(events)
    assert events[-1]["response_length"] == len(response.answer)


async def test_a_session_goes_on_in_another_process(service: Observed, tmp_path: Path) -> None:
    for turn in (1, 2):
        async with agent(service, tmp_path) as under_test:
            assert (await under_test.query(ask())).turn == turn
    async with agent(service, tmp_path) as under_test:
        assert (await under_test.query(ask(session="other"))).turn == 1


async def test_the_limit_holds_before_money_is_spent(
    service: Observed, tmp_path: Path, model: FakeOpenAI
) -> None:
    async with agent(service, tmp_path, max_cost_per_query=1e-9) as under_test:
        response = await under_test.query(ask())
    assert (response.cost_usd, response.degradation_level) == (0, 2)
    assert model.count() == 0, "no model was called"


async def test_all_attempts_together_stay_within_the_limit(
    service: Observed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    allowed: list[Any] = []

    class Failing:
        async def ask_in_pieces(self, *args: Any, max_cost_usd: Any, **more: Any) -> Any:
            allowed.append(max_cost_usd)
            raise Unreachable("the reply was lost")
            yield

    module = agent_module()
    monkeypatch.setattr(module, "get_stream_writer", lambda: print)
    tool = module.AskFoliotrace(
        [Failing(), Failing()], max_cost_usd=module.MAX_COST_USD, longest_wait_s=0.01
    )
    with pytest.raises(Unreachable):
        await tool({"query": "q", "user_id": "u", "session_id": "s"})
    assert len(allowed) == 6
    assert sum(allowed) <= module.MAX_COST_USD


async def test_an_answer_of_a_service_that_keeps_no_limit_is_not_returned(
    service: Observed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with agent(service, tmp_path, max_cost_per_query=0.10) as under_test:
        under_test._max_cost_usd = 0
        with pytest.raises(agent_module().CostLimitExceeded):
            await under_test.query(ask())
    failed = [r for r in audit_records(tmp_path / "agent/audit") if r["event"] == "query_failed"]
    assert [r["error_type"] for r in failed] == ["CostLimitExceeded"]


async def test_the_second_service_answers_when_the_first_does_not(
    service: Observed, tmp_path: Path
) -> None:
    async with agent(service, tmp_path, f"http://127.0.0.1:{free_port()}") as under_test:
        response = await under_test.query(ask())
    assert (response.used_fallback, response.attempts) == (True, 4)


async def test_a_failure_is_audited_and_raised_and_a_refusal_is_not_retried(
    service: Observed, tmp_path: Path
) -> None:
    kind = agent_module().ProductionAgent
    nowhere = [f"http://127.0.0.1:{free_port()}"]
    async with kind(urls=nowhere, folder=tmp_path / "agent", longest_wait_s=0.01) as under_test:
        with pytest.raises(Unreachable):
            await under_test.query(ask())
    async with agent(service, tmp_path) as under_test:
        with pytest.raises(ServerProblem) as refused:
            await under_test.query(ask("\u200b"))
    assert refused.value.status == 400
    records = audit_records(tmp_path / "agent/audit")
    assert [r["event"] for r in records if r["event"] == "query_failed"] == ["query_failed"] * 2


async def test_a_degraded_answer_says_so(
    service: Observed, tmp_path: Path, model: FakeOpenAI
) -> None:
    model.fail("POST /v1/chat/completions", Fault.unavailable)
    async with agent(service, tmp_path) as under_test:
        assert (await under_test.query(ask())).degradation_level == 2


@pytest.mark.parametrize(
    "wrong",
    [{"query": ""}, {"query": "x" * 1001}, {"user_id": "ada\n"}, {"user_id": "a b"}, {"more": 1}],
)
async def test_a_wrong_query_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        agent_module().UserQuery(**{"query": "q", "user_id": "ada", **wrong})


async def test_markup_is_stripped_for_display_only() -> None:
    query = ask("Explain List<int> and {x}")
    assert (query.query, query.sanitized) == ("Explain List<int> and {x}", "Explain Listint and x")


async def test_traceable_functions_appear_in_langsmith(service: Observed, tmp_path: Path) -> None:
    with running_fake_langsmith() as fake:
        client = langsmith.Client(api_url=fake.url, api_key=fake.api_key)
        with langsmith.tracing_context(enabled=True, client=client, project_name="agent"):
            async with agent(service, tmp_path) as under_test:
                await under_test.query(ask())
        client.flush()
        names = {run["name"] for run in fake.state.runs.values()}
        assert {"ask_foliotrace", "check_answer", "LangGraph"} <= names
        client.close()


async def test_langgraph_json_names_a_graph() -> None:
    named = json.loads((EXAMPLE / "langgraph.json").read_text())["graphs"]["agent"]
    file, _, factory = named.partition(":")
    assert (EXAMPLE / file).is_file()
    graph = getattr(agent_module(), factory)()
    assert {"ask", "check"} <= set(graph.get_graph().nodes)
