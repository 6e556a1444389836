"""A question about a name, period or file that the collection does not hold is refused by name."""

import pytest
from tests.query.query_stack import QueryStack, Scripted

from foliotrace.model import Answer, AnswerMode, Identity
from foliotrace.query.subjects.asked_attributes import asked_attributes

pytestmark = pytest.mark.anyio

QUARTER = (
    "Revenue grew to 82 million dollars in the third quarter of 2023. Deferred revenue fell.",
    "Gross margin was 44 percent in 2023. Apple designs the iPhone; Vision Pro was announced.",
    "Net income in 2023 was 20 million. Competitors include Samsung, which sells phones.",
    *["Employees are paid monthly. Leases run for ten years and total assets are stable."] * 27,
)
APPLE = Identity(
    company="Apple Inc.",
    kind="10-Q quarterly report",
    period="Q3 2023 FY2023, quarter ended July 1, 2023",
)


async def serve_apple(stack: QueryStack) -> None:
    await stack.serve(*QUARTER, name="2023 Q3 AAPL.pdf", identity=APPLE)


def refused(answer: Answer) -> bool:
    return answer.degradation.answer is AnswerMode.ABSTAINED


@pytest.mark.parametrize(
    ("question", "named"),
    [
        ("What was Tesla's revenue in 2023?", "Tesla"),
        ("what was tesla's revenue in 2023?", "tesla"),
        ("what was the revenue of tesla in 2023", "tesla"),
        ("tesla revenue 2023", "tesla"),
        ("What was Telsa's revenue in 2023?", "Telsa"),
        ("How much revenue did TSLA report in 2023?", "TSLA"),
        ("What was Best Buy's revenue in 2023?", "Best Buy"),
        ("What was Samsung's gross margin in 2023?", "Samsung"),
        ("What is the weather in Paris?", "Paris"),
        ("What was Apple's revenue in 2009?", "2009"),
        ("What was Apple's revenue in Q1 2019?", "Q1 2019"),
        ("What does lease.pdf say about revenue?", "lease.pdf"),
        ("which acquisitions that tesla has made raised revenue in 2023?", "tesla"),
        ("is boeing forecasting a higher gross margin for 2023?", "boeing"),
        ("for pfizer, what was the gross margin in q22023?", "pfizer"),
    ],
)
async def test_what_the_collection_does_not_hold_is_refused_and_named(
    stack: QueryStack, question: str, named: str
) -> None:
    await serve_apple(stack)
    answer = await stack.ask(question)
    assert refused(answer)
    assert f"\u201c{named}\u201d" in answer.text
    assert f"\u201c{named}\u201d" in (answer.notice or "")
    assert answer.degradation.reasons == ()


@pytest.mark.parametrize(
    "question",
    [
        "What was Apple's revenue in 2023?",
        "what was apple's revenue in 2023?",
        "What was Aplle's revenue in 2023?",
        "What was AAPL's revenue in Q3 2023?",
        "What was the company's gross margin in 2023?",
        "What was the gross margin in 2023?",
        "When was Vision Pro announced?",
        "How long do leases run?",
        "Who is Samsung?",
        "How does Apple's revenue compare with Samsung, which sells phones?",
        "What does 2023 Q3 AAPL.pdf say about gross margin?",
    ],
)
async def test_what_the_collection_holds_is_answered(stack: QueryStack, question: str) -> None:
    await serve_apple(stack)
    assert not refused(await stack.ask(question))


async def test_a_question_without_a_name_is_not_taken_for_one(stack: QueryStack) -> None:
    await stack.serve("The notice period is two months. The tenant pays the rent in advance.")
    for question in ("How long is the notice period?", "What does the Tenant pay?"):
        assert not refused(await stack.ask(question))


async def test_a_language_model_is_warned_and_the_answer_says_so(stack: QueryStack) -> None:
    await serve_apple(stack)
    llm = Scripted("Gross margin was 44 percent in 2023 [1].")
    stack.use(generators=(llm,))
    answer = await stack.ask("What was Tesla's gross margin in 2023?")
    assert "\u201cTesla\u201d" in llm.prompts[0].user
    assert "\u201cTesla\u201d" in (answer.notice or "")
    assert answer.degradation.level == 0


async def test_a_language_model_is_not_warned_about_what_is_held(stack: QueryStack) -> None:
    await serve_apple(stack)
    llm = Scripted("Gross margin was 44 percent in 2023 [1].")
    stack.use(generators=(llm,))
    answer = await stack.ask("What was Apple's gross margin in 2023?")
    assert "Warning" not in llm.prompts[0].user
    assert answer.notice is None


async def test_a_deleted_document_no_longer_holds_its_names(stack: QueryStack) -> None:
    await serve_apple(stack)
    tesla = await stack.serve(
        "Revenue in 2023 was 96 million.", name="t.pdf", identity=Identity(company="Tesla, Inc.")
    )
    question = "What was Tesla's revenue in 2023?"
    assert not refused(await stack.ask(question))
    await stack.library.delete("default", tesla)
    await stack.index.catch_up()
    assert refused(await stack.ask(question))


async def test_a_year_that_only_another_companys_document_holds_is_refused(
    stack: QueryStack,
) -> None:
    await serve_apple(stack)
    tesla = Identity(company="Tesla, Inc.", kind="10-K annual report", period="FY2009")
    await stack.serve("Revenue in 2009 was 96 million.", name="t.pdf", identity=tesla)
    answer = await stack.ask("What was Apple's revenue in 2009?")
    assert refused(answer)
    assert "\u201c2009\u201d" in answer.text


async def test_another_collection_does_not_lend_its_names(stack: QueryStack) -> None:
    await serve_apple(stack)
    await stack.serve("Tesla revenue in 2023 was 96 million.", name="t.pdf", collection="cars")
    assert refused(await stack.ask("What was Tesla's revenue in 2023?"))


@pytest.mark.parametrize(
    ("question", "attribute"),
    [
        ("What is Acme's dental insurance policy?", "dental insurance policy"),
        ("How many vineyards does Acme own?", "vineyards"),
    ],
)
async def test_an_attribute_that_no_passage_speaks_of_is_refused_by_name(
    stack: QueryStack, question: str, attribute: str
) -> None:
    await stack.serve(
        "Acme owns twelve bakeries. The policy of Acme on vacation is generous.",
        identity=Identity(company="Acme", title="Acme handbook"),
    )
    answer = await stack.ask(question)
    assert answer.degradation.answer is AnswerMode.ABSTAINED
    assert f"\u201c{attribute}\u201d" in answer.text


async def test_an_attribute_in_half_other_words_is_answered(stack: QueryStack) -> None:
    await stack.serve(
        "Acme owns twelve bakeries. The vacation rules of Acme are generous.",
        identity=Identity(company="Acme", title="Acme handbook"),
    )
    answer = await stack.ask("What are Acme's vacation entitlements?")
    assert answer.degradation.answer is AnswerMode.EXTRACTIVE


@pytest.mark.parametrize(
    ("question", "attributes"),
    [
        ("Acme's revenue increase in 2023?", ["revenue"]),
        ("What does Acme's latest 10-Q say?", []),
        ("What is Acme's dental insurance?", ["dental insurance"]),
    ],
)
def test_words_for_development_and_period_are_no_attributes(
    question: str, attributes: list[str]
) -> None:
    found = asked_attributes(question, lambda word: word.split())
    assert [attribute for attribute, _ in found] == attributes
