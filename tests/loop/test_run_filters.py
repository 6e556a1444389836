"""LangSmith's filter grammar over records of runs."""

import re
from ast import literal_eval
from datetime import UTC, datetime
from decimal import Decimal
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from foliotrace_loop.runs.filters import FilterError, parse_filter

RECORD: dict[str, Any] = {
    "id": "run_1",
    "status": "success",
    "error": None,
    "is_root": True,
    "start_time": datetime(2026, 11, 20, 12, tzinfo=UTC),
    "latency": 2.5,
    "total_tokens": 0,
    "total_cost": Decimal("0.0020"),
    "user_id": "ada",
    "session_id": None,
    "level": 2,
    "tags": ("beta", 'quo"te'),
    "metadata": {"plan": "pro", "seats": 3, "trial": False},
    "feedback": [
        {"key": "user_score", "score": 1.0, "value": None},
        {"key": "tone", "score": 0.0, "value": "rude"},
    ],
}

HOLDS = [
    'eq(user_id, "ada")',
    "eq(user_id, 'ada')",
    'neq(session_id, "s1")',
    "eq(session_id, null)",
    "eq(error, null)",
    "eq(error, false)",
    "neq(error, true)",
    "not(eq(error, true))",
    "neq(user_id, null)",
    "eq(is_root, true)",
    'gt(latency, "2s")',
    'lt(latency, "2600ms")',
    "gte(latency, 2.5)",
    "lte(latency, 2.5)",
    'gte(total_cost, "0.002")',
    "lt(total_cost, 0.0021)",
    "eq(total_tokens, 0)",
    'gt(start_time, "2026-11-20T11:59:59Z")',
    'lt(start_time, "2026-11-20T14:00:00+01:00")',
    'eq(start_time, "2026-11-20T13:00:00+01:00")',
    'has(tags, "beta")',
    r'has(tags, "quo\"te")',
    """has(metadata, '{"plan": "pro", "seats": 3}')""",
    'has(metadata, "seats")',
    'and(eq(metadata_key, "seats"), gt(metadata_value, 2))',
    'and(eq(feedback_key, "user_score"), eq(feedback_score, 1))',
    'and(eq(feedback_key, "tone"), eq(feedback_value, "rude"))',
    'or(eq(level, 4), and(gte(level, 2), not(has(tags, "old"))))',
    'in(user_id, ["bob", "ada"])',
    'exists(metadata, "plan")',
    "eq(thread_id, null)",
    ' and ( eq ( level , 2 ) , eq( status,"success" ) ) ',
]
FAILS = [
    'exists(metadata, "tenant_id")',
    'eq(user_id, "Ada")',
    "gt(latency, 2.5)",
    "gt(session_id, 1)",
    "lt(error, 1)",
    'eq(total_tokens, "x")',
    "eq(is_root, 1)",
    # each is held by one of the two ratings, no rating holds both
    'and(eq(feedback_key, "user_score"), lt(feedback_score, 0.5))',
    'and(eq(metadata_key, "plan"), eq(metadata_value, 3))',
    """has(metadata, '{"plan": "pro", "seats": 4}')""",
    'has(metadata, "absent")',
    "not(eq(level, 2))",
    'and(eq(metadata_key, "trial"), eq(metadata_value, 0))',
]


@pytest.mark.parametrize("text", HOLDS)
def test_a_filter_holds(text: str) -> None:
    assert parse_filter(text)(RECORD) is True


@pytest.mark.parametrize("text", FAILS)
def test_a_filter_does_not_hold(text: str) -> None:
    assert parse_filter(text)(RECORD) is False


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "expected a name"),
        ("eq(user_id", "expected ,"),
        ('eq(user_id, "ada"', "expected )"),
        ('eq(user_id, "ada") extra', "unexpected 'extra' at position"),
        ('eq(usr, "ada")', "unknown field `usr`"),
        ('like(user_id, "a%")', "unknown operator `like`"),
        ("eq(user_id, ada)", "expected a value"),
        ('gt(start_time, "yesterday")', "not ISO 8601"),
        ('gt(latency, "soon")', "no duration"),
        ('has(user_id, "ada")', "has() takes"),
        ("eq(tags, 1)", "use has(tags"),
        ("not(eq(level, 1), eq(level, 2))", "takes one condition"),
        ("has(metadata, '{broken')", "not JSON"),
        ("not(" * 40 + "eq(level, 1)" + ")" * 40, "nests at most"),
        ("eq(level, 1" + " " * 10_001 + ")", "at most"),
    ],
)
def test_a_filter_that_cannot_be_read_says_where_and_why(text: str, said: str) -> None:
    with pytest.raises(FilterError) as caught:
        parse_filter(text)
    assert said in str(caught.value)


def test_a_run_without_feedback_matches_no_comparison_of_feedback() -> None:
    assert not parse_filter("neq(feedback_score, 1)")({"feedback": []})


def test_every_filter_that_langsmiths_client_documents_is_read() -> None:
    package = Path(str(find_spec("langsmith").submodule_search_locations[0]))  # type: ignore[union-attr, index] # it is installed
    documented = set[str]()
    for module in ("client.py", "async_client.py"):
        source = (package / module).read_text("utf-8")
        found = re.findall(r"filter=('(?:[^'\\]|\\.)*')", source)
        documented |= {literal_eval(each) for each in found}
    assert len(documented) >= 6
    holding = {text for text in documented if parse_filter(text)(RECORD)}
    assert holding == {
        'and(eq(feedback_key, "user_score"), eq(feedback_score, 1))',
        'and(or(has(tags, "experimental"), has(tags, "beta")), gt(latency, 2))',
    }
