"""What grounding keeps, derives, marks and removes: one sentence, one passage at a time."""

import re

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from foliotrace.adapters.local.keyword.analysis import PlainVocabulary
from foliotrace.model import Passage, RetrievalMode
from foliotrace.query.answer.anchors import UNKNOWN_PAGE
from foliotrace.query.answer.grounding import polarity
from foliotrace.query.answer.grounding.claims import Claim, Question
from foliotrace.query.answer.grounding.evidence import ClaimEvidence
from foliotrace.query.answer.grounding.figures import numbers, tables
from foliotrace.query.answer.grounding.sentences import Grounder
from foliotrace.query.answer.grounding.verdicts import ClaimVerdict, judge
from foliotrace.query.answer.quoting.passage_terms import PassageTermsCache
from foliotrace.settings import Grounding

STATEMENT = (
    "Northwind Ltd. Statement of income (in millions)\n2024\n2023\nTotal sales\n$\n8,400 \n$\n8,000"
    "\nCost of sales\n(5,040)\n(5,000)\nNet income\n11,588\n10,500\n"
)
LETTER = (
    "The warranty of the Halden pump ends on 14 March 2026. Refunds are paid within 30 days of the "
    "return. The supplier does not insure parcels during transport. Sales rose by 12% in Norway, "
    "while costs fell by 3%. The mast is made by Brandt Werke in the U.S. for 2.4 million dollars."
)


def evidence(*texts: str) -> list[ClaimEvidence]:
    cache = PassageTermsCache(PlainVocabulary())
    passages = [
        Passage(
            chunk_id=str(number),
            document_id="d",
            document_name="d.pdf",
            revision="",
            page=1,
            start=0,
            end=len(text),
            text=text,
            score=1.0,
            path=RetrievalMode.KEYWORD,
        )
        for number, text in enumerate(texts)
    ]
    return [ClaimEvidence(each, cache.of("t", each, UNKNOWN_PAGE)) for each in passages]


def verdict(said: str, *, asked: str = "", of: str = LETTER) -> str:
    return judge(
        Claim(said, PlainVocabulary()), Question(asked, PlainVocabulary()), evidence(of)
    ).value


def grounder(asked: str = "", policy: Grounding = "strict", of: str = LETTER) -> Grounder:
    return Grounder(evidence(of), PlainVocabulary(), asked, policy)


def grounded(said: str, asked: str = "", policy: Grounding = "strict", of: str = LETTER) -> str:
    checked = grounder(asked, policy, of)
    return checked.feed(said) + checked.finish()


INCOME = "What was the net income of Northwind in 2024 (in USD millions)?"


@pytest.mark.parametrize(
    "said",
    ["$11588.00", "11,588", "11.6 billion", "$11,588 million", "about 11,600", "USD 11.59bn"],
)
def test_a_number_is_the_same_in_each_form_it_is_written_in(said: str) -> None:
    assert verdict(said, asked=INCOME, of=STATEMENT) == ClaimVerdict.SUPPORTED


@pytest.mark.parametrize("said", ["$11688.00", "11.7 billion", "11,588 billion", "about 11,900"])
def test_a_number_of_another_size_or_scale_is_unverified(said: str) -> None:
    assert verdict(said, asked=INCOME, of=STATEMENT) == ClaimVerdict.UNVERIFIED


def test_a_number_in_thousands_answers_a_question_in_millions() -> None:
    table = "Balance sheet (in thousands)\n2024\n2023\nTotal debt\n5,466,312\n4,586,657\n"
    asked = "What is the total debt in 2024 (in USD millions)?"
    assert verdict("$5466.00", asked=asked, of=table) == ClaimVerdict.SUPPORTED
    assert verdict("$5467.00", asked=asked, of=table) == ClaimVerdict.UNVERIFIED


