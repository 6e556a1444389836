"""Evaluators: rules, judges that must be pinned and calibrated, and the user's own."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from foliotrace_loop.evaluators.custom import load_evaluator, own_evaluator
from foliotrace_loop.evaluators.judge import (
    Calibration,
    JudgeEvaluator,
    LabelledCase,
    calibrate,
    is_floating,
)
from foliotrace_loop.evaluators.registry import Evaluators
from foliotrace_loop.evaluators.rules import NoHallucination, numbers_in
from foliotrace_loop.ports import LoopError, Vote
from foliotrace_loop.shapes import Outcome, Row
from foliotrace_server.loop.grounding import AnswerGrounding

pytestmark = pytest.mark.anyio


def row(**reference: Any) -> Row:
    return Row(id="r", inputs={"query": "q"}, reference_outputs=reference)


def outcome(answer: str = "", **more: Any) -> Outcome:
    outputs = {"answer": answer, "answer_mode": "extractive", **more.pop("outputs", {})}
    return Outcome(id="run", inputs={"query": "q"}, outputs=outputs, **more)


async def rated(key: str, run: Outcome, case: Row) -> float | None:
    return (await Evaluators().known[key].evaluate(run, case)).score


@pytest.mark.parametrize(
    ("answer", "reference", "score"),
    [
        ("The fee is 1,000 EUR, due once.", "1000.0 EUR once", 1.0),
        ("The fee is 1,001 EUR, due once.", "1000 EUR once", 0.0),
        ("Refunds are paid within 30 days [2].", "Refunds within 30 days", 1.0),
        ("Refunds are paid [30].", "Refunds within 30 days", 0.0),  # a marker is no number
        ("Helicopters are permitted on Sundays.", "Helicopters are not permitted on Sundays", 0.0),
        ("On Sundays, helicopters are never permitted.", "Helicopters not permitted Sundays", 1.0),
        ("Something else entirely.", "The chief pilot consents", 0.0),
        ("It was S. Okafor.", ["Adaeze Obi", "S. Okafor"], 1.0),
    ],
)
async def test_factual_match_compares_numbers_negation_and_words(
    answer: str, reference: Any, score: float
) -> None:
    assert await rated("factual_match", outcome(answer), row(answer=reference)) == score


async def test_a_refusal_is_no_match_and_right_only_where_it_is_expected() -> None:
    refused = outcome("The documents do not answer it.", outputs={"answer_mode": "abstained"})
    answered = outcome("Yes.")
    assert await rated("factual_match", refused, row(answer="documents answer")) == 0.0
    for run, expected, score in (
        (refused, {"refused": True}, 1.0),
        (answered, {"refused": True}, 0.0),
        (refused, {"answer": "Yes"}, 0.0),
        (answered, {"answer": "Yes"}, 1.0),
        (answered, {}, None),
    ):
        assert await rated("refusal_correct", run, row(**expected)) == score


async def test_no_hallucination_finds_the_number_that_no_quote_holds() -> None:
    rule = NoHallucination(AnswerGrounding())
    quotes = [{"quote": "Unleaded costs 2.31 EUR per litre at the pump."}]
    good = outcome("Unleaded costs 2.31 EUR per litre [1].", outputs={"citations": quotes})
    bad = outcome(
        "Unleaded costs 2.31 EUR. The tank holds 900 litres.", outputs={"citations": quotes}
    )
    uncited = outcome("Unleaded costs 2.31 EUR per litre.")
    assert (await rule.evaluate(good, row())).score == 1.0
    score = await rule.evaluate(bad, row())
    assert (score.score, score.passed) == (0.5, False)
    assert "900 litres" in score.comment
    assert (await rule.evaluate(uncited, row())).score == 0.0
    table = outcome("Fee Amount When\nUnleaded 2.31 EUR", outputs={"citations": quotes})
    assert (await rule.evaluate(table, row())).score == 1.0


async def test_limits_tools_documents_and_marks() -> None:
    slow = outcome("x", elapsed_ms=1500.0, cost_usd=Decimal("0.2"))
    assert await rated("latency_ok", slow, row()) == 0.0
    assert await rated("latency_ok", slow, row(latency_ms=2000)) == 1.0
    assert await rated("cost_ok", slow, row()) == 0.0
    calls = [{"name": "search", "args": {"q": "a"}}, {"name": "open", "args": {}}]
    asked = outcome(outputs={"tool_calls": calls})
    assert await rated("tool_call_correct", asked, row(tool_calls=calls)) == 1.0
    assert await rated("tool_call_correct", asked, row(tool_calls=calls[::-1])) == 0.0
    assert await rated("tool_call_correct", asked, row(tool_calls=calls[:1])) == 0.0
    assert await rated("tool_call_correct", outcome(), row(tool_calls=[])) == 1.0
    cited = outcome(outputs={"citations": [{"quote": "", "content_hash": "h1"}]})
    assert await rated("retrieval_recall", cited, row(documents=["h1", "h2"])) == 0.5
    for mark, expected, score in (
        ({"level": 0, "reasons": []}, {}, 1.0),
        ({"level": 2, "reasons": ["llm_unavailable"]}, {}, 1.0),
        ({"level": 2, "reasons": []}, {}, 0.0),
        ({"level": 2, "reasons": ["x"]}, {"degradation_level": 1}, 0.0),
    ):
        run = outcome(outputs={"degradation": mark})
        assert await rated("degradation_marked", run, row(**expected)) == score


async def test_schema_exactness_compares_field_by_field() -> None:
    expected = {"total": 12.5, "lines": [{"n": 1}, {"n": 2}], "paid": True}
    for record, score in (
        (expected, 1.0),
        ({**expected, "total": 12.50}, 1.0),
        ({**expected, "paid": 1}, 0.75),
        ({**expected, "lines": [{"n": 1}]}, 0.75),
        ({**expected, "extra": None}, 0.8),
        (None, 0.0),
    ):
        assert (
            await rated("schema_exact", outcome(outputs={"record": record}), row(record=expected))
            == score
        )
    schema = {"type": "object", "properties": {"total": {"type": "string"}}}
    broken = outcome(outputs={"record": expected})
    assert await rated("schema_exact", broken, row(record=expected, schema=schema)) == 0.0


def test_numbers_are_read_in_every_form() -> None:
    found = numbers_in("On 2026-11-20: 1,234.50 EUR, -3 %, 08/26, 3,5 and part 12.")
    assert {str(f"{n:f}") for n in found} >= {"2026", "1234.5", "-3", "8", "26", "3.5", "12"}


@pytest.mark.parametrize(
    ("model", "floating"),
    [
        ("gpt-4o", True),
        ("gpt-4o-2024-08-06", False),
        ("gpt-4-0613", False),
        ("gpt-4-1106-preview", False),
        ("gpt-4-turbo", True),
        ("claude-sonnet-4-5-20250929", False),
        ("claude-sonnet-4-5", True),
        ("claude-3-7-sonnet-latest", True),
        ("gemini-2.5-flash", True),
        ("gemini-2.0-flash-001", False),
        ("llama3@sha256:ab12", False),
        ("anthropic.claude-v2:1", True),
        (None, False),
    ],
)
def test_a_model_without_date_build_or_digest_floats(model: str | None, floating: bool) -> None:
    assert is_floating(model) is floating


TODAY = "2026-11-21"


@dataclass
class ScriptedJudge:
    """A judge that votes as it was told."""

    votes: list[bool]
    model: str = "judge-2026-01-01"
    asked: int = field(default=0)

    async def vote(
        self, rubric: str, inputs: Mapping[str, Any], outputs: Any, reference: Any
    ) -> Vote:
        self.asked += 1
        return Vote(passed=self.votes[(self.asked - 1) % len(self.votes)], cost_usd=Decimal("0.01"))


async def calibrated(agreeing: int, of: int = 20) -> Calibration:
    """A judge that passes every other answer, against people who see `agreeing` of them so."""
    judge = ScriptedJudge([n % 2 == 0 for n in range(of) for _ in range(3)])
    return await calibrate(
        judge, "be kind", labelled((n % 2 == 0) is (n < agreeing) for n in range(of)), at=TODAY
    )


def labelled(passed: Iterable[bool]) -> list[LabelledCase]:
    """Answers with what people said of each."""
    return [
        LabelledCase(inputs={}, outputs={"answer": "a"}, reference={}, passed=each)
        for each in passed
    ]


async def test_a_judge_votes_three_times_and_the_majority_counts() -> None:
    card = await calibrated(20)
    judge = ScriptedJudge([False, True, True])
    score = await JudgeEvaluator("tone", judge, "be kind", card).evaluate(outcome("a"), row())
    assert (score.score, judge.asked, score.cost_usd) == (1.0, 3, Decimal("0.03"))
    assert not score.deterministic


async def test_a_judge_below_eighty_percent_agreement_is_disabled(tmp_path: Path) -> None:
    judge = ScriptedJudge([True])
    good, bad = await calibrated(16), await calibrated(15)
    assert (good.agreement, bad.agreement) == (0.8, 0.75)
    good.save(tmp_path / "tone.json")
    assert Calibration.read(tmp_path / "tone.json") == good
    asked = judge.asked
    for card, model, rubric, said in (
        (good, judge.model, "be kind", None),
        (bad, judge.model, "be kind", "75%"),
        (None, judge.model, "be kind", "never calibrated"),
        (good, "other-2026-01-01", "be kind", "another rubric or model"),
        (good, judge.model, "be nice", "another rubric or model"),
        (good, "gpt-4o", "be kind", "not pinned"),
    ):
        tried = ScriptedJudge([True], model=model)
        evaluator = JudgeEvaluator("tone", tried, rubric, card)
        score = await evaluator.evaluate(outcome("a"), row())
        if said is None:
            assert score.score == 1.0
        else:
            assert said in (evaluator.disabled or "")
            assert (score.score, tried.asked) == (None, 0)
    assert judge.asked == asked
    with pytest.raises(LoopError, match="not pinned"):
        await calibrate(ScriptedJudge([True], model="gpt-4o"), "be kind", [], at=TODAY)
    with pytest.raises(LoopError, match="needs 10"):
        await calibrated(5, of=5)


async def test_a_judge_that_always_says_the_same_is_not_used_however_often_it_is_right() -> None:
    judge = ScriptedJudge([True])
    card = await calibrate(judge, "be kind", labelled(n < 18 for n in range(20)), at=TODAY)
    assert (card.agreement, card.kappa) == (0.9, 0.0)
    assert "chance" in (JudgeEvaluator("tone", judge, "be kind", card).disabled or "")
    judge.asked = 0
    for passed, kind in ((True, "good"), (False, "bad")):
        with pytest.raises(LoopError, match=f"all 20 labels are {kind} answers"):
            await calibrate(judge, "be kind", labelled([passed] * 20), at=TODAY)
    assert judge.asked == 0


def with_run_and_example(run: Any, example: Any) -> dict[str, Any]:
    right = run.outputs["answer"] == example.outputs["answer"]
    return {"key": "exact", "score": int(right), "comment": example.inputs["query"]}


def with_outputs(outputs: dict[str, Any], reference_outputs: dict[str, Any]) -> bool:
    return bool(outputs["answer"] == reference_outputs["answer"])


async def with_all_three(
    inputs: dict[str, Any], outputs: dict[str, Any], reference_outputs: dict[str, Any]
) -> float:
    return 0.25


def by_position(mine: Any, theirs: Any) -> float:
    return float(mine.outputs["answer"] == theirs.reference_outputs["answer"])


@pytest.mark.parametrize(
    ("function", "key", "score"),
    [
        (with_run_and_example, "exact", 1.0),
        (with_outputs, "with_outputs", 1.0),
        (with_all_three, "with_all_three", 0.25),
        (by_position, "by_position", 1.0),
    ],
)
async def test_own_evaluators_work_in_both_signatures(
    function: Any, key: str, score: float
) -> None:
    found = await own_evaluator(function).evaluate(outcome("yes"), row(answer="yes"))
    assert (found.key, found.score) == (key, score)


async def test_an_own_evaluator_is_found_by_import_path_or_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "my_rules.py").write_text(
        "def polite(outputs):\n    return 'please' in outputs['answer']\n"
        "def odd(a, b, c):\n    return 1\n"
        "def loud(outputs):\n    return 7\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    suite = Evaluators(extra=("my_rules:polite",))
    assert [e.key for e in suite.of(row())][-1] == "polite"
    assert (await load_evaluator("my_rules:polite").evaluate(outcome("please"), row())).score == 1
    for reference in ("my_rules:odd", "my_rules:none", "no_module:x", "polite"):
        with pytest.raises(LoopError):
            load_evaluator(reference)
    with pytest.raises(LoopError, match="from 0 to 1"):
        await load_evaluator("my_rules:loud").evaluate(outcome("x"), row())
