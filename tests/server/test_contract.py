"""Bodies hold what their types declare: nothing internal leaves, and new fields break no client."""

import json
from dataclasses import fields
from datetime import UTC, datetime

import pytest
from pydantic import ValidationError

from foliotrace.model import Answer, Document, DocumentStatus, DocumentView, ParsedPage, Word, Words
from foliotrace.model.page import Box
from foliotrace_server.bodies import (
    AnswerBody,
    DocumentsBody,
    PageBody,
    ProblemBody,
    answer_json,
    from_json,
    page_body,
    to_json,
)

NOW = datetime(2026, 11, 21, 12, 30, tzinfo=UTC)
DOCUMENT = Document(
    id="doc_1",
    tenant="the-tenant",
    collection="default",
    name="a.txt",
    content_hash="00",
    media_type="text/plain",
    size_bytes=3,
    status=DocumentStatus.READY,
    pending_revision="rev_2",
    metadata={"year": 2024, "final": True, "share": 0.5, "city": "Zürich"},
    created_at=NOW,
    updated_at=NOW,
)


@pytest.mark.parametrize(
    "body",
    [
        to_json(DocumentView, DOCUMENT),
        to_json(DocumentsBody, DocumentsBody(documents=(DOCUMENT,), next=None)),
    ],
)
def test_internal_fields_of_a_document_never_leave(body: bytes) -> None:
    assert b"the-tenant" not in body
    assert b"rev_2" not in body


def test_a_client_reads_back_what_the_server_wrote() -> None:
    read = from_json(DocumentView, to_json(DocumentView, DOCUMENT))
    for each in fields(DocumentView):
        assert getattr(read, each.name) == getattr(DOCUMENT, each.name)


def test_times_are_utc_and_metadata_keeps_its_types() -> None:
    body = json.loads(to_json(DocumentView, DOCUMENT))
    assert body["created_at"] == "2026-11-21T12:30:00Z"
    assert body["metadata"] == {"year": 2024, "final": True, "share": 0.5, "city": "Zürich"}


def test_an_answer_is_written_as_its_type_declares() -> None:
    written = answer_json(Answer(text="whale", origin="00-trace"), {"jaeger": "http://j/1"})
    body = json.loads(written)
    assert set(body) == {each.name for each in fields(AnswerBody)}
    assert (body["answer"], body["answer_mode"]) == ("whale", "extractive")
    assert body == json.loads(to_json(AnswerBody, from_json(AnswerBody, written)))


def test_the_words_of_a_page_are_unpacked() -> None:
    page = ParsedPage(number=1, text="whale", words=Words.pack([Word(0, 5, Box(1, 2, 3, 4))]))
    body = json.loads(to_json(PageBody, page_body("doc_1", page)))
    box = {"x": 1.0, "y": 2.0, "width": 3.0, "height": 4.0}
    assert body["words"] == [{"start": 0, "end": 5, "box": box}]


def test_a_problem_leaves_out_what_it_does_not_have() -> None:
    problem = ProblemBody(type="urn:x", title="No.", status=404, code="page_not_found")
    assert set(json.loads(to_json(ProblemBody, problem))) == {"type", "title", "status", "code"}


def test_a_field_of_a_newer_server_is_ignored_and_a_missing_one_is_not() -> None:
    body = json.loads(to_json(DocumentView, DOCUMENT))
    assert from_json(DocumentView, json.dumps(body | {"shelf_mark": "QA 76"})).id == "doc_1"
    del body["content_hash"]
    with pytest.raises(ValidationError):
        from_json(DocumentView, json.dumps(body))
