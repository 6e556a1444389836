"""Every dependency, every way to fail: what the answers of a real service over HTTP then are.

    python -m bench.fault_matrix            # all rows: about ten minutes
    python -m bench.fault_matrix llm        # some rows anew

A row is one dependency, a cell one fault: a hundred questions (jobs: three) are asked while it
lasts. Recorded: the levels reached, the latency added to the first request and to the hundredth
(the median of the last ten) over a healthy service, whether the marks agreed in body, header, span,
metric and audit record, and how often `/readyz` showed the level of the answer that followed (it is
read before nine questions, once the first has met the fault). Needs a checkout (the fakes are under
tests/) and, for cache and ledger, redis-server.
"""

import asyncio
import json
import logging
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import structlog
from pydantic import SecretStr
from tests.cloud.service import FUEL, RUNWAY, Service, cloud, embedding, llm, service
from tests.contracts.redis_server import running_redis
from tests.fakes.llamacloud import running_fake_llamacloud
from tests.fakes.llamacloud.sample import pdf
from tests.fakes.openai import running_fake_openai
from tests.fakes.wire import Fault
from tests.fakes.wire.faulty_line import faulty_line
from tests.otlp_sink import Failure, OtlpSink

from bench.record import RESULTS, save
from foliotrace.settings import QuerySettings, ResilienceSettings
from foliotrace_server.sections import RedisSettings

PAGE = Path(__file__).parents[1] / "docs/reference/fault-matrix.md"
FAULTS = ("down", "refused", "slow", "hanging", "429", "500", "garbage", "partial", "flapping")
QUESTIONS = 100
JOBS = 3
READ_BEFORE = range(1, 100, 11)  # questions before which /readyz is read
STAGE_S = {"managed_index": 2.0, "embedder": 2.0, "llm": 3.0, "second_llm": 3.0}
CHAT, EMBED = "POST /v1/chat/completions", "POST /v1/embeddings"
RETRIEVE = "POST /api/v1/retrieval/retrieve"
QUERY = QuerySettings(deadline_s=30.0, retrieval_deadline_s=2.0, cache_ttl_s=0)
WIRE: dict[str, tuple[Fault, dict[str, Any]]] = {
    "down": (Fault.reset_before_work, {}),
    "slow": (Fault.slow_first_byte(0.5), {}),
    "hanging": (Fault.hang, {}),
    "429": (Fault.rate_limited(30), {}),
    "500": (Fault.server_error, {}),
    "garbage": (Fault.garbage, {}),
    "partial": (Fault.cut_body, {}),
    "flapping": (Fault.unavailable, {"pattern": "x."}),
}


@dataclass
class Cell:
    """What one fault did."""

    statuses: set[int] = field(default_factory=set)
    levels: list[int] = field(default_factory=list)
    times_s: list[float] = field(default_factory=list)
    marks: list[bool] = field(default_factory=list)
    ready: list[bool] = field(default_factory=list)  # whether /readyz agreed with the next answer
    reasons: list[str] = field(default_factory=list)

    def last_s(self) -> float:
        return statistics.median(self.times_s[-10:])

    def figures(self, healthy_s: float) -> dict[str, Any]:
        return {
            "statuses": sorted(self.statuses),
            "levels": sorted(set(self.levels)),
            "degraded": sum(1 for level in self.levels if level) / max(1, len(self.levels)),
            "first_added_ms": round((self.times_s[0] - healthy_s) * 1000),
            "hundredth_added_ms": round((self.last_s() - healthy_s) * 1000, 1),
            "marks_complete": all(self.marks),
            "readyz_agreed": sum(self.ready) / len(self.ready) if self.ready else None,
            "reasons": self.reasons[:3],
        }


Break = Callable[[str], Awaitable[None]]


@dataclass
class Row:
    """A service with one dependency that can be broken."""

    running: Service
    break_it: Break
    mend: Callable[[], Awaitable[None]]
    healthy_path: tuple[str, str]
    faults: tuple[str, ...] = FAULTS
    keeps: bool = False  # answers are kept: the row is about the cache
    healthy_level: int = 0


