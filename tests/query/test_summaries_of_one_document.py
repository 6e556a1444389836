"""The summary of one document: read in parts within the limits, joined, cited by page."""

import re

import pytest
from tests.ingest.pages import serve
from tests.query.query_stack import QueryStack, Scripted, streamed_text

from foliotrace.errors import BudgetExceeded, GeneratorUnavailable
from foliotrace.model import Deadline, Identity
from foliotrace.ports import Generation, Prompt
from foliotrace.settings import PlanningSettings, QuerySettings

pytestmark = pytest.mark.anyio

TOPICS = ("Refunds", "Shipping", "Vacation", "Parking", "Laptops", "Travel")
FILLER = "This sentence belongs to the chapter and has no figures of its own. " * 20


class Reader(Scripted):
    """Says the first sentence of every passage it is shown; fails for parts by their topic."""

    def __init__(self, fails: dict[str, Exception] | None = None, empty: str = "") -> None:
        super().__init__("")
        self._fails, self._empty = fails or {}, empty

    async def generate(self, prompt: Prompt, *, max_tokens: int, deadline: Deadline) -> Generation:
        self.prompts.append(prompt)
        for topic, error in self._fails.items():
            if topic in prompt.user or topic == prompt.version:
                raise error
        said = re.findall(r"PASSAGE \[(\d+)\][^\n]*\n([^.\n]+)\.", prompt.user)
        text = " ".join(f"{sentence} [{number}]." for number, sentence in said)
        self._text = "" if self._empty and self._empty in prompt.user else text
        return self._generation()

    @property
    def versions(self) -> list[str]:
        return [prompt.version for prompt in self.prompts]


def limits(calls: int = 8) -> QuerySettings:
    return QuerySettings(planning=PlanningSettings(tokens_per_call=1100, summary_calls=calls))


async def _handbook(stack: QueryStack) -> None:
    """Six pages, of which two fit into one call; and another document."""
    await stack.serve(
        *(f"{topic} are rule number {n}. {FILLER}" for n, topic in enumerate(TOPICS, 1)),
        name="handbook.txt",
        identity=Identity(title="Employee Handbook"),
    )
    await stack.serve("Rents are due in May.", name="lease.txt", content_hash="b" * 64)


async def test_a_document_is_read_in_parts_and_joined_with_citations_by_page(
    stack: QueryStack,
) -> None:
    await _handbook(stack)
    llm = Reader()
    stack.use(generators=(llm,), settings=limits())
    answer = await stack.ask("Summarise the employee handbook.")
    assert sorted(llm.versions) == ["summary-join-1", *["summary-part-1"] * 3]
    assert {c.anchor.page for c in answer.citations} == {1, 2, 3, 4, 5, 6}
    assert all(topic in answer.text for topic in TOPICS)
    assert {c.document_name for c in answer.citations} == {"handbook.txt"}
    assert (answer.notice, int(answer.degradation.level)) == (None, 0)


async def test_a_short_document_takes_one_call(stack: QueryStack) -> None:
    await _handbook(stack)
    llm = Reader()
    stack.use(generators=(llm,))
    answer = await stack.ask("Please summarize lease.txt")
    assert llm.versions == ["summary-1"]
    assert answer.text == "Rents are due in May [1]."


async def test_the_limit_of_calls_leaves_pages_unread_and_says_which(stack: QueryStack) -> None:
    await _handbook(stack)
    llm = Reader()
    stack.use(generators=(llm,), settings=limits(calls=3))
    answer = await stack.ask("Summarise handbook.txt")
    assert len(llm.prompts) == 3
    assert "pages 1-4 of 6" in (answer.notice or "")
    assert "query.planning.summary_calls" in (answer.notice or "")
    assert "Travel" not in answer.text
    assert int(answer.degradation.level) == 0


async def test_a_part_that_fails_is_named_and_the_answer_marked(stack: QueryStack) -> None:
    await _handbook(stack)
    down = GeneratorUnavailable("down", reason="llm_unavailable")
    llm = Reader({"Vacation are rule": down})
    stack.use(generators=(llm,), settings=limits())
    answer = await stack.ask("Summarise handbook.txt")
    assert "pages 1-2, 5-6 of 6" in (answer.notice or "")
    assert (int(answer.degradation.level), answer.degradation.reasons) == (2, ("llm_unavailable",))
    assert "Vacation" not in answer.text
    assert "Travel" in answer.text


