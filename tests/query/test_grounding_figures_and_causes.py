"""Grounding checks multiples, shares, listed causes and tables whose heads have footnotes."""

import pytest
from tests.query.test_grounding_rules import verdict

TABLE = (
    "$ in millions, except per share amounts\n"
    "Fiscal Year 2019 (1) 2018 (2)(3) 2017 (4) Consolidated Statements of Earnings Data\n"
    "Operating income 1,900 1,843 1,854\n"
    "Gain from discontinued operations — 1 21\n"
)
SALES = (
    "Net sales of the pump division rose due to higher unit sales and the acquisition of Brandt. "
    "Net sales of the valve division rose due to higher prices and a weaker euro."
)
EARNED = "Net income was $518 million in 2024, $647 million in 2023 and $259 million in 2022."
GREW = "We employed 566,000 people at the end of 2017 and 798,000 people at the end of 2019."
CASES = (
    (TABLE, "What was operating income?", "Operating income in fiscal 2017 was $1,{} million.",
     "854", "843"),
    (EARNED, "How did net income develop?",
     "Net income was $518 million in 2024, about {}% below the $647 million of 2023.", "20", "25"),
    (EARNED, "How did net income develop?",
     "Net income of $518 million in 2024 was {} the $259 million of 2022.", "twice", "five times"),
    (GREW, "How much did the workforce grow?",
     "It rose from 566,000 at the end of 2017 to 798,000 people, by 232,000 or {}%.", "41", "29"),
    ("Tickets sold RM150.00 in cash. The change is RM41.50.", "What was the change?",
     "The change is RM{}.", "41.50", "51.50"),
    ("Cases increase from 208 000 in 2005 to 379 000 in 2025.", "How do cases develop?",
     "Cases rise from 208 000 in 2005 to 379 000 in 2025, an increase of about {}%.", "82", "45"),
    (SALES, "Why did net sales of the pump division rise?",
     "Net sales of the pump division rose because of higher unit sales and {}.",
     "the acquisition of Brandt", "the expansion of tourism"),
    ("Free cash flow (2,019) (1,659)", "What was free cash flow?",
     "Free cash flow was {} at 2,019.", "negative", "positive"),
)  # fmt: skip


@pytest.mark.parametrize(("passage", "question", "sentence", "true", "false"), CASES)
def test_the_true_sentence_is_kept_and_its_twin_is_not(
    passage: str, question: str, sentence: str, true: str, false: str
) -> None:
    assert verdict(sentence.format(true), asked=question, of=passage) != "unverified"
    assert verdict(sentence.format(false), asked=question, of=passage) == "unverified"
