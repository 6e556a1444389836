"""A question through the workflow: cited, labelled, audited, recorded."""

import asyncio
from dataclasses import replace

import pytest
from tests.query.query_stack import HANDBOOK, Down, QueryStack, Scripted, streamed_text
from workflows import Workflow

from foliotrace.catalog import ErrorCode
from foliotrace.errors import (
    AuditUnavailable,
    GeneratorUnavailable,
    InvalidQuery,
    InvalidRequest,
    NotFound,
)
from foliotrace.model import Answer, AnswerMode, Level, RetrievalMode
from foliotrace.query.retrieve.paths import RetrievalPath
from foliotrace.query.workflow import (
    AnswerDelta,
    Answered,
    AnswerReset,
    AskQuestion,
    QueryWorkflow,
)

pytestmark = pytest.mark.anyio


async def test_without_keys_the_answer_is_a_quote_at_level_0(stack: QueryStack) -> None:
    document_id = await stack.serve(*HANDBOOK, name="handbook.txt")
    answer = await stack.ask("When are refunds paid?")
    (citation,) = answer.citations
    page = await stack.library.page("default", document_id, 1)
    anchor = citation.anchor
    assert citation.quote == "Refunds are paid within 30 days of the return."
    assert page.text[anchor.start : anchor.end] == citation.quote
    assert (citation.document_name, anchor.page, anchor.exact) == ("handbook.txt", 1, True)
    mark = answer.degradation
    assert (mark.level, mark.reasons) == (Level.NONE, ())
    assert (mark.retrieval, mark.answer) == (RetrievalMode.KEYWORD, AnswerMode.EXTRACTIVE)
    assert "No language model is configured" in (answer.notice or "")
    assert "[1]" in answer.text


async def test_what_the_documents_do_not_say_is_refused_honestly(stack: QueryStack) -> None:
    await stack.serve(*HANDBOOK)
    answer = await stack.ask("Which enzyme inhibits mitochondrial translation in yeast?")
    assert answer.degradation.answer is AnswerMode.ABSTAINED
    assert answer.degradation.level is Level.NONE
    assert answer.citations == ()


async def test_a_misspelt_collection_is_named(stack: QueryStack) -> None:
    await stack.serve(*HANDBOOK)
    with pytest.raises(NotFound, match="There is no collection handbooks") as misspelt:
        await stack.ask("When are refunds paid?", collection="handbooks")
    assert misspelt.value.error_code == ErrorCode.COLLECTION_NOT_FOUND
    filtered = await stack.ask("When are refunds paid?", filters={"year": ["1900"]})
    assert filtered.notice is None, "the collection holds documents"


async def test_an_empty_library_says_so(stack: QueryStack) -> None:
    answer = await stack.ask("When are refunds paid?")
    assert answer.degradation.answer is AnswerMode.ABSTAINED
    assert "Collection default holds no documents" in (answer.notice or "")


async def test_an_index_outage_is_answered_by_the_next_path_and_labelled(stack: QueryStack) -> None:
    await stack.serve(*HANDBOOK)
    stack.use_paths(
        RetrievalPath(RetrievalMode.MANAGED, Down("managed_index_timeout")), stack.keyword()
    )
    answer = await stack.ask("When are refunds paid?")
    mark = answer.degradation
    assert (mark.level, mark.reasons) == (Level.LOWER_PATH, ("managed_index_timeout",))
    assert mark.retrieval is RetrievalMode.KEYWORD
    assert answer.citations
    assert stack.audit.entries[-1].degradation_reasons == ("managed_index_timeout",)


async def test_when_no_path_answers_the_sentence_is_honest_and_names_a_time(
    stack: QueryStack,
) -> None:
    stack.use_paths(
        RetrievalPath(RetrievalMode.KEYWORD, Down("keyword_index_unavailable", retry_after_s=12))
    )
    answer = await stack.ask("When are refunds paid?")
    assert (answer.degradation.level, answer.retry_after_s) == (Level.TEMPLATE, 12)
    assert "12 seconds" in answer.text
    assert stack.audit.entries[-1].degradation_level == Level.TEMPLATE