def breaks(fake: Any, endpoint: str, **more: Any) -> Break:
    async def break_it(fault: str) -> None:
        if fault == "refused":
            fake.die()
            return
        what, when = WIRE[fault]
        fake.fail(endpoint, what, **when, **more)

    return break_it


def mends(fake: Any) -> Callable[[], Awaitable[None]]:
    async def mend() -> None:
        fake.recover()
        fake.revive()

    return mend


async def filled(running: Service) -> None:
    await running.put("fuel.txt", FUEL)
    await running.put("runway.txt", RUNWAY)


# --- rows ----------------------------------------------------------------------------------


@asynccontextmanager
async def managed_index(folder: Path) -> AsyncIterator[Row]:
    with running_fake_llamacloud() as fake:
        given = cloud(fake, index="cloud_then_local")
        async with service(folder, llamacloud=given, resilience=GUARD, query=QUERY) as running:
            await filled(running)
            yield Row(running, breaks(fake, RETRIEVE), mends(fake), ("managed", "extractive"))


@asynccontextmanager
async def embedder(folder: Path) -> AsyncIterator[Row]:
    with running_fake_openai() as fake:
        given = embedding(fake)
        async with service(folder, embedding=given, resilience=GUARD, query=QUERY) as running:
            await filled(running)
            yield Row(running, breaks(fake, EMBED), mends(fake), ("hybrid", "extractive"))


@asynccontextmanager
async def only_llm(folder: Path) -> AsyncIterator[Row]:
    with running_fake_openai() as fake:
        async with service(folder, llm=llm(fake), resilience=GUARD, query=QUERY) as running:
            await filled(running)
            yield Row(running, breaks(fake, CHAT), mends(fake), ("keyword", "generated"))


@asynccontextmanager
async def first_of_two_llms(folder: Path) -> AsyncIterator[Row]:
    with running_fake_openai() as fake, running_fake_openai() as other:
        order = {"llm": llm(fake), "llm_fallbacks": (llm(other, "gpt-4.1-mini"),)}
        async with service(folder, **order, resilience=GUARD, query=QUERY) as running:
            await filled(running)
            yield Row(running, breaks(fake, CHAT), mends(fake), ("keyword", "generated"))


@asynccontextmanager
async def second_of_two_llms(folder: Path) -> AsyncIterator[Row]:
    """The first one is dead all the time."""
    with running_fake_openai() as first, running_fake_openai() as fake:
        order = {"llm": llm(first), "llm_fallbacks": (llm(fake, "gpt-4.1-mini"),)}
        async with service(folder, **order, resilience=GUARD, query=QUERY) as running:
            await filled(running)
            first.die()
            path = ("keyword", "generated")
            yield Row(running, breaks(fake, CHAT), mends(fake), path, healthy_level=1)


@asynccontextmanager
async def collector(folder: Path) -> AsyncIterator[Row]:
    """Spans go to a real OTLP server behind a faulty line, in small batches."""
    async with AsyncExitStack() as stack:
        sink = stack.enter_context(OtlpSink())
        line = await stack.enter_async_context(faulty_line(sink.http_port))
        os.environ.update(  # noqa: TID251 - where the service is told of its collector
            OTEL_EXPORTER_OTLP_ENDPOINT=f"http://127.0.0.1:{line.port}",
            OTEL_EXPORTER_OTLP_PROTOCOL="http/protobuf",
            OTEL_BSP_SCHEDULE_DELAY="50",
        )
        running = await stack.enter_async_context(service(folder, resilience=GUARD, query=QUERY))
        await filled(running)
        assert sink.wait_for_spans(1), "nothing reaches the collector while it is healthy"
        refusals = {
            "429": Failure(http_status=429, retry_after_s=30),
            "500": Failure(http_status=500),
            "slow": Failure(delay_s=0.5),
        }

        async def break_it(fault: str) -> None:
            if fault in refusals:
                sink.fail(refusals[fault])
            else:
                await line.set(fault)

        async def mend() -> None:
            sink.heal()
            await line.set("healthy")

        yield Row(running, break_it, mend, ("keyword", "extractive"))


