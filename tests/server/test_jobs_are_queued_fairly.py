"""A tenant with many jobs does not keep another tenant's first job waiting."""

import asyncio
from pathlib import Path

import pytest
from pydantic import ConfigDict
from workflows import Workflow, step
from workflows.events import StartEvent, StopEvent

from foliotrace.model import Principal
from foliotrace_server.host.durable_host import DurableHost
from foliotrace_server.host.run_ends import EndedRun

pytestmark = pytest.mark.anyio


class Take(StartEvent):
    model_config = ConfigDict(extra="forbid")

    name: str


class Slow(Workflow):
    @step
    async def take(self, ev: Take) -> StopEvent:
        await asyncio.sleep(0.01)
        return StopEvent()


async def test_the_job_of_a_second_tenant_passes_the_queue_of_the_first(tmp_path: Path) -> None:
    ended: list[str] = []

    async def note(run: EndedRun) -> None:
        ended.append(run.handler_id)

    host = DurableHost(
        tmp_path, {"slow": Slow()}, on_ended=note, max_concurrent=2, max_pending=100, max_starts=3
    )
    await host.start()
    try:
        for number in range(20):
            await host.accept(f"a{number}", Principal(tenant="a"), "slow", Take(name="a"))
            await host.begin(f"a{number}")
        await host.accept("b", Principal(tenant="b"), "slow", Take(name="b"))
        await host.begin("b")
        before = len(ended)  # however slow the disk was until here
        await asyncio.wait_for(host.accepted.wait_ended("b"), 30)
        assert len(ended) - before <= 8
    finally:
        await host.stop()
