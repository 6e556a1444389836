"""The documents that a question names, and what finding them costs as the collection grows."""

import asyncio
import random
import sqlite3
import sys
from collections import defaultdict
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from tests.ingest.pages import blob

from foliotrace.adapters.local.sqlite import writes
from foliotrace.adapters.local.sqlite.library import SqliteLibrary
from foliotrace.model import Deadline, Filters, Passage, Principal, Query
from foliotrace.ports import DocumentDraft
from foliotrace.query.retrieve.document_routing import RoutedRetriever
from foliotrace.query.subjects import identities as document_identities
from foliotrace.query.subjects.identities import (
    MAX_PREFERRED,
    MIN_RELATIVE_COVER,
    DocumentIdentities,
    rarity,
)

pytestmark = pytest.mark.anyio

KINDS = ("10k", "10q", "8k")


class SplitWords:
    """A vocabulary whose terms are the words of a text."""

    def terms(self, text: str) -> Sequence[str]:
        return text.lower().split()

    def terms_of_each(self, texts: Sequence[str]) -> Sequence[Sequence[str]]:
        return [self.terms(text) for text in texts]

    def weights(self, terms: Sequence[str], *, tenant: str, collection: str) -> Sequence[float]:
        return [1.0 for _ in terms]


async def serve_companies(library: SqliteLibrary, companies: Sequence[str]) -> list[str]:
    """Serve a document without pages for each of `companies`; their ids."""

    def work(connection: sqlite3.Connection) -> list[str]:
        ids = []
        for number, company in enumerate(companies):
            draft = DocumentDraft(collection="default", name=f"{number}.txt", blob=blob())
            document = writes.register(connection, "t1", draft, datetime.now(UTC)).document
            connection.execute(
                "UPDATE documents SET revision = id, status = 'ready', company = ? WHERE id = ?",
                (company, document.id),
            )
            writes.record_change(connection, document, deleted=False)
            ids.append(document.id)
        return ids

    return await library.database.write(work)


async def known(library: SqliteLibrary) -> DocumentIdentities:
    identities = DocumentIdentities(library, SplitWords())
    await identities.follow()
    return identities


def lines_run(work: Callable[[], object]) -> int:
    """How many lines of Python `work` runs: its cost, the same on every machine."""
    count = 0

    def trace(frame: FrameType, event: str, arg: Any) -> Any:
        nonlocal count
        count += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        work()
    finally:
        sys.settrace(before)
    return count


async def sql_steps(library: SqliteLibrary, filters: Filters) -> int:
    """How many hundreds of instructions SQLite runs to find the documents of `filters`."""
    count = 0

    def step() -> int:
        nonlocal count
        count += 1
        return 0

    connection = library.database.reader()
    connection.set_progress_handler(step, 100)
    try:
        assert await library.matching("t1", "default", filters)
    finally:
        connection.set_progress_handler(None, 0)
    return count


@pytest.fixture
def libraries(tmp_path: Path) -> Any:
    opened = [SqliteLibrary.open(tmp_path / size) for size in ("small", "large")]
    yield opened
    for library in opened:
        library.close()


async def test_looking_up_a_few_ids_does_not_read_the_whole_collection(
    libraries: list[SqliteLibrary],
) -> None:
    steps = []
    for library, count in zip(libraries, (100, 4_000), strict=True):
        ids = await serve_companies(library, ["Acme"] * count)
        steps.append(await sql_steps(library, Filters(document_ids=tuple(ids[:32]))))
    assert steps[1] <= steps[0] * 1.5 + 1


async def test_a_rare_metadata_value_does_not_read_the_whole_collection(
    libraries: list[SqliteLibrary],
) -> None:
    steps = []
    for library, count in zip(libraries, (100, 4_000), strict=True):
        await serve_companies(library, ["Acme"] * count)
        steps.append(await sql_steps(library, Filters(metadata={"name": ("7.txt",)})))
    assert steps[1] <= steps[0] * 1.5 + 1


async def test_the_labels_of_a_questions_documents_are_read_together(
    libraries: list[SqliteLibrary],
) -> None:
    library = libraries[0]
    ids = await serve_companies(library, [f"Company {n}" for n in range(20)])
    statements: list[str] = []
    library.database.reader().set_trace_callback(statements.append)
    labels = await library.labels("t1", ids)
    library.database.reader().set_trace_callback(None)
    assert [label.header for label in labels] == [f"Company {n}" for n in range(20)]
    assert len([s for s in statements if "documents" in s]) == 1


