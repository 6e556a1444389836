"""An agent's trace: its model calls and tools with what they were asked and answered."""

import json
from typing import Any

import pytest
from tests.lazy_sdk import lazy
from tests.otel.recorded_spans import recording

from foliotrace_otel.content.capture import ContentPolicy

pytestmark = [
    pytest.mark.anyio,
    # The engine lists the members of an agent, which is a pydantic model, deprecated ones too.
    pytest.mark.filterwarnings("ignore::pydantic.warnings.PydanticDeprecatedSince20"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]
program = lazy("tests.otel.agent_program")
CAPTURED = ContentPolicy(capture=True)


def loaded(span: Any, name: str) -> Any:
    return json.loads(str((span.attributes or {})[name]))


async def test_an_agent_is_its_model_and_tool_calls_without_plumbing() -> None:
    with recording() as seen:
        assert await program.ask_agent() == "It is 5."
    tree = [(span.name, seen.parent_name(span)) for span in seen.spans]
    run = "invoke_agent FunctionAgent"
    assert sorted(tree, key=str) == [
        ("chat scripted-1", run),
        ("chat scripted-1", run),
        ("execute_tool add", run),
        (run, None),
    ]
    assert (seen.one(run).attributes or {})["gen_ai.agent.name"] == "calculator"
    assert not seen.orphans()


async def test_all_detail_keeps_the_steps_of_an_agent() -> None:
    with recording(detail="all") as seen:
        await program.ask_agent()
    assert seen.named("step run_agent_step")


async def test_no_argument_result_or_message_leaves_by_default() -> None:
    with recording(openinference=True) as seen:
        await program.ask_agent()
    text = "".join(span.to_json() for span in seen.spans)
    assert not [said for said in ("2 + 3", "It is 5", "Add two", '\\"a\\"') if said in text]


async def test_a_tool_shows_its_arguments_and_result() -> None:
    with recording(content=CAPTURED) as seen:
        await program.ask_agent()
    tool = seen.one("execute_tool add")
    assert loaded(tool, "gen_ai.tool.call.arguments") == {"a": 2, "b": 3}
    assert loaded(tool, "gen_ai.tool.call.result") == "5"


async def test_a_tool_that_raises_shows_its_arguments_and_fails() -> None:
    def add(a: int, b: int) -> float:
        raise ZeroDivisionError

    with recording(content=CAPTURED) as seen:
        await program.ask_agent(add)
    tool = seen.one("execute_tool add")
    assert loaded(tool, "gen_ai.tool.call.arguments") == {"a": 2, "b": 3}
    assert not tool.status.is_ok


async def test_messages_carry_tool_calls_and_their_results() -> None:
    with recording(content=CAPTURED) as seen:
        await program.ask_agent()
    first, second = sorted(seen.named("chat scripted-1"), key=lambda span: span.start_time or 0)
    call = {"type": "tool_call", "id": "call-1", "name": "add", "arguments": {"a": 2, "b": 3}}
    (answered,) = loaded(first, "gen_ai.output.messages")
    assert answered == {"role": "assistant", "parts": [call]}
    *_, asked_again, result = loaded(second, "gen_ai.input.messages")
    assert asked_again["parts"] == [call]
    assert result["parts"] == [{"type": "tool_call_response", "id": "call-1", "result": "5"}]
    (offered,) = loaded(first, "gen_ai.tool.definitions")
    assert offered["function"]["name"] == "add"


async def test_an_agents_run_shows_question_and_answer() -> None:
    with recording(content=CAPTURED) as seen:
        await program.ask_agent()
    run = seen.one("invoke_agent FunctionAgent")
    assert loaded(run, "gen_ai.prompt") == {"user_msg": program.ASKED}
    assert loaded(run, "gen_ai.completion")["response"]["content"] == "It is 5."
