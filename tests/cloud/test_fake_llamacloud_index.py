"""The fake's directories, indexes and retrieval, through the real SDK, strictly."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest
from llama_cloud import ConflictError, NotFoundError, UnprocessableEntityError
from tests.fakes.llamacloud import FakeLlamaCloud, Fault, running_fake_llamacloud
from tests.fakes.llamacloud.sample import invoice_pdf, pdf
from tests.fakes.llamacloud.sdk import client_of, collect, settle

pytestmark = pytest.mark.anyio

WARRANTY = b"Warranty\n\nThe warranty of the pump lasts 24 months from delivery.\n"
HOLIDAYS = b"Holidays\n\nEvery employee has 28 days of paid holiday in a year.\n"


@pytest.fixture
def fake() -> Iterator[FakeLlamaCloud]:
    with running_fake_llamacloud() as running:
        yield running


@pytest.fixture(params=["sync", "async"])
async def client(request: pytest.FixtureRequest, fake: FakeLlamaCloud) -> AsyncIterator[Any]:
    async with client_of(request.param, fake) as made:
        yield made


async def directory_with(client: Any, **files: bytes) -> Any:
    directory = await settle(client.beta.directories.create(name="contracts"))
    for name, content in files.items():
        await settle(
            client.beta.directories.files.upload(
                directory.id,
                upload_file=(f"{name}.txt", content),
                unique_id=name,
                metadata=f'{{"document_id": "{name}", "year": {len(name)}}}',
            )
        )
    return directory


async def ready(client: Any, index_id: str) -> Any:
    for _ in range(20):
        index = await settle(client.indexes.get(index_id, expand=["sync_in_progress"]))
        if not index.sync_in_progress:
            return index
    raise AssertionError("the sync did not end")


async def index_over(client: Any, **files: bytes) -> Any:
    directory = await directory_with(client, **files)
    index = await settle(client.indexes.create(source_directory_id=directory.id, name="library"))
    return await ready(client, index.id)


async def ask(client: Any, index_id: str, query: str, **options: Any) -> list[Any]:
    reply = await settle(client.retrieval.retrieve(index_id=index_id, query=query, **options))
    return list(reply.results)


async def test_directories_are_kept_listed_renamed_and_deleted(client: Any) -> None:
    directories = client.beta.directories
    first = await settle(directories.create(name="a", description="old"))
    await settle(directories.create(name="b", type="ephemeral"))
    assert (await settle(directories.get(first.id))).description == "old"
    await settle(directories.update(first.id, name="c"))
    assert {d.name for d in await collect(directories.list(page_size=1))} == {"b", "c"}
    assert [d.name for d in await collect(directories.list(type="ephemeral"))] == ["b"]
    await settle(directories.delete(first.id))
    with pytest.raises(NotFoundError):
        await settle(directories.get(first.id))


async def test_directory_files_are_added_found_changed_moved_and_deleted(client: Any) -> None:
    directory = await directory_with(client, warranty=WARRANTY, holidays=HOLIDAYS)
    files = client.beta.directories.files
    listed = await collect(files.list(directory.id, page_size=1))
    assert {entry.unique_id for entry in listed} == {"warranty", "holidays"}
    entry = (await collect(files.list(directory.id, unique_id="warranty")))[0]
    assert entry.metadata == {"document_id": "warranty", "year": 8}
    stored = await settle(client.files.create(file=("x.md", b"# x"), purpose="user_data"))
    added = await settle(files.add(directory.id, file_id=stored.id, metadata={"tags": ["a", "b"]}))
    assert (added.unique_id, added.metadata) == ("x.md", {"tags": ["a", "b"]})
    changed = await settle(
        files.update(added.id, directory_id=directory.id, metadata={"n": 1}, display_name="y.md")
    )
    assert (changed.display_name, changed.metadata) == ("y.md", {"n": 1})
    other = await settle(client.beta.directories.create(name="other"))
    await settle(files.update(added.id, directory_id=directory.id, target_directory_id=other.id))
    assert (await settle(files.get(added.id, directory_id=other.id))).display_name == "y.md"
    await settle(files.delete(added.id, directory_id=other.id))
    with pytest.raises(NotFoundError):
        await settle(files.get(added.id, directory_id=other.id))


async def test_a_unique_id_conflicts_or_replaces_as_the_test_asks(
    client: Any, fake: FakeLlamaCloud
) -> None:
    directory = await directory_with(client, warranty=WARRANTY)
    again = {"upload_file": ("warranty.txt", HOLIDAYS), "unique_id": "warranty"}
    with pytest.raises(ConflictError):
        await settle(client.beta.directories.files.upload(directory.id, **again))
    fake.unique_id_replaces = True
    await settle(client.beta.directories.files.upload(directory.id, **again))
    assert len(await collect(client.beta.directories.files.list(directory.id))) == 1


async def test_an_index_becomes_ready_and_its_states_are_seen(client: Any) -> None:
    directory = await directory_with(client, warranty=WARRANTY)
    made = await settle(client.indexes.create(source_directory_id=directory.id))
    assert (made.name, made.metadata["status"]) == ("contracts", "pending")
    first = await settle(client.indexes.get(made.id, expand=["sync_in_progress"]))
    assert (first.metadata["status"], first.sync_in_progress) == ("syncing", True)
    last = await settle(client.indexes.get(made.id, expand=["sync_in_progress"]))
    assert (last.metadata["status"], last.sync_in_progress) == ("ready", False)
    assert last.last_exported_at is not None
    assert [i.id for i in await collect(client.indexes.list())] == [made.id]
    await settle(client.indexes.delete(made.id))
    with pytest.raises(NotFoundError):
        await settle(client.indexes.get(made.id))


async def test_a_busy_index_refuses_a_second_sync(client: Any) -> None:
    directory = await directory_with(client, warranty=WARRANTY)
    index = await settle(client.indexes.create(source_directory_id=directory.id))
    with pytest.raises(ConflictError):
        await settle(client.indexes.sync(index.id))
    await settle(client.indexes.cancel_sync(index.id))
    with pytest.raises(ConflictError):
        await settle(client.indexes.cancel_sync(index.id))
    cancelled = await settle(client.indexes.get(index.id))
    assert cancelled.metadata["status"] == "cancelled"
    assert await ask(client, index.id, "warranty") == []
    await settle(client.indexes.sync(index.id))
    await ready(client, index.id)
    assert len(await ask(client, index.id, "warranty")) == 1


async def test_retrieval_ranks_the_right_file_first(client: Any) -> None:
    index = await index_over(client, warranty=WARRANTY, holidays=HOLIDAYS)
    hits = await ask(client, index.id, "How long is the warranty of the pump?", top_k=2)
    assert hits[0].metadata["document_id"] == "warranty"
    assert "24 months" in hits[0].content
    assert hits[0].rerank_score >= hits[-1].rerank_score
    fields = hits[0].static_fields
    assert (fields.page_range_start, fields.page_range_end, fields.chunk_index) == (1, 1, 0)
    plain = await ask(client, index.id, "warranty", rerank={"enabled": False})
    assert plain[0].rerank_score is None
    assert len(await ask(client, index.id, "warranty days", rerank={"top_n": 1})) == 1
    assert await ask(client, index.id, "warranty", score_threshold=0.999) == []


async def test_a_hit_can_be_found_again_in_the_file_s_text(client: Any) -> None:
    index = await index_over(client, warranty=WARRANTY, holidays=HOLIDAYS)
    fields_of = (await ask(client, index.id, "paid holiday"))[0]
    fields = fields_of.static_fields
    reply = await settle(
        client.retrieval.read(
            index_id=index.id,
            file_id=fields.parsed_directory_file_id,
            offset=fields.chunk_start_char,
            max_length=fields.chunk_end_char - fields.chunk_start_char,
        )
    )
    assert reply.content == fields_of.content


async def test_filters_keep_other_documents_out(client: Any) -> None:
    index = await index_over(client, warranty=WARRANTY, holidays=HOLIDAYS)

    async def documents(**filters: Any) -> set[str]:
        hits = await ask(client, index.id, "warranty days", **filters)
        return {hit.metadata["document_id"] for hit in hits}

    both = {"warranty", "holidays"}
    eq = {"document_id": {"operator": "eq", "value": "holidays"}}
    assert await documents(custom_filters=eq) == {"holidays"}
    assert await documents(custom_filters={"year": {"operator": "gte", "value": 8}}) == both
    assert await documents(custom_filters={"year": {"operator": "gt", "value": 8}}) == set()
    of = {"document_id": {"operator": "in", "value": ["warranty"]}}
    assert await documents(custom_filters=of) == {"warranty"}
    assert await documents(custom_filters={"none": {"operator": "eq", "value": "x"}}) == set()
    files = await collect(client.retrieval.find(index_id=index.id, file_name="warranty.txt"))
    only = {"parsed_directory_file_id": {"operator": "eq", "value": files[0].file_id}}
    assert await documents(static_filters=only) == {"warranty"}


async def test_find_and_grep_come_in_pages(client: Any, fake: FakeLlamaCloud) -> None:
    index = await index_over(client, **{f"f{n}": b"alpha beta alpha\n" for n in range(5)})
    found = await collect(
        client.retrieval.find(index_id=index.id, file_name_contains="F", page_size=2)
    )
    assert len({file.file_id for file in found}) == 5
    assert fake.count("POST /api/v1/retrieval/files/find") == 3
    matches = await collect(
        client.retrieval.grep(
            index_id=index.id,
            file_id=found[0].file_id,
            pattern="al.ha",
            context_chars=2,
            page_size=1,
        )
    )
    assert [(m.start_char, m.end_char, m.content) for m in matches] == [
        (0, 5, "alpha b"),
        (11, 16, "a alpha"),
    ]
    with pytest.raises(UnprocessableEntityError):
        await collect(
            client.retrieval.grep(index_id=index.id, file_id=found[0].file_id, pattern="(")
        )


async def test_a_sync_sees_changes_and_parses_only_what_changed(
    client: Any, fake: FakeLlamaCloud
) -> None:
    index = await index_over(client, warranty=WARRANTY, holidays=HOLIDAYS)
    files = client.beta.directories.files
    source = index.source_directory_id
    gone = (await collect(files.list(source, unique_id="holidays")))[0]
    await settle(files.delete(gone.id, directory_id=source))
    await settle(files.upload(source, upload_file=("leave.txt", b"Parental leave is a year.")))
    assert fake.billing.jobs("sync") == 2
    assert len(await ask(client, index.id, "paid holiday in a year")) > 0
    await settle(client.indexes.sync(index.id))
    await ready(client, index.id)
    assert fake.billing.jobs("sync") == 3
    names = {f.file_name for f in await collect(client.retrieval.find(index_id=index.id))}
    assert names == {"warranty.txt", "leave.txt"}
    listed = await collect(files.list(index.output_directory_id))
    assert {entry.display_name for entry in listed} == names


async def test_an_index_can_follow_its_directory(client: Any) -> None:
    directory = await directory_with(client)
    index = await settle(
        client.indexes.create(source_directory_id=directory.id, sync_frequency="on_source_change")
    )
    await ready(client, index.id)
    await settle(
        client.beta.directories.files.upload(directory.id, upload_file=("w.txt", WARRANTY))
    )
    await ready(client, index.id)
    assert len(await ask(client, index.id, "warranty")) == 1


async def test_success_with_zero_chunks(client: Any, fake: FakeLlamaCloud) -> None:
    fake.fail("POST /api/v1/indexes", Fault.zero_chunks)
    index = await index_over(client, warranty=WARRANTY)
    assert index.metadata["status"] == "ready"
    assert await ask(client, index.id, "warranty") == []
    assert await collect(client.retrieval.find(index_id=index.id)) == []


async def test_a_failed_sync_keeps_the_last_export(client: Any, fake: FakeLlamaCloud) -> None:
    index = await index_over(client, warranty=WARRANTY)
    fake.fail("POST /api/v1/indexes/{index_id}/sync", Fault.job_failed)
    await settle(client.indexes.sync(index.id))
    failed = await ready(client, index.id)
    assert failed.metadata["status"] == "failed"
    assert "could not be processed" in failed.metadata["error_message"]
    assert len(await ask(client, index.id, "warranty")) == 1


async def test_a_file_that_cannot_be_read_is_named_by_the_sync(client: Any) -> None:
    index = await index_over(client, warranty=WARRANTY, broken=b"\x00\x01")
    assert index.metadata["status"] == "ready"
    assert list(index.metadata["skipped_files"].values()) == ["Unsupported or damaged file"]


async def test_attachments_of_a_page_can_be_downloaded(client: Any) -> None:
    directory = await settle(client.beta.directories.create(name="pdfs"))
    entry = await settle(
        client.beta.directories.files.upload(
            directory.id, upload_file=("invoice.pdf", invoice_pdf())
        )
    )
    made = await settle(
        client.indexes.create(
            source_directory_id=directory.id, store_attachments=["screenshots", "items"]
        )
    )
    await ready(client, made.id)
    names = {a.name for a in await collect(client.beta.attachments.list(source_id=entry.id))}
    assert names == {"page_1.png", "page_1_items.json", "page_2.png", "page_2_items.json"}
    hit = (await ask(client, made.id, "late fee"))[0]
    assert hit.static_fields.page_range_start == 2
    shot = hit.static_fields.attachments[0]
    link = await settle(client.beta.attachments.get(shot.attachment_name, source_id=shot.source_id))
    assert httpx.get(link.url).content.startswith(b"\x89PNG")
    items = await settle(client.beta.attachments.get("page_2_items.json", source_id=entry.id))
    assert httpx.get(items.url).json()["page_number"] == 2
    with pytest.raises(NotFoundError):
        await settle(client.beta.attachments.get("page_9.png", source_id=entry.id))


async def test_chunks_cover_a_long_page_without_crossing_it(client: Any) -> None:
    rows = [["Report"], *([" ".join(f"w{r}x{c}" for c in range(12))] for r in range(28))]
    directory = await settle(client.beta.directories.create(name="long"))
    await settle(
        client.beta.directories.files.upload(
            directory.id, upload_file=("long.pdf", pdf(rows, [["Annex"], ["only here"]]))
        )
    )
    index = await settle(client.indexes.create(source_directory_id=directory.id))
    await ready(client, index.id)
    hits = await ask(client, index.id, "w0x0 w27x11 annex", top_k=600)
    by_index = {hit.static_fields.chunk_index: hit for hit in hits}
    assert sorted(by_index) == [0, 1, 2]
    assert [by_index[i].static_fields.page_range_start for i in range(3)] == [1, 1, 2]
    words = {word for hit in hits for word in hit.content.split()}
    assert {f"w{r}x{c}" for r in range(28) for c in range(12)} <= words


async def test_configurations_are_upserted_by_name_and_product(client: Any) -> None:
    made = client.configurations
    parse = {"product_type": "parse_v2", "tier": "agentic", "version": "latest"}
    first = await settle(made.create(name="careful", parameters=parse))
    second = await settle(made.create(name="careful", parameters={**parse, "tier": "fast"}))
    assert (first.id, first.version, second.version) == (second.id, "1", "2")
    assert (await settle(made.retrieve(first.id))).parameters.tier == "fast"
    await settle(made.update(first.id, name="quick"))
    assert [c.name for c in await collect(made.list(product_type=["parse_v2"]))] == ["quick"]
    file = await settle(client.files.create(file=("a.txt", WARRANTY), purpose="parse"))
    job = await settle(
        client.parsing.create(
            tier="configured", version="configured", configuration_id=first.id, file_id=file.id
        )
    )
    assert job.tier == "fast"
    await settle(made.delete(first.id))
    with pytest.raises(NotFoundError):
        await settle(made.retrieve(first.id))


async def test_projects_are_listed_by_both_versions(client: Any) -> None:
    named = await settle(client.projects.list(project_name="fake"))
    assert [project.id for project in named] == ["prj-fake"]
    assert (await settle(client.projects.get("prj-fake"))).is_default
    paged = await collect(client.v2_projects.list(page_size=1))
    assert [project.id for project in paged] == ["prj-fake", "prj-other"]
    assert (await settle(client.v2_projects.get("prj-other"))).organization_id == "org-fake"