async def test_the_audit_log_is_called_before_the_work_and_after_it(stack: QueryStack) -> None:
    await stack.serve(*HANDBOOK)
    answer = await stack.ask("When are refunds paid?", user_id="u-1")
    first, last = stack.audit.entries
    assert (first.event, last.event) == ("query_received", "query_completed")
    assert first.run_id == last.run_id == answer.run_id
    assert first.query_hash == last.query_hash
    assert first.user_id == "u-1"
    assert "refund" not in repr(stack.audit.entries).lower().replace("refunds are", "")


@pytest.mark.parametrize(
    ("asked", "error"),
    [
        ({"query": ""}, InvalidQuery),
        ({"query": "\u200b\u202e"}, InvalidQuery),
        ({"query": "x" * 1001}, InvalidQuery),
        ({"query": "x", "top_k": 0}, InvalidRequest),
        ({"query": "x", "top_k": 51}, InvalidRequest),
        ({"query": "x", "user_id": "a b"}, InvalidRequest),
        ({"query": "x", "user_id": "a\n"}, InvalidRequest),
        ({"query": "x", "user_id": ""}, InvalidRequest),
        ({"query": "x", "collection": "../y"}, InvalidRequest),
        ({"query": "x", "filters": {"a b": "c"}}, InvalidRequest),
        ({"query": "x", "filters": {"a": []}}, InvalidRequest),
        ({"query": "x", "filters": {"a": ["v"] * 65}}, InvalidRequest),
        ({"query": "x", "tags": ["t"] * 17}, InvalidRequest),
        ({"query": "x", "metadata": {"a": "v" * 257}}, InvalidRequest),
        ({"query": "x", "tenant": "other"}, InvalidRequest),
    ],
)
async def test_a_bad_question_is_refused_with_its_code_and_audited(
    stack: QueryStack, asked: dict[str, object], error: type[Exception]
) -> None:
    with pytest.raises(error):
        await stack.ask(**asked)  # type: ignore[arg-type]
    events = [entry.event for entry in stack.audit.entries]
    assert events in (["query_received", "query_failed"], [])
    assert events or "tenant" in asked


async def test_a_refused_user_id_is_not_written_into_the_audit_log(stack: QueryStack) -> None:
    with pytest.raises(InvalidRequest):
        await stack.ask("x", user_id="name@example.org")
    assert all(entry.user_id is None for entry in stack.audit.entries)


async def test_an_audit_log_that_refuses_stops_the_question(stack: QueryStack) -> None:
    class Refusing:
        async def append(self, entry: object) -> None:
            raise AuditUnavailable("disk full")

    stack.use(audit=Refusing())
    with pytest.raises(AuditUnavailable):
        await stack.ask("When are refunds paid?")


async def test_a_cancelled_question_is_audited_as_failed(stack: QueryStack) -> None:
    class Hanging:
        ready = True

        async def retrieve(self, *_: object, **__: object) -> list[object]:
            await asyncio.sleep(60)
            return []

    stack.use_paths(RetrievalPath(RetrievalMode.KEYWORD, Hanging()))  # type: ignore[arg-type]
    handler = QueryWorkflow(stack.services).run(start_event=AskQuestion(query="x"))
    while not stack.audit.entries:
        await asyncio.sleep(0.01)
    await handler.cancel_run()
    while len(stack.audit.entries) < 2:
        await asyncio.sleep(0.01)
    assert stack.audit.entries[-1].event == "query_failed"
    with pytest.raises(BaseException, match=r".*"):
        await handler


async def test_the_run_is_recorded_without_content_unless_kept_by_setting(
    stack: QueryStack,
) -> None:
    await stack.serve(*HANDBOOK)
    answer = await stack.ask("When are refunds paid?", session_id="s-1", tags=["a"])
    run = await stack.runs.run("default", answer.run_id)
    assert (run.trace_id, run.session_id, run.tags) == ("ab" * 16, "s-1", ("a",))
    assert run.versions.index == await stack.library.version()
    assert (run.query_text, run.answer_text) == (None, None)
    assert [citation.quote for citation in run.citations] == [""]


