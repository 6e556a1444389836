"""What tracing costs, beside the bare SDK and the three existing LlamaIndex instrumentations.

CPU by `process_time` (all threads: the exporter's too), interleaved rounds in one process for
handlers, the median of the rounds' ratios. Peers run in a throw-away environment (`--peers`), each
in its own process with the same workload and rounds.

    python -m bench.tracing [--peers] [--quick]
"""

import argparse
import asyncio
import gc
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from llama_index_instrumentation import get_dispatcher
from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

from bench.environments import install, make_environment

ROOT = Path(__file__).parent.parent
WORK_MS = 0.5  # CPU in each of four stages; with the workflow engine a query costs 2.5 to 3.5 ms
PEERS = {
    "llama-index-observability-otel": "official",
    "openinference-instrumentation-llama-index": "openinference",
    "opentelemetry-instrumentation-llamaindex": "traceloop",
}


class Null(SpanExporter):
    def export(self, spans: Any) -> SpanExportResult:
        return SpanExportResult.SUCCESS


def cpu_us(work: Callable[[], object], times: int) -> float:
    began = time.process_time()
    for _ in range(times):
        work()
    return (time.process_time() - began) / times * 1e6


def burn(ms: float) -> None:
    until = time.thread_time() + ms / 1e3
    while time.thread_time() < until:
        pass


def null_provider() -> TracerProvider:
    provider = TracerProvider()
    provider.add_span_processor(
        BatchSpanProcessor(Null(), max_queue_size=100_000, schedule_delay_millis=50)
    )
    return provider


def bare_span(tracer: trace.Tracer) -> Callable[[], None]:
    def one() -> None:
        span = tracer.start_span("work", attributes={"a": "b", "c": "d"})
        token = otel_context.attach(trace.set_span_in_context(span))
        otel_context.detach(token)
        span.end()

    return one


def dispatched(children: int) -> Callable[[], None]:
    """A decorated method that makes `children` decorated calls: 1 + children LlamaIndex spans."""
    dispatcher = get_dispatcher("bench")

    class Part:
        @dispatcher.span
        def child(self) -> None: ...

        @dispatcher.span
        def parent(self) -> None:
            for _ in range(children):
                self.child()

    return Part().parent


class Handlers:
    """Switches handlers on and off at the root dispatcher."""

    def __init__(self, spans: list[Any], events: list[Any]) -> None:
        self.root = get_dispatcher()
        self.off = (list(self.root.span_handlers), list(self.root.event_handlers))
        self.on = ([*self.off[0], *spans], [*self.off[1], *events])

    def set(self, on: bool) -> None:
        self.root.span_handlers, self.root.event_handlers = self.on if on else self.off


def span_cost(spans: list[Any], events: list[Any], rounds: int) -> dict[str, float]:
    """Microseconds a handler adds per LlamaIndex span: a lone root, and one of ten in a tree."""
    tracer = null_provider().get_tracer("bare")
    switch = Handlers(spans, events)
    lone, tree = dispatched(0), dispatched(9)
    rows: dict[str, list[float]] = {n: [] for n in ("bare", "lone", "tree", "lone_off", "tree_off")}
    for _ in range(rounds):
        rows["bare"].append(cpu_us(bare_span(tracer), 2000))
        switch.set(False)
        rows["lone_off"].append(cpu_us(lone, 2000))
        rows["tree_off"].append(cpu_us(tree, 200))
        switch.set(True)
        rows["lone"].append(cpu_us(lone, 2000))
        rows["tree"].append(cpu_us(tree, 200))
    switch.set(False)
    least = {name: min(values) for name, values in rows.items()}
    return {
        "bare_sdk_us": round(least["bare"], 1),
        "root_span_us": round(least["lone"] - least["lone_off"], 1),
        "span_in_a_tree_us": round((least["tree"] - least["tree_off"]) / 10, 1),
    }


