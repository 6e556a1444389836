"""What tracing costs a question over HTTP: CPU of the service and bytes it sends, on and off.

`foliotrace serve` in a process of its own, once without tracing and with it at full and 10 % head
sampling, side by side and asked in turns of ten questions; an OTLP sink takes the spans. CPU is
the service's user and system time, exporter included; every question is asked once, so no answer
is a kept one.
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
from collections.abc import Iterable, Mapping
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
SLICE = 10
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

    async def ask(self, numbers: Iterable[int]) -> None:
        for number in numbers:
            answer = await self.client.post("/v1/query", json={"query": ASKED.format(number)})
            assert answer.status_code == 200, answer.text


async def measure(starts: int, rounds: int, count: int) -> dict[str, object]:
    """Figures over `rounds` of `count` questions for each of `starts` of the three services."""
    cpu_ms: dict[str, list[float]] = {way: [] for way in WAYS}
    sent: dict[str, list[tuple[int, int]]] = {way: [] for way in WAYS}
    for _ in range(starts):  # anew, because where a process lies in memory costs some per cent
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
                await one_round(served, range(count))
                for sink in sinks.values():
                    sink.received.clear()
                for turn in range(1, rounds + 1):
                    numbers = range(turn * count, (turn + 1) * count)
                    for way, ms in (await one_round(served, numbers)).items():
                        cpu_ms[way].append(ms)
            finally:
                for service in served.values():
                    service.process.terminate()
                for service in served.values():
                    service.process.wait(20)
            for way, sink in sinks.items():
                sent[way].append((len(sink.raw("traces")), len(sink.spans)))
    asked = starts * rounds * count
    ratios = {
        way: [on / off for on, off in zip(cpu_ms[way], cpu_ms["off"], strict=True)] for way in WAYS
    }
    return {
        "cpu_ms_per_query": {w: round(statistics.median(v), 3) for w, v in cpu_ms.items()},
        "cpu_ratio": {way: round(statistics.median(values), 3) for way, values in ratios.items()},
        "cpu_ratio_quartiles": {
            way: [round(value, 3) for value in statistics.quantiles(values)[::2]]
            for way, values in ratios.items()
        },
        "otlp_bytes_per_query": {w: sum(n for n, _ in v) // asked for w, v in sent.items()},
        "spans_per_query": {w: round(sum(n for _, n in v) / asked, 2) for w, v in sent.items()},
    }


async def one_round(served: Mapping[str, Served], numbers: range) -> dict[str, float]:
    """CPU milliseconds a question, by way, with the exporter's share.

    In turns of a few questions: what else the machine does hits all ways alike.
    """
    before_s = {way: service.cpu_s for way, service in served.items()}
    for place, start in enumerate(range(0, len(numbers), SLICE)):
        ways = list(served)
        for way in ways[place % len(ways) :] + ways[: place % len(ways)]:
            await served[way].ask(numbers[start : start + SLICE])
    await asyncio.sleep(1.5)  # the exporters' share
    return {
        way: (service.cpu_s - before_s[way]) / len(numbers) * 1e3 for way, service in served.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--starts", type=int, default=3, help="starts of the three services")
    parser.add_argument("--rounds", type=int, default=5, help="rounds after each start")
    parser.add_argument("--queries", type=int, default=200, help="questions a round and way")
    options = parser.parse_args()
    figures = asyncio.run(measure(options.starts, options.rounds, options.queries))
    print(json.dumps(figures, indent=1))
    save("serving_tracing", figures, command=" ".join([COMMAND, *sys.argv[1:]]))


if __name__ == "__main__":
    main()