@pytest.mark.parametrize(
    ("asked", "said", "expected"),
    [
        ("By how much did revenue change from 2023 to 2024?", "Sales grew by 5.0%.", "derived"),
        ("By how much did revenue change from 2023 to 2024?", "Sales fell by 5.0%.", "unverified"),
        ("By how much did revenue change from 2023 to 2024?", "Sales grew by 7.0%.", "unverified"),
        ("What share of sales is the cost of sales?", "The cost is 60% of sales.", "derived"),
        ("What is the change in sales?", "8,400 - 8,000 = 400 in sales.", "derived"),
        ("What is the change in sales?", "8,400 - 8,000 = 500 in sales.", "unverified"),
    ],
)
def test_arithmetic_on_cited_rows_is_redone(asked: str, said: str, expected: str) -> None:
    assert verdict(said, asked=asked, of=STATEMENT) == expected


@pytest.mark.parametrize(
    ("asked", "said", "expected"),
    [
        ("Did total sales increase in 2024?", "Yes.", "derived"),
        ("Did total sales increase in 2024?", "No.", "unverified"),
        ("Did total sales decrease in 2024?", "No.", "derived"),
        ("Did sales grow in 2024?", "Yes, sales rose from 8,000 to 8,400.", "derived"),
        ("Did sales grow in 2024?", "No, sales rose from 8,000 to 8,400.", "unverified"),
        ("Did sales grow in 2024?", "Yes, sales fell from 8,000 to 8,400.", "unverified"),
    ],
)
def test_a_yes_or_no_follows_from_the_cited_comparison(
    asked: str, said: str, expected: str
) -> None:
    assert verdict(said, asked=asked, of=STATEMENT) == expected


@pytest.mark.parametrize(
    ("true", "false"),
    [
        ("The warranty ends on March 14, 2026.", "The warranty ends on March 15, 2026."),
        ("The warranty ends on 2026-03-14.", "The warranty ends on 14 April 2026."),
        ("The mast is made by Brandt Werke.", "The mast is made by Holm Werke."),
        ("The mast is made in the US.", "The mast is made in Denmark."),
        ("The supplier does not insure parcels.", "The supplier insures parcels during transport."),
        ("Refunds are paid within 30 days.", "Refunds are not paid within 30 days."),
        ("Sales rose by 12% in Norway.", "Sales fell by 12% in Norway."),
        ("The mast costs 2.4 million dollars.", "The mast costs 2.4 billion dollars."),
    ],
)
def test_a_true_sentence_stays_and_its_false_twin_goes(true: str, false: str) -> None:
    assert verdict(true) == ClaimVerdict.SUPPORTED
    assert verdict(false) == ClaimVerdict.UNVERIFIED


@pytest.mark.parametrize(
    "said",
    [
        "NO_ANSWER",
        "I'm sorry, but the passages do not contain that information.",
        "This is not mentioned in the provided documents.",
        "I cannot determine this from the given context.",
        "There is no information about the chairman in the passages.",
        "The documents don't say who the chairman is.",
        "I don't know.",
        "Die Passagen enthalten dazu keine Angaben.",
        "The provided excerpts give no figure for that.",
        "Nothing in the documents addresses this question.",
        "The answer is not in the passages.",
        "Unfortunately, neither passage states the chairman's name.",
        "The passages don't have that.",
        "It isn't possible to answer this from the passages.",
        "There isn't enough information to answer.",
        "The context is insufficient to answer this question.",
        "That information is missing from the documents.",
        "The documents make no mention of a chairman.",
        "This question falls outside the provided documents.",
        "The passages only discuss sales, not the chairman.",
        "Not stated.",
    ],
)
def test_a_refusal_in_any_words_is_no_answer(said: str) -> None:
    checked = grounder("Who is the chairman?")
    assert checked.feed(said) + checked.finish() == ""
    assert checked.no_answer
    assert checked.claims.removed == 0


@pytest.mark.parametrize(
    "said",
    [
        "The supplier does not insure parcels during transport.",
        "The company does not provide it.",
        "The company could not determine the fair value.",
        "Customers cannot find the switch without tools.",
    ],
)
def test_a_denial_about_the_world_is_no_refusal(said: str) -> None:
    assert not polarity.is_refusal(said)


