"""Names of users and of documents' parties are replaced from the first time they are seen."""

from typing import Any

import pytest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from tests.otel.recorded_spans import recording

from foliotrace import events
from foliotrace_otel.content.capture import ContentCapture, ContentPolicy
from foliotrace_otel.export.span_encoding import SpanEncoder
from foliotrace_otel.export.span_redaction import Redactor, SpanRedactor
from foliotrace_otel.spans.run_attributes import RunAttributes, using_attributes


def test_a_learned_name_is_replaced_in_texts_that_were_seen_before() -> None:
    redactor = Redactor(b"key")
    assert redactor.redact("lease of Jane Doe") == "lease of Jane Doe"
    redactor.learn_person("Jane DOE")
    assert redactor.redact("lease of Jane Doe").startswith("lease of <NAME:")


@pytest.mark.parametrize("user", ["support", "u-1", "user 17", "jane@example.com", "", "x " * 40])
def test_ids_and_roles_are_no_names(user: str) -> None:
    redactor = Redactor(b"key")
    redactor.learn_person(user)
    text = "ask support about user 17 and the example com page, x x x"
    assert redactor.redact(text) == text


def test_ten_thousand_names_are_the_most() -> None:
    redactor = Redactor(b"key")
    for number in range(10_001):
        redactor.learn_person(f"Anna {''.join(chr(97 + int(digit)) for digit in str(number))}xy")
    assert redactor.redact("Anna bxy") != "Anna bxy"
    assert redactor.redact("Anna baaaaxy") == "Anna baaaaxy"


def test_an_attribute_that_was_encoded_before_the_name_was_known_is_encoded_anew() -> None:
    redactor = Redactor(b"key")
    encoder = SpanEncoder(SpanRedactor(redactor, content=True))
    span = TracerProvider(resource=Resource({})).get_tracer("t").start_span("lease of Jane Doe")
    span.set_attribute("input.value", "lease of Jane Doe")
    assert isinstance(span, ReadableSpan)
    assert b"Jane" in encoder.request([span])
    redactor.learn_person("Jane Doe")
    assert b"Jane" not in encoder.request([span])


def captured(data: Any) -> Redactor:
    redactor = Redactor(b"key")
    policy = ContentPolicy(capture=True, people=frozenset({"author", "tenant_name"}))
    capture = ContentCapture(policy, redactor.pseudonym, redactor.learn_person)
    capture.values(data, None)
    return redactor


@pytest.mark.parametrize(
    "data",
    [
        {"documents": [{"metadata": {"author": "Jane Doe"}}]},
        {"record": {"tenant_name": {"value": "Jane Doe", "confidence": 0.9}}},
        {"record": {"parties": [{"author": ["Max Power", "Jane Doe"]}]}},
    ],
)
def test_the_parties_of_a_document_are_learned_from_their_fields(data: Any) -> None:
    assert "Jane" not in captured(data).redact("Jane Doe has signed")


def test_other_fields_teach_no_names() -> None:
    assert captured({"title": "Annual Report"}).redact("Annual Report") == "Annual Report"


def test_a_user_of_a_run_is_learned() -> None:
    redactor = Redactor(b"key")
    provider = TracerProvider()
    provider.add_span_processor(RunAttributes(redactor))
    with using_attributes(user_id="Jane Doe"):
        provider.get_tracer("t").start_span("asks")
    assert "Jane" not in redactor.redact("hello Jane Doe")
    learned = Redactor(b"key")
    capture = ContentCapture(ContentPolicy(capture=True), learned.pseudonym, learned.learn_person)
    capture.identity({"user": "Erika Mustermann", "tenant": "acme"})
    assert "Erika" not in learned.redact("hello Erika Mustermann")


def test_nothing_is_collected_without_content() -> None:
    with recording() as seen, events.stage("validate", author="Jane Doe"):
        pass
    assert "Jane" not in seen.one("validate").to_json()
