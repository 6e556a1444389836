"""Which path answers, how two are fused, and which documents an unfiltered question prefers."""

import asyncio
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.query.query_stack import HANDBOOK, Down, QueryStack

from foliotrace.errors import IndexUnavailable
from foliotrace.model import Deadline, Filters, Identity, Level, Passage, Query, RetrievalMode
from foliotrace.query.retrieve.paths import (
    HybridRetriever,
    RetrievalPath,
    fused,
    without_duplicates,
)
from foliotrace.settings import QuerySettings

pytestmark = pytest.mark.anyio


def passage(
    chunk_id: str, score: float, text: str = "", revision: str = "r", start: int = 0
) -> Passage:
    return Passage(
        chunk_id=chunk_id,
        document_id="d",
        document_name="a.pdf",
        revision=revision,
        page=1,
        start=start,
        end=start + 100,
        text=text or chunk_id,
        score=score,
        path=RetrievalMode.KEYWORD,
    )


class Shelf:
    ready = True

    def __init__(self, *passages: Passage) -> None:
        self.passages = passages

    async def retrieve(self, query: Query, *, top_k: int, deadline: Deadline) -> Sequence[Passage]:
        return self.passages[:top_k]


scores = st.lists(st.floats(0.01, 100), min_size=1, max_size=8)


@given(scores, scores)
def test_fusing_keeps_every_passage_once_in_order_of_a_score_from_0_to_1(
    sparse: list[float], dense: list[float]
) -> None:
    by_words = [passage(f"c{i}", s) for i, s in enumerate(sorted(sparse, reverse=True))]
    by_vector = [passage(f"c{i + 4}", s) for i, s in enumerate(sorted(dense, reverse=True))]
    found = fused(by_words, by_vector)
    assert sorted(p.chunk_id for p in found) == sorted(
        {p.chunk_id for p in (*by_words, *by_vector)}
    )
    assert [p.score for p in found] == sorted((p.score for p in found), reverse=True)
    assert all(0 <= p.score <= 1.000001 for p in found)


def test_what_both_paths_find_first_is_first() -> None:
    both = fused([passage("a", 9), passage("b", 8)], [passage("a", 0.9), passage("c", 0.8)])
    assert both[0].chunk_id == "a"
    assert both[0].score == 1.0


async def test_embedding_not_finished_is_answered_by_keywords_at_level_2(stack: QueryStack) -> None:
    await stack.serve(*HANDBOOK)
    hybrid = HybridRetriever(stack.keyword().retriever, Down("embedding_pending"))
    stack.use_paths(RetrievalPath(RetrievalMode.HYBRID, hybrid), stack.keyword())
    answer = await stack.ask("When are refunds paid?")
    mark = answer.degradation
    assert (mark.level, mark.reasons) == (Level.LOWER_PATH, ("embedding_pending",))
    assert answer.citations


async def test_a_path_that_hangs_leaves_time_for_the_next(stack: QueryStack) -> None:
    class Hanging:
        ready = True

        async def retrieve(self, *_: object, **__: object) -> list[Passage]:
            await asyncio.sleep(60)
            raise IndexUnavailable("never reached")

    await stack.serve(*HANDBOOK)
    stack.use(settings=QuerySettings(retrieval_deadline_s=0.05))
    stack.use_paths(RetrievalPath(RetrievalMode.MANAGED, Hanging()), stack.keyword())  # type: ignore[arg-type]
    answer = await stack.ask("When are refunds paid?")
    assert answer.degradation.reasons == ("managed_timeout",)
    assert answer.citations


async def test_the_document_a_question_names_is_preferred_and_others_stay_reachable(
    stack: QueryStack,
) -> None:
    said = "Net sales grew in the quarter because of services."
    for number, company in enumerate(("Apple", "Nvidia", "Intel")):
        await stack.serve(
            said,
            name=f"{company}.txt",
            content_hash=str(number) * 64,
            identity=Identity(company=company),
        )
    query = Query(
        text="Why did net sales of Nvidia grow in the quarter?",
        principal=stack.services.identify(),
        filters=Filters(),
    )
    found = await stack.keyword().retriever.retrieve(
        query, top_k=3, deadline=Deadline(float("inf"))
    )
    assert found[0].document_name == "Nvidia.txt"
    assert len(found) == 3


def test_one_file_under_two_names_is_one_source_and_two_files_are_two() -> None:
    same = [passage("a", 3, "said", "r1"), passage("b", 2, "said", "r1", 500)]
    assert [p.chunk_id for p in without_duplicates(same)] == ["a"]
    two = [passage("a", 3, "said", "r1"), passage("b", 2, "said", "r2")]
    assert [p.chunk_id for p in without_duplicates(two)] == ["a", "b"]
