"""The keyword index follows the library: nothing missed, nothing served that is gone."""

import asyncio
import shutil
import threading
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest
from tests.ingest.pages import serve

from foliotrace.adapters.local.keyword import query as keyword_query
from foliotrace.adapters.local.keyword.index import KeywordIndex
from foliotrace.adapters.local.keyword.store import KeywordStore
from foliotrace.adapters.local.sqlite.library import SqliteLibrary
from foliotrace.errors import IndexUnavailable
from foliotrace.model import Deadline, Filters, Identity, Passage, Principal, Query

pytestmark = pytest.mark.anyio

NO_HURRY = Deadline(float("inf"))
EVERYTHING = Filters()


@pytest.fixture
async def library(tmp_path: Path) -> AsyncIterator[SqliteLibrary]:
    opened = SqliteLibrary.open(tmp_path)
    yield opened
    opened.close()


@pytest.fixture
async def index(tmp_path: Path, library: SqliteLibrary) -> AsyncIterator[KeywordIndex]:
    made = KeywordIndex(tmp_path, library)
    yield made
    made.close()


async def ask(
    index: KeywordIndex,
    text: str,
    *,
    tenant: str = "t1",
    collection: str = "default",
    filters: Filters = EVERYTHING,
    top_k: int = 5,
) -> Sequence[Passage]:
    query = Query(
        text=text, principal=Principal(tenant=tenant), collection=collection, filters=filters
    )
    return await index.retrieve(query, top_k=top_k, deadline=NO_HURRY)


async def test_a_published_page_is_found_by_its_words(
    library: SqliteLibrary, index: KeywordIndex
) -> None:
    document = await serve(library, "Refunds are paid in 30 days.", "Shipping is free.")
    assert await index.catch_up() == await library.version()
    (passage,) = await ask(index, "When is a refund paid?")
    assert (passage.document_id, passage.document_name, passage.page, passage.text) == (
        document.id,
        "notes.txt",
        1,
        "Refunds are paid in 30 days.",
    )


async def test_an_index_that_is_missing_is_unavailable_and_then_derived_again(
    library: SqliteLibrary, index: KeywordIndex
) -> None:
    await serve(library, "Refunds are paid in 30 days.")
    with pytest.raises(IndexUnavailable) as refused:
        await ask(index, "refund")
    assert refused.value.reason == "keyword_index_unavailable"
    await index.catch_up()
    assert len(await ask(index, "refund")) == 1


async def test_an_index_whose_files_are_damaged_is_derived_again(
    tmp_path: Path, library: SqliteLibrary, index: KeywordIndex
) -> None:
    await serve(library, "Refunds are paid in 30 days.")
    await index.catch_up()
    index.close()
    for path in index.folder.rglob("*.*"):
        if path.suffix in (".idx", ".term", ".fast"):
            path.write_bytes(b"\x00" * 40)
    again = KeywordIndex(tmp_path, library)
    with pytest.raises(IndexUnavailable):
        await ask(again, "refund")
    await again.catch_up()
    assert len(await ask(again, "refund")) == 1
    again.close()


async def test_of_many_chunks_words_that_most_hold_are_searched_for_only_alone(
    library: SqliteLibrary, index: KeywordIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keyword_query, "MANY_CHUNKS", 4)
    for number, place in enumerate(("Oslo", "Bergen", "Tromso", "Narvik")):
        await serve(library, f"Refunds in {place} are paid.", name=f"{number}.txt")
    await index.catch_up()
    (passage,) = await ask(index, "refunds in Narvik")
    assert passage.text == "Refunds in Narvik are paid."
    assert len(await ask(index, "refunds")) == 4


async def test_a_deleted_document_is_not_found_even_before_the_index_catches_up(
    library: SqliteLibrary, index: KeywordIndex
) -> None:
    document = await serve(library, "Refunds are paid in 30 days.")
    await index.catch_up()
    await library.delete("t1", document.id)
    assert await ask(index, "refund") == []
    assert await index.catch_up() == await library.version()
    assert await ask(index, "refund") == []


async def test_tenants_and_collections_see_only_their_own(
    library: SqliteLibrary, index: KeywordIndex
) -> None:
    await serve(library, "Refunds in A.", tenant="t1")
    await serve(library, "Refunds in B.", tenant="t2")
    await serve(library, "Refunds in C.", tenant="t1", collection="legal")
    await index.catch_up()
    assert [p.text for p in await ask(index, "refunds")] == ["Refunds in A."]
    assert [p.text for p in await ask(index, "refunds", tenant="t2")] == ["Refunds in B."]
    assert [p.text for p in await ask(index, "refunds", collection="legal")] == ["Refunds in C."]
    assert await ask(index, "refunds", tenant="t3") == []


