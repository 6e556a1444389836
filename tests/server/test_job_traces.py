"""A job has one trace of its own, linked with its request's, also when the process is killed."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.audit.log_reading import audit_records
from tests.free_ports import free_port
from tests.otlp_sink import OtlpSink, attributes_of
from tests.server.observed_service import REFUNDS, observed, tree

from foliotrace_audit.checkpoint import read_checkpoint
from foliotrace_audit.keys import read_public_keys

pytestmark = [pytest.mark.anyio, pytest.mark.slow]


async def test_each_document_of_a_batch_has_its_own_trace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with observed(tmp_path, monkeypatch) as service:
        files = [("file", (f"{n}.txt", REFUNDS + str(n).encode())) for n in range(2)]
        answer = await service.client.post("/v1/documents", files=files)
        jobs = [accepted["job"] for accepted in answer.json()["accepted"]]
        for job in jobs:
            await service.ended(job["id"])
        request = answer.headers["x-trace-id"]
        traces = [job["trace_id"] for job in jobs]
        assert len({request, *traces}) == 3
        for trace_id in traces:
            spans = await service.job_trace(trace_id, ends_with="invoke_workflow IngestWorkflow")
            parents = tree(spans)
            assert parents["accept ingest"] is None
            assert parents["invoke_workflow IngestWorkflow"] == "accept ingest"
            assert parents["chunk"] == "invoke_workflow IngestWorkflow"
            accept = next(span for span in spans if span.name == "accept ingest")
            assert [link.trace_id.hex() for link in accept.links] == [request]
            # the collector makes each entry a root of its own at LangSmith
            entries = [s.name for s in spans if attributes_of(s).get("foliotrace.entry")]
            assert entries == ["accept ingest"]
        (root,) = service.trace(request)
        assert [link.trace_id.hex() for link in root.links] == traces
    ends = [r for r in service.records() if r["event"] == "ingest_completed"]
    assert sorted(r["trace_id"] for r in ends) == sorted(traces)


class Served:
    """`foliotrace serve` in a process of its own."""

    def __init__(self, folder: Path, sink: OtlpSink) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.env = {
            "PATH": os.defpath,
            "HOME": str(folder.parent),
            "OTEL_EXPORTER_OTLP_ENDPOINT": sink.grpc_endpoint,
            "OTEL_EXPORTER_OTLP_INSECURE": "true",
            "OTEL_BSP_SCHEDULE_DELAY": "20",
            "FOLIOTRACE_AUDIT__DURABILITY": "strict",
            "FOLIOTRACE_DATA_DIR": str(folder),
            "FOLIOTRACE_INGEST__WINDOW_PAGES": "1",
        }

    async def start(self, stderr: int = asyncio.subprocess.DEVNULL) -> None:
        command = "import sys; from foliotrace_server.cli import main; main(sys.argv[1:])"
        self.process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", command, "serve", "--port", str(self.port),
            env=self.env, stderr=stderr,
        )  # fmt: skip
        async with httpx.AsyncClient(base_url=self.url) as client:
            while True:
                with suppress(httpx.TransportError):
                    if (await client.get("/readyz")).status_code == 200:
                        return
                assert self.process.returncode is None, "the service died"
                await asyncio.sleep(0.05)

    async def kill(self, how: int = signal.SIGKILL) -> None:
        self.process.send_signal(how)
        await self.process.wait()


async def eventually(holds: Callable[[], Any]) -> None:
    for _ in range(400):
        if holds():
            return
        await asyncio.sleep(0.05)
    raise AssertionError("it never held")


async def test_a_resumed_job_goes_on_in_its_trace(tmp_path: Path) -> None:
    with OtlpSink() as sink:
        service = Served(tmp_path / "data", sink)
        await service.start()
        async with httpx.AsyncClient(base_url=service.url, timeout=30) as client:
            rows = "".join(f"{n},refund {n},{n * 3}\n" for n in range(60_000))
            files = {"file": ("big.csv", f"id,what,days\n{rows}".encode())}
            accepted = (await client.post("/v1/documents", files=files)).json()["accepted"][0]
            job, trace_id = accepted["job"]["id"], accepted["job"]["trace_id"]
            while (await client.get(f"/v1/jobs/{job}")).json()["status"] == "queued":
                await asyncio.sleep(0.02)

        def of_job() -> list[Any]:
            """Its spans. A kill before a sent batch is noted sends that batch again."""
            found = [s for s in sink.spans if s.trace_id.hex() == trace_id]
            return [*{s.SerializeToString(): s for s in found}.values()]

        # A stage that has ended says that its run has begun.
        await eventually(lambda: any(span.name == "parse" for span in of_job()))
        await service.kill()
        before = len(of_job())
        await service.start()
        async with httpx.AsyncClient(base_url=service.url, timeout=30) as client:
            async with client.stream("GET", f"/v1/jobs/{job}/events") as stream:
                async for _ in stream.aiter_lines():
                    pass
            assert (await client.get(f"/v1/jobs/{job}")).json()["status"] == "completed"
        await service.kill(signal.SIGTERM)
        assert len(of_job()) > before
        runs = [s for s in of_job() if s.name == "invoke_workflow IngestWorkflow"]
        (accept,) = [s for s in of_job() if s.name == "accept ingest"]
        assert {run.parent_span_id for run in runs} == {accept.span_id}
        killed, resumed = sorted(runs, key=lambda run: run.start_time_unix_nano)
        assert attributes_of(killed)["foliotrace.outcome"] == "interrupted"
        assert attributes_of(resumed)["foliotrace.attempt"] == 2
        assert [link.span_id for link in resumed.links] == [killed.span_id]
        ids = [s.span_id for s in of_job()]
        assert len(ids) == len(set(ids))
        assert [s.name for s in of_job() if s.parent_span_id not in ids] == ["accept ingest"]
        assert killed.start_time_unix_nano < killed.end_time_unix_nano
        assert killed.end_time_unix_nano <= resumed.start_time_unix_nano
        assert [s.name for s in of_job() if attributes_of(s).get("foliotrace.entry")] == [
            "accept ingest"
        ]
    ends = [
        r for r in audit_records(tmp_path / "data" / "audit") if r["event"] == "ingest_completed"
    ]
    assert [r["trace_id"] for r in ends] == [trace_id]


async def test_a_kill_under_load_loses_no_record_of_an_answer(tmp_path: Path) -> None:
    with OtlpSink() as sink:
        service = Served(tmp_path / "data", sink)
        await service.start()
        answered: list[str] = []

        async def ask(client: httpx.AsyncClient, number: int) -> None:
            with suppress(httpx.TransportError):
                for turn in range(200):
                    query = {"query": f"Within how many days are refunds paid? {number} {turn}"}
                    answered.append((await client.post("/v1/query", json=query)).json()["run_id"])

        async with httpx.AsyncClient(base_url=service.url, timeout=30) as client:
            asking = [asyncio.create_task(ask(client, number)) for number in range(8)]
            await eventually(lambda: len(answered) > 60)
            await service.kill()
            await asyncio.gather(*asking)
    received = {
        r["run_id"]
        for r in audit_records(tmp_path / "data" / "audit")
        if r["event"] == "query_received"
    }
    assert set(answered) <= received


async def test_the_log_takes_checkpoints_out_of_the_box_unchanged(tmp_path: Path) -> None:
    with OtlpSink() as sink:
        service = Served(tmp_path / "data", sink)
        await service.start(stderr=asyncio.subprocess.PIPE)
        async with httpx.AsyncClient(base_url=service.url, timeout=30) as client:
            assert (await client.post("/v1/query", json={"query": "refunds?"})).status_code == 200
        service.process.terminate()
        _, logged = await service.process.communicate()
    logged_events = [json.loads(line) for line in logged.decode().splitlines()]
    sent = [line["line"] for line in logged_events if line["event"] == "audit.checkpoint"]
    kept = next((tmp_path / "data" / "audit").glob("*/checkpoints.jsonl")).read_text()
    assert kept.splitlines()[1:] == sent[-1:]  # the first is signed before the log is set up
    key = next((tmp_path / "data" / "audit-keys").glob("*.pub.pem"))
    assert read_checkpoint(sent[-1].encode()).signed_by(read_public_keys([key])[0])
