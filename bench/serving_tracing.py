"""What tracing costs a question over HTTP: CPU of the service and bytes it sends, on and off.

`foliotrace serve` in a process of its own, once without tracing and with it at full and 10 % head
sampling, side by side and asked in turn; an OTLP sink takes the spans. CPU is the service's user
and system time, exporter included; every question is asked once, so no answer is a kept one.
"""

import argparse
import asyncio
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, suppress
from pathlib import Path

import httpx
from tests.otlp_sink import OtlpSink

from bench.record import save

COMMAND = "python -m bench.serving_tracing"
WAYS = {
    "off": {"FOLIOTRACE_TELEMETRY__ENABLED": "false"},
    "full": {},
    "10 %": {
        "OTEL_TRACES_SAMPLER": "parentbased_traceidratio",
        "OTEL_TRACES_SAMPLER_ARG": "0.1",
    },
}
DOCUMENTS = Path(__file__).parents[1] / "examples" / "documents"
ASKED = "How long may a weekend booking be in week {}?"
_CPU_CLOCK = 2  # Linux's clock_getcpuclockid(3): nanoseconds, where /proc counts in 10 ms


class Served:
    """One service; `cpu_s` is what it used since it began."""

    def __init__(self, folder: Path, sink: OtlpSink, env: dict[str, str]) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.client = httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=60)
        code = "import sys; from foliotrace_server.cli import main; main(sys.argv[1:])"
        self.process = subprocess.Popen(
            [sys.executable, "-c", code, "--data-dir", str(folder), "serve", "--port", str(port)],
            env={
                "PATH": os.defpath,
                "HOME": str(folder),
                "OTEL_EXPORTER_OTLP_ENDPOINT": sink.grpc_endpoint,
                "OTEL_EXPORTER_OTLP_INSECURE": "true",
                "FOLIOTRACE_LOG__LEVEL": "error",
                **env,
            },
        )

    @property
    def cpu_s(self) -> float:
        return time.clock_gettime(~self.process.pid << 3 | _CPU_CLOCK)

    async def ready(self) -> None:
        while True:
            with suppress(httpx.TransportError):
                if (await self.client.get("/readyz")).status_code == 200:
                    break
            await asyncio.sleep(0.1)
        document = next(DOCUMENTS.glob("*.docx"))
        files = {"file": (document.name, document.read_bytes())}
        taken = (await self.client.post("/v1/documents", files=files)).json()["accepted"][0]
        async with self.client.stream("GET", f"/v1/jobs/{taken['job']['id']}/events") as stream:
            async for _ in stream.aiter_lines():
                pass

    async def ask(self, first: int, count: int) -> float:
        """CPU milliseconds a question."""
        before_s = self.cpu_s
        for number in range(first, first + count):
            answer = await self.client.post("/v1/query", json={"query": ASKED.format(number)})
            assert answer.status_code == 200, answer.text
        await asyncio.sleep(1.5)  # the exporter's share
        return (self.cpu_s - before_s) / count * 1e3


async def measure(rounds: int, count: int) -> dict[str, object]:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        sinks = {way: stack.enter_context(OtlpSink()) for way in WAYS}
        served = {
            way: Served(folder / str(place), sinks[way], env)
            for place, (way, env) in enumerate(WAYS.items())
        }
        try:
            for service in served.values():
                await service.ready()
                await service.ask(0, count)
            for sink in sinks.values():
                sink.received.clear()
            cpu_ms: dict[str, list[float]] = {way: [] for way in WAYS}
            for turn in range(1, rounds + 1):
                for way, service in served.items():
                    cpu_ms[way].append(await service.ask(turn * count, count))
        finally:
            for service in served.values():
                service.process.terminate()
            for service in served.values():
                service.process.wait(20)
        asked = rounds * count
        return {
            "cpu_ms_per_query": {w: round(statistics.median(v), 3) for w, v in cpu_ms.items()},
            "cpu_ratio": {
                way: round(
                    statistics.median(
                        on / off for on, off in zip(cpu_ms[way], cpu_ms["off"], strict=True)
                    ),
                    3,
                )
                for way in WAYS
            },
            "otlp_bytes_per_query": {w: len(s.raw("traces")) // asked for w, s in sinks.items()},
            "spans_per_query": {w: round(len(s.spans) / asked, 2) for w, s in sinks.items()},
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--queries", type=int, default=200)
    given = parser.parse_args()
    figures = asyncio.run(measure(given.rounds, given.queries))
    print(json.dumps(figures, indent=1))
    save("serving_tracing", figures, command=COMMAND)


if __name__ == "__main__":
    main()
