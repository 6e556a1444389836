"""The OpenInference table of the docs is what spans carry, row by row."""

import re
from pathlib import Path

import pytest
from tests.lazy_sdk import lazy
from tests.otel.recorded_spans import recording

from foliotrace_otel.content.capture import ContentPolicy

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]
agent = lazy("tests.otel.agent_program")
programs = lazy("tests.otel.llamaindex_programs")
PAGE = Path(__file__).parents[2] / "docs" / "reference" / "openinference.md"
_ROW = re.compile(r"^\| `([^`]+)` \| (\w+) \| (.*?) ?\|$", re.MULTILINE)
_PREFIXES = (
    "openinference.", "input.", "output.", "llm.", "message.", "retrieval.documents", "reranker.",
    "embedding.", "tool.", "agent.", "graph.", "image.", "audio.", "prompt.id", "annotation",
    "evaluation",
)  # fmt: skip
# Written from requests, or on events: held by tests/server/test_langsmith_shows_runs.py,
# tests/otel/test_span_tree.py and tests/otel/test_package_alone.py.
_ELSEWHERE = {"session.id", "user.id", "tag.tags", "metadata", "exception.type"}
# Only a model of a provider's integration has one: held below.
_BY_PROVIDER = {"llm.provider", "llm.system"}


def rows() -> dict[str, tuple[str, str]]:
    return {name: (written, why) for name, written, why in _ROW.findall(PAGE.read_text())}


def counted(name: str) -> str:
    letters = iter("ij")
    return re.sub(r"(?<=\.)\d+(?=\.)", lambda _: f"{{{next(letters)}}}", name)


async def written(content: ContentPolicy | None) -> set[str]:
    """The attributes that an agent, a retrieval, a reranker and an embedding write."""
    with recording(content=content, openinference=True) as seen:
        await agent.ask_agent()
        agent.embed_and_rerank()
        agent.Noted().retrieve("how often")
    names = {counted(name) for span in seen.spans for name in span.attributes or {}}
    return {name for name in names if name.startswith(_PREFIXES)}


async def test_each_row_says_what_spans_carry() -> None:
    table = rows()
    plain, full = await written(None), await written(ContentPolicy(capture=True))
    for name in table.keys() - _ELSEWHERE - _BY_PROVIDER:
        expected = {"yes": (True, True), "content": (False, True), "no": (False, False)}
        assert (name in plain, name in full) == expected[table[name][0]], name
    assert full - table.keys() == set(), "not in the table"


def test_each_row_that_is_not_written_says_why() -> None:
    table = rows()
    assert len(table) > 60
    assert [name for name, (written, why) in table.items() if written == "no" and not why] == []


async def test_kinds_of_spans_are_those_of_the_table() -> None:
    with recording(openinference=True) as seen:
        await agent.ask_agent()
        agent.embed_and_rerank()
        agent.Noted().retrieve("how often")
    kinds = {str((span.attributes or {})["openinference.span.kind"]) for span in seen.spans}
    assert kinds == {"LLM", "EMBEDDING", "RETRIEVER", "RERANKER", "TOOL", "AGENT"}
    assert all(kind in rows()["openinference.span.kind"][1] for kind in kinds)


def test_a_provider_is_named_where_the_models_module_names_it() -> None:
    with recording(openinference=True) as seen:
        model = type("Model", (programs.Tiny,), {"__module__": "llama_index.llms.openai.base"})
        model().chat([agent.ChatMessage(role="user", content="hi")])
    (span,) = seen.spans
    attributes = span.attributes or {}
    assert (attributes["llm.provider"], attributes["llm.system"]) == ("openai", "openai")