async def test_filters_restrict_by_own_metadata_and_by_identity(
    library: SqliteLibrary, index: KeywordIndex
) -> None:
    acme = await serve(
        library,
        "Revenue rose.",
        name="a.txt",
        metadata={"year": 2022},
        identity=Identity(company="Acme"),
    )
    other = await serve(library, "Revenue fell.", name="b.txt", metadata={"year": 2023})
    await index.catch_up()

    async def found(filters: Filters) -> list[str]:
        return [p.document_id for p in await ask(index, "revenue", filters=filters)]

    assert await found(Filters(metadata={"year": (2022,)})) == [acme.id]
    assert await found(Filters(metadata={"company": ("ACME",)})) == [acme.id]
    assert sorted(await found(Filters(metadata={"year": (2022, 2023)}))) == sorted(
        [acme.id, other.id]
    )
    assert await found(Filters(document_ids=(other.id,))) == [other.id]
    assert await found(Filters(metadata={"year": (1999,)})) == []


@pytest.mark.parametrize("named", [1, 32, 33, 40])
async def test_only_the_named_documents_are_searched_however_many_they_are(
    library: SqliteLibrary, index: KeywordIndex, named: int
) -> None:
    served = [await serve(library, f"Revenue {n} rose.", name=f"{n}.txt") for n in range(42)]
    await index.catch_up()
    admitted = {document.id for document in served[:named]}
    found = await ask(
        index, "revenue", filters=Filters(document_ids=tuple(sorted(admitted))), top_k=42
    )
    assert {p.document_id for p in found} == admitted
    assert len({p.score for p in found}) == 1  # who is admitted says nothing of how good it is


@pytest.mark.parametrize(
    "text",
    ['what is "foo', "a AND (b", "field:xyz", "* OR *", "+-!(){}[]^~", "\x00", "refund\\", "🙂"],
)
async def test_hostile_query_text_has_no_syntax(
    library: SqliteLibrary, index: KeywordIndex, text: str
) -> None:
    await serve(library, "Refunds are paid in 30 days.")
    await index.catch_up()
    assert len(await ask(index, text)) <= 1


async def test_the_identity_is_searched_but_not_quoted(
    library: SqliteLibrary, index: KeywordIndex
) -> None:
    await serve(library, "Net sales were high.", identity=Identity(company="Zyx Holdings"))
    await index.catch_up()
    (passage,) = await ask(index, "Zyx Holdings")
    assert passage.text == "Net sales were high."


async def test_an_index_of_another_library_is_not_used(
    tmp_path: Path, library: SqliteLibrary, index: KeywordIndex
) -> None:
    await serve(library, "Refunds are paid in 30 days.")
    await index.catch_up()
    index.close()
    other = SqliteLibrary.open(tmp_path / "other")
    await serve(other, "Shipping is free.")
    shutil.copytree(index.folder, tmp_path / "other" / "keyword")
    copied = KeywordIndex(tmp_path / "other", other)
    with pytest.raises(IndexUnavailable):
        await ask(copied, "refund")
    await copied.catch_up()
    assert await ask(copied, "refund") == []
    copied.close()
    other.close()


async def test_a_passage_carries_its_documents_name_and_identity(
    library: SqliteLibrary, index: KeywordIndex
) -> None:
    await serve(library, "Net sales rose.", identity=Identity(company="Acme", kind="10-K"))
    await index.catch_up()
    (passage,) = await ask(index, "net sales")
    assert (passage.document_name, passage.header) == ("notes.txt", "Acme | 10-K")


async def test_the_vocabulary_weighs_rare_terms_more_and_knows_no_stop_words(
    library: SqliteLibrary, index: KeywordIndex
) -> None:
    await serve(library, "Refunds here.", "Refunds there.", "Refunds and xylophones.")
    await index.catch_up()
    terms = index.terms("What about the Xylophones and refunds?")
    assert terms == ["xylophon", "refund"]
    rare, common, absent = weights(index, *terms, "zebra")
    assert absent > rare > common > 0


async def test_names_are_told_from_words_by_how_the_collection_writes_them(
    library: SqliteLibrary, index: KeywordIndex
) -> None:
    await serve(library, "Foot Locker grew. Target fell.", "Our target is growth.", "A Foot Locker")
    await serve(library, "Tesla grew.", collection="cars", name="cars.txt")
    await index.catch_up()
    where = {"tenant": "t1", "collection": "default"}
    assert index.name_counts(["foot locker", "locker", "target", "tesla"], **where) == [2, 2, 1, 0]
    assert index.word_counts(["locker", "targets", "tesla"], **where) == [2, 2, 0]
    assert len(index.naming("foot locker", limit=9, **where)) == 2
    assert index.naming("tesla", limit=9, **where) == []


def weights(index: KeywordIndex, *terms: str, tenant: str = "t1") -> Sequence[float]:
    return index.weights(terms, tenant=tenant, collection="default")


