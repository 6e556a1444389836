"""A user's own workflow, named in the settings: hosted unchanged, traced, outliving a kill."""

import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from llama_agents.client import WorkflowClient
from tests.free_ports import free_port
from tests.hosts.running_hosts import running
from tests.otlp_sink import OtlpSink

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

SOURCE = """
from pathlib import Path
from workflows import Context, Workflow, step
from workflows.events import Event, HumanResponseEvent, InputRequiredEvent, StartEvent, StopEvent

class Drafted(Event):
    draft: str

class Review(Workflow):
    @step
    async def write(self, ctx: Context, ev: StartEvent) -> Drafted:
        with Path("writes.txt").open("a") as written:
            written.write("once ")
        return Drafted(draft=f"about {ev.topic}")

    @step
    async def ask(self, ctx: Context, ev: Drafted) -> InputRequiredEvent:
        await ctx.store.set("draft", ev.draft)
        return InputRequiredEvent(prefix="approve?")

    @step
    async def publish(self, ctx: Context, ev: HumanResponseEvent) -> StopEvent:
        return StopEvent(result=f"{await ctx.store.get('draft')}: {ev.response}")

review = Review(timeout=None)
"""


@contextmanager
def served(folder: Path, sink: OtlpSink) -> Iterator[WorkflowClient]:
    """`foliotrace serve` in `folder`, in a process of its own."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    program = "from foliotrace_server.cli import main; main()"
    command = [sys.executable, "-c", program, "--data-dir", "data", "serve", "--port", str(port)]
    env = {
        **os.environ,  # noqa: TID251 - handed on
        "FOLIOTRACE_WORKFLOWS": '{"review": "review:review"}',
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{sink.grpc_endpoint.removeprefix('http://')}",
        "OTEL_BSP_SCHEDULE_DELAY": "50",
    }
    with running(command, folder, f"{url}/readyz", env, wait_s=60):
        yield WorkflowClient(base_url=url)


async def test_a_workflow_with_a_human_in_it_is_traced_and_outlives_a_kill(tmp_path: Path) -> None:
    (tmp_path / "review.py").write_text(SOURCE)
    with OtlpSink() as sink:
        with served(tmp_path, sink) as workflows:
            assert "review" in (await workflows.list_workflows()).workflows
            started = await workflows.run_workflow_nowait("review", start_event={"topic": "tea"})
            async for event in workflows.get_workflow_events(started.handler_id):
                if event.type == "InputRequiredEvent":
                    break
            assert event.type == "InputRequiredEvent"
            time.sleep(0.3)  # the step's end is stored a moment after its event
            _kill(tmp_path)
        with served(tmp_path, sink) as workflows:
            answer = {"type": "HumanResponseEvent", "value": {"response": "yes"}}
            await workflows.send_event(started.handler_id, answer)
            done = await workflows.wait_for_handler(started.handler_id)
            assert sink.wait_for(lambda it: {"write", "ask", "publish"} <= steps_in(it))
    assert done.status == "completed"
    assert done.result is not None
    assert done.result.value["result"] == "about tea: yes"
    assert (tmp_path / "writes.txt").read_text() == "once "


def steps_in(sink: OtlpSink) -> set[str]:
    return {span.name.removeprefix("step ") for span in sink.spans}


def _kill(folder: Path) -> None:
    from foliotrace.adapters.local.files.lease import WriterLease

    holder = WriterLease.holder(folder / "data")
    assert holder is not None
    os.kill(holder.pid, signal.SIGKILL)


async def test_a_run_that_waits_for_nobody_is_refused_late_answers(tmp_path: Path) -> None:
    (tmp_path / "review.py").write_text(SOURCE)
    with OtlpSink() as sink, served(tmp_path, sink) as workflows:
        answer = {"type": "HumanResponseEvent", "value": {"response": "yes"}}
        with pytest.raises(httpx.HTTPStatusError) as unknown:
            await workflows.send_event("never-was", answer)
        assert unknown.value.response.status_code == 404
