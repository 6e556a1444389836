"""What one question reads: counted in statements, rows and hits, which no busy machine changes."""

import random
import string
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from tests.ingest.pages import serve
from tests.query.query_stack import QueryStack, open_query_stack

from foliotrace.adapters.local.keyword import analysis
from foliotrace.adapters.local.keyword.store import Hit, KeywordStore
from foliotrace.adapters.local.sqlite.database import Database
from foliotrace.adapters.local.sqlite.stale_answers import SqliteStaleAnswers
from foliotrace.model import Identity

pytestmark = pytest.mark.anyio

SMALL, LARGE = 12, 240
VERSION = "SELECT value FROM state"
WORDS = ("ledger", "harbour", "refund", "turbine", "orchard", "granite", "violin", "meadow")


class Reads:
    """What questions read since `clear`: SQL statements by their start, rows, engine hits."""

    def __init__(self) -> None:
        self.statements = Counter[str]()
        self.rows = 0
        self.hits = 0
        self.searches = 0

    def clear(self) -> None:
        self.__init__()  # type: ignore[misc] # the counters as they began


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> Reads:
    counted = Reads()
    read, search = Database.rows, KeywordStore.search

    def rows(self: Database, sql: str, parameters: Sequence[Any] = ()) -> list[Any]:
        found = read(self, sql, parameters)
        counted.statements[sql[:23]] += 1
        counted.rows += len(found)
        return found

    def searched(self: KeywordStore, query: Any, limit: int) -> list[Hit]:
        hits = search(self, query, limit)
        counted.searches += 1
        counted.hits += len(hits)
        return hits

    monkeypatch.setattr(Database, "rows", rows)
    monkeypatch.setattr(KeywordStore, "search", searched)
    return counted


async def _grow(stack: QueryStack, numbers: range) -> None:
    draw = random.Random(numbers.start)
    for number in numbers:
        text = " ".join(draw.choices(WORDS, k=40))
        await serve(
            stack.library,
            f"The {text}.",
            tenant="default",
            name=f"report-{number}.txt",
            content_hash=f"{number:064x}",
            identity=Identity(title=f"Report {number}", company=f"Firm{number} Mills"),
        )
    await stack.index.catch_up()


async def test_a_question_reads_no_more_in_a_larger_collection(
    tmp_path: Path, reads: Reads
) -> None:
    asked = "How many turbines and violins has Firm3 Mills?"
    found: list[tuple[int, int, int, int]] = []
    async with open_query_stack(tmp_path) as stack:
        for numbers in (range(SMALL), range(SMALL, LARGE)):
            await _grow(stack, numbers)
            await stack.ask(f"{asked} By {numbers.start}?")  # what is read once for a version
            reads.clear()
            stack.library.clear()
            await stack.ask(f"{asked} In {numbers.start}?")
            statements = sum(reads.statements.values())
            found.append((statements, reads.rows, reads.searches, reads.hits))
    small, large = found
    assert large[0] <= small[0] + 2  # statements
    assert large[1] <= 60, "rows"  # chunks and labels of what may be quoted
    assert large[2] <= small[2] + 1  # searches: once more in the documents that are named
    assert large[3] <= 2 * 56, "hits"


async def test_a_question_reads_the_librarys_version_once(tmp_path: Path, reads: Reads) -> None:
    async with open_query_stack(tmp_path) as stack:
        await _grow(stack, range(SMALL))
        await stack.ask("Which harbour is first?")
        reads.clear()
        await stack.ask("Which orchard is first?")
    # Once in each turn of the event loop that the question takes; seven times without that.
    assert reads.statements[VERSION] <= 2


async def test_storing_an_answer_reads_none_of_the_documents_it_cites(
    tmp_path: Path, reads: Reads
) -> None:
    stale = SqliteStaleAnswers(tmp_path)
    async with open_query_stack(tmp_path, stale=stale) as stack:
        await stack.serve("Refunds are paid within 30 days of the return.")
        await stack.ask("Within how many days are refunds paid?")
        reads.clear()
        answer = await stack.ask("Within how many days are refunds paid, please?")
    await stale.close()
    assert answer.citations
    assert set(reads.statements) == {VERSION}


async def test_what_is_written_is_seen_at_once_by_every_reader(tmp_path: Path) -> None:
    async with open_query_stack(tmp_path) as stack, open_query_stack(tmp_path) as other:
        before = await other.library.version()
        assert await other.library.version() == before
        await _grow(stack, range(1))
        assert await other.library.version() > before
        assert await stack.library.version() == await other.library.version()


def test_terms_that_were_looked_up_are_those_of_the_engine() -> None:
    draw = random.Random(11)
    letters = (
        f"{string.ascii_letters}{string.digits} .,-_'\t\n\x1f\xa0\u2019\u201c\u2013\u2026\u2122é"
    )
    texts = ["".join(draw.choices(letters, k=120)) for _ in range(400)]
    texts += ["running " * 3 + "x" * n + " The " + "Companies'" for n in range(36, 44)]
    for text in (*texts, *texts):  # the second time all words are known
        assert analysis.content_terms(text) == analysis._content.analyze(text), text
    assert analysis.content_terms_of_each(texts) == [analysis._content.analyze(t) for t in texts]
    plain = [text for text in texts if text.isascii()]
    assert analysis.content_terms_of_each(plain) == [analysis._content.analyze(t) for t in plain]
    analysis.forget_words()
    assert not analysis._STEM_OF