@pytest.mark.parametrize("question", ["c7 10k", "10k 2020", "c7 10k 2020 report"])
async def test_finding_the_named_documents_costs_the_same_in_a_larger_collection(
    libraries: list[SqliteLibrary], question: str
) -> None:
    cost = []
    for library, count in zip(libraries, (500, 8_000), strict=True):
        companies = [f"c{n // 8} {KINDS[n % 3]} {2015 + n % 10} report" for n in range(count)]
        await serve_companies(library, companies)
        identities = await known(library)
        identities.preferred("t1", "default", question)  # kept for the next questions
        cost.append(lines_run(lambda i=identities: i.preferred("t1", "default", question)))  # type: ignore[misc]
    assert cost[1] <= cost[0] * 1.5 + 50


async def test_documents_that_share_common_words_are_named_as_if_all_were_looked_at(
    libraries: list[SqliteLibrary], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(document_identities, "_COMMON", 5)
    draw = random.Random(3)
    words = [f"w{n}" for n in range(60)]
    rising = [n + 1 for n in range(60)]
    companies = [" ".join(draw.choices(words, rising, k=4)) for _ in range(300)]
    ids = await serve_companies(libraries[0], companies)
    terms = {i: {*c.split(), str(n)} for n, (i, c) in enumerate(zip(ids, companies, strict=True))}
    identities = await known(libraries[0])
    sizes = set()
    for _ in range(300):
        question = " ".join(draw.choices(words, k=draw.randint(1, 6)))
        named = identities.preferred("t1", "default", question)
        assert named == plainly_preferred(terms, question)
        sizes.add(len(named))
    assert len(sizes) > 5


async def test_what_is_remembered_of_common_words_ends_when_a_document_goes(
    libraries: list[SqliteLibrary], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(document_identities, "_COMMON", 1)
    library = libraries[0]
    first, second, *_ = await serve_companies(library, ["acme", "acme", "other", "other"])
    identities = await known(library)
    assert identities.preferred("t1", "default", "acme") == {first, second}
    await library.delete("t1", first)
    await identities.follow()
    assert identities.preferred("t1", "default", "acme") == {second}


async def test_other_tasks_go_on_while_the_identities_of_all_documents_are_read(
    libraries: list[SqliteLibrary],
) -> None:
    await serve_companies(libraries[0], [f"company {number}" for number in range(500)])
    identities = DocumentIdentities(libraries[0], SplitWords())
    reading = [asyncio.create_task(identities.follow()) for _ in range(2)]  # two first questions
    turns = 0
    while not all(task.done() for task in reading):
        await asyncio.sleep(0)
        turns += 1
    assert turns >= 10
    assert len(identities.preferred("t1", "default", "company 77")) == 1


def plainly_preferred(terms: dict[str, set[str]], question: str) -> set[str]:
    """The same rule, looking at every document."""
    cover: dict[str, float] = defaultdict(float)
    for term in set(question.split()):
        holders = [i for i, held in terms.items() if term in held]
        for document_id in holders:
            cover[document_id] += rarity(len(terms), len(holders))
    bar = MIN_RELATIVE_COVER * max(cover.values(), default=0.0)
    named = {i for i, covered in cover.items() if covered >= bar}
    return named if len(named) <= MAX_PREFERRED else set()


class MeetingRetriever:
    """A remote index: each search waits until `parties` of them are under way."""

    ready = True

    def __init__(self, parties: int) -> None:
        self._parties = parties
        self._met = asyncio.Event()
        self.filters: list[tuple[str, ...]] = []

    async def retrieve(self, query: Query, *, top_k: int, deadline: Deadline) -> list[Passage]:
        self.filters.append(tuple(query.filters.document_ids) if query.filters else ())
        if len(self.filters) == self._parties:
            self._met.set()
        await self._met.wait()
        return []


@pytest.mark.parametrize(
    ("question", "searches"),
    [
        ("What does Brandt sell?", 2),
        ("What did Halden sell in each year?", 4),
        ("What is sold?", 1),
    ],
)
async def test_all_searches_of_a_question_in_a_remote_index_run_at_the_same_time(
    libraries: list[SqliteLibrary], question: str, searches: int
) -> None:
    library, _ = libraries
    await serve_companies(library, ["Halden", "Halden", "Halden", "Brandt", "Calden", "Ostrin"])
    remote = MeetingRetriever(searches)
    routed = RoutedRetriever(remote, await known(library), remote=True)
    query = Query(text=question, principal=Principal(tenant="t1"))
    async with asyncio.timeout(30):
        await routed.retrieve(query, top_k=8, deadline=Deadline(float("inf")))
    assert len(remote.filters) == searches
    assert remote.filters[0] == ()