@asynccontextmanager
async def redis_row(folder: Path, *, cached: bool) -> AsyncIterator[Row]:
    """The ledger: an LLM must be paid for. The cache: no LLM, answers are kept."""
    async with AsyncExitStack() as stack:
        redis_folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        await stack.enter_async_context(running_redis(redis_folder))
        line = await stack.enter_async_context(faulty_line(str(redis_folder / "redis.sock")))
        given: dict[str, Any] = {
            "redis": RedisSettings(url=SecretStr(f"redis://127.0.0.1:{line.port}")),
            "query": QUERY.model_copy(update={"cache_ttl_s": 60.0 if cached else 0}),
        }
        if not cached:
            fake = stack.enter_context(running_fake_openai())
            given["llm"] = llm(fake)
        running = await stack.enter_async_context(service(folder, resilience=GUARD, **given))
        await filled(running)

        async def break_it(fault: str) -> None:
            await line.set("error" if fault in ("429", "500") else fault)

        async def mend() -> None:
            await line.set("healthy")

        path = ("keyword", "extractive" if cached else "generated")
        yield Row(running, break_it, mend, path, keeps=cached)


def cache(folder: Path) -> Any:
    return redis_row(folder, cached=True)


def ledger(folder: Path) -> Any:
    return redis_row(folder, cached=False)


@asynccontextmanager
async def parser(folder: Path) -> AsyncIterator[Row]:
    with running_fake_llamacloud() as fake:
        given = cloud(fake, parsing="cloud_then_local")
        async with service(folder, llamacloud=given, resilience=GUARD, query=QUERY) as running:
            yield Row(running, breaks(fake, "POST /api/v2/parse"), mends(fake), ("", ""))


@asynccontextmanager
async def extractor(folder: Path) -> AsyncIterator[Row]:
    with running_fake_llamacloud() as fake:
        given = cloud(fake, extraction="cloud_then_local")
        async with service(folder, llamacloud=given, resilience=GUARD, query=QUERY) as running:
            yield Row(running, breaks(fake, "POST /api/v2/extract"), mends(fake), ("", ""))


def own_retriever() -> Any:
    """A LlamaIndex retriever of the user's own, which `broken` breaks."""
    from llama_index.core.base.base_retriever import BaseRetriever
    from llama_index.core.schema import NodeWithScore, TextNode

    class Own(BaseRetriever):
        def _retrieve(self, query_bundle: Any) -> list[NodeWithScore]:
            if broken:
                raise ValueError("the store is not open")
            node = TextNode(text=FUEL, metadata={"file_name": "fuel.txt"})
            return [NodeWithScore(node=node, score=1.0)]

    return Own()


broken: list[str] = []


async def _stays() -> None:
    """Nothing mends it, or the service does."""


@asynccontextmanager
async def own_part(folder: Path) -> AsyncIterator[Row]:
    import bench.fault_matrix as imported  # the copy that the service imports

    query = QUERY.model_copy(update={"retriever": "bench.fault_matrix:own_retriever"})
    async with service(folder, resilience=GUARD, query=query) as running:
        await filled(running)

        async def break_it(fault: str) -> None:
            imported.broken.append(fault)

        yield Row(running, break_it, _stays, ("custom", "extractive"))


@asynccontextmanager
async def keyword_index(folder: Path, *, vectors: bool) -> AsyncIterator[Row]:
    with running_fake_openai() as fake:
        given = {"embedding": embedding(fake)} if vectors else {}
        async with service(folder, **given, resilience=GUARD, query=QUERY) as running:
            await filled(running)

            async def break_it(fault: str) -> None:
                running.engine.assembly.ingest.indexes[0].close()  # type: ignore[attr-defined]
                for file in (folder / "keyword").rglob("*.*"):
                    file.write_bytes(b"damaged")

            yield Row(running, break_it, _stays, ("hybrid" if vectors else "keyword", "extractive"))


@asynccontextmanager
async def library(folder: Path) -> AsyncIterator[Row]:
    async with service(folder, resilience=GUARD, query=QUERY) as running:
        await filled(running)

        async def break_it(fault: str) -> None:
            with (folder / "library.db").open("r+b") as file:
                file.write(b"x" * (folder / "library.db").stat().st_size)
            for name in ("library.db-wal", "library.db-shm"):
                (folder / name).unlink(missing_ok=True)

        yield Row(running, break_it, _stays, ("keyword", "extractive"))


