"""A run becomes a dataset row, and is asked again."""

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from foliotrace_detect import SensitiveKind
from foliotrace_loop.datasets.placeholders import kinds_in, stand_ins
from foliotrace_loop.datasets.promote import Promotion, promote
from foliotrace_loop.datasets.rows import Datasets
from foliotrace_loop.evaluators.rules import factual_match
from foliotrace_loop.ports import LoopError
from foliotrace_loop.replay import ReplayVerdict, replay
from foliotrace_loop.shapes import (
    Configuration,
    Inputs,
    Outcome,
    RecordedContent,
    RecordedRun,
    Row,
)

pytestmark = pytest.mark.anyio
ASKED = "Does ada@example.org owe 12 EUR? Ask ada@example.org or bob@example.org."
NOW = Configuration(code="2", prompt="p1", model=None, index=9, settings="s1")


def recorded(query: str | None = ASKED, **more: Any) -> RecordedRun:
    outputs = {
        "answer": "No.",
        "citations": [{"quote": "…", "content_hash": "hash-1"}],
        "content_hashes": {"doc_1": "hash-1", "doc_2": "hash-2"},
    }
    inputs = {"query": query, **more.pop("inputs", {})} if query else {}
    outcome = Outcome(id="run_1", inputs=inputs, outputs=outputs, configuration=NOW)
    content = more.pop("content", RecordedContent.WHOLE if query else RecordedContent.NONE)
    return RecordedRun(outcome=replace(outcome, **more), content=content)


def said(**more: Any) -> Promotion:
    given = {"dataset": "complaints", "reference_outputs": {"answer": "Yes, ada@example.org does."}}
    return Promotion(**{**given, **more})


def test_a_promoted_row_is_anonymised_and_a_value_keeps_its_placeholder() -> None:
    row = promote(recorded(), said(incident_id="T-1", category="wrong", split="smoke"))
    assert row.inputs["query"] == "Does <EMAIL:1> owe 12 EUR? Ask <EMAIL:1> or <EMAIL:2>."
    assert row.reference_outputs == {"answer": "Yes, <EMAIL:1> does."}
    assert row.metadata == {
        "promoted_from_run": "run_1",
        "incident_id": "T-1",
        "category": "wrong",
        "documents": ["hash-1"],
        "inputs_redacted": True,
    }
    assert "example.org" not in json.dumps([dict(row.inputs), dict(row.metadata)])


def test_documents_of_a_filter_are_named_by_their_content() -> None:
    chosen = recorded(inputs={"filters": {"document_ids": ["doc_2", "doc_1"], "year": [2026]}})
    filters = promote(chosen, said()).inputs["filters"]
    assert filters == {"content_hashes": ["hash-1", "hash-2"], "year": [2026]}
    with pytest.raises(LoopError, match="doc_9 is not known"):
        promote(recorded(inputs={"filters": {"document_ids": ["doc_9"]}}), said())


def test_promoting_twice_is_one_row_and_another_dataset_has_another_id(tmp_path: Path) -> None:
    datasets = Datasets(tmp_path)
    first, again = promote(recorded(), said()), promote(recorded(), said(split="smoke"))
    assert datasets.put("complaints", first)
    assert not datasets.put("complaints", again)
    assert datasets.read("complaints") == [again]
    assert promote(recorded(), said(dataset="other")).id != first.id
    assert datasets.retire("complaints", first.id, "2026-11-21").retired_at == "2026-11-21"
    assert datasets.suite("complaints", "full") == []
    assert len(datasets.read("complaints")) == 1
    datasets.put("complaints", promote(recorded(), said(created="2027-01-01")))
    assert datasets.read("complaints")[0].retired_at == "2026-11-21"
    assert datasets.retire("complaints", first.id, None).retired_at is None
    assert len(datasets.suite("complaints", "full")) == 1


def test_what_the_store_redacted_is_numbered_and_a_personal_filter_is_refused() -> None:
    row = promote(recorded("Is [EMAIL REDACTED] bob@example.org or [EMAIL REDACTED]?"), said())
    assert row.inputs["query"] == "Is <EMAIL:1> <EMAIL:3> or <EMAIL:2>?"
    assert row.metadata["inputs_redacted"]
    for person in ("ada@example.org", "[EMAIL REDACTED]"):
        chosen = recorded(inputs={"filters": {"author": [person]}})
        with pytest.raises(LoopError, match="the filter author holds personal data"):
            promote(chosen, said())


def test_a_placeholder_is_asked_as_a_value_of_its_kind_that_belongs_to_nobody() -> None:
    assert stand_ins("From <EMAIL:1> to <EMAIL:2>, not <EMAIL:1>, but [EMAIL REDACTED]") == (
        "From person1@example.com to person2@example.com, not person1@example.com, "
        "but person3@example.com"
    )
    for kind in ("EMAIL", "PHONE", "CARD", "IBAN", "MAC"):
        assert kinds_in(f"Is {stand_ins(f'<{kind}:1>')} right?") == {kind}, kind
    known = {str(kind) for kind in SensitiveKind}
    assert all(re.fullmatch("[A-Z]{2,10}", kind) for kind in known), "placeholders are recognised"
    assert stand_ins("List <int> of [3 items]") == "List <int> of [3 items]"


def test_a_placeholder_in_a_reference_asks_for_a_value_of_its_kind() -> None:
    row = Row(id="", inputs={}, reference_outputs={"answer": "Write to <EMAIL:1>"})
    for answer, right in (("Write to ada@example.org.", 1.0), ("Write to 7 Mill Lane.", 0.0)):
        rated = factual_match(Outcome(id="r", inputs={}, outputs={"answer": answer}), row)
        assert rated is not None
        assert rated[0] == right