async def test_the_llms_answer_is_cited_and_what_no_passage_supports_is_removed(
    stack: QueryStack,
) -> None:
    await stack.serve(*HANDBOOK)
    llm = Scripted(
        "Refunds are paid within 30 days of the return [1]. ",
        "Refunds are paid within 90 days [1]. The moon is made of green cheese [2].",
    )
    stack.use(generators=(llm,))
    answer = await stack.ask("When are refunds paid?")
    assert answer.text == "Refunds are paid within 30 days of the return [1]."
    assert (answer.removed_claims, answer.model) == (2, "scripted-1")
    assert answer.degradation.level is Level.NONE
    assert [c.quote for c in answer.citations] == ["Refunds are paid within 30 days of the return."]
    assert len(llm.prompts) == 1


async def test_when_the_first_llm_is_down_the_next_answers_at_level_1(stack: QueryStack) -> None:
    await stack.serve(*HANDBOOK)
    down = Scripted(error=GeneratorUnavailable("503", reason="llm_503"), model="big")
    other = Scripted("Refunds are paid within 30 days [1].", model="small")
    stack.use(generators=(down, other))
    answer = await stack.ask("When are refunds paid?")
    assert (answer.degradation.level, answer.degradation.reasons) == (
        Level.OTHER_LLM,
        ("llm_503",),
    )
    assert answer.model == "small"


async def test_when_no_llm_answers_the_passages_are_quoted_at_level_2(stack: QueryStack) -> None:
    await stack.serve(*HANDBOOK)
    stack.use(generators=(Scripted(error=GeneratorUnavailable("503", reason="llm_503")),))
    answer = await stack.ask("When are refunds paid?")
    assert answer.degradation.level is Level.LOWER_PATH
    assert answer.degradation.answer is AnswerMode.EXTRACTIVE
    assert answer.citations[0].quote in HANDBOOK[0]


async def test_a_stream_shows_only_whole_checked_sentences(stack: QueryStack) -> None:
    await stack.serve(*HANDBOOK)
    said = "Refunds are paid within 30 days of the return [1]. The moon is cheese [7]. Done."
    stack.use(generators=(Scripted(*said),))  # letter by letter
    events, answer = await stack.watch("When are refunds paid?")
    assert streamed_text(events) == answer.text
    assert "moon" not in answer.text
    assert "[7]" not in streamed_text(events)
    assert any(isinstance(event, AnswerDelta) for event in events)


async def test_a_stream_that_breaks_after_text_was_sent_is_reset_and_fails(
    stack: QueryStack,
) -> None:
    await stack.serve(*HANDBOOK)
    broken = Scripted(
        "Refunds are paid within 30 days of the return [1]. ",
        "The customer pays",
        error=GeneratorUnavailable("cut", reason="llm_cut"),
        error_after=2,
    )
    unused = Scripted("Refunds are paid within 30 days [1].")
    stack.use(generators=(broken, unused))
    handler = QueryWorkflow(stack.services).run(
        start_event=AskQuestion(query="When are refunds paid?", stream=True)
    )
    events = [event async for event in handler.stream_events()]
    with pytest.raises(GeneratorUnavailable):
        await handler
    assert [e.reason for e in events if isinstance(e, AnswerReset)] == ["llm_cut"]
    assert unused.prompts == []
    assert stack.audit.entries[-1].event == "query_failed"


async def test_a_stream_that_breaks_before_any_text_was_sent_falls_back(stack: QueryStack) -> None:
    await stack.serve(*HANDBOOK)
    broken = Scripted(
        "Refunds", error=GeneratorUnavailable("cut", reason="llm_cut"), error_after=1, model="a"
    )
    stack.use(generators=(broken, Scripted("Refunds are paid within 30 days [1].", model="b")))
    events, answer = await stack.watch("When are refunds paid?")
    assert (answer.model, answer.degradation.level) == ("b", Level.OTHER_LLM)
    assert streamed_text(events) == answer.text


