"""The OpenAPI document states the limits of a question, and they are those that `validate` has."""

from collections.abc import Mapping
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from pydantic import ValidationError

from foliotrace.errors import FoliotraceError
from foliotrace.model import Principal
from foliotrace.query.validate import refuse_unknown_fields, validate, validate_history
from foliotrace.query.workflow_events import AskQuestion
from foliotrace_server.openapi.document import openapi_document

AT_THE_LIMIT = [
    {"query": "x" * 1000},
    {"top_k": 50},
    {"top_k": 1},
    {"collection": "c" * 64},
    {"user_id": "u" * 64, "session_id": "a_-9"},
    {"history": ["x" * 1000] * 10},
    {"tags": ["t" * 256] * 16},
    {"metadata": {"f" * 64: "v" * 256, **{f"f{n}": n for n in range(31)}}},
    {"filters": {f"f{n}": ["v" * 256] * 64 for n in range(16)}},
    {"max_cost_usd": "0.000001"},
    {"max_cost_usd": 0},
]
BEYOND = [
    {"query": "x" * 1001},
    {"query": ""},
    {"top_k": 51},
    {"top_k": 0},
    {"collection": "c" * 65},
    {"collection": "a b"},
    {"user_id": "u" * 65},
    {"session_id": "a b"},
    {"history": ["x"] * 11},
    {"history": ["x" * 1001]},
    {"tags": ["t"] * 17},
    {"tags": ["t" * 257]},
    {"metadata": {"a b": 1}},
    {"metadata": {f"f{n}": n for n in range(33)}},
    {"metadata": {"a": "v" * 257}},
    {"filters": {f"f{n}": 1 for n in range(17)}},
    {"filters": {"a": []}},
    {"filters": {"a": ["v"] * 65}},
    {"filters": {"a b": 1}},
    {"max_cost_usd": "-1"},
    {"max_cost_usd": "a"},
]


def is_described(question: Mapping[str, Any]) -> bool:
    document = openapi_document(("query",))
    schema = {"$ref": "#/components/schemas/AskQuestion", "components": document["components"]}
    return Draft202012Validator(schema).is_valid(question)


def is_accepted(question: Mapping[str, Any]) -> bool:
    try:
        asked = AskQuestion(**question)
        refuse_unknown_fields(asked)
        validate(asked, principal=Principal(), run_id="run_1", query_hash="")
        validate_history(asked.history)
    except (FoliotraceError, ValidationError):
        return False
    return True


@pytest.mark.parametrize("fields", AT_THE_LIMIT, ids=lambda fields: ",".join(fields))
def test_what_is_at_the_limit_is_described_and_accepted(fields: Mapping[str, Any]) -> None:
    question = {"query": "whale", **fields}
    assert (is_described(question), is_accepted(question)) == (True, True)


@pytest.mark.parametrize("fields", BEYOND, ids=lambda fields: ",".join(fields))
def test_what_is_beyond_is_neither_described_nor_accepted(fields: Mapping[str, Any]) -> None:
    question = {"query": "whale", **fields}
    assert (is_described(question), is_accepted(question)) == (False, False)


@pytest.mark.parametrize(
    ("asked", "is_valid"),
    [({}, False), ({"user": None}, False), ({"user": "u"}, True), ({"collection": "c"}, True)],
)
def test_an_erasure_names_at_least_one_thing(asked: Mapping[str, Any], is_valid: bool) -> None:
    document = openapi_document(("query",))
    schema = {"$ref": "#/components/schemas/ErasureRequest", "components": document["components"]}
    assert Draft202012Validator(schema).is_valid(asked) == is_valid
