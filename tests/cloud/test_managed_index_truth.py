"""The managed index is never worse than the local one, or the answer says so."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from tests.cloud.service import FUEL, RUNWAY, Service, cloud, service
from tests.fakes.llamacloud import FakeLlamaCloud, running_fake_llamacloud

pytestmark = pytest.mark.anyio
PUMP = "The beta pump is serviced by Brandt Werke every spring."
QUESTION = "Who services the beta pump?"


@pytest.fixture
def fake() -> Iterator[FakeLlamaCloud]:
    with running_fake_llamacloud() as running:
        yield running


async def delete_indexes(fake: FakeLlamaCloud, *, directories: bool = False) -> None:
    """Delete every index in the cloud, as somebody may do in its user interface."""
    async with httpx.AsyncClient(
        base_url=fake.url, headers={"Authorization": f"Bearer {fake.api_key}"}
    ) as http:
        for index in list(fake.state.indexes.values()):
            assert (await http.delete(f"/api/v1/indexes/{index.id}")).is_success
            if directories:
                path = f"/api/v1/beta/directories/{index.source_directory_id}"
                assert (await http.delete(path)).is_success


async def settled(running: Service) -> None:
    await running.until(("managed", "extractive"), "How long is runway 08/26?", bypass_cache=True)


async def test_a_file_that_the_cloud_skipped_is_served_locally_and_marked(
    fake: FakeLlamaCloud, tmp_path: Path
) -> None:
    fake.skips = {"beta-pump.txt"}
    async with service(tmp_path, llamacloud=cloud(fake, index="cloud_then_local")) as running:
        for name, text in (("fuel.txt", FUEL), ("runway.txt", RUNWAY), ("beta-pump.txt", PUMP)):
            await running.put(name, text)
        await settled(running)
        asked = await running.ask(QUESTION)
        metrics = (await running.client.get("/metrics")).text
    assert "Brandt Werke" in asked.body["answer"]
    assert (asked.path[0], asked.level) == ("managed", 2)
    assert asked.reasons == ["managed_index_incomplete"]
    assert asked.marks is not None
    assert asked.marks.complete
    assert "foliotrace_managed_index_skipped_files 1.0" in metrics


async def test_every_placed_file_is_looked_for_and_not_only_the_last(
    fake: FakeLlamaCloud, tmp_path: Path
) -> None:
    fake.skips = {"part-03.txt", "part-31.txt"}
    async with service(tmp_path, llamacloud=cloud(fake, index="cloud_then_local")) as running:
        for number in range(32):
            await running.put(f"part-{number:02}.txt", f"Part {number:02} weighs {number} tons.")
        await running.put("runway.txt", RUNWAY)
        await settled(running)
        metrics = (await running.client.get("/metrics")).text
    assert "foliotrace_managed_index_skipped_files 2.0" in metrics


async def test_a_managed_abstention_is_checked_against_the_kept_index(
    fake: FakeLlamaCloud, tmp_path: Path
) -> None:
    async with service(tmp_path, llamacloud=cloud(fake, index="cloud_then_local")) as running:
        await running.put("fuel.txt", FUEL)
        await running.put("runway.txt", RUNWAY)
        await running.put("beta-pump.txt", PUMP)
        await settled(running)
        (index,) = fake.state.indexes.values()
        for entry_id, file in list(index.exported.items()):  # lost there after the sync
            if file.entry.display_name == "beta-pump.txt":
                del index.exported[entry_id]
        asked = await running.ask(QUESTION + " How long is the runway?".replace("How", "how"))
        found = await running.ask(QUESTION)
        unknown = await running.ask("Which runway lights are the brightest ones of the airfield?")
    assert "Brandt Werke" in found.body["answer"]
    assert (found.path[0], found.level, found.reasons) == ("keyword", 2, found.reasons)
    assert {"managed_index_missed", "llamacloud_empty"} & set(found.reasons)
    assert asked.status == 200
    assert unknown.body["degradation"]["answer"] == "abstained"


@pytest.mark.parametrize("directories", [False, True], ids=["index", "index-and-directory"])
async def test_an_index_deleted_in_the_cloud_is_made_anew(
    fake: FakeLlamaCloud, tmp_path: Path, directories: bool
) -> None:
    async with service(tmp_path, llamacloud=cloud(fake, index="cloud_then_local")) as running:
        await running.put("fuel.txt", FUEL)
        await running.put("runway.txt", RUNWAY)
        await settled(running)
        await delete_indexes(fake, directories=directories)
        lower = await running.ask("How long is runway 08/26?", bypass_cache=True)
        assert (lower.path[0], lower.level) == ("keyword", 2)
        await settled(running)
        again = await running.ask("What does unleaded cost?", bypass_cache=True)
    assert (again.path[0], again.level) == ("managed", 0)
    assert len(fake.state.indexes) == 1


async def test_a_failed_sync_is_tried_again(fake: FakeLlamaCloud, tmp_path: Path) -> None:
    async with service(tmp_path, llamacloud=cloud(fake, index="cloud_then_local")) as running:
        await running.put("runway.txt", RUNWAY)
        await settled(running)
        (index,) = fake.state.indexes.values()
        assert index.sync is not None
        index.sync.status = "FAILED"
        await running.put("fuel.txt", FUEL)
        await asyncio.sleep(0)
        await running.until(
            ("managed", "extractive"), "What does unleaded cost?", bypass_cache=True
        )
