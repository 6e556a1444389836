"""Questions in nine languages find the article that answers them, however they are typed."""

import tomllib
from pathlib import Path

import pytest
from tests.ingest.pages import serve

from foliotrace.adapters.local.keyword.index import KeywordIndex
from foliotrace.adapters.local.keyword.languages import LANGUAGES, language_of
from foliotrace.adapters.local.sqlite.library import SqliteLibrary
from foliotrace.model import Deadline, Principal, Query

pytestmark = pytest.mark.anyio

DECLARATION = tomllib.loads((Path(__file__).parent / "declaration.toml").read_text("utf-8"))
ENGLISH = (
    "Everyone has the right to rest and leisure, including reasonable limitation of working hours"
    " and periodic holidays with pay."
)


async def first_pages(folder: Path, questions: list[str], texts: list[str], more: str) -> list[int]:
    """The page found first for each question, where `more` is a second document."""
    library = SqliteLibrary.open(folder)
    document = await serve(library, *texts, name="declaration.txt")
    await serve(library, more, name="more.txt")
    index = KeywordIndex(folder, library)
    await index.catch_up()
    pages = []
    for question in questions:
        query = Query(text=question, principal=Principal(tenant="t1"), collection="default")
        found = await index.retrieve(query, top_k=3, deadline=Deadline(float("inf")))
        pages.append(found[0].page if found and found[0].document_id == document.id else 0)
    index.close()
    library.close()
    return pages


@pytest.mark.parametrize("language", DECLARATION)
async def test_questions_find_their_article(tmp_path: Path, language: str) -> None:
    asked = DECLARATION[language]["questions"]
    questions = [question for question, _ in asked]
    found = await first_pages(tmp_path, questions, DECLARATION[language]["articles"], ENGLISH)
    assert dict(zip(questions, found, strict=True)) == dict(asked)


@pytest.mark.parametrize("language", sorted(set(DECLARATION) & set(LANGUAGES)))
def test_the_language_of_a_page_is_recognised(language: str) -> None:
    for article in DECLARATION[language]["articles"]:
        assert language_of(article) == language


@pytest.mark.parametrize("text", [ENGLISH, "", "12.5 % 3,000", "lot code 4711 kg", "请在此签名"])
def test_english_and_what_is_no_language_has_no_further_forms(text: str) -> None:
    assert not language_of(text)
