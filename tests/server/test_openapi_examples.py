"""Every operation of `/openapi.json` has examples: they validate, and the service answers so."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from foliotrace_server.openapi.document import openapi_document
from tools.docs.api_examples import FILE, record

DOCUMENT = openapi_document(("query", "ingest", "extract"))
OPERATIONS = [
    pytest.param(operation, id=operation["operationId"])
    for path in DOCUMENT["paths"].values()
    for operation in path.values()
]
_PROBLEM = "application/problem+json"


def check(value: object, schema: object) -> None:
    whole = {"components": DOCUMENT["components"], "allOf": [schema]}
    Draft202012Validator(whole, format_checker=Draft202012Validator.FORMAT_CHECKER).validate(value)


def events(stream: str) -> Iterator[dict[str, Any]]:
    """The events of a stream, each with its name where it has one."""
    for block in stream.strip().split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines())
        data = json.loads(fields["data"])
        yield {"event": fields["event"], "data": data} if "event" in fields else data


def shape(value: object) -> object:
    """The names and types of a JSON value, without its values."""
    if isinstance(value, dict):
        return {name: shape(each) for name, each in value.items()}
    if isinstance(value, list):
        return sorted({json.dumps(shape(each), sort_keys=True) for each in value})
    return type(value).__name__


@pytest.mark.parametrize("operation", OPERATIONS)
def test_each_operation_has_a_tag_and_examples_that_validate(operation: dict[str, Any]) -> None:
    assert operation["tags"][0] in {tag["name"] for tag in DOCUMENT["tags"]}
    for parameter in operation["parameters"]:
        if parameter.get("required") or "example" in parameter:
            check(parameter["example"], parameter["schema"])
    for content in operation.get("requestBody", {}).get("content", {}).values():
        check(content["example"], content["schema"])
    examples = 0
    for response in operation["responses"].values():
        for media_type, content in response.get("content", {}).items():
            if media_type == _PROBLEM or "example" not in content:
                continue
            examples += 1
            check(content["example"], content["schema"])
            if media_type == "text/event-stream":
                for event in events(content["example"]):
                    check(event, content["schema"]["contentSchema"])
    assert examples >= 1


def test_a_stream_of_the_protocol_knows_how_runs_end() -> None:
    stream = DOCUMENT["paths"]["/events/{handler_id}"]["get"]["responses"]["200"]["content"]
    schema = stream["text/event-stream"]["schema"]["contentSchema"]
    named = {each["properties"]["type"]["const"] for each in schema["oneOf"]}
    assert {"Answered", "WorkflowFailedEvent", "WorkflowCancelledEvent"} <= named
    failed = {
        "type": "WorkflowFailedEvent",
        "value": {"step_name": "answer", "exception": {"exception_type": "internal_error"}},
    }
    check(failed, schema)


@pytest.mark.anyio
async def test_the_service_answers_as_the_examples_say(tmp_path: Path) -> None:
    """All requests again, on a fresh service: the same names and types come back."""
    recorded = json.loads(FILE.read_text())
    assert shape(await record(tmp_path)) == shape(recorded)