@pytest.mark.parametrize("pattern", polarity.REFUSALS)
@given(st.data())
@settings(
    deadline=None,
    max_examples=30,
    suppress_health_check=[HealthCheck.filter_too_much],  # word boundaries are filtered for
)
def test_every_wording_of_a_refusal_is_found(pattern: str, data: st.DataObject) -> None:
    said = data.draw(st.from_regex(re.compile(pattern, re.IGNORECASE)))
    turned = re.search(r"(?i)but|however|though|yet|instead", said)
    assert polarity.is_refusal(said) or turned


def test_a_mark_that_folds_into_a_letter_hides_no_refusal() -> None:
    assert polarity.is_refusal("Les documents ne\u0345 le disent pas.")


@pytest.mark.parametrize("marker", ["", " [99]", " [0]", " [1]"])
def test_a_wrong_marker_is_like_none(marker: str) -> None:
    said = f"Refunds are paid within 30 days of the return{marker}."
    assert grounded(said) == "Refunds are paid within 30 days of the return [1]."


def test_a_yes_waits_for_its_reason_in_a_stream() -> None:
    checked = grounder("Did sales rise in Norway?")
    assert checked.feed("Yes. Sales") == ""
    assert checked.feed(" rose by 12% in Norway. And") == "Yes. Sales rose by 12% in Norway [1]."
    contrary = grounder("Did sales rise in Norway?")
    assert contrary.feed("No. Sales rose by 12% in Norway.") + contrary.finish() == (
        "Sales rose by 12% in Norway [1]."
    )


def test_the_policy_mark_keeps_what_strict_removes() -> None:
    said = "Refunds are paid within 30 days. The moon is made of cheese."
    assert grounded(said) == "Refunds are paid within 30 days [1]."
    checked = grounder(policy="mark")
    assert checked.feed(said) + checked.finish() == (
        "Refunds are paid within 30 days [1]. The moon is made of cheese [unverified]."
    )
    assert (checked.claims.unverified, checked.claims.removed) == (1, 0)


@pytest.mark.parametrize(
    "said",
    [
        '{"days": 30, "refund": "paid within 30 days", "sources": [1]}',
        '```json\n{"refund": "paid within 30 days"}\n```',
    ],
)
def test_json_comes_out_as_it_went_in(said: str) -> None:
    asked = "Within how many days are refunds paid? Name the sources."
    assert grounded(said, asked) == said


def test_a_table_keeps_its_header_and_loses_only_its_false_rows() -> None:
    said = "| Item | 2024 |\n|---|---|\n| Total sales | 8,400 |\n| Net income | 9,999 |\n"
    assert grounded(said, "Sales and income of 2024?", of=STATEMENT) == (
        "| Item | 2024 |\n|---|---|\n| Total sales | 8,400 [1] |"
    )


def test_an_abbreviation_does_not_end_a_sentence() -> None:
    assert grounded("Refunds by the supplier Inc. are paid within 30 days. Done.", "") == (
        "Refunds by the supplier Inc. are paid within 30 days [1]. Done."
    )


def test_numbers_inside_codes_and_list_numbers_claim_nothing() -> None:
    found = [q.value for q in numbers.quantities("(1) the 777X and SEA08CA049, in FY2023: 4.5%")]
    assert found == [4.5, 2023.0]
    assert numbers.codes("the 777X in FY2023, 3mn") == {"777x"}


def test_rows_are_read_across_lines_and_their_order_in_time_is_known() -> None:
    sales = tables.rows(STATEMENT)[-3]
    assert (sales.label, sales.values, sales.newest_first) == ("Total sales", (8400, 8000), True)


def test_a_number_at_the_end_of_a_sentence_is_no_list_number() -> None:
    of = "Unleaded costs 2.31 EUR per litre at pump 2. Diesel costs 3.31 EUR per litre at pump 3."
    asked = "What does unleaded cost at each pump?"
    right = "Unleaded costs 2.31 EUR per litre at pump 2 [1]."
    assert grounded(right, asked, of=of) == right
    assert grounded("Unleaded costs 2.31 EUR per litre at pump 7 [1].", asked, of=of) == ""


