"""Kill the service with SIGKILL while it ingests, again and again; look at the traces it leaves.

A document is uploaded, the process is killed at a drawn moment after that, and started again on the
same data folder, which finishes the job. At the end each job's trace, as an OTLP sink received it,
must be one tree: one root, no span whose parent never arrived, none with two different ends. A span
that had been sent when the process was killed, but was not yet noted as sent, is sent again.

    python -m bench.killed_traces [--kills 100] [--seed 7] [--no-record]
"""

import argparse
import asyncio
import os
import random
import signal
import sys
import tempfile
from collections import Counter, defaultdict
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
from tests.free_ports import free_port
from tests.otlp_sink import OtlpSink, attributes_of

from bench.record import conclude

ROWS = 6_000
LONGEST_LIFE_S = 1.5
_SERVE = "import sys; from foliotrace_server.cli import main; main(sys.argv[1:])"


class Served:
    """`foliotrace serve` that exports to `sink` and reads a page at a time."""

    def __init__(self, folder: Path, sink: OtlpSink) -> None:
        self._port = free_port()
        self.http = httpx.AsyncClient(base_url=f"http://127.0.0.1:{self._port}", timeout=60)
        self._env = {
            "PATH": os.defpath,
            "HOME": str(folder),
            "OTEL_EXPORTER_OTLP_ENDPOINT": sink.grpc_endpoint,
            "OTEL_BSP_SCHEDULE_DELAY": "20",
            "FOLIOTRACE_DATA_DIR": str(folder / "data"),
            "FOLIOTRACE_INGEST__WINDOW_PAGES": "1",
        }
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Returns once it is ready. Raises RuntimeError if it ends before."""
        process = self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", _SERVE, "serve", "--port", str(self._port)),
            env=self._env, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        while process.returncode is None:
            with suppress(httpx.TransportError):
                if (await self.http.get("/readyz")).status_code == 200:
                    return
            await asyncio.sleep(0.05)
        raise RuntimeError(f"the service ended with {process.returncode}")

    async def kill(self, how: int = signal.SIGKILL) -> None:
        """End it by this signal."""
        if self._process is not None and self._process.returncode is None:
            self._process.send_signal(how)
            await self._process.wait()

    async def upload(self, number: int) -> tuple[str, str]:
        """The ids of the job and of its trace."""
        rows = "".join(f"{row},refund {number},{row * 3}\n" for row in range(ROWS))
        files = {"file": (f"{number}.csv", f"id,what,days\n{rows}".encode())}
        answer = (await self.http.post("/v1/documents", files=files)).json()
        job = answer["accepted"][0]["job"]
        return job["id"], job["trace_id"]

    async def ended(self, job: str) -> str:
        """Waits until the job has ended; its status."""
        while True:
            status: str = (await self.http.get(f"/v1/jobs/{job}")).json()["status"]
            if status in ("completed", "failed", "cancelled"):
                return status
            await asyncio.sleep(0.1)


async def run(kills: int, draw: random.Random) -> dict[str, Any]:
    """Figures of `kills` kills; `draw` gives the moments."""
    with tempfile.TemporaryDirectory() as folder, OtlpSink() as sink:
        service = Served(Path(folder), sink)
        jobs: dict[str, str] = {}
        statuses: Counter[str] = Counter()
        try:
            await service.start()
            for number in range(kills):
                job, trace = await service.upload(number)
                jobs[job] = trace
                await asyncio.sleep(draw.uniform(0, LONGEST_LIFE_S))
                await service.kill()
                await service.start()
                statuses[await service.ended(job)] += 1
        finally:
            await service.kill(signal.SIGTERM)
            await service.http.aclose()
        return {"kills": kills, "jobs": dict(statuses), **figures(sink.spans, jobs.values())}


def figures(spans: list[Any], traces: Any) -> dict[str, int]:
    """What is wrong with the trees of `traces`."""
    by_trace: dict[str, list[Any]] = defaultdict(list)
    for span in spans:
        by_trace[span.trace_id.hex()].append(span)
    counts: Counter[str] = Counter()
    for trace in traces:
        own = by_trace[trace]
        ids = {span.span_id for span in own}
        counts["traces_without_spans"] += not own
        counts["spans"] += len(own)
        counts["spans_sent_again"] += len(own) - len(ids)
        ends = {(span.span_id, span.end_time_unix_nano) for span in own}
        counts["spans_with_two_ends"] += len(ends) - len(ids)
        counts["orphans"] += sum(
            bool(span.parent_span_id) and span.parent_span_id not in ids for span in own
        )
        counts["traces_without_one_root"] += sum(not span.parent_span_id for span in own) != 1
        counts["interrupted_runs_shown"] += sum(
            attributes_of(span).get("foliotrace.outcome") == "interrupted" for span in own
        )
    return dict(counts)


def main() -> None:
    """Run, print and record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--no-record", action="store_true")
    options = parser.parse_args()
    found = asyncio.run(run(options.kills, random.Random(options.seed)))
    wrong = ("traces_without_spans", "spans_with_two_ends", "orphans", "traces_without_one_root")
    broken = [name for name in wrong if found[name]]
    if found["jobs"] != {"completed": options.kills}:
        broken.append("jobs")
    conclude("killed_traces", found, broken, recorded=not options.no_record)


if __name__ == "__main__":
    main()