@asynccontextmanager
async def pending_vectors(folder: Path) -> AsyncIterator[Row]:
    with running_fake_openai() as fake:
        given = embedding(fake)
        async with service(folder, embedding=given, resilience=GUARD, query=QUERY) as running:
            await filled(running)

            async def break_it(fault: str) -> None:
                fake.fail(EMBED, Fault.server_error)
                await running.put("tyres.txt", "Tyres are changed in hangar 4.")

            yield Row(running, break_it, _stays, ("hybrid", "extractive"))


GUARD = ResilienceSettings(
    breaker_longest_rest_s=5.0
)  # else as shipped; short rests end a cell sooner
QUESTION_ROWS: dict[str, Callable[[Path], Any]] = {
    "managed_index": managed_index,
    "embedder": embedder,
    "llm": only_llm,
    "first_of_two_llms": first_of_two_llms,
    "second_of_two_llms": second_of_two_llms,
    "cache": cache,
    "ledger": ledger,
    "collector": collector,
}
DAMAGES: dict[str, tuple[str, Callable[[Path], Any]]] = {
    "own_retriever": ("the user's own retriever raises", own_part),
    "keyword_index": (
        "the files of the keyword index are overwritten",
        partial(keyword_index, vectors=False),
    ),
    "keyword_index_beside_vectors": (
        "the same, with an embedder",
        partial(keyword_index, vectors=True),
    ),
    "library": ("the library is overwritten while it is served", library),
    "pending_vectors": ("a document waits for a failing embedder", pending_vectors),
}
JOB_ROWS: dict[str, Callable[[Path], Any]] = {"parser": parser, "extractor": extractor}


# --- running -------------------------------------------------------------------------------


async def timed(row: Row, number: int, cell: Cell, *, look: bool) -> None:
    question = f"What does unleaded cost per litre? {number}"
    began_s = time.perf_counter()
    if look:
        asked = await row.running.ask(question)
        cell.times_s.append(time.perf_counter() - began_s - asked.looked_s)
        cell.statuses.add(asked.status)
        if asked.marks is not None:
            cell.marks.append(asked.marks.complete)
            cell.levels.append(asked.level)
            cell.reasons = cell.reasons or asked.reasons
        return
    sent = await row.running.client.post("/v1/query", json={"query": question})
    cell.times_s.append(time.perf_counter() - began_s)
    cell.statuses.add(sent.status_code)
    if sent.status_code == 200:
        level = sent.json()["degradation"]["level"]
        cell.levels.append(level)
        cell.marks.append(level == int(sent.headers["x-degradation-level"]))


async def level_shown(row: Row) -> int:
    """The level that /readyz says the next answer gets: the worse of its capabilities."""
    shown = (await row.running.client.get("/readyz")).json()["capabilities"].values()
    return max(int(capability["level"]) for capability in shown)


async def questions(row: Row, count: int) -> Cell:
    cell = Cell()
    for number in range(count):
        shown = await level_shown(row) if number in READ_BEFORE else None
        answered = len(cell.levels)
        await timed(row, number, cell, look=number in (0, count - 1))
        if shown is not None and len(cell.levels) > answered:
            cell.ready.append(shown == cell.levels[-1])
        row.running.seen.memory.clear()
    return cell


async def whole_again(row: Row) -> None:
    """Ask until the first rung of each order answers."""
    question = "What does unleaded cost per litre?"
    while True:
        asked = await row.running.until(row.healthy_path, question, bypass_cache=True)
        if asked.level == row.healthy_level and (not row.keeps or await _is_kept(row)):
            return
        await asyncio.sleep(0.2)


async def _is_kept(row: Row) -> bool:
    """Whether the cache gives an answer back."""
    asked = [await row.running.ask("How long is the runway?") for _ in range(2)]
    return asked[1].body["cache"] == "exact"


