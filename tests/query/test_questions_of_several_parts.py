"""Comparisons, lists and second rounds: one model call over the evidence of several searches."""

import pytest
from tests.query.query_stack import QueryStack, Scripted

from foliotrace.errors import IndexUnavailable
from foliotrace.model import Identity
from foliotrace.query.plan.questions import PlanKind, plan_of
from foliotrace.settings import PlanningSettings, QuerySettings

pytestmark = pytest.mark.anyio

COMPANIES = frozenset({"acme", "globex", "proctergamble"})


def holds(words: tuple[str, ...] | list[str]) -> bool:
    return any(word in COMPANIES for word in words)


@pytest.mark.parametrize(
    ("question", "parts"),
    [
        (
            "Compare Acme and Globex revenue in 2023",
            ["Compare Acme revenue in 2023", "Compare Globex revenue in 2023"],
        ),
        (
            "Compare net sales in the FY22 and FY23 reports",
            [f"Compare net sales in the fiscal {year} reports" for year in (2022, 2023)],
        ),
        (
            "Compare Acme's and Globex's margin in Q1 and Q2 2023",
            [
                f"Compare {company}'s margin in {quarter} 2023"
                for company in ("Acme", "Globex")
                for quarter in ("Q1", "Q2")
            ],
        ),
        ("How do acme and globex differ?", ["How do acme differ?", "How do globex differ?"]),
        ("Compare a.pdf with b.pdf.", ["Compare a.pdf.", "Compare b.pdf."]),
    ],
)
def test_a_comparison_is_taken_apart(question: str, parts: list[str]) -> None:
    plan = plan_of(question, holds)
    assert plan.kind is PlanKind.COMPARISON
    assert [part.question for part in plan.parts] == parts


@pytest.mark.parametrize(
    "question",
    [
        "Who pays for shipping?",
        "What did Procter & Gamble pay in 2022?",
        "What are the Terms and Conditions?",
        "What does Acme say about refunds, returns and shipping?",
        "What was revenue on July 1, 2023?",
    ],
)
def test_a_question_about_one_thing_is_direct(question: str) -> None:
    assert plan_of(question, holds).kind is PlanKind.DIRECT


async def _two_companies(stack: QueryStack) -> None:
    """Seven documents of Acme are closer to the question than the one of Globex."""
    for number in range(7):
        await stack.serve(
            f"Acme rule {number}: compare what Acme customers pay for shipping, {number} EUR.",
            name=f"acme-{number}.txt",
            content_hash=str(number) * 64,
            identity=Identity(company="Acme Corp", title=f"Shipping rule {number}"),
        )
    await stack.serve(
        "Deliveries are free of charge at Globex when customers pay in advance.",
        name="globex.txt",
        content_hash="f" * 64,
        identity=Identity(company="Globex Inc", title="Deliveries"),
    )


async def test_each_part_of_a_comparison_has_passages_and_citations_in_one_call(
    stack: QueryStack,
) -> None:
    await _two_companies(stack)
    llm = Scripted("Acme customers pay for shipping [1]. Deliveries are free at Globex [2].")
    stack.use(generators=(llm,))
    answer = await stack.ask("Compare what Acme and Globex customers pay for shipping")
    assert len(llm.prompts) == 1
    assert llm.prompts[0].version == "compare-1"
    acme, globex = (citation.document_name for citation in answer.citations)
    assert (acme[:5], globex) == ("acme-", "globex.txt")
    assert answer.sub_questions == (
        "Compare what Acme customers pay for shipping",
        "Compare what Globex customers pay for shipping",
    )
    assert int(answer.degradation.level) == 0
    assert answer.notice is None


async def test_a_part_that_the_documents_do_not_hold_is_named_and_the_rest_answered(
    stack: QueryStack,
) -> None:
    await _two_companies(stack)
    llm = Scripted("Acme customers pay for shipping [1].")
    stack.use(generators=(llm,))
    answer = await stack.ask("Compare what Acme and Initech customers pay for shipping")
    assert "Initech" in (answer.notice or "")
    assert answer.text.startswith("Acme customers pay")
    assert "leave it out and answer about the rest" in llm.prompts[0].user
    assert "reply with NO_ANSWER unless" not in llm.prompts[0].user


async def test_parts_beyond_the_limit_are_named(stack: QueryStack) -> None:
    await _two_companies(stack)
    limits = PlanningSettings(max_parts=2)
    stack.use(
        generators=(Scripted("Acme customers pay for shipping [1]."),),
        settings=QuerySettings(planning=limits),
    )
    answer = await stack.ask("Compare shipping at Acme in 2021, 2022 and 2023")
    assert len(answer.sub_questions) == 2
    assert "2023" in (answer.notice or "")