async def test_an_empty_reply_for_a_part_leaves_its_pages_out(stack: QueryStack) -> None:
    await _handbook(stack)
    stack.use(generators=(Reader(empty="Vacation are rule"),), settings=limits())
    answer = await stack.ask("Summarise handbook.txt")
    assert "pages 1-2, 5-6 of 6" in (answer.notice or "")
    assert answer.degradation.reasons == ("generated_answer_unsupported",)


async def test_a_budget_that_ends_leaves_the_later_pages_out(stack: QueryStack) -> None:
    await _handbook(stack)
    spent = BudgetExceeded("spent")
    llm = Reader({"Vacation are rule": spent, "Laptops are rule": spent})
    stack.use(generators=(llm,), settings=limits())
    answer = await stack.ask("Summarise handbook.txt")
    assert "pages 1-2 of 6. The budget" in (answer.notice or "")
    assert answer.degradation.reasons == ("budget_exceeded",)
    assert answer.text.startswith("Refunds are rule number 1")


async def test_parts_follow_one_another_where_the_last_call_fails(stack: QueryStack) -> None:
    await _handbook(stack)
    llm = Reader({"summary-join-1": GeneratorUnavailable("down", reason="llm_unavailable")})
    stack.use(generators=(llm,), settings=limits())
    answer = await stack.ask("Summarise handbook.txt")
    assert all(topic in answer.text for topic in TOPICS)
    assert "follow one another" in (answer.notice or "")
    assert int(answer.degradation.level) == 2
    markers = [int(n) for n in re.findall(r"\[(\d+)\]", answer.text)]
    pages = {c.marker: c.anchor.page for c in answer.citations}
    assert [pages[n] for n in markers] == sorted(pages[n] for n in markers)
    assert set(pages.values()) == {1, 2, 3, 4, 5, 6}


async def test_a_streamed_summary_is_the_text_of_the_answer(stack: QueryStack) -> None:
    await _handbook(stack)
    stack.use(generators=(Scripted("Rents are due ", "in May [1]."),))
    events, answer = await stack.watch("Summarise lease.txt")
    assert streamed_text(events) == answer.text == "Rents are due in May [1]."


async def test_a_question_about_a_subject_is_no_summary_of_a_document(stack: QueryStack) -> None:
    await _handbook(stack)
    llm = Scripted("Refunds are rule number 1 [1].")
    stack.use(generators=(llm,))
    answer = await stack.ask("Summarise the refunds rule")
    assert llm.prompts[0].version == "answer-3"
    assert answer.notice is None


async def test_this_document_is_the_filtered_one_or_asked_for(stack: QueryStack) -> None:
    await _handbook(stack)
    await stack.serve("Pets stay outside.", name="pets.txt", content_hash="c" * 64)
    (pets,) = await stack.library.documents("default", name="pets.txt")
    llm = Reader()
    stack.use(generators=(llm,))
    answer = await stack.ask("Summarise this document", filters={"document_ids": [pets.id]})
    assert answer.text == "Pets stay outside [1]."
    several = await stack.ask("Summarise this document")
    assert "name its file or its title" in (several.notice or "")


async def test_a_document_of_another_collection_is_not_read(stack: QueryStack) -> None:
    await _handbook(stack)
    await serve(
        stack.library, "Pay is 5 EUR.", tenant="default", collection="secret", name="pay.txt"
    )
    await stack.index.catch_up()
    llm = Reader()
    stack.use(generators=(llm,))
    await stack.ask("Summarise pay.txt")
    assert not any("Pay is 5 EUR" in prompt.user for prompt in llm.prompts)


async def test_without_a_model_and_headings_the_answer_says_that_it_cannot(
    stack: QueryStack,
) -> None:
    await _handbook(stack)
    answer = await stack.ask("Summarise handbook.txt")
    assert answer.degradation.answer == "abstained"
    assert answer.text.startswith("No language model is configured")
    assert int(answer.degradation.level) == 0