async def question_row(name: str) -> dict[str, Any]:
    folder = Path(tempfile.mkdtemp(prefix="fault-matrix-"))
    try:
        async with QUESTION_ROWS[name](folder) as row:
            await whole_again(row)
            healthy = await questions(row, 30)
            found: dict[str, Any] = {"healthy_ms": round(healthy.last_s() * 1000, 1)}
            for fault in row.faults:
                await row.break_it(fault)
                cell = await questions(row, QUESTIONS)
                found[fault] = cell.figures(healthy.last_s())
                await row.mend()
                await whole_again(row)
                print(name, fault, found[fault], file=sys.stderr, flush=True)
            return found
    finally:
        shutil.rmtree(folder, ignore_errors=True)


async def damage_row(name: str) -> dict[str, Any]:
    """One damage that is not mended from outside."""
    folder = Path(tempfile.mkdtemp(prefix="fault-matrix-"))
    try:
        async with DAMAGES[name][1](folder) as row:
            await whole_again(row)
            await row.break_it(name)
            cell = Cell()
            for number in range(20):
                shown = await level_shown(row)
                await timed(row, number, cell, look=True)
                cell.ready.append(cell.levels[-1:] == [shown])
                await asyncio.sleep(0.1)
            found = cell.figures(0.0)
            print(name, found, file=sys.stderr, flush=True)
            return {**found, "levels": list(dict.fromkeys(cell.levels))}
    finally:
        shutil.rmtree(folder, ignore_errors=True)


async def job(name: str, running: Service, label: str) -> tuple[int, str]:
    """One document parsed or extracted from: (level, reason)."""
    text = f"Invoice\nInvoice number: INV-{label}\nTotal: 412.50 EUR\n"
    if name == "parser":
        rows = [[line] for line in text.splitlines()]
        done = await running.put(f"{label}.pdf", pdf(rows))
        page = (await running.client.get(f"/v1/documents/{done['document_id']}/pages/1")).json()
        return (2 if page.get("degraded_from") else 0), str(page.get("engine"))
    done = await running.put(f"{label}.txt", text)
    schema = {"type": "object", "properties": {"invoice_number": {"type": ["string", "null"]}}}
    body = {"document_id": done["document_id"], "schema": schema}
    job_id = (await running.client.post("/v1/extractions", json=body)).json()["id"]
    await running.finished(job_id)
    mark = (await running.client.get(f"/v1/extractions/{job_id}")).json()["degradation"]
    return int(mark["level"]), ",".join(mark["reasons"])