async def test_evidence_is_cut_fairly_to_the_tokens_of_a_call(stack: QueryStack) -> None:
    filler = "Terms of delivery follow here and go on for a while. " * 12
    for company in ("Acme", "Globex"):
        for number in range(4):
            await stack.serve(
                f"{company} shipping costs {number} EUR. {filler}",
                name=f"{company}{number}.txt",
                content_hash=f"{number}{company[0].lower()}" * 32,
                identity=Identity(company=company),
            )
    llm = Scripted("Acme shipping costs 0 EUR [1].")
    limits = PlanningSettings(tokens_per_call=500)
    stack.use(generators=(llm,), settings=QuerySettings(planning=limits))
    await stack.ask("Compare the shipping of Acme and Globex")
    user = llm.prompts[0].user
    assert user.count("PASSAGE [") == 2
    assert "Acme shipping costs" in user
    assert "Globex shipping costs" in user


async def test_an_outage_of_a_further_search_marks_the_answer(stack: QueryStack) -> None:
    await _two_companies(stack)
    keyword = stack.services.paths[0]

    class FailsLater:
        ready = True
        calls = 0

        async def retrieve(self, query, *, top_k, deadline):  # type: ignore[no-untyped-def]
            self.calls += 1
            if self.calls > 1:
                raise IndexUnavailable(reason="keyword_index_unavailable")
            return await keyword.retriever.retrieve(query, top_k=top_k, deadline=deadline)

    stack.use_paths(type(keyword)(keyword.mode, FailsLater()))
    stack.use(generators=(Scripted("Acme customers pay for shipping [1]."),))
    answer = await stack.ask("Compare what Acme and Globex customers pay for shipping")
    assert int(answer.degradation.level) == 2
    assert answer.degradation.reasons == ("keyword_index_unavailable",)
    assert "Globex" in (answer.notice or "")


async def test_a_named_part_that_the_first_search_lacks_is_searched_for_once_more(
    stack: QueryStack,
) -> None:
    for number in range(8):
        await stack.serve(
            f"The lease of Acme covers office rent and heating of the office, floor {number}.",
            name=f"lease-{number}.txt",
            content_hash=str(number) * 64,
        )
    await stack.serve(
        "Our people in Reykjavik work from a boat. The boat is not heated in summer, and guests "
        "bring blankets along when they come to stay with us over a long weekend in the harbour.",
        name="boat.txt",
        content_hash="e" * 64,
    )
    llm = Scripted("The boat is not heated in summer [6].")
    stack.use(generators=(llm,))
    answer = await stack.ask("Does the office lease of Acme cover heating in Reykjavik?")
    assert len(llm.prompts) == 1
    assert "Reykjavik work from a boat" in llm.prompts[0].user
    assert answer.sub_questions == (
        "Does the office lease of cover heating in Reykjavik?",
        "Reykjavik",
    )
    assert [c.document_name for c in answer.citations] == ["boat.txt"]


async def test_a_question_whose_parts_were_found_costs_one_search_and_one_call(
    stack: QueryStack,
) -> None:
    await _two_companies(stack)
    searches = 0
    keyword = stack.services.paths[0]

    class Counting:
        ready = True

        async def retrieve(self, query, *, top_k, deadline):  # type: ignore[no-untyped-def]
            nonlocal searches
            searches += 1
            return await keyword.retriever.retrieve(query, top_k=top_k, deadline=deadline)

    stack.use_paths(type(keyword)(keyword.mode, Counting()))
    llm = Scripted("Acme customers pay for shipping [1].")
    stack.use(generators=(llm,))
    answer = await stack.ask("What do customers of Acme pay for shipping?")
    assert (searches, len(llm.prompts), answer.sub_questions) == (1, 1, ())
    assert llm.prompts[0].version == "answer-3"


async def test_a_list_reads_more_passages_and_each_document_once(stack: QueryStack) -> None:
    await _two_companies(stack)
    for number in range(3):
        await stack.serve(
            "Acme is a supplier.",
            "Acme has been a supplier for years.",
            name=f"supplier-{number}.txt",
            content_hash=f"{number}b" * 32,
        )
    llm = Scripted("- Acme is a supplier [1]")
    stack.use(generators=(llm,))
    answer = await stack.ask("Which documents mention Acme?")
    user = llm.prompts[0].user
    assert llm.prompts[0].version == "list-1"
    assert user.count("PASSAGE [") == 10
    assert user.count("] | supplier-0.txt") == 1
    assert answer.citations


async def test_without_a_model_the_answer_says_that_nothing_is_compared(stack: QueryStack) -> None:
    await _two_companies(stack)
    answer = await stack.ask("Compare what Acme and Globex customers pay for shipping")
    assert answer.degradation.answer == "extractive"
    assert "does not compare" in (answer.notice or "")
    assert int(answer.degradation.level) == 0
    assert answer.sub_questions == ()
