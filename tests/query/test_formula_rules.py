"""The notation of formulas, the fiscal calendar and the rounding that a question asks for."""

from decimal import Decimal

import pytest

from foliotrace.errors import Misconfigured
from foliotrace.lexicon import load_lexicon
from foliotrace.lexicon.formulas import NoValue, Operand, computed, parsed, phrases_of
from foliotrace.query.answer.cells.periods import Period, periods_in
from foliotrace.query.answer.computed.amounts import Rounding, amount
from foliotrace.query.answer.computed.fiscal import Calendar, Moment


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a / b", "2.5"),
        ("a less b times c", "-1"),
        ("(a - b) * c", "9"),
        ("365 * a / (b + c)", "365"),
        ("a divided by b plus 1", "3.5"),
        ("1 - b / a", "0.6"),
        ("a - b - c", "0"),
    ],
)
def test_signs_and_words_bind_as_in_arithmetic(text: str, value: str) -> None:
    values = {"a": Decimal(5), "b": Decimal(2), "c": Decimal(3)}
    formula = parsed(text)
    assert formula is not None
    found = computed(formula, lambda each: values[each.phrase] if isinstance(each, Operand) else 0)  # type: ignore[arg-type, return-value] # no averages here
    assert found == Decimal(value)


@pytest.mark.parametrize("text", ["", "a /", "(a", "a )", "/ a", "a * * b"])
def test_what_is_no_formula_is_not_read_as_one(text: str) -> None:
    assert parsed(text) is None


def test_a_division_by_zero_has_no_value() -> None:
    formula = parsed("a / b")
    assert formula is not None
    with pytest.raises(NoValue):
        computed(formula, lambda each: Decimal(0))


def test_hyphens_inside_words_are_no_signs() -> None:
    formula = parsed("long-term debt / stock-based compensation")
    assert formula is not None
    assert list(phrases_of(formula)) == ["long-term debt", "stock-based compensation"]


def test_every_formula_of_the_shipped_lexicon_is_one() -> None:
    assert [e.ask[0] for e in load_lexicon().formula if parsed(e.formula) is None] == []


@pytest.mark.parametrize(
    ("identity", "asked", "end"),
    [
        ("FY2022 fiscal year ended January 1, 2023", Period(2022), (2022, 12)),
        ("FY2022 fiscal year ended January 1, 2023", Period(2021), (2021, 12)),
        ("FY2023 fiscal year ended January 28, 2023", Period(2022), (2022, 1)),
        ("Q2 2024 FY2024, quarter ended July 29, 2023", Period(2023), (2023, 1)),
        ("Q2 2024 FY2024, quarter ended July 29, 2023", Period(2024, quarter=1), (2023, 4)),
        ("Q1 2023 FY2023, quarter ended December 31, 2022", Period(2023, quarter=1), (2022, 12)),
    ],
)
def test_a_fiscal_period_ends_when_its_document_says(
    identity: str, asked: Period, end: tuple[int, int]
) -> None:
    month = Calendar.of(periods_in(identity)).end_of(Moment(asked))
    assert month is not None
    assert divmod(month - 1, 12) == (end[0], end[1] - 1)


@pytest.mark.parametrize(
    ("question", "written"),
    [
        ("Answer in percent, rounded to two decimal places.", "12.35%"),
        ("Round to one decimal.", "12.3%"),
        ("Round to the nearest whole number.", "12%"),
        ("What is it?", "12.3%"),
    ],
)
def test_rounding_is_as_the_question_asks(question: str, written: str) -> None:
    assert Rounding.of(question).percent(Decimal("0.12345")) == written


@pytest.mark.parametrize(
    ("text", "unit", "value"),
    [
        ("$ (1,806)", "in millions", "-1806000000"),
        ("(0.12)", None, "-0.12"),
        ("2,725", "$ in thousands", "2725000"),
        ("$18.0 billion", None, "18000000000"),
    ],
)
def test_a_cell_is_a_number_in_its_unit(text: str, unit: str | None, value: str) -> None:
    found = amount(text, unit)
    assert found is not None
    assert found.scaled(Decimal(1)) == Decimal(value)


def test_a_lexicon_whose_formula_is_none_is_refused(tmp_path) -> None:  # type: ignore[no-untyped-def] # pytest's path
    (tmp_path / "own.toml").write_text('[[formula]]\nask = ["x"]\nformula = "a / / b"\n')
    with pytest.raises(Misconfigured, match=r"own\.toml"):
        load_lexicon(tmp_path)