async def job_row(name: str) -> dict[str, Any]:
    folder = Path(tempfile.mkdtemp(prefix="fault-matrix-"))
    try:
        async with JOB_ROWS[name](folder) as row:
            began_s = time.perf_counter()
            await job(name, row.running, "healthy")
            healthy_s = time.perf_counter() - began_s
            found: dict[str, Any] = {"healthy_ms": round(healthy_s * 1000, 1)}
            for fault in row.faults:
                await row.break_it(fault)
                cell = Cell()
                for number in range(JOBS):
                    began_s = time.perf_counter()
                    level, reason = await job(name, row.running, f"{fault}-{number}")
                    cell.times_s.append(time.perf_counter() - began_s)
                    cell.levels.append(level)
                    cell.statuses.add(202)
                    cell.reasons = cell.reasons or ([reason] if reason else [])
                found[fault] = cell.figures(healthy_s)
                await row.mend()
                for attempt in range(20):
                    await asyncio.sleep(0.5)
                    if (await job(name, row.running, f"{fault}-back-{attempt}"))[0] == 0:
                        break
                print(name, fault, found[fault], file=sys.stderr, flush=True)
            return found
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def page(rows: dict[str, dict[str, Any]]) -> str:
    """The table as Markdown."""
    lines = [
        "# The fault matrix",
        "",
        "Made by `python -m bench.fault_matrix`; do not edit. Each cell is a run of the real",
        f"service over HTTP: {QUESTIONS} questions ({JOBS} jobs for parser and extractor) while",
        "the fault lasts, retries and breakers as shipped (breaker rest at most 5 s). A cell says",
        "**levels reached**, milliseconds added to the **first** / the **hundredth** request (the",
        "median of the last ten), and `!` where marks were missing in one of the five places",
        "(body, header, span, metric, audit). Level 0 under a fault means that nothing was lost:",
        "the call was slow but came, a retry mended it, or answers do not need the dependency.",
        "Jobs wait and ask again (4 to 60 s), as nobody sits in front of them. A call may take 3 s",
        "at the LLMs here, 2 s at the indexes, its retries included.",
        "",
        "**readyz** is the share of readings of `/readyz` that showed the level of the answer that",
        "followed, and names the faults with others. It is read once a first question has met the",
        "fault: a service that nobody has called since it failed is not known to have failed.",
        "",
        "| dependency | healthy | " + " | ".join(FAULTS) + " | readyz |",
        "|---|---|" + "---|" * len(FAULTS) + "---|",
    ]
    for name, row in rows.items():
        if name not in DAMAGES:
            cells = [_cell(row.get(fault)) for fault in FAULTS] + [_agreement(row)]
            lines.append(f"| {name} | {row['healthy_ms']} ms | " + " | ".join(cells) + " |")
    lines += [
        "",
        "On this machine, with 20 questions and `/readyz` read before each, also the first:",
        "",
        "| damage | levels, in order | readyz |",
        "|---|---|---|",
    ]
    for name, (said, _) in DAMAGES.items():
        if name in rows:
            levels = " -> ".join(map(str, rows[name]["levels"]))
            mark = "" if rows[name]["marks_complete"] else " !"
            lines.append(f"| {said} | {levels}{mark} | {rows[name]['readyz_agreed']:.0%} |")
    lines += [
        "",
        "429: `Retry-After: 30`. Slow: 0.5 s before the first byte (Redis 0.2 s). Flapping: every",
        "second request fails. Partial: the body is cut off by a reset. Cache and ledger are a",
        "Redis behind a faulty line; for them 429 and 500 are an error reply. A ledger that does",
        "not answer means that no money may be spent: answers are quotes. A question refused by",
        "its right code would show as its status; there was "
        + ("none." if _all_answered(rows) else "at least one, see the JSON."),
        "The collector is never waited for: spans it does not take are counted and dropped. While",
        "the second of two LLMs is at fault the first one is dead.",
        "",
    ]
    return "\n".join(lines)


def _cell(found: dict[str, Any] | None) -> str:
    if found is None:
        return "-"
    levels = ",".join(map(str, found["levels"]))
    mark = "" if found["marks_complete"] else " !"
    first, last = found["first_added_ms"], found["hundredth_added_ms"]
    return f"**{levels}** {first:+} / {last:+.0f}{mark}"


def _agreement(row: dict[str, Any]) -> str:
    """The share of readings of /readyz that agreed, with the faults where some did not."""
    shares = {fault: row[fault].get("readyz_agreed") for fault in FAULTS if fault in row}
    known = {fault: share for fault, share in shares.items() if share is not None}
    if not known:
        return "-"
    others = [f"{fault} {share:.0%}" for fault, share in known.items() if share < 1]
    return f"{sum(known.values()) / len(known):.0%}" + (f" ({', '.join(others)})" if others else "")


def _all_answered(rows: dict[str, dict[str, Any]]) -> bool:
    return all(
        set(cell["statuses"]) <= {200, 202}
        for row in rows.values()
        for cell in (row, *row.values())
        if isinstance(cell, dict) and "statuses" in cell
    )


async def main() -> None:
    logging.disable(logging.CRITICAL)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    chosen = sys.argv[1:] or [*QUESTION_ROWS, *DAMAGES, *JOB_ROWS]
    recorded = RESULTS / "fault_matrix.json"
    before = json.loads(recorded.read_text())["figures"] if recorded.exists() else {}
    for name in chosen:
        run = question_row if name in QUESTION_ROWS else damage_row if name in DAMAGES else job_row
        before[name] = await run(name)
        order = (*QUESTION_ROWS, *JOB_ROWS, *DAMAGES)
        rows = {name: before[name] for name in order if name in before}
        save("fault_matrix", rows, command="python -m bench.fault_matrix")
    PAGE.write_text(page(rows))  # last: with another page the tree is no longer clean


if __name__ == "__main__":
    asyncio.run(main())