def metric_cost(rounds: int) -> dict[str, float]:
    """Microseconds to record one duration under two labels: ours, and the SDK's histogram."""
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import InMemoryMetricReader

    from foliotrace_otel import Metrics

    name, labels = "foliotrace.stage.duration", {"stage": "retrieve", "error.type": ""}
    ours = Metrics(namespace="foliotrace")
    in_order = ours.series[name]
    provider = MeterProvider(metric_readers=[InMemoryMetricReader()], shutdown_on_exit=False)
    theirs = provider.get_meter("bench").create_histogram(name)
    values = tuple(labels.values())
    ways: dict[str, Callable[[], object]] = {
        "metric_record_us": lambda: ours.record(name, 0.01, labels),
        "metric_record_in_order_us": lambda: in_order.record(0.01, values),
        "metric_record_sdk_us": lambda: theirs.record(0.01, labels),
    }
    told = {way: min(cpu_us(work, 5000) for _ in range(rounds)) for way, work in ways.items()}
    provider.shutdown()
    return {way: round(us, 2) for way, us in told.items()}


def query(work_ms: float) -> Callable[[], Any]:
    """A one-step workflow with the stages of a query and a model call; four burn `work_ms`."""
    from tests.otel.llamaindex_programs import Tiny
    from workflows import Workflow, step
    from workflows.events import StartEvent, StopEvent

    from foliotrace import events

    llm = Tiny()

    class Query(Workflow):
        @step
        async def only(self, ev: StartEvent) -> StopEvent:
            for stage in ("validate", "cache", "retrieve"):
                with events.stage(stage):
                    burn(work_ms)
                    events.emit(
                        events.PassagesRetrieved(
                            collection="c", top_k=5, mode="keyword", passages=5
                        )
                    )
            with events.stage("synthesize"):
                burn(work_ms)
                await llm.achat([])
            with events.stage("ground"):
                events.emit(events.ExtractionCompleted(valid=True, level=0))
            return StopEvent(result=1)

    workflow = Query(timeout=None)

    async def one() -> None:
        await workflow.run()

    return one


async def many(one: Callable[[], Any], times: int) -> None:
    for _ in range(times):
        await one()


def query_cost(rounds: int, times: int) -> dict[str, Any]:
    """CPU per query, tracing on over off, with a real gRPC export to another process."""
    from foliotrace_otel import configure, read_environment

    one = query(WORK_MS)
    figures: dict[str, Any] = {}
    with sink_process() as (endpoint, ask):
        os.environ["OTEL_EXPORTER_OTLP_ENDPOINT"] = endpoint
        for name, ratio in (("full", 1.0), ("ten_percent", 0.1)):
            settings = replace(  # with the endpoint named: otherwise a collector is looked for
                read_environment(),
                sampler="parentbased_traceidratio",
                sample_ratio=ratio,
                delay_ms=100,
            )
            telemetry = configure(settings, namespace="foliotrace", set_global=False)
            switch = Handlers([], [])
            switch.on = (switch.root.span_handlers, switch.root.event_handlers)
            switch.off = (
                [h for h in switch.on[0] if h is not telemetry.span_handler],
                [h for h in switch.on[1] if h is not telemetry.event_handler],
            )
            ratios, off_ms, on_ms = [], [], []
            for _ in range(rounds):
                cpu = {}
                for on in (False, True):
                    switch.set(on)
                    began = time.process_time()
                    asyncio.run(many(one, times))
                    if on:
                        telemetry.flush(10)
                    cpu[on] = (time.process_time() - began) / times * 1e3
                ratios.append(cpu[True] / cpu[False])
                off_ms.append(cpu[False])
                on_ms.append(cpu[True])
            switch.set(True)
            telemetry.shutdown(10)
            figures[name] = {
                "ratio": round(statistics.median(ratios), 3),
                "ratio_low_high": [round(min(ratios), 3), round(max(ratios), 3)],
                "off_ms": round(min(off_ms), 2),
                "on_ms": round(min(on_ms), 2),
            }
            if ratio == 1.0:
                told = ask()
                queries = rounds * times
                figures["spans_per_query"] = round(told["spans"] / queries, 2)
                figures["otlp_bytes_per_query"] = round(told["bytes"] / queries)
    return figures


