"""500 questions at once: how long does each caller wait for an answer or for a 429?

Each question has a connection of its own, opened in the same moment. Its wait is from its last byte
sent to the header of the response, so it holds what the kernel and the event loop kept it waiting.
"""

import argparse
import asyncio
import json
import os
import tempfile
import time
from collections import defaultdict
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from statistics import median

import httpx

from bench.record import conclude
from bench.service_process import Service
from foliotrace_server.sections import ServerSettings

DOCUMENTS = 40
ROUNDS = 5
MAX_WAIT_S = ServerSettings().max_query_wait_s
SLACK_S = 1.0  # to be refused: the event loop is busy with those that are answered


async def ask(port: int, question: str, begin: asyncio.Event) -> tuple[str, float]:
    """(status, seconds); a 429 without Retry-After and a connection that breaks say so."""
    body = json.dumps({"query": question}).encode()
    head = (
        f"POST /v1/query HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    await begin.wait()
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        sent_s = time.monotonic()
        writer.write(head.encode() + body)
        answer = await reader.readuntil(b"\r\n\r\n")
        waited_s = time.monotonic() - sent_s
        writer.close()
    except (OSError, asyncio.IncompleteReadError) as error:
        return type(error).__name__, 0.0
    status = answer[9:12].decode()
    if status == "429" and b"retry-after:" not in answer.lower():
        status = "429 without Retry-After"
    return status, waited_s


async def measure(folder: Path, questions: int, *, port: int) -> dict[str, object]:
    """The figures of `ROUNDS` bursts."""
    service = Service(folder / "data", port, {})
    service.spawn()
    waits: dict[str, list[float]] = defaultdict(list)
    try:
        async with httpx.AsyncClient(base_url=service.url, timeout=60) as http:
            await service.ready(http)
            for number in range(DOCUMENTS):
                text = f"# Berth of boat{number}\n\nThe fee of boat{number} is {number} euros.\n"
                await http.post("/v1/documents", files={"file": (f"{number}.md", text.encode())})
            while True:
                unfinished = await http.get("/v1/jobs", params={"unfinished": "true"})
                if not unfinished.json()["jobs"]:
                    break
                await asyncio.sleep(0.1)
        for round_number in range(ROUNDS):
            begin = asyncio.Event()
            asked = [
                asyncio.create_task(ask(port, f"What is the fee {round_number} of boat{n}?", begin))
                for n in range(questions)
            ]
            begin.set()
            for status, waited_s in await asyncio.gather(*asked):
                waits[status].append(waited_s)
    finally:
        with suppress(ProcessLookupError):
            service.kill()
    return {
        "questions_at_once": questions,
        "rounds": ROUNDS,
        "answers": {status: len(each) for status, each in waits.items()},
        "median_s": {status: round(median(each), 2) for status, each in waits.items()},
        "longest_s": {status: round(max(each), 2) for status, each in waits.items()},
        "load_average": os.getloadavg()[0],
    }


def broken(figures: Mapping[str, object]) -> list[str]:
    """The promises that the figures break."""
    longest = figures["longest_s"]
    assert isinstance(longest, dict)
    wrong = [f"{status}: unexpected" for status in longest if status not in ("200", "429")]
    return wrong + [
        f"{status} after {waited_s} s"
        for status, waited_s in longest.items()
        if waited_s > MAX_WAIT_S + SLACK_S
    ]


def main() -> None:
    parser = argparse.ArgumentParser(prog="./run bench burst", description=__doc__)
    parser.add_argument("--questions", type=int, default=500)
    parser.add_argument("--port", type=int, default=24_131)
    parser.add_argument("--no-record", action="store_true")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        figures = asyncio.run(measure(Path(folder), chosen.questions, port=chosen.port))
    conclude("burst", figures, broken(figures), recorded=not chosen.no_record)


if __name__ == "__main__":
    main()