async def test_an_answer_that_the_run_redacted_is_compared_redacted() -> None:
    run = recorded(outputs={"answer": "Write to [EMAIL REDACTED]."})
    for answer, verdict in (
        ("Write to ada@example.org.", ReplayVerdict.REPRODUCED),
        ("Call ada@example.org.", ReplayVerdict.CHANGED),
    ):
        assert (await replay(run, Scripted([answer]))).verdict is verdict


def test_a_run_without_question_or_reference_is_not_promoted() -> None:
    with pytest.raises(LoopError, match="holds no question"):
        promote(recorded(None), said())
    asked = recorded(inputs={"collection": "zoo"}, content=RecordedContent.NONE)
    supplied = promote(asked, said(inputs={"query": "Why?"}))
    assert supplied.inputs == {"query": "Why?", "collection": "zoo"}
    with pytest.raises(LoopError, match="needs a reference"):
        promote(recorded(), said(reference_outputs={}))


def test_a_dataset_is_sorted_and_a_bad_line_is_named(tmp_path: Path) -> None:
    datasets = Datasets(tmp_path)
    for n in (3, 1, 2):
        datasets.put("d", Row(id=str(n), inputs={"query": "q"}, reference_outputs={}))
    path = datasets.path("d")
    assert [json.loads(line)["id"] for line in path.read_text().splitlines()] == ["1", "2", "3"]
    hand = '{"inputs": {"query": "by hand"}, "reference_outputs": {"refused": true}}\n'
    (tmp_path / "hand.jsonl").write_text(hand)
    assert datasets.read("hand")[0].id == datasets.read("hand")[0].id != ""
    for line, said_ in (
        ("{broken", "d.jsonl:4 is not JSON"),
        ('{"inputs": {}, "split": "half"}', "smoke or full"),
        ('{"inputs": {}, "answer": 1}', "unknown fields: answer"),
        ('{"query": "x"}', "needs an object `inputs`"),
    ):
        text = path.read_text()
        path.write_text(text + line + "\n")
        with pytest.raises(LoopError, match=said_):
            datasets.read("d")
        path.write_text(text)
    with pytest.raises(LoopError, match="no name"):
        datasets.path("../x")


class Scripted:
    """A target that gives one answer after the other."""

    def __init__(self, answers: Sequence[str], configuration: Configuration = NOW) -> None:
        self._answers = list(answers)
        self._configuration = configuration
        self.asked: list[Inputs] = []

    async def answer(self, inputs: Inputs) -> Outcome:
        self.asked.append(inputs)
        text = self._answers[(len(self.asked) - 1) % len(self._answers)]
        return Outcome(
            id=f"run_{len(self.asked)}",
            inputs=inputs,
            outputs={"answer": text},
            configuration=self._configuration,
        )


@pytest.mark.parametrize(
    ("answers", "reference", "verdict"),
    [
        (["No."], "It costs 12 EUR", ReplayVerdict.REPRODUCED),
        (["No.", "It costs 12 EUR."], "It costs 12 EUR", ReplayVerdict.FLAKY),
        (["It costs 12 EUR."], "It costs 12 EUR", ReplayVerdict.FIXED),
        (["No."], None, ReplayVerdict.REPRODUCED),
        (["No.", "Yes."], None, ReplayVerdict.FLAKY),
        (["Yes."], None, ReplayVerdict.CHANGED),
    ],
)
async def test_replay_tells_broken_from_flaky_from_fixed(
    answers: list[str], reference: str | None, verdict: ReplayVerdict
) -> None:
    target = Scripted(answers)
    asked = {"top_k": 7, "filters": {"year": [2026]}}
    found = await replay(recorded(inputs=asked), target, times=4, reference=reference)
    assert (found.verdict, len(found.attempts)) == (verdict, 4)
    assert target.asked == [{"query": ASKED, **asked}] * 4
    assert (found.rebuilt[-1], found.not_rebuilt) == ("inputs", ())


async def test_replay_says_what_could_not_be_rebuilt() -> None:
    later = Configuration(code="2", prompt="p1", model="m-2026-01-01", index=12, settings="s1")
    found = await replay(
        recorded(content=RecordedContent.REDACTED), Scripted(["No."], later), times=1
    )
    assert found.rebuilt == ("prompt", "settings", "code")
    assert found.not_rebuilt == (
        "model: none was recorded, m-2026-01-01 answers now",
        "index: 9 was recorded, 12 answers now",
        "inputs_redacted: personal data in the question was replaced; it was asked with values of "
        "the same kind",
    )


async def test_replay_refuses_a_run_without_content_and_a_floating_model() -> None:
    target = Scripted(["No."])
    with pytest.raises(LoopError, match="holds no content"):
        await replay(recorded(None), target)
    assert target.asked == []
    floating = replace(NOW, model="gpt-4o")
    with pytest.raises(LoopError, match="floating"):
        await replay(recorded(configuration=floating), target)
    with pytest.raises(LoopError, match="floating"):
        await replay(recorded(), Scripted(["No."], floating))
    allowed = await replay(recorded(), Scripted(["No."], floating), allow_floating=True)
    assert allowed.verdict is ReplayVerdict.REPRODUCED
    supplied = await replay(recorded(None), target, inputs={"query": "Why?"}, times=1)
    assert supplied.not_rebuilt[-1].startswith("inputs_supplied")
