"""Answers in the styles in which models write: references, languages, tables and units."""

import pytest
from tests.query.test_grounding_rules import grounded

from foliotrace.query.answer.grounding.figures import tables
from foliotrace.query.answer.grounding.language.foreign import in_english
from foliotrace.query.answer.grounding.language.markers import marked

LINES = (
    "STATEMENTS OF OPERATIONS\n(in millions)\nYear Ended December 31,\n2024\n2023\n"
    "Product sales\n$\n8,400\n$\n8,000\nService sales\n1,260\n1,310\n"
    "Long-term debt\n\u2014\n700\nTotal sales\n9,660\n9,310\n"
)
PROSE = (
    "The pump was built in 1931 and rebuilt in 1968. It serves 11 northern farms and 13 southern "
    "farms. A filter lasts three months. The range is 40 miles, and clients may send 120 requests "
    "per minute. The fee is EUR 18,400 per month."
)


@pytest.mark.parametrize(
    "style",
    [
        "[1]",
        "(1)",
        "【1】",
        "【1†source】",
        "[^1]",
        "[Passage 1]",
        "[1][1]",
        "(Source: 1)",
        "[Doc 1]",
    ],
)
def test_every_style_of_reference_leaves_as_a_marker(style: str) -> None:
    kept = "A filter lasts three months [1]."
    assert grounded(f"A filter lasts three months {style}.", "", of=PROSE) == kept
    assert grounded(f"A filter lasts three months. {style}", "", of=PROSE) == kept


def test_a_number_in_brackets_inside_a_sentence_is_no_reference() -> None:
    assert marked("Runway (5) is closed (1).", 2).cited == (1,)
    assert marked("The result was checked (7).", 2).cited == ()


@pytest.mark.parametrize(
    ("true", "false"),
    [
        ("Based on the provided documents, it was built in 1931.",
         "Based on the provided documents, it was built in 1932."),
        ("It was built in 1931 and rebuilt in 1968.", "It was built in 1968 and rebuilt in 1931."),
        ("It serves 11 northern and 13 southern farms.",
         "It serves 13 northern and 11 southern farms."),
        ("A filter lasts three months.", "A filter lasts three weeks."),
        ("The range is 40 miles.", "The range is 40 kilometres."),
        ("Clients may send 120 requests per minute.", "Clients may send 120 requests per second."),
        ("The fee is EUR 18,400 per month.", "The fee is USD 18,400 per month."),
        ("Die Gebühr beträgt 18.400 EUR pro Monat.", "Die Gebühr beträgt 81.400 EUR pro Monat."),
    ],
)  # fmt: skip
def test_prose_keeps_what_is_true_and_loses_its_twin(true: str, false: str) -> None:
    assert grounded(true, "", of=PROSE).replace(" [1]", "") == true
    assert grounded(false, "", of=PROSE) == ""


@pytest.mark.parametrize(
    ("true", "false"),
    [
        ("Product sales were $8,400 million in 2024.",
         "Product sales were $8,400 million in 2023."),
        ("Service sales were $1,260 million in 2024.",
         "Product sales were $1,260 million in 2024."),
        ("Total sales rose 3.8% to $9,660 million in 2024 from $9,310 million in 2023.",
         "Total sales fell 3.8% to $9,660 million in 2024 from $9,310 million in 2023."),
        ('{"unit": "million", "product sales": {"2024": 8400, "2023": 8000}}',
         '{"unit": "million", "product sales": {"2024": 8000, "2023": 8400}}'),
        ("| Year | Product sales ($ million) |\n|---|---|\n| 2023 | 8,000 |",
         "| Year | Product sales ($ million) |\n|---|---|\n| 2023 | 8,400 |"),
    ],
)  # fmt: skip
def test_a_figure_must_stand_in_its_row_and_its_year(true: str, false: str) -> None:
    asked = "How did sales develop?"
    assert grounded(true, asked, of=LINES).replace(" [1]", "") == true
    assert grounded(false, asked, of=LINES) == ""


def test_cells_on_lines_of_their_own_are_rows_with_periods() -> None:
    debt = next(row for row in tables.rows(LINES) if row.label == "Long-term debt")
    assert (debt.values, debt.periods) == ((0.0, 700.0), ((2024, 12, 31), (2023, 12, 31)))


def test_a_date_that_can_only_be_read_day_first_is_checked_and_not_an_error() -> None:
    of = "The company bought the mill on August 28, 2017."
    assert grounded("The mill was bought on 28/08/2017.", "", of=of) != ""
    assert grounded("The mill was bought on 28/06/2017.", "", of=of) == ""


def test_numbers_and_small_words_of_other_languages_are_read() -> None:
    assert in_english("Der Umsatz betrug insgesamt 88.265 Mio. Euro und ist nicht gestiegen") == (
        " revenue betrug total 88,265 million EUR und ist not rose"
    )
    assert "1,980 billion" in in_english("Les ventes étaient de 1 980 milliards de dollars")
