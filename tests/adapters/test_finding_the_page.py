"""The page that holds the answer is found: by its page, its titles, and the words documents use."""

from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest
from tests.ingest.pages import serve

from foliotrace.adapters.local.keyword.index import KeywordIndex
from foliotrace.adapters.local.keyword.page_text import page_text
from foliotrace.adapters.local.keyword.search_plan import Planner
from foliotrace.adapters.local.sqlite.library import SqliteLibrary
from foliotrace.errors import Misconfigured
from foliotrace.lexicon import Lexicon, load_lexicon
from foliotrace.model import (
    Block,
    BlockKind,
    Deadline,
    ParsedPage,
    Passage,
    Principal,
    Query,
    Table,
)

pytestmark = pytest.mark.anyio

PROSE = "The harbour office opens at nine and the ferries leave every hour until midnight. "
LEXICON = """
[[page]]
name = "tide table"
ask = ["when is high water"]
titles = ["table of tides"]
tabular = true

[[metric]]
ask = ["mooring fee"]
items = ["berth charges"]

[[synonyms]]
words = ["dinghy", "tender boat"]
"""


@pytest.fixture
async def library(tmp_path: Path) -> AsyncIterator[SqliteLibrary]:
    opened = SqliteLibrary.open(tmp_path)
    yield opened
    opened.close()


@pytest.fixture
async def index(tmp_path: Path, library: SqliteLibrary) -> AsyncIterator[KeywordIndex]:
    own = tmp_path / "lexicon"
    own.mkdir()
    (own / "harbour.toml").write_text(LEXICON)
    made = KeywordIndex(tmp_path, library, lexicon=load_lexicon(own))
    yield made
    made.close()


async def ask(
    index: KeywordIndex, text: str, *, tenant: str = "t1", top_k: int = 5
) -> Sequence[Passage]:
    query = Query(text=text, principal=Principal(tenant=tenant), collection="default")
    return await index.retrieve(query, top_k=top_k, deadline=Deadline(float("inf")))


async def test_no_score_changes_when_another_tenant_stores_documents(
    library: SqliteLibrary, index: KeywordIndex
) -> None:
    await serve(library, "Refunds here.", "Refunds there.", "Refunds and xylophones.", PROSE * 9)
    await index.catch_up()
    questions = ("refunds and xylophones", "when do ferries leave?", "zebras in refunds")
    before = [await ask(index, question) for question in questions]
    for number in range(3):
        await serve(library, *["Zebras, refunds, ferries."] * 7, tenant="t2", name=f"{number}.txt")
        await serve(library, *["Xylophones."] * 7, collection="legal", name=f"{number}.txt")
        await index.catch_up()
    assert [await ask(index, question) for question in questions] == before
    assert [p.score for found in before for p in found]


async def test_results_are_distinct_pages_and_neighbours_on_a_page_are_one_passage(
    library: SqliteLibrary, index: KeywordIndex
) -> None:
    long = " ".join(f"Ferry number {n} leaves pier {n} at dawn." for n in range(60))
    await serve(library, long, "A ferry is mentioned here.", "Nothing.")
    await index.catch_up()
    found = await ask(index, "Which ferry leaves at dawn?")
    assert [p.page for p in found] == [1, 2]
    stored = await library.page("t1", found[0].document_id, 1)
    assert found[0].text == stored.text[found[0].start : found[0].end]
    assert found[0].end - found[0].start > len(long) / 2


async def test_a_page_is_found_by_what_stands_elsewhere_on_it(
    library: SqliteLibrary, index: KeywordIndex
) -> None:
    filler = PROSE * 24
    about_pilots = f"Pilotage in the northern strait.\n\n{filler}\n\nThe surcharge is nine euros."
    other = f"Storage of timber.\n\n{filler}\n\nThe surcharge is six euros."
    await serve(library, other, about_pilots)
    await index.catch_up()
    best, *_ = await ask(index, "pilotage surcharge northern strait")
    assert best.page == 2