BALANCE = (
    "Northwind Ltd. Balance sheet (in millions)\nSeptember 30,\tMarch 31,\n2024\t2024\n"
    "Total current assets\t$ 9,000\t$ 8,000\nInventories\t1,500\t2,000\n"
    "Total current liabilities\t4,000\t5,000\nLong-term debt\t-\t700\n"
    "Research and development\t(10)%\t4 %\n"
)
CREW = (
    "Coast rescue:\nServes the harbour and is the only service at sea.\n\n"
    "Mountain rescue:\nServes the passes, with Fjell Guides. Region A had 12 % of the calls, and "
    "calls of Region B made 11 %. The lift was out of service in May. Mary N. Dillon leads it."
)


@pytest.mark.parametrize(
    ("asked", "true", "false"),
    [
        ("What is the current ratio in September 2024?", "2.25", "1.25"),
        ("What is the quick ratio in September 2024?", "1.88", "1.98"),
        ("How did inventories change?", "They fell by 25%.", "They rose by 25%."),
        ("What is the working capital?", "It is 9,000 - 4,000 = 5,000.", "It is $5.5 billion."),
        ("Is there long-term debt?", "There was no long-term debt.", "There was long-term debt."),
        ("What are inventories?", "$1,500 million", "$4,000 million"),
        ("Did research and development grow?", "No, it decreased 10%.", "Yes, it increased 10%."),
        ("Is the current ratio above 2?", "Yes, it is 2.25.", "No, it is 2.25."),
    ],
)
def test_what_a_balance_sheet_implies_is_kept_and_its_false_twin_is_not(
    asked: str, true: str, false: str
) -> None:
    assert verdict(true, asked=asked, of=BALANCE) != ClaimVerdict.UNVERIFIED
    assert verdict(false, asked=asked, of=BALANCE) == ClaimVerdict.UNVERIFIED


@pytest.mark.parametrize(
    ("true", "false"),
    [
        ("Region A, with 12 % of the calls.", "Region B, with 12 % of the calls."),
        ("Mary Dillon leads it.", "Fjell Dillon leads it."),
        ("The lift was out of service in May.", "The lift was in service in May."),
    ],
)
def test_a_figure_or_a_name_of_another_is_unverified(true: str, false: str) -> None:
    assert verdict(true, of=CREW) == ClaimVerdict.SUPPORTED
    assert verdict(false, of=CREW) == ClaimVerdict.UNVERIFIED


def test_a_month_is_no_part_of_another_word() -> None:
    assert numbers.month_days("decreased 10 % and marketable 12, on Dec 3 and 12/08/2007") == {
        (12, 3),
        (12, 8),
        (8, 12),
    }


def test_an_answer_of_few_words_is_attributed_too() -> None:
    assert grounded("Brandt Werke.", "Who makes the mast?") == "Brandt Werke [1]."


def test_columns_know_their_periods() -> None:
    assert tables.rows(BALANCE)[0].periods == ((2024, 9, 30), (2024, 3, 31))


MINUTES = (
    "The Board approved the additional buyback on August 21, 2023. From July 31, 2023 through "
    "August 24, 2023, shares were delivered. Sales to Norway will fall in the fourth quarter of "
    "fiscal year 2024, and in the second quarter of fiscal year 2024 costs rose.\n"
    "announced a partnership with Oster; announced that Rescale is integrating the software "
    "into its service offering.\n"
    "Code\tType\tRate\tNext check\tBase\nK-1\tGrob\t142.00\t2026-12-05\tMoorham\n"
    "K-2\tSchleicher\t38.00\t2027-03-01\tLarkfield\n"
    "Last inspection:\t11/01/2007, Annual\tLast medical exam:\t06/01/2007\n"
)


