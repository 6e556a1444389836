"""Whatever fails between the acceptance of a run and its end, the run ends."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from pydantic import ConfigDict, model_validator
from workflows import Workflow, step
from workflows.events import StartEvent, StopEvent

from foliotrace.model import Principal
from foliotrace_server.host import durable_host, run_ends
from foliotrace_server.host.durable_host import DurableHost
from foliotrace_server.host.grouped_runs import GroupOutcome
from foliotrace_server.host.run_ends import EndedRun
from foliotrace_server.host.run_journal import AcceptedRun, RunJournal

pytestmark = pytest.mark.anyio
Fault = Callable[[], BaseException]
FAULTS = (
    pytest.param(lambda: RuntimeError("a fault of ours"), id="unexpected"),
    pytest.param(lambda: sqlite3.OperationalError("disk I/O error"), id="disk"),
    pytest.param(asyncio.CancelledError, id="something-it-awaited-was-cancelled"),
)


class Take(StartEvent):
    model_config = ConfigDict(extra="forbid")

    name: str


class Refused(Take):
    @model_validator(mode="after")
    def refuse(self) -> "Refused":
        raise RuntimeError("a validator of the user's own workflow")


class Taken(StopEvent):
    by: str


class Alone(Workflow):
    @step
    async def take(self, ev: Take) -> Taken:
        return Taken(by="engine")


class NeverStarts(Workflow):
    @step
    async def take(self, ev: Refused) -> Taken:
        return Taken(by="engine")


@pytest.fixture(autouse=True)
def _often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(durable_host, "RECONCILE_EVERY_S", 0.3)  # callers begin sooner
    monkeypatch.setattr(run_ends, "RETRY_EVERY_S", 0.05)


@dataclass
class Group:
    """Executes runs together; `fault` interrupts the first group, `go_on` lets groups finish."""

    fault: Fault | None = None
    go_on: asyncio.Event = field(default_factory=asyncio.Event)
    seen: list[list[str]] = field(default_factory=list)

    async def __call__(self, tenant: str, runs: Sequence[AcceptedRun]) -> Mapping[str, StopEvent]:
        self.seen.append([run.handler_id for run in runs])
        await self.go_on.wait()
        if self.fault is not None:
            fault, self.fault = self.fault, None
            raise fault()
        return {run.handler_id: Taken(by="group") for run in runs}


@dataclass
class Ends:
    """What the host reported; the end of `bad` fails as often as `faults` says."""

    seen: list[tuple[str, str]] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    bad: str = ""

    async def __call__(self, run: EndedRun) -> None:
        if self.faults and run.handler_id == self.bad:
            raise self.faults.pop()()
        self.seen.append((run.handler_id, run.status))


@asynccontextmanager
async def hosted(folder: Path, group: Group, ends: Ends) -> AsyncIterator[DurableHost]:
    host = DurableHost(
        folder,
        {"take": Alone(), "never": NeverStarts()},
        on_ended=ends,
        max_concurrent=2,
        max_pending=200,
        max_starts=3,
        together={"take": group},
    )
    await host.start()
    try:
        yield host
    finally:
        group.go_on.set()
        await host.stop()


async def accept(host: DurableHost, *handler_ids: str, workflow: str = "take") -> None:
    for handler_id in handler_ids:
        await host.accept(handler_id, Principal(tenant="a"), workflow, Take(name="x"))


async def all_end(host: DurableHost) -> None:
    async with asyncio.timeout(30):
        for run in host.accepted.all():
            await host.accepted.wait_ended(run.handler_id)
    assert not host.journaled()


@pytest.mark.parametrize("fault", FAULTS)
async def test_runs_of_a_group_that_is_interrupted_are_executed_singly(
    tmp_path: Path, fault: Fault
) -> None:
    group, ends = Group(fault), Ends()
    async with hosted(tmp_path, group, ends) as host:
        await accept(host, "r0", "r1", "r2")
        await asyncio.gather(*(host.begin(f"r{n}") for n in range(3)))
        group.go_on.set()
        await all_end(host)
    assert sorted(ends.seen) == [(f"r{n}", "completed") for n in range(3)]


@pytest.mark.parametrize("fault", FAULTS[:2])
async def test_runs_of_a_group_whose_start_is_not_recorded_are_executed_singly(
    tmp_path: Path, fault: Fault, monkeypatch: pytest.MonkeyPatch
) -> None:
    group, ends = Group(), Ends()
    record, failed = RunJournal.record_start, list[bool]()

    async def fails_once(self: RunJournal, *ids: str, starts: int, steps: int) -> None:
        if not failed:
            failed.append(True)
            raise fault()
        await record(self, *ids, starts=starts, steps=steps)

    monkeypatch.setattr(RunJournal, "record_start", fails_once)
    async with hosted(tmp_path, group, ends) as host:
        group.go_on.set()
        await accept(host, "r0", "r1")
        await asyncio.gather(host.begin("r0"), host.begin("r1"))
        await all_end(host)
    assert sorted(ends.seen) == [("r0", "completed"), ("r1", "completed")]
    assert failed


@pytest.mark.parametrize("fault", FAULTS[:2])
async def test_runs_of_a_group_whose_records_are_not_stored_end_as_completed(
    tmp_path: Path, fault: Fault, monkeypatch: pytest.MonkeyPatch
) -> None:
    group, ends = Group(), Ends()
    async with hosted(tmp_path, group, ends) as host:

        def fail(workflow: str, results: Mapping[str, StopEvent]) -> None:
            raise fault()

        monkeypatch.setattr(host.store, "add_completed", fail)
        group.go_on.set()
        await accept(host, "r0", "r1")
        await asyncio.gather(host.begin("r0"), host.begin("r1"))
        await all_end(host)
    assert sorted(ends.seen) == [("r0", "completed"), ("r1", "completed")]


async def test_runs_that_a_failed_settling_left_in_no_place_are_executed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    group, ends = Group(), Ends()
    async with hosted(tmp_path, group, ends) as host:
        settle, failed = host._groups._settle, list[GroupOutcome]()

        def fails_once(outcome: GroupOutcome) -> None:
            if not failed:
                failed.append(outcome)
                raise RuntimeError("a fault of ours")
            settle(outcome)

        monkeypatch.setattr(host._groups, "_settle", fails_once)
        await accept(host, "r0", "r1")
        await host.begin("r0")
        await host.accepted.wait_started("r0")
        await host.begin("r1")  # the group after the one that is not settled
        group.go_on.set()
        await all_end(host)
    assert sorted(ends.seen) == [("r0", "completed"), ("r1", "completed")]
    assert [run.handler_id for run in failed[0].completed] == ["r0"]


@pytest.mark.parametrize("fault", FAULTS)
async def test_an_end_that_cannot_be_reported_is_tried_again_and_keeps_no_other_waiting(
    tmp_path: Path, fault: Fault
) -> None:
    group, ends = Group(), Ends(bad="r0")
    async with hosted(tmp_path, group, ends) as host:
        ends.faults = [fault] * 1_000  # until they are taken away
        await accept(host, "r0", "r1", "r2")
        await asyncio.gather(*(host.begin(f"r{n}") for n in range(3)))
        group.go_on.set()
        async with asyncio.timeout(30):
            await host.accepted.wait_ended("r1")
            await host.accepted.wait_ended("r2")
        assert "r0" in host.accepted
        ends.faults.clear()
        await all_end(host)
    assert sorted(ends.seen) == [(f"r{n}", "completed") for n in range(3)]


async def test_an_end_that_was_not_reported_before_the_stop_is_reported_by_the_next_process(
    tmp_path: Path,
) -> None:
    group, ends = Group(), Ends(bad="r0", faults=[lambda: RuntimeError("ours")] * 1_000)
    async with hosted(tmp_path, group, ends) as host:
        group.go_on.set()
        await accept(host, "r0")
        await host.begin("r0")
        async with asyncio.timeout(30):
            while len(ends.faults) == 1_000:
                await asyncio.sleep(0.01)
    assert ends.seen == []
    again = Ends()
    async with hosted(tmp_path, group, again) as host:
        await all_end(host)
    assert again.seen == [("r0", "completed")]


async def test_a_run_whose_caller_is_gone_before_it_began_is_executed(tmp_path: Path) -> None:
    ends = Ends()
    async with hosted(tmp_path, Group(), ends) as host:
        await accept(host, "r0")  # and `begin` is never called
        await all_end(host)
        await host.begin("r0")  # too late, and nothing happens twice
    assert ends.seen == [("r0", "completed")]


async def test_a_run_is_executed_though_its_caller_was_cancelled_while_it_was_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ends, reached = Ends(), asyncio.Event()
    record = RunJournal.record_start

    async def hangs_once(self: RunJournal, *ids: str, starts: int, steps: int) -> None:
        if not reached.is_set():
            reached.set()
            await asyncio.sleep(3600)
        await record(self, *ids, starts=starts, steps=steps)

    monkeypatch.setattr(RunJournal, "record_start", hangs_once)
    async with hosted(tmp_path, Group(), ends) as host:
        await accept(host, "r0")
        beginning = asyncio.create_task(host.begin("r0", may_queue=False))
        await reached.wait()
        beginning.cancel()
        await all_end(host)
    assert ends.seen == [("r0", "completed")]


async def test_a_run_that_can_never_start_fails_and_holds_no_place(tmp_path: Path) -> None:
    ends = Ends()
    async with hosted(tmp_path, Group(), ends) as host:
        await accept(host, "r0", "r1", workflow="never")
        await host.begin("r0")
        with pytest.raises(RuntimeError):
            await host.begin("r1", may_queue=False)
        await all_end(host)
    assert sorted(ends.seen) == [("r0", "failed"), ("r1", "failed")]


async def test_a_run_that_is_cancelled_before_it_began_does_not_begin(tmp_path: Path) -> None:
    group, ends = Group(), Ends()
    async with hosted(tmp_path, group, ends) as host:
        await accept(host, "r0")
        assert await host.cancel("r0")
        await host.begin("r0")
        await all_end(host)
    assert ends.seen == [("r0", "cancelled")]
    assert group.seen == []


async def test_a_run_that_is_cancelled_while_it_is_started_ends_as_cancelled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ends, reached, go_on = Ends(), asyncio.Event(), asyncio.Event()
    record = RunJournal.record_start

    async def slow(self: RunJournal, *ids: str, starts: int, steps: int) -> None:
        reached.set()
        await go_on.wait()
        await record(self, *ids, starts=starts, steps=steps)
        raise sqlite3.OperationalError("disk I/O error")  # so that it is started again

    monkeypatch.setattr(RunJournal, "record_start", slow)
    async with hosted(tmp_path, Group(), ends) as host:
        await accept(host, "r0", workflow="take")
        beginning = asyncio.create_task(host.begin("r0", may_queue=False))
        await reached.wait()
        assert await host.cancel("r0")
        go_on.set()
        with pytest.raises(sqlite3.OperationalError):
            await beginning
        await all_end(host)
    assert ends.seen == [("r0", "cancelled")]


async def test_a_stop_while_a_group_is_at_work_loses_none_of_its_runs(tmp_path: Path) -> None:
    group, ends = Group(), Ends()
    async with hosted(tmp_path, group, ends) as host:
        await accept(host, "r0", "r1", "r2")
        await host.begin("r0")
        await host.accepted.wait_started("r0")
        await host.begin("r1")
        await host.begin("r2")
        stopping = asyncio.create_task(host.settle())
        await asyncio.sleep(0)
        group.go_on.set()
        await stopping
    assert ends.seen == [("r0", "completed")]
    async with hosted(tmp_path, group, ends) as host:
        await all_end(host)
    assert sorted(ends.seen) == [(f"r{n}", "completed") for n in range(3)]
