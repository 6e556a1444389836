"""The managed index follows the library, answers in our pages, and says when it cannot."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path

import pytest
from tests.fakes.llamacloud import FakeLlamaCloud, Fault, running_fake_llamacloud
from tests.ingest.ingest_stack import OWNER, IngestStack
from tests.ingest.pages import serve

from foliotrace.adapters.llamacloud.client import CloudAccess
from foliotrace.adapters.llamacloud.gateway import CloudGateway
from foliotrace.adapters.llamacloud.grounding import place_on_page
from foliotrace.adapters.llamacloud.managed_index.placements import Placements
from foliotrace.adapters.llamacloud.managed_index.retriever import ManagedIndexRetriever
from foliotrace.adapters.llamacloud.managed_index.writer import ManagedIndexWriter
from foliotrace.adapters.llamacloud.purchases.journal import PurchaseJournal
from foliotrace.adapters.local.clock import SystemClock
from foliotrace.errors import IndexUnavailable
from foliotrace.model import Deadline, Filters, Passage, Query, RetrievalMode
from foliotrace.settings import LlamaCloudSettings

pytestmark = pytest.mark.anyio
FUEL = "Unleaded costs 2.31 EUR per litre at the pump."
RUNWAY = "Runway 08/26 is 780 metres long and made of asphalt."


async def doze(seconds: float) -> None:
    await asyncio.sleep(min(seconds, 0.02))


class Setting:
    """A library with its documents, and a managed index over the fake cloud."""

    def __init__(self, cloud: FakeLlamaCloud, folder: Path) -> None:
        clock = SystemClock()
        self.cloud = cloud
        self.stack = IngestStack(folder / "data")
        access = CloudAccess(
            api_key="llx-fake-key", settings=LlamaCloudSettings(where=cloud.url, timeout_s=5)
        )
        self.journal = PurchaseJournal(folder / "intents.db", clock=clock)
        self.gateway = CloudGateway(access, self.journal, clock=clock, sleep=doze)
        self.placements = Placements(folder / "placements.db")
        library = self.stack.library
        self.index = ManagedIndexWriter(
            self.gateway, self.placements, library, self.stack.blobs, clock=clock, sleep=doze
        )
        self.retriever = ManagedIndexRetriever(
            self.gateway, self.placements, library, local=self.stack.index
        )

    async def ask(self, text: str, filters: Filters | None = None) -> Sequence[Passage]:
        query = Query(text=text, principal=OWNER, filters=filters or Filters())
        deadline = Deadline(SystemClock().monotonic_s() + 10)
        return await self.retriever.retrieve(query, top_k=3, deadline=deadline)

    async def close(self) -> None:
        await self.gateway.aclose()
        self.journal.close()
        self.placements.close()
        self.stack.close()


@pytest.fixture
def cloud() -> Iterator[FakeLlamaCloud]:
    with running_fake_llamacloud() as fake:
        yield fake


@pytest.fixture
async def setting(cloud: FakeLlamaCloud, tmp_path: Path) -> AsyncIterator[Setting]:
    made = Setting(cloud, tmp_path)
    yield made
    await made.close()


async def test_hits_are_passages_of_our_own_pages(setting: Setting) -> None:
    done = await setting.stack.ingest("fuel.txt", FUEL, "Nothing here.")
    await setting.index.catch_up()
    best = (await setting.ask("price of unleaded"))[0]
    assert (best.document_id, best.path, best.exact) == (
        done.document_id,
        RetrievalMode.MANAGED,
        True,
    )
    page = await setting.stack.library.page(OWNER.tenant, best.document_id, best.page)
    assert page.text[best.start : best.end] == best.text
    assert "2.31" in best.text


async def test_an_index_behind_the_library_is_not_asked(setting: Setting) -> None:
    await setting.stack.ingest("fuel.txt", FUEL)
    await setting.index.catch_up()
    await setting.stack.ingest("runway.txt", RUNWAY)
    with pytest.raises(IndexUnavailable) as behind:
        await setting.ask("runway length")
    assert behind.value.reason == "managed_index_pending"
    await setting.index.catch_up()
    assert "780" in (await setting.ask("runway length"))[0].text


async def test_another_tenants_or_collections_change_puts_no_index_behind(setting: Setting) -> None:
    await setting.stack.ingest("fuel.txt", FUEL)
    await setting.index.catch_up()
    library = setting.stack.library
    await serve(library, RUNWAY, tenant="someone-else")
    await serve(library, RUNWAY, tenant=OWNER.tenant, collection="legal")
    assert "2.31" in (await setting.ask("price of unleaded"))[0].text
    await serve(library, RUNWAY, tenant=OWNER.tenant, name="runway.txt")
    with pytest.raises(IndexUnavailable) as behind:
        await setting.ask("price of unleaded")
    assert behind.value.reason == "managed_index_pending"


async def test_a_changed_document_replaces_its_file(setting: Setting) -> None:
    await setting.stack.ingest("fuel.txt", FUEL)
    await setting.index.catch_up()
    await setting.stack.ingest("fuel.txt", FUEL.replace("2.31", "2.45"))
    await setting.index.catch_up()
    texts = [p.text for p in await setting.ask("price of unleaded")]
    assert any("2.45" in t for t in texts)
    assert not any("2.31" in t for t in texts)


async def test_a_deleted_document_leaves_the_cloud_with_its_bytes(setting: Setting) -> None:
    kept = await setting.stack.ingest("runway.txt", RUNWAY)
    gone = await setting.stack.ingest("fuel.txt", FUEL)
    await setting.index.catch_up()
    await setting.stack.library.delete(OWNER.tenant, gone.document_id)
    await setting.index.catch_up()
    assert {p.document_id for p in await setting.ask("unleaded runway")} == {kept.document_id}
    left = [f async for f in setting.gateway.client.files.list()]
    assert [f.name for f in left] == ["runway.txt"]


async def test_filters_reach_the_cloud_as_document_ids(setting: Setting) -> None:
    fuel = await setting.stack.ingest("fuel.txt", FUEL)
    await setting.stack.ingest("runway.txt", RUNWAY)
    await setting.index.catch_up()
    found = await setting.ask("runway unleaded", Filters(document_ids=(fuel.document_id,)))
    assert {p.document_id for p in found} == {fuel.document_id}


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (Fault.server_error, "llamacloud_server_error"),
        (Fault.unauthorized, "llamacloud_unauthorized"),
        (Fault.html, "llamacloud_garbage"),
        (Fault.rate_limited(3), "llamacloud_rate_limited"),
        (Fault.reset_before_work, "llamacloud_unreachable"),
    ],
)
async def test_an_outage_is_told_and_never_an_empty_list(
    setting: Setting, fault: Fault, reason: str
) -> None:
    await setting.stack.ingest("fuel.txt", FUEL)
    await setting.index.catch_up()
    setting.cloud.fail("POST /api/v1/retrieval/retrieve", fault)
    with pytest.raises(IndexUnavailable) as down:
        await setting.ask("price")
    assert down.value.reason == reason


async def test_a_sync_that_indexed_nothing_is_no_success(setting: Setting) -> None:
    setting.cloud.fail("POST /api/v1/indexes/*/sync", Fault.zero_chunks)
    setting.cloud.fail("POST /api/v1/indexes", Fault.zero_chunks)
    await setting.stack.ingest("fuel.txt", FUEL)
    with pytest.raises(IndexUnavailable) as empty:
        await setting.index.catch_up()
    assert empty.value.reason == "llamacloud_empty"
    setting.cloud.recover()
    await setting.index.catch_up()
    assert await setting.ask("price of unleaded")


async def test_a_busy_index_is_waited_for(setting: Setting) -> None:
    await setting.stack.ingest("fuel.txt", FUEL)
    setting.cloud.fail("POST /api/v1/indexes/*/sync", Fault.conflict, times=1)
    await setting.index.catch_up()
    assert await setting.ask("price of unleaded")


async def test_drift_is_found_and_repaired(setting: Setting) -> None:
    fuel = await setting.stack.ingest("fuel.txt", FUEL)
    runway = await setting.stack.ingest("runway.txt", RUNWAY)
    await setting.index.catch_up()
    index = setting.placements.index(OWNER.tenant, "default")
    placed = setting.placements.placement(OWNER.tenant, fuel.document_id)
    assert index is not None
    assert placed is not None
    await setting.gateway.client.beta.directories.files.delete(
        placed.directory_file_id, directory_id=index.directory_id
    )
    assert (await setting.index.drift(OWNER.tenant, "default")).missing == (fuel.document_id,)
    await setting.index.reconcile(OWNER.tenant, "default")
    assert not await setting.index.drift(OWNER.tenant, "default")
    found = {p.document_id for p in await setting.ask("unleaded runway litre")}
    assert found == {fuel.document_id, runway.document_id}


async def test_words_our_page_does_not_hold_are_marked(setting: Setting) -> None:
    await setting.stack.ingest("fuel.txt", FUEL)
    await setting.index.catch_up()
    library = setting.stack.library
    (document,) = await library.documents(OWNER.tenant)
    assert await place_on_page(library, document, "Kerosene is free.", range(1, 2)) is None
    assert await place_on_page(library, document, FUEL.splitlines()[0], range(1, 2))


@pytest.fixture(params=[False, True], ids=["conflicts", "replaces"])
def either(request: pytest.FixtureRequest, setting: Setting) -> Setting:
    """What a taken `unique_id` does over there is not known of the real service: both must do."""
    setting.cloud.unique_id_replaces = request.param
    return setting


async def listed(setting: Setting) -> dict[str, str]:
    """Document id -> content hash of the files in the directory."""
    index = setting.placements.index(OWNER.tenant, "default")
    assert index is not None
    files = setting.gateway.client.beta.directories.files.list(index.directory_id)
    return {
        str((file.metadata or {})["document_id"]): str((file.metadata or {})["content_hash"])
        async for file in files
    }


async def held(setting: Setting) -> dict[str, str]:
    documents = await setting.stack.library.documents(OWNER.tenant)
    return {document.id: document.content_hash for document in documents}


async def test_a_changed_document_has_one_file_whatever_a_taken_id_does(either: Setting) -> None:
    for price in ("2.31", "2.45", "2.52"):
        await either.stack.ingest("fuel.txt", FUEL.replace("2.31", price))
        await either.index.catch_up()
    assert await listed(either) == await held(either)
    texts = [p.text for p in await either.ask("price of unleaded")]
    assert any("2.52" in t for t in texts)


async def test_a_file_whose_reply_was_lost_is_not_in_the_way(either: Setting) -> None:
    await either.stack.ingest("runway.txt", RUNWAY)
    await either.index.catch_up()
    await either.stack.ingest("fuel.txt", FUEL)
    either.cloud.fail("POST /api/v1/beta/directories/*/files", Fault.reset_after_work, times=1)
    with pytest.raises(IndexUnavailable):
        await either.index.catch_up()
    await either.index.catch_up()
    assert await listed(either) == await held(either)
    assert any("2.31" in p.text for p in await either.ask("price of unleaded"))


async def test_stale_and_left_over_files_are_repaired_without_our_placements(
    either: Setting,
) -> None:
    fuel = await either.stack.ingest("fuel.txt", FUEL)
    gone = await either.stack.ingest("runway.txt", RUNWAY)
    await either.index.catch_up()
    await either.stack.library.delete(OWNER.tenant, gone.document_id)
    await either.stack.ingest("fuel.txt", FUEL.replace("2.31", "2.45"))
    for document_id in (fuel.document_id, gone.document_id):
        either.placements.remove(OWNER.tenant, document_id)  # as after a restored backup
    drift = await either.index.reconcile(OWNER.tenant, "default")
    assert (drift.stale, drift.left_over) == ((fuel.document_id,), (gone.document_id,))
    assert await listed(either) == await held(either)
    assert not await either.index.drift(OWNER.tenant, "default")