@pytest.mark.parametrize(
    ("true", "false"),
    [
        ("The Board approved it on August 21, 2023.", "The Board approved it on August 24, 2023."),
        ("The Board approved the buyback in August 2023.", "The Board approved it in July 2023."),
        (
            "The last inspection was on November 1, 2007.",
            "The last inspection was on June 1, 2007.",
        ),
    ],
)
def test_a_date_stands_in_the_clause_that_the_sentence_is_about(true: str, false: str) -> None:
    assert verdict(true, of=MINUTES) == ClaimVerdict.SUPPORTED
    assert verdict(false, of=MINUTES) == ClaimVerdict.UNVERIFIED


@pytest.mark.parametrize(
    ("true", "false"),
    [
        ("Rescale is integrating the software.", "Oster is integrating the software."),
        ("The Grob, which stays in Moorham.", "The Schleicher, which stays in Moorham."),
    ],
)
def test_a_name_stands_in_the_clause_or_row_of_what_is_said(true: str, false: str) -> None:
    asked = "Which one?"
    assert verdict(true, asked=asked, of=MINUTES) == ClaimVerdict.SUPPORTED
    assert verdict(false, asked=asked, of=MINUTES) == ClaimVerdict.UNVERIFIED


CASH = (
    "Northwind cash flows (in millions)\nNet cash provided by (used in) investing activities"
    "\t$ (4,457)\t$ 7,378\nWe recorded no accrual, as losses are not probable. The rate of 15.7% "
    "compares with the statutory rate of 21%. Sales were $10,402 million in the second quarter and "
    "$14,645 million in the third.\nInstrument Rating(s):\tNone\tSecond pilot:\tNo\n"
    "Certificate:\tPrivate\nThe fair values of the derivatives were not material in May.\n"
    "It bought 38 million shares at an average price of $165.50.\n"
)


@pytest.mark.parametrize(
    ("asked", "true", "false"),
    [
        (
            "How is the rate?",
            "At 15.7% the rate was below the statutory 21%.",
            "At 15.7% the rate was above the statutory 21%.",
        ),
        (
            "How did sales move?",
            "Sales rose from $10,402 million to $14,645 million, growth of about 41%.",
            "Sales rose from $10,402 million to $14,645 million, growth of about 29%.",
        ),
        (
            "How much are sales of the third quarter less those of the second?",
            "$4,243 million, from $14,645 million and $10,402 million.",
            "$25,047 million, from $14,645 million and $10,402 million.",
        ),
        (
            "What did the shares cost?",
            "It bought 38 million shares at an average of $165.50, about $6.3 billion.",
            "It bought 38 million shares at an average of $165.50, about $7.3 billion.",
        ),
        (
            "Did investing activities bring in cash?",
            "They used cash, $4,457 million.",
            "They provided cash, $4,457 million.",
        ),
    ],
)
def test_numbers_are_compared_and_results_redone_as_the_sentence_says(
    asked: str, true: str, false: str
) -> None:
    assert verdict(true, asked=asked, of=CASH) != ClaimVerdict.UNVERIFIED
    assert verdict(false, asked=asked, of=CASH) == ClaimVerdict.UNVERIFIED


@pytest.mark.parametrize(
    ("asked", "true", "false"),
    [
        (
            "Was there an accrual?",
            "It did not, as losses are not probable.",
            "It did, as losses are probable.",
        ),
        (
            "Is the impact material?",
            "The fair values of the derivatives were immaterial.",
            "The fair values of the derivatives were material.",
        ),
        (
            "Did the pilot hold an instrument rating?",
            "No, he had only a private certificate.",
            "Yes, beside a private certificate.",
        ),
    ],
)
def test_what_the_passages_only_deny_is_not_affirmed(asked: str, true: str, false: str) -> None:
    assert verdict(true, asked=asked, of=CASH) != ClaimVerdict.UNVERIFIED
    assert verdict(false, asked=asked, of=CASH) == ClaimVerdict.UNVERIFIED
