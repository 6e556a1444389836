"""Two experiments are compared, and the gate decides: 0, 1 (regression) or 2 (not evaluated)."""

from dataclasses import replace
from decimal import Decimal
from typing import Any
from xml.etree import ElementTree

import pytest

from foliotrace_loop.evaluators.registry import Evaluators
from foliotrace_loop.experiments.compare import ChangeKind, compare
from foliotrace_loop.experiments.report import as_json, junit, markdown
from foliotrace_loop.experiments.suite import SuiteRun, evaluate
from foliotrace_loop.ports import LoopError, TargetUnavailable
from foliotrace_loop.shapes import (
    Attempt,
    CaseResult,
    CaseVerdict,
    Configuration,
    Experiment,
    Inputs,
    Outcome,
    Row,
    Score,
)

pytestmark = pytest.mark.anyio


def case(row_id: str, pattern: str, *, judge: str = "") -> CaseResult:
    """`pattern` has one letter for each attempt: p(ass), f(ail), u(navailable)."""

    def attempt(number: int) -> Attempt:
        letter = pattern[number]
        scores = [Score(key="factual_match", score=float(letter == "p"), comment="c|d")]
        if judge:
            passed = float(judge[number] == "p")
            scores.append(Score(key="tone", score=passed, deterministic=False))
        return Attempt(
            run_id=f"run_{row_id}_{number}",
            scores=tuple(scores),
            unavailable="the server does not respond" if letter == "u" else None,
            elapsed_ms=100.0 * (number + 1),
        )

    attempts = tuple(attempt(n) for n in range(len(pattern)))
    return CaseResult(row_id=row_id, name=f"question {row_id} <&>", attempts=attempts)


def experiment(id_: str, *cases: CaseResult) -> Experiment:
    return Experiment(
        id=id_,
        suite="d/full",
        name="e",
        created_at="2026-11-21",
        results=cases,
        cost_usd=Decimal("0.5"),
        elapsed_s=3.0,
    )


def decided(before: dict[str, str] | None, after: dict[str, str], **how: Any) -> Any:
    baseline = (
        experiment("old", *(case(k, v) for k, v in before.items())) if before is not None else None
    )
    return compare(baseline, experiment("new", *(case(k, v) for k, v in after.items())), **how)


@pytest.mark.parametrize(
    ("before", "after", "how", "code"),
    [
        ({"a": "p"}, {"a": "p"}, {}, 0),
        ({"a": "f"}, {"a": "p"}, {"targets": ["a"]}, 0),
        ({"a": "f"}, {"a": "f"}, {"targets": ["a"]}, 1),  # the target is not fixed
        ({"a": "f", "b": "p"}, {"a": "p", "b": "f"}, {"targets": ["a"]}, 1),  # fixed, but b broke
        ({"a": "f"}, {"a": "f"}, {}, 0),  # known to fail, nobody said it is fixed
        ({"a": "p"}, {"a": "p", "n": "f"}, {}, 1),  # a new case must pass
        ({"a": "p"}, {"a": "p", "n": "p"}, {}, 0),
        ({"a": "ppp"}, {"a": "ppf"}, {}, 1),  # steady before, flaky now
        ({"a": "pfp"}, {"a": "fpf"}, {}, 0),  # flaky before and now
        (None, {"a": "p", "b": "f"}, {}, 1),
        (None, {"a": "p", "b": "f"}, {"least_pass_rate": 0.5}, 0),
        ({"a": "p", "b": "p"}, {"a": "p", "b": "u"}, {}, 2),
        ({"a": "p", "b": "p"}, {"a": "f", "b": "u"}, {}, 2),  # an outage is told first
        ({"a": "p"}, {}, {}, 2),
        ({"a": "p"}, {"a": "p"}, {"targets": ["missing"]}, 2),
    ],
)
def test_the_gate_decides(
    before: dict[str, str] | None, after: dict[str, str], how: dict[str, Any], code: int
) -> None:
    found = decided(before, after, **how)
    assert (int(found.exit), bool(found.reasons)) == (code, code != 0)


def test_each_case_is_named_for_what_became_of_it() -> None:
    found = decided(
        {"a": "pp", "b": "ff", "c": "pp", "d": "ff", "e": "pf"},
        {"a": "ff", "b": "pp", "c": "pp", "d": "ff", "e": "pf", "f": "pp", "g": "ff"},
    )
    assert {c.row_id: c.change for c in found.cases} == {
        "a": ChangeKind.REGRESSED,
        "b": ChangeKind.FIXED,
        "c": ChangeKind.PASSES,
        "d": ChangeKind.FAILS,
        "e": ChangeKind.FLAKY,
        "f": ChangeKind.NEW_PASSES,
        "g": ChangeKind.NEW_FAILS,
    }
    assert (found.passed, found.evaluated, found.passed_before, found.shared) == (3, 7, 2, 5)


def test_what_judges_say_counts_only_beyond_chance() -> None:
    def judged(lost: int) -> Any:
        ids = [f"r{n}" for n in range(12)]
        before = experiment("old", *(case(i, "p", judge="p") for i in ids))
        after = experiment(
            "new", *(case(i, "p", judge="f" if n < lost else "p") for n, i in enumerate(ids))
        )
        return compare(before, after)

    assert int(judged(5).exit) == 0  # p = 0.0625
    worse = judged(6)  # p = 0.03125
    assert (int(worse.exit), "tone is worse than chance" in worse.reasons[0]) == (1, True)
    assert not worse.with_change(ChangeKind.REGRESSED)