async def test_instructions_are_not_searched_for(
    library: SqliteLibrary, index: KeywordIndex
) -> None:
    await serve(
        library,
        "Assume an analyst: round the answer to two decimal places, base it on the information.",
        "The pilotage surcharge is nine euros.",
    )
    await index.catch_up()
    asked = (
        "You are an analyst. What is the pilotage surcharge? Round to two decimal places and base"
        " your answer on the information provided."
    )
    assert [p.page for p in await ask(index, asked)] == [2]


@pytest.mark.parametrize("text", ["Round to two decimal places.", "Answer in euros."])
def test_a_question_of_instructions_alone_is_searched_as_it_stands(text: str) -> None:
    planner = Planner(load_lexicon())
    assert planner.without_instructions(text) == text
    assert planner.plan(text).terms


def test_a_word_that_a_question_repeats_counts_as_often() -> None:
    terms = Planner(Lexicon()).plan("tides, tides and more tides at the pier").terms
    assert (terms["tide"], terms["pier"]) == (3, 1)


async def test_the_lexicon_finds_what_documents_call_otherwise(
    library: SqliteLibrary, index: KeywordIndex
) -> None:
    await serve(library, "Berth charges are 40 euros.", "The tender boat is blue.", "Nothing else.")
    await index.catch_up()
    assert [p.page for p in await ask(index, "How high is the mooring fee?")] == [1]
    assert [p.page for p in await ask(index, "What colour is the dinghy?")] == [2]


async def test_a_kind_of_page_that_is_asked_for_comes_before_prose_about_it(
    library: SqliteLibrary, index: KeywordIndex
) -> None:
    prose = "High water, high water: the table of tides says when high water is. " * 3
    figures = "Table of tides\n\nHigh water at the pier\n" + "1204 1317 1410 1522 1601\n" * 9
    await serve(library, prose, figures)
    await index.catch_up()
    best, *_ = await ask(index, "When is high water at the pier?")
    assert best.page == 2


def test_titles_hold_captions_units_periods_and_headings_but_no_running_lines() -> None:
    text = "Harbour Handbook 2024\nCharges\nBerth 1,200\nPage 7"
    table = Table(
        start=30,
        end=41,
        rows=(),
        caption="Berth charges",
        unit="in thousands of euros",
        period="year ended 31 May 2024",
        header_path=("Part II",),
    )
    page = ParsedPage(
        number=7,
        text=text,
        tables=(table,),
        blocks=(
            Block(kind=BlockKind.HEADER, start=0, end=21),
            Block(kind=BlockKind.HEADING, start=22, end=29, level=1),
            Block(kind=BlockKind.FOOTER, start=42, end=48),
        ),
    )
    read = page_text(page)
    for title in ("Charges", "Berth charges", "in thousands of euros", "31 May 2024", "Part II"):
        assert title in read.titles
    for running in ("Handbook", "Page 7"):
        assert running not in read.titles + read.text


@pytest.mark.parametrize(
    ("content", "named"),
    [
        ("[[metric]]\nask = ['x']\nitems = ['y']\npages = ['nowhere']", "nowhere"),
        ("[[metric]]\nask = ['x']", "own.toml"),
        ("[[colour]]\nname = 'red'", "own.toml"),
        ("= broken", "own.toml"),
    ],
)
def test_a_wrong_lexicon_file_is_refused_by_name(tmp_path: Path, content: str, named: str) -> None:
    (tmp_path / "own.toml").write_text(content)
    with pytest.raises(Misconfigured, match=named):
        load_lexicon(tmp_path)
    with pytest.raises(Misconfigured, match="no folder"):
        load_lexicon(tmp_path / "missing")


def test_a_file_of_ones_own_replaces_the_shipped_one_of_its_name(tmp_path: Path) -> None:
    (tmp_path / "finance.toml").write_text(LEXICON)
    own = load_lexicon(tmp_path)
    assert [page.name for page in own.page] == ["tide table"]
    assert own.instructions == load_lexicon().instructions
