"""Work that never returns is given up: its jobs end with a reason, others go on, a stop stops."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from pydantic import ConfigDict
from workflows import Workflow, step
from workflows.events import Event, StartEvent, StopEvent

from foliotrace.catalog import ErrorCode
from foliotrace.model import Principal
from foliotrace_server.host import durable_host, engine_runs, grouped_runs
from foliotrace_server.host.durable_host import DurableHost
from foliotrace_server.host.run_ends import EndedRun
from foliotrace_server.host.run_journal import AcceptedRun

pytestmark = pytest.mark.anyio


class Take(StartEvent):
    model_config = ConfigDict(extra="forbid")

    hangs: bool = False


class Half(Event):
    hangs: bool


class Taken(StopEvent):
    by: str = "engine"


class Alone(Workflow):
    """The second step of a run that `hangs` never returns, and cannot be cancelled either."""

    def __init__(self, stopped: asyncio.Event) -> None:
        super().__init__(timeout=None)
        self._stopped = stopped

    @step
    async def begin(self, ev: Take) -> Half:
        return Half(hangs=ev.hangs)

    @step
    async def finish(self, ev: Half) -> Taken:
        while ev.hangs and not self._stopped.is_set():
            with suppress(asyncio.CancelledError):
                await self._stopped.wait()
        return Taken()


@dataclass
class Groups:
    """Executes runs together; the first group hangs, and cannot be cancelled if it is `deaf`."""

    is_deaf: bool = False
    seen: list[list[str]] = field(default_factory=list)
    go_on: asyncio.Event = field(default_factory=asyncio.Event)

    async def __call__(self, tenant: str, runs: Sequence[AcceptedRun]) -> Mapping[str, StopEvent]:
        self.seen.append([run.handler_id for run in runs])
        while len(self.seen) == 1 and not self.go_on.is_set():
            try:
                await self.go_on.wait()
            except asyncio.CancelledError:
                if not self.is_deaf:
                    raise
        return {run.handler_id: Taken(by="group") for run in runs}


@dataclass
class Ends:
    seen: list[tuple[str, str, str | None]] = field(default_factory=list)

    async def __call__(self, run: EndedRun) -> None:
        self.seen.append((run.handler_id, run.status, run.problem))


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(durable_host, "RECONCILE_EVERY_S", 0.2)
    monkeypatch.setattr(engine_runs, "CANCEL_DEADLINE_S", 0.2)
    monkeypatch.setattr(grouped_runs, "GROUP_DEADLINE_S", 0.2)
    monkeypatch.setattr(grouped_runs, "STOP_DEADLINE_S", 0.2)


@asynccontextmanager
async def hosted(
    folder: Path, ends: Ends, groups: Groups | None = None
) -> AsyncIterator[DurableHost]:
    stopped = asyncio.Event()
    host = DurableHost(
        folder,
        {"take": Alone(stopped), "own": Alone(stopped)},
        on_ended=ends,
        max_concurrent=1,
        max_pending=200,
        max_starts=3,
        step_limits_s={"take": 0.3},
        together={"take": groups} if groups is not None else {},
    )
    await host.start()
    try:
        yield host
    finally:
        stopped.set()
        async with asyncio.timeout(20):
            await host.stop()


async def begin(host: DurableHost, handler_id: str, workflow: str = "take", **start: bool) -> None:
    await host.accept(handler_id, Principal(tenant="a"), workflow, Take(**start))
    await host.begin(handler_id)


async def ended(host: DurableHost, *handler_ids: str) -> None:
    async with asyncio.timeout(20):
        for handler_id in handler_ids:
            await host.accepted.wait_ended(handler_id)


async def taken_by(host: DurableHost, handler_id: str) -> str:
    record = await host.records.record(handler_id, wait=False)
    return str(record.result.value["by"])


@pytest.mark.parametrize("is_deaf", [False, True])
async def test_the_runs_of_a_group_that_never_returns_are_executed_singly(
    tmp_path: Path, is_deaf: bool
) -> None:
    groups, ends = Groups(is_deaf), Ends()
    async with hosted(tmp_path, ends, groups) as host:
        await begin(host, "r0")
        await host.accepted.wait_started("r0")
        await begin(host, "r1")
        await ended(host, "r0", "r1")
        assert (await taken_by(host, "r0"), await taken_by(host, "r1")) == ("engine", "group")
        groups.go_on.set()
        assert sorted(ends.seen) == [("r0", "completed", None), ("r1", "completed", None)]


@pytest.mark.parametrize("is_deaf", [False, True])
async def test_a_group_that_never_returns_does_not_keep_the_service_from_stopping(
    tmp_path: Path, is_deaf: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(grouped_runs, "GROUP_DEADLINE_S", 3600)
    groups, ends = Groups(is_deaf), Ends()
    async with hosted(tmp_path, ends, groups) as host:
        await begin(host, "r0")
        await host.accepted.wait_started("r0")
    groups.go_on.set()
    assert ends.seen == []
    async with hosted(tmp_path, ends) as host:
        await ended(host, "r0")
    assert ends.seen == [("r0", "completed", None)]


async def test_a_run_whose_step_never_returns_fails_and_holds_no_place(tmp_path: Path) -> None:
    ends = Ends()
    async with hosted(tmp_path, ends) as host:
        await begin(host, "r0", hangs=True)
        await begin(host, "r1")
        await ended(host, "r0", "r1")
        async with asyncio.timeout(20):  # the record of the run follows its end
            while (await host.records.record("r0", wait=False)).error != ErrorCode.JOB_STALLED:
                await asyncio.sleep(0.02)
        assert (await host.records.record("r0", wait=False)).status == "failed"
    assert ends.seen == [("r0", "failed", ErrorCode.JOB_STALLED), ("r1", "completed", None)]


async def test_a_workflow_without_a_limit_may_wait_for_long(tmp_path: Path) -> None:
    ends = Ends()
    async with hosted(tmp_path, ends) as host:
        await begin(host, "r0", workflow="own", hangs=True)
        await asyncio.sleep(1.2)  # four times the limit of the other workflow
        assert ends.seen == []