class sink_process:
    """An OTLP sink in a process of its own, so that its CPU is not counted."""

    PROGRAM = (
        "import json, sys\n"
        "from tests.otlp_sink import OtlpSink\n"
        "s = OtlpSink().start(); print(s.grpc_endpoint, flush=True)\n"
        "for _ in sys.stdin:\n"
        "    r = s.of('traces')\n"
        "    told = {'spans': len(s.spans), 'bytes': sum(x.wire_bytes for x in r)}\n"
        "    print(json.dumps(told), flush=True)\n"
        "s.stop()\n"
    )

    def __enter__(self) -> tuple[str, Callable[[], Any]]:
        self.process = subprocess.Popen(
            [sys.executable, "-c", self.PROGRAM],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        return self.process.stdout.readline().strip(), self.ask

    def ask(self) -> Any:
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def __exit__(self, *exc: object) -> None:
        self.process.stdin.close()
        self.process.wait(20)
        self.process.stdout.close()


def memory(queries: int) -> dict[str, Any]:
    """Resident memory after a fifth of `queries` and after all of them, and what is left open."""
    from foliotrace_otel import OTelSettings, configure

    telemetry = configure(OTelSettings(exporter="none"), set_global=False)
    telemetry.provider.add_span_processor(
        BatchSpanProcessor(Null(), max_queue_size=10_000, schedule_delay_millis=50)
    )
    one = query(0.0)
    marks = []
    for part in (queries // 5, queries - queries // 5):
        asyncio.run(many(one, part))
        gc.collect()
        marks.append(rss_mb())
    left = len(telemetry.span_handler.open_spans) + len(telemetry.span_handler.streams.waiting)
    telemetry.shutdown(5)
    return {
        "queries": queries,
        "rss_mb_after_a_fifth": marks[0],
        "rss_mb_after_all": marks[1],
        "left_open": left,
        "handler_faults": telemetry.span_handler.tree.faults,
    }


def rss_mb() -> float:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return round(int(line.split()[1]) / 1024, 1)
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1)


PEER_PROGRAM = """
import json, sys
from opentelemetry.sdk.trace import TracerProvider
from bench.tracing import correctness, null_provider, peer_handlers, span_cost
name, what, rounds = sys.argv[1:]
if what == "cost":  # once a process: some can be set up once only
    # the official one adds a batch processor of its own, so it gets a provider without one
    provider = TracerProvider() if name == "official" else null_provider()
    told = span_cost(*peer_handlers(name, provider), rounds=int(rounds))
else:
    told = correctness(name)
print("\\nfigures " + json.dumps(told))
"""


def peer_handlers(name: str, provider: TracerProvider | None = None) -> tuple[list[Any], list[Any]]:
    """The span and event handlers that `name` registers, taken off the root dispatcher again."""
    provider = provider or null_provider()
    root = get_dispatcher()
    before = (list(root.span_handlers), list(root.event_handlers))
    if name == "foliotrace":
        from foliotrace_otel import OTelSettings, configure

        configure(OTelSettings(), provider=provider)
    elif name == "official":
        from llama_index.observability.otel import LlamaIndexOpenTelemetry

        trace.set_tracer_provider(provider)
        LlamaIndexOpenTelemetry(
            tracer_provider=provider, span_exporter=Null(), span_processor="batch"
        ).start_registering()
    elif name == "openinference":
        from openinference.instrumentation.llama_index import LlamaIndexInstrumentor

        LlamaIndexInstrumentor().instrument(tracer_provider=provider)
    else:
        from opentelemetry.instrumentation.llamaindex import LlamaIndexInstrumentor

        LlamaIndexInstrumentor().instrument(tracer_provider=provider)
    spans = [h for h in root.span_handlers if all(h is not b for b in before[0])]
    events = [h for h in root.event_handlers if all(h is not b for b in before[1])]
    root.span_handlers, root.event_handlers = before
    return spans, events


def correctness(name: str) -> dict[str, int]:
    """Orphans, wrong parents, lost failures and streams ended early over one mixed workload."""
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
    from opentelemetry.trace import StatusCode

    memory_exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(memory_exporter))
    spans, events = peer_handlers(name, provider)
    switch = Handlers(spans, events)
    switch.set(True)
    raised, edges = asyncio.run(mixed_workload())
    last_token_ns = stream_once()
    gc.collect()
    switch.set(False)
    done = memory_exporter.get_finished_spans()
    ids = {span.context.span_id for span in done}
    by_id = {span.context.span_id: span for span in done}
    found = [
        (short(by_id[s.parent.span_id].name) if s.parent.span_id in ids else "?", short(s.name))
        for s in done
        if s.parent is not None
    ]
    streams = [s for s in done if "stream" in s.name.lower() or "chat" in s.name.lower()]
    return {
        "spans": len(done),
        "orphans": sum(1 for s in done if s.parent is not None and s.parent.span_id not in ids),
        "wrong_parents": sum(max(0, n - found.count(edge)) for edge, n in edges.items()),
        "lost_failures": max(
            0, raised - sum(s.status.status_code is StatusCode.ERROR for s in done)
        ),
        "streams_ended_early": int(not any((s.end_time or 0) >= last_token_ns for s in streams)),
    }


