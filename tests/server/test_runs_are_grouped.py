"""Runs that can be executed together are; what interrupts a group sends its runs to the engine."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from pydantic import ConfigDict
from workflows import Workflow, step
from workflows.events import StartEvent, StopEvent

from foliotrace.errors import LibraryUnavailable
from foliotrace.model import Principal
from foliotrace_server.host.durable_host import DurableHost
from foliotrace_server.host.run_ends import EndedRun
from foliotrace_server.host.run_journal import AcceptedRun, RunJournal

pytestmark = pytest.mark.anyio


class Take(StartEvent):
    model_config = ConfigDict(extra="forbid")

    name: str


class Taken(StopEvent):
    by: str


class Alone(Workflow):
    @step
    async def take(self, ev: Take) -> Taken:
        return Taken(by="engine")


@dataclass
class Groups:
    """Executes runs together, except those named `alone`; the first group waits for `go_on`."""

    seen: list[tuple[str, list[str]]] = field(default_factory=list)
    go_on: asyncio.Event = field(default_factory=asyncio.Event)
    fails: bool = False

    async def __call__(self, tenant: str, runs: Sequence[AcceptedRun]) -> Mapping[str, StopEvent]:
        self.seen.append((tenant, [run.handler_id for run in runs]))
        await self.go_on.wait()
        if self.fails:
            raise LibraryUnavailable
        return {r.handler_id: Taken(by="group") for r in runs if '"alone"' not in r.start_event}


class Hosted:
    """A host with both ways of execution, and what it reported."""

    def __init__(self, folder: Path, groups: Groups) -> None:
        self.groups = groups
        self.ended: list[tuple[str, str]] = []
        self.host = DurableHost(
            folder,
            {"take": Alone()},
            on_ended=self._note,
            max_concurrent=2,
            max_pending=200,
            max_starts=3,
            together={"take": groups},
        )

    async def _note(self, run: EndedRun) -> None:
        self.ended.append((run.handler_id, run.status))

    async def begin(self, handler_id: str, name: str = "take", tenant: str = "a") -> None:
        await self.host.accept(handler_id, Principal(tenant=tenant), "take", Take(name=name))
        await self.host.begin(handler_id)

    async def finalized(self, *handler_ids: str) -> None:
        async with asyncio.timeout(30):
            for handler_id in handler_ids:
                await self.host.accepted.wait_ended(handler_id)

    async def taken_by(self, handler_id: str) -> str:
        record = await self.host.records.record(handler_id, wait=False)
        assert (record.status, record.result) != ("running", None)
        return str(record.result.value["by"])


async def test_runs_that_arrive_while_a_group_is_at_work_are_the_next_group(
    tmp_path: Path,
) -> None:
    hosted = Hosted(tmp_path, Groups())
    await hosted.host.start()
    try:
        for handler_id in ("r0", "r1", "r2", "r3"):
            await hosted.begin(handler_id)
        hosted.groups.go_on.set()
        await hosted.finalized("r0", "r1", "r2", "r3")
        assert hosted.groups.seen == [("a", ["r0"]), ("a", ["r1", "r2", "r3"])]
        assert sorted(hosted.ended) == [(f"r{n}", "completed") for n in range(4)]
        assert {await hosted.taken_by(f"r{n}") for n in range(4)} == {"group"}
        assert not hosted.host.journaled()
    finally:
        await hosted.host.stop()


async def test_runs_that_begin_at_the_same_moment_are_executed_by_one_group_at_a_time(
    tmp_path: Path,
) -> None:
    hosted = Hosted(tmp_path, Groups())
    await hosted.host.start()
    try:
        for number in range(8):
            tenant = f"tenant_{number % 4}"
            await hosted.host.accept(
                f"r{number}", Principal(tenant=tenant), "take", Take(name="take")
            )
        await asyncio.gather(*(hosted.host.begin(f"r{number}") for number in range(8)))
        await asyncio.sleep(0.05)
        assert len(hosted.groups.seen) == 1
        hosted.groups.go_on.set()
        await hosted.finalized(*(f"r{number}" for number in range(8)))
        assert sorted(hosted.ended) == [(f"r{number}", "completed") for number in range(8)]
    finally:
        await hosted.host.stop()


async def test_each_tenant_has_groups_of_its_own_in_turn(tmp_path: Path) -> None:
    hosted = Hosted(tmp_path, Groups())
    await hosted.host.start()
    try:
        for number in range(70):
            await hosted.begin(f"a{number}")
        await hosted.begin("b", tenant="b")
        hosted.groups.go_on.set()
        await hosted.finalized("b", "a69")
        assert [tenant for tenant, _ in hosted.groups.seen[:4]] == ["a", "a", "b", "a"]
    finally:
        await hosted.host.stop()


@pytest.mark.parametrize("fails", [True, False])
async def test_what_a_group_does_not_complete_is_executed_by_itself(
    tmp_path: Path, fails: bool
) -> None:
    groups = Groups(fails=fails)
    hosted = Hosted(tmp_path, groups)
    await hosted.host.start()
    try:
        groups.go_on.set()
        await hosted.begin("r0", "alone")
        await hosted.begin("r1")
        await hosted.finalized("r0", "r1")
        assert await hosted.taken_by("r0") == "engine"
        assert await hosted.taken_by("r1") == ("engine" if fails else "group")
        assert sorted(hosted.ended) == [("r0", "completed"), ("r1", "completed")]
    finally:
        await hosted.host.stop()


async def test_a_run_over_which_a_process_died_is_executed_by_itself(tmp_path: Path) -> None:
    journal = RunJournal(tmp_path / "intents.db")
    for handler_id, starts in (("died", 1), ("waited", 0)):
        run = AcceptedRun(
            handler_id=handler_id, tenant="a", workflow="take", start_event='{"name": "x"}'
        )
        await journal.add(run)
        await journal.record_start(handler_id, starts=starts, steps=0)
    journal.close(cleanly=False)
    hosted = Hosted(tmp_path, Groups())
    hosted.groups.go_on.set()
    await hosted.host.start()
    try:
        await hosted.finalized("died", "waited")
        assert hosted.groups.seen == [("a", ["waited"])]
        assert await hosted.taken_by("died") == "engine"
        assert sorted(hosted.ended) == [("died", "completed"), ("waited", "completed")]
    finally:
        await hosted.host.stop()


async def test_the_start_of_a_group_is_on_disk_before_its_work_begins(tmp_path: Path) -> None:
    hosted = Hosted(tmp_path, Groups())
    await hosted.host.start()
    try:
        await hosted.begin("r0")
        async with asyncio.timeout(10):
            while not hosted.groups.seen:
                await asyncio.sleep(0.01)
        assert [run.starts for run in hosted.host.journaled()] == [1]
        hosted.groups.go_on.set()
        await hosted.finalized("r0")
    finally:
        await hosted.host.stop()


async def test_a_run_that_waits_for_its_group_can_be_cancelled(tmp_path: Path) -> None:
    hosted = Hosted(tmp_path, Groups())
    await hosted.host.start()
    try:
        await hosted.begin("r0")
        await hosted.begin("r1")
        assert await hosted.host.cancel("r1")
        hosted.groups.go_on.set()
        await hosted.finalized("r0", "r1")
        assert sorted(hosted.ended) == [("r0", "completed"), ("r1", "cancelled")]
        assert hosted.groups.seen == [("a", ["r0"])]
    finally:
        await hosted.host.stop()


async def test_a_run_that_is_cancelled_while_its_group_is_at_work_ends_with_it(
    tmp_path: Path,
) -> None:
    hosted = Hosted(tmp_path, Groups())
    await hosted.host.start()
    try:
        await hosted.begin("r0", "alone")
        await hosted.host.accepted.wait_started("r0")
        assert await hosted.host.cancel("r0")
        hosted.groups.go_on.set()
        await hosted.finalized("r0")
        assert hosted.ended == [("r0", "cancelled")]
    finally:
        await hosted.host.stop()
