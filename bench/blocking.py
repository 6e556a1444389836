"""How long /healthz takes while 32 questions wait for parts that only block.

A service process loads a language model, an embedding and a reranker whose methods sleep; this
process asks 32 questions at once, again and again, and meanwhile /healthz every 10 ms over one
connection. Beside it the same without questions, since the machine's own pauses count too.
"""

import argparse
import asyncio
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import httpx
from tests.free_ports import free_port

from bench.record import save

COMMAND = "python -m bench.blocking"
CALLS = 32
EVERY_S = 0.01
PARTS = """
import time
from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.llms import CompletionResponse, CustomLLM, LLMMetadata
from llama_index.core.postprocessor.types import BaseNodePostprocessor


class LLM(CustomLLM):
    @property
    def metadata(self):
        return LLMMetadata(model_name="blocking")

    def complete(self, prompt, formatted=False, **kwargs):
        time.sleep(0.5)
        return CompletionResponse(text="Unleaded costs 2.31 EUR per litre [1].")

    def stream_complete(self, prompt, formatted=False, **kwargs):
        raise NotImplementedError


class Embedding(BaseEmbedding):
    def _get_query_embedding(self, query):
        time.sleep(0.1)
        return [1.0, float(len(query))]

    def _get_text_embedding(self, text):
        return self._get_query_embedding(text)

    async def _aget_query_embedding(self, query):
        return self._get_query_embedding(query)


class Reranker(BaseNodePostprocessor):
    def _postprocess_nodes(self, nodes, query_bundle=None):
        time.sleep(0.1)
        return nodes


llm, embedding, reranker = LLM(), Embedding(model_name="blocking"), Reranker()
"""
SETTINGS = """
[llm]
provider = "import"
model = "parts:llm"
free = true
[embedding]
provider = "import"
model = "parts:embedding"
free = true
[query]
rerankers = ["parts:reranker"]
cache_ttl_s = 0
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=15.0)
    seconds = parser.parse_args().seconds
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "parts.py").write_text(PARTS)
        (Path(folder) / "foliotrace.toml").write_text(SETTINGS)
        port = free_port()
        code = "from foliotrace_server.cli import main; main()"
        service = subprocess.Popen(
            [sys.executable, "-c", code, "serve", "--port", str(port)],
            env={"PATH": os.defpath, "HOME": folder, "FOLIOTRACE_LOG__LEVEL": "error"},
            cwd=folder,
        )
        try:
            figures = asyncio.run(measured(f"http://127.0.0.1:{port}", seconds))
        finally:
            service.terminate()
            service.wait(20)
    print(figures)
    save("blocking", figures, command=COMMAND)


async def measured(url: str, seconds: float) -> dict[str, object]:
    """Milliseconds of /healthz, idle and under blocking calls, and how many questions ended."""
    limits = httpx.Limits(max_connections=CALLS)
    async with httpx.AsyncClient(base_url=url, timeout=60, limits=limits) as client:
        await _ready(client)
        files = {"file": ("fuel.txt", b"Unleaded costs 2.31 EUR per litre at the pump.")}
        (await client.post("/v1/documents", files=files)).raise_for_status()
        async with asyncio.timeout(60):
            await _answered(client)
        idle = await _health(url, seconds / 3, asyncio.Event())
        stop = asyncio.Event()
        askers = [asyncio.create_task(_keep_asking(client, n, stop)) for n in range(CALLS)]
        await asyncio.sleep(1)
        under = await _health(url, seconds, stop)
        answers = [level for asker in askers for level in await asker]
    return {
        "calls_at_once": CALLS,
        "healthz_idle_ms": idle,
        "healthz_under_blocking_calls_ms": under,
        "answers": len(answers),
        "answers_at_level_0": answers.count(0),
    }


async def _ready(client: httpx.AsyncClient) -> None:
    async with asyncio.timeout(60):
        while True:
            try:
                if (await client.get("/healthz")).status_code == 200:
                    return
            except httpx.TransportError:
                await asyncio.sleep(0.1)


async def _answered(client: httpx.AsyncClient) -> None:
    """Wait until the document is embedded and answers are at level 0."""
    while True:
        if (await _ask(client, 0))["degradation"]["level"] == 0:
            return
        await asyncio.sleep(0.2)


async def _ask(client: httpx.AsyncClient, number: int) -> dict[str, dict[str, int]]:
    question = f"What does unleaded cost per litre at pump {number}?"
    reply = await client.post("/v1/query", json={"query": question, "bypass_cache": True})
    body: dict[str, dict[str, int]] = reply.json()
    return body if reply.status_code == 200 else {"degradation": {"level": -reply.status_code}}


async def _keep_asking(client: httpx.AsyncClient, number: int, stop: asyncio.Event) -> list[int]:
    levels = []
    while not stop.is_set():
        levels.append((await _ask(client, number))["degradation"]["level"])
    return levels


async def _health(url: str, seconds: float, stop: asyncio.Event) -> dict[str, float]:
    """Latencies over one connection of its own; sets `stop` at the end."""
    took_ms = []
    async with httpx.AsyncClient(base_url=url) as client:
        await client.get("/healthz")
        end_s = time.perf_counter() + seconds
        while (begun_s := time.perf_counter()) < end_s:
            (await client.get("/healthz")).raise_for_status()
            took_ms.append((time.perf_counter() - begun_s) * 1000)
            await asyncio.sleep(EVERY_S)
    stop.set()
    took_ms.sort()
    count = len(took_ms)
    return {
        "calls": count,
        "p50": round(took_ms[count // 2], 1),
        "p99": round(took_ms[int(count * 0.99)], 1),
        "max": round(took_ms[-1], 1),
    }


if __name__ == "__main__":
    main()