def short(name: str) -> str:
    return name.rpartition(".")[2].rpartition("-")[0] or name.rpartition(".")[2]


async def mixed_workload() -> tuple[int, dict[tuple[str, str], int]]:
    """20 requests of nested, gathered and failing calls: the failures raised, the edges made."""
    dispatcher = get_dispatcher("bench")

    class Work:
        @dispatcher.span
        async def leaf(self, number: int) -> None:
            await asyncio.sleep(0.001)
            if number == 3:
                raise LookupError(number)

        @dispatcher.span
        async def branch(self) -> None:
            await asyncio.gather(*(self.leaf(n) for n in range(4)), return_exceptions=True)

        @dispatcher.span
        async def request(self) -> None:
            await asyncio.gather(self.branch(), self.branch())

    await asyncio.gather(*(Work().request() for _ in range(20)))
    return 40, {("branch", "leaf"): 160, ("request", "branch"): 40}


def stream_once() -> int:
    from llama_index.core.llms import MockLLM

    last_ns = 0
    for _ in MockLLM(max_tokens=3).stream_complete("one two three"):
        last_ns = time.time_ns()
        time.sleep(0.01)
    return last_ns - 5_000_000


def peers(rounds: int) -> dict[str, Any]:
    """The three existing instrumentations, each in its own process of a throw-away environment."""
    figures: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        python = make_environment(Path(folder))
        same = ("llama-index-core", "llama-index-workflows", "opentelemetry-sdk")
        wanted = [*PEERS, "llama-index-llms-openai", *(f"{n}=={version(n)}" for n in same)]
        installed = install(python, *wanted)
        if installed.returncode:
            return {"not installed": installed.stderr.strip().splitlines()[-1:]}
        env = {"PYTHONPATH": str(ROOT), "PATH": os.environ["PATH"]}
        for package, name in PEERS.items():
            figures[name] = {"package": f"{package} {version_in(python, package)}"}
            for what in ("cost", "correctness"):
                figures[name][what] = in_process(python, name, what, rounds, env)
    return figures


def in_process(python: Path, name: str, what: str, rounds: int, env: dict[str, str]) -> Any:
    done = subprocess.run(
        [str(python), "-c", PEER_PROGRAM, name, what, str(rounds)],
        cwd=ROOT,
        env=env,
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    told = [line[8:] for line in done.stdout.splitlines() if line.startswith("figures ")]
    return json.loads(told[-1]) if told else f"failed: {done.stderr[-300:]}"


def version_in(python: Path, package: str) -> str:
    program = f"from importlib.metadata import version; print(version({package!r}))"
    return subprocess.run(
        [str(python), "-c", program], capture_output=True, text=True, check=True
    ).stdout.strip()


def main() -> None:
    from bench.record import save

    parser = argparse.ArgumentParser()
    parser.add_argument("--peers", action="store_true", help="install and run the three peers too")
    parser.add_argument("--quick", action="store_true", help="fewer rounds, for a look")
    parser.add_argument("--rounds", type=int, default=12)
    given = parser.parse_args()
    rounds = 3 if given.quick else given.rounds
    figures: dict[str, Any] = {"foliotrace": {}}
    ours = figures["foliotrace"]
    ours["cost"] = span_cost(*peer_handlers("foliotrace"), rounds=rounds)
    ours["metrics"] = metric_cost(rounds)
    ours["correctness"] = correctness("foliotrace")
    ours["query"] = query_cost(rounds, 60 if given.quick else 200)
    ours["memory"] = memory(2_000 if given.quick else 10_000)
    if given.peers:
        figures["peers"] = peers(rounds)
    print(json.dumps(figures, indent=1))
    if not given.quick:
        save("tracing", figures, command=" ".join(["python -m bench.tracing", *sys.argv[1:]]))


if __name__ == "__main__":
    main()