def test_reports_say_the_same_in_markdown_json_and_junit() -> None:
    found = decided(
        {"a": "p", "b": "f", "c": "f"},
        {"a": "f", "b": "p", "c": "f", "n": "f"},
        targets=["b"],
    )
    text = markdown(found)
    assert "Gate failed: d/full" in text
    assert "| regressed, fixed | | 1, 1 |" in text
    assert "| targets that pass | | 1 of 1 |" in text
    assert "0.5 USD in 3.0 s" in text
    assert "c\\|d" in text  # a pipe does not end the cell
    body = as_json(found)
    assert (body["exit"], body["cost_usd"], body["p95_ms"]) == (1, "0.5", 100.0)
    suite = ElementTree.fromstring(junit(found))[0]
    assert {k: suite.get(k) for k in ("tests", "failures", "errors", "skipped")} == {
        "tests": "4",
        "failures": "2",
        "errors": "0",
        "skipped": "1",
    }


class Service:
    """A target that knows answers; `down` and `refusing` questions end otherwise."""

    def __init__(self, model: str | None = None) -> None:
        self.model = model
        self.running = self.most = 0

    async def answer(self, inputs: Inputs) -> Outcome:
        if inputs["query"] == "down":
            raise TargetUnavailable("connection refused")
        error = "invalid_query" if inputs["query"] == "refusing" else None
        level = 2 if inputs["query"].startswith("degraded") else 0
        return Outcome(
            id="run_1",
            inputs=inputs,
            outputs={
                "answer": "It is 42.",
                "answer_mode": "extractive",
                "degradation": {"level": level, "reasons": ["llm_unavailable"] * (level > 0)},
            },
            error=error,
            cost_usd=Decimal("0.01"),
            configuration=Configuration(model=self.model, index=3),
        )


def asking(query: str, answer: str = "42", **more: Any) -> Row:
    return Row(
        id=query,
        inputs={"query": query},
        reference_outputs={"answer": answer},
        evaluators=more.pop("evaluators", ("factual_match",)),
        **more,
    )


async def test_a_suite_keeps_outages_refusals_and_failures_apart() -> None:
    rows = [asking("good"), asking("bad", "43"), asking("down"), asking("refusing")]
    how = SuiteRun(suite="d/full", name="e", repeat=2)
    found = await evaluate(rows, Service(), Evaluators(), how)
    assert [c.verdict for c in found.results] == [
        CaseVerdict.PASS,
        CaseVerdict.FAIL,
        CaseVerdict.UNKNOWN,
        CaseVerdict.FAIL,
    ]
    assert found.cost_usd == Decimal("0.06")
    assert found.configuration.index == 3
    nothing = await evaluate(
        [asking("good", evaluators=("schema_exact",))], Service(), Evaluators(), how
    )
    assert nothing.results[0].verdict is CaseVerdict.UNKNOWN
    assert compare(None, nothing).reasons == (
        "1 cases could not be evaluated: no evaluator applies to it",
    )


async def test_a_wrong_answer_while_the_model_is_down_is_no_regression() -> None:
    rows = [asking("degraded"), asking("degraded, wrong", "43")]
    how = SuiteRun(suite="d/full", name="e")
    found = await evaluate(rows, Service(), Evaluators(), how)
    assert [c.verdict for c in found.results] == [CaseVerdict.PASS, CaseVerdict.UNKNOWN]
    comparison = compare(None, found)
    assert int(comparison.exit) == 2
    assert "the answer is degraded (level 2: llm_unavailable)" in comparison.reasons[0]
    about_it = replace(rows[1], reference_outputs={"answer": "43", "degradation_level": 2})
    found = await evaluate([about_it], Service(), Evaluators(), how)
    assert int(compare(None, found).exit) == 1


async def test_an_evaluator_that_raises_is_no_regression() -> None:
    def broken(run: Any, example: Any) -> float:
        raise ZeroDivisionError("oops")

    suite = Evaluators()
    suite._known["broken"] = __import__(
        "foliotrace_loop.evaluators.custom", fromlist=["own_evaluator"]
    ).own_evaluator(broken)
    rows = [asking("good", evaluators=("factual_match", "broken"))]
    found = await evaluate(rows, Service(), suite, SuiteRun(suite="d/full", name="e"))
    comparison = compare(None, found)
    assert (int(comparison.exit), "ZeroDivisionError" in comparison.reasons[0]) == (2, True)


async def test_an_evaluation_with_a_floating_model_is_refused() -> None:
    how = SuiteRun(suite="d/full", name="e")
    with pytest.raises(LoopError, match="gpt-4o is a floating model name"):
        await evaluate([asking("good")], Service("gpt-4o"), Evaluators(), how)
    allowed = SuiteRun(suite="d/full", name="e", allow_floating=True)
    found = await evaluate([asking("good")], Service("gpt-4o"), Evaluators(), allowed)
    assert found.configuration.model == "gpt-4o"
    with pytest.raises(LoopError, match="no evaluator unknown_one"):
        await evaluate([asking("good", evaluators=("unknown_one",))], Service(), Evaluators(), how)


def test_a_baseline_of_the_full_suite_judges_the_smoke_rows_and_says_nothing_of_their_price() -> (
    None
):
    full = replace(experiment("old", case("a", "p"), case("b", "p")), suite="complaints/full")
    smoke = replace(experiment("new", case("a", "f")), suite="complaints/smoke")
    found = compare(full, smoke)
    assert int(found.exit) == 1, "a passed before"
    assert [each.row_id for each in found.cases] == ["a"]
    assert found.cost_usd_before is found.p95_ms_before is None