@pytest.mark.parametrize("removed", [False, True])
async def test_what_another_tenant_or_collection_holds_changes_no_weight(
    library: SqliteLibrary, index: KeywordIndex, removed: bool
) -> None:
    gone = await serve(library, "Nothing of note.", name="gone.txt")
    await serve(library, "Refunds here.", "Refunds there.", "Refunds and xylophones.")
    await index.catch_up()
    if removed:
        await library.delete("t1", gone.id)
    await index.catch_up()
    alone = weights(index, "refund", "xylophon", "zebra")
    await serve(library, *["Xylophones and zebras."] * 5, tenant="t2")
    await serve(library, *["Xylophones and zebras."] * 5, collection="legal", name="b.txt")
    await index.catch_up()
    assert weights(index, "refund", "xylophon", "zebra") == alone
    assert weights(index, "zebra", tenant="t2") < weights(index, "zebra")


async def test_an_index_that_another_writer_holds_is_left_alone(
    tmp_path: Path, library: SqliteLibrary, index: KeywordIndex
) -> None:
    for name in ("a.txt", "b.txt"):
        await serve(library, "Refunds are paid in 30 days.", name=name)
        await index.catch_up()
    second = KeywordIndex(tmp_path, library)
    assert len(await ask(second, "refunds")) == 2
    await serve(library, "Shipping is free.", name="c.txt")
    with pytest.raises(IndexUnavailable) as refused:
        await second.catch_up()
    assert refused.value.reason == "keyword_index_locked"
    await index.catch_up()
    assert len(await ask(second, "shipping")) == 1
    second.close()


async def test_a_reading_process_never_repairs(tmp_path: Path, library: SqliteLibrary) -> None:
    reader = KeywordIndex(tmp_path, library, read_only=True)
    for change in (reader.catch_up, reader.rebuild, reader.compact):
        with pytest.raises(IndexUnavailable) as refused:
            await change()
        assert refused.value.reason == "keyword_index_read_only"


async def test_an_index_ahead_of_a_restored_library_is_derived_again(
    tmp_path: Path, library: SqliteLibrary, index: KeywordIndex
) -> None:
    await serve(library, "Refunds are paid in 30 days.")
    await library.compact()
    backup = (tmp_path / "library.db").read_bytes()
    await serve(library, "Shipping is free.", name="b.txt")
    await index.catch_up()
    index.close()
    library.close()
    for file in tmp_path.glob("library.db*"):
        file.unlink()
    (tmp_path / "library.db").write_bytes(backup)
    restored = SqliteLibrary.open(tmp_path)
    again = KeywordIndex(tmp_path, restored)
    assert await again.catch_up() == 1
    assert await ask(again, "shipping") == []
    assert len(await ask(again, "refunds")) == 1
    again.close()
    restored.close()


async def test_compacting_rewrites_the_files_only_when_something_was_removed(
    library: SqliteLibrary, index: KeywordIndex
) -> None:
    def files() -> set[str]:
        return {path.name for path in index.folder.rglob("*.term")}

    gone = await serve(library, "All of alpha.", name="a.txt")
    await index.catch_up()
    await serve(library, "All of beta.", name="b.txt")
    await index.catch_up()
    before = files()
    await index.compact()
    assert files() == before
    await library.delete("t1", gone.id)
    await index.catch_up()
    await index.compact()
    assert not files() & before
    assert len(await ask(index, "beta")) == 1


@pytest.mark.parametrize(
    ("text", "question"),
    [
        ("第三四半期の売上高は増加した。", "売上高はいくらですか"),
        ("커피전문점에서 2% 적립됩니다.", "커피전문점 적립"),
        ("本公司年度报告显示收入增长。", "年度报告"),
    ],
)
async def test_scripts_without_spaces_are_searched_by_pairs_of_characters(
    library: SqliteLibrary, index: KeywordIndex, text: str, question: str
) -> None:
    await serve(library, text, "Something else altogether.", "全く別の話題。")
    await index.catch_up()
    assert (await ask(index, question))[0].text == text


async def test_an_empty_library_is_answered_before_its_index_is_made(
    library: SqliteLibrary, index: KeywordIndex
) -> None:
    assert await ask(index, "refund") == []
    await serve(library, "Refunds are paid in 30 days.")
    with pytest.raises(IndexUnavailable):  # now there is something that the index should hold
        await ask(index, "refund")


async def test_closing_waits_for_the_write_under_way_and_refuses_later_ones(tmp_path: Path) -> None:
    store = KeywordStore(tmp_path / "keyword", 7, create=True)
    started, finished = threading.Event(), threading.Event()

    def write() -> None:
        for version in range(1, 200):
            try:
                store.commit(version)
            except IndexUnavailable:
                break
            started.set()
        finished.set()

    thread = threading.Thread(target=write)
    thread.start()
    started.wait(10)
    store.close()  # raised RuntimeError: Already borrowed
    assert await asyncio.to_thread(finished.wait, 10)
    thread.join()
    KeywordStore(tmp_path / "keyword", 7, create=False).commit(1000)  # the lock was released
