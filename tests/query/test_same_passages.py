"""Faster search finds the same: passages of fixed questions, as a slower release found them.

Where other passages are meant, `python -m tests.query.test_same_passages` writes them anew.
"""

import asyncio
import json
import random
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import pytest
from tests.adapters.parsing import EXAMPLES, reading
from tests.ingest.pages import serve

from foliotrace.adapters.local.keyword.index import KeywordIndex
from foliotrace.adapters.local.sqlite.library import SqliteLibrary
from foliotrace.model import Deadline, Identity, Passage, Principal, Query
from foliotrace.query.retrieve.document_routing import RoutedRetriever
from foliotrace.query.subjects.identities import DocumentIdentities

pytestmark = pytest.mark.anyio

EXPECTED: Final = Path(__file__).with_name("same_passages.json")
SHIPPED: Final = ("ntsb-NYC08CA055-tallahassee.pdf", "ntsb-SEA08CA049-death-valley.pdf")
ASKED: Final = (
    "What was the probable cause of the accident?",
    "How many flight hours did the pilot of the Tallahassee accident have?",
    "Which direction was the wind from, and how strong was it?",
    "Was the airplane substantially damaged during the landing?",
    "What did the pilot report about the left main landing gear in Death Valley?",
)
_PLAIN: Final = ("the", "of", "in", "is", "and", "total", "net", "sales", "sales", "cost", "rate")


def generated() -> tuple[list[tuple[str, list[str]]], list[str]]:
    """(company, pages) of 30 documents, and questions with words that stand side by side there."""
    draw = random.Random(5)
    words = ["".join(draw.choices("bcdrstaeiou", k=draw.randint(3, 7))) for _ in range(400)]
    words += _PLAIN * 20
    companies = [f"{draw.choice(words)} {draw.choice(words)}".title() for _ in range(10)]
    documents = [
        (companies[n % 10], [" ".join(draw.choices(words, k=700)) + "." for _ in range(3)])
        for n in range(30)
    ]
    questions = []
    for number in range(25):
        company, pages = draw.choice(documents)
        page = draw.choice(pages).split()
        start = draw.randrange(len(page) - 9)
        who = f" of {company}" if number % 2 else ""
        questions.append(f"What is {' '.join(page[start : start + 9])}{who}?")
    return documents, questions


async def found(folder: Path) -> dict[str, list[list[object]]]:
    """(document, page, start, score) of the best passages of each question."""
    documents, questions = generated()
    library = SqliteLibrary.open(folder)
    index = KeywordIndex(folder, library)
    routed = RoutedRetriever(index, DocumentIdentities(library, index))
    try:
        for number, (company, pages) in enumerate(documents):
            identity = Identity(title=f"{company} report", company=company, period="FY2020")
            name = f"{number}.txt"
            await serve(library, *pages, collection="generated", name=name, identity=identity)
        async with reading() as at:
            for name in SHIPPED:
                texts = [page.text for page in await at.read(EXAMPLES / name)]
                await serve(library, *texts, collection="shipped", name=name)
        await index.catch_up()
        everything = [("shipped", q) for q in ASKED] + [("generated", q) for q in questions]
        return {q: _plain(await _ask(routed, q, where)) for where, q in everything}
    finally:
        index.close()
        library.close()


async def _ask(routed: RoutedRetriever, text: str, collection: str) -> Sequence[Passage]:
    query = Query(text=text, principal=Principal(tenant="t1"), collection=collection)
    return await routed.retrieve(query, top_k=8, deadline=Deadline(float("inf")))


def _plain(passages: Sequence[Passage]) -> list[list[object]]:
    """Without the order among equal scores: it depends on ids, which are drawn anew each time."""
    plain = [(round(-p.score, 2), p.document_name, p.page, p.start) for p in passages]
    last = max((score for score, *_ in plain), default=0.0)
    return [[name, page, at, -score] for score, name, page, at in sorted(plain) if score < last]


async def test_the_same_passages_are_found_with_the_same_scores(tmp_path: Path) -> None:
    expected = json.loads(EXPECTED.read_text())
    assert await found(tmp_path) == expected


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as made:
        passages = asyncio.run(found(Path(made)))
    lines = (f"{json.dumps(q)}: {json.dumps(p)}" for q, p in passages.items())
    EXPECTED.write_text("{\n" + ",\n".join(lines) + "\n}\n")