async def test_the_kept_steps_are_the_engines_own(stack: QueryStack) -> None:
    workflow = QueryWorkflow(stack.services)
    assert list(Workflow._get_steps(workflow)) == list(workflow._get_steps()) == ["answer"]
    assert workflow._get_steps() is workflow._get_steps()


@pytest.mark.parametrize("query", ["When are refunds paid?", ""])
async def test_the_callers_task_and_a_run_answer_the_same(stack: QueryStack, query: str) -> None:
    await stack.serve(*HANDBOOK)
    workflow, question = QueryWorkflow(stack.services), AskQuestion(query=query, user_id="u-1")
    results = []

    async def run(question: AskQuestion) -> Answer:
        answered = await workflow.run(start_event=question).stop_event_result()
        assert isinstance(answered, Answered)
        return answered.answer

    for asked in (workflow.answer_directly, run):
        stack.audit.entries.clear()
        try:
            result: object = replace(await asked(question), run_id="")
        except InvalidQuery as error:
            result = error.error_code
        results.append((result, [replace(entry, run_id="") for entry in stack.audit.entries]))
    assert results[0] == results[1]
    assert len(stack.audit.entries) == 2


async def test_nothing_asked_or_answered_is_in_an_events_repr(stack: QueryStack) -> None:
    await stack.serve(*HANDBOOK)
    asked = AskQuestion(query="When are refunds paid?", user_id="u-1", metadata={"a": "secret"})
    events, answer = await stack.watch("When are refunds paid?")
    said = f"{asked!r} {asked} {events!r} {Answered(answer=answer)!r} {Answered(answer=answer)}"
    assert "efund" not in said
    assert "secret" not in said
    assert "u-1" not in said


@pytest.mark.parametrize("stream", [False, True])
async def test_a_model_that_refuses_in_its_own_words_is_not_replaced_by_quotes(
    stack: QueryStack, stream: bool
) -> None:
    await stack.serve(*HANDBOOK)
    refusal = "I'm sorry, but the passages do not contain that information."
    stack.use(generators=(Scripted(refusal),))
    answer = await stack.ask("When are refunds paid?", stream=stream)
    assert answer.degradation.answer is AnswerMode.ABSTAINED
    assert (answer.degradation.level, answer.citations) == (Level.NONE, ())


async def test_the_notice_never_says_that_no_model_answered_when_one_did(
    stack: QueryStack,
) -> None:
    await stack.serve(*HANDBOOK)
    stack.use(generators=(Scripted("The moon is made of green cheese [1]."),))
    answer = await stack.ask("When are refunds paid?")
    assert answer.degradation.answer is AnswerMode.EXTRACTIVE
    assert answer.notice is not None
    assert "could answer" not in answer.notice
    assert "do not verify" in answer.notice


async def test_the_policy_mark_answers_with_what_it_could_not_verify(stack: QueryStack) -> None:
    await stack.serve(*HANDBOOK)
    settings = stack.services.settings.model_copy(update={"grounding": "mark"})
    llm = Scripted("Refunds are paid within 30 days [1]. The moon is made of green cheese.")
    stack.use(generators=(llm,), settings=settings)
    answer = await stack.ask("When are refunds paid?")
    assert answer.text == (
        "Refunds are paid within 30 days [1]. The moon is made of green cheese [unverified]."
    )
    assert (answer.removed_claims, answer.unverified_claims) == (0, 1)


async def test_a_number_alone_is_not_what_was_asked_for(stack: QueryStack) -> None:
    await stack.serve("Runway 08/26 is 780 metres long and made of asphalt.")
    assert (await stack.ask("drawer 26")).degradation.answer is AnswerMode.ABSTAINED
    assert (await stack.ask("runway 26")).degradation.answer is AnswerMode.EXTRACTIVE
