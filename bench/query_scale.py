"""CPU of one question by the size of the collection: 2,000 chunks beside 100,000.

Generated documents of four chunks with an identity (company, kind, year), written to the library in
large transactions. Questions name a company, a kind and a year, so that each is routed to the
documents it names; or none of them. No language model, nothing cached, no question asked twice.

`--million` reports one library of 1,000,000 chunks instead: sentences of real abstracts (SciFact)
in new order, asked SciFact's own claims. It takes about a quarter of an hour of CPU.
"""

import argparse
import asyncio
import hashlib
import random
import re
import sqlite3
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from itertools import accumulate
from pathlib import Path

from bench import corpora
from bench.corpora import TENANT, SearchableLibrary, searchable_library
from bench.query_cost import spent
from bench.query_stack import open_query_stack, passages
from bench.record import save
from foliotrace.adapters.local.sqlite import writes
from foliotrace.ingest.chunk import chunk_id
from foliotrace.model import Chunk, Identity, ParsedPage
from foliotrace.ports import DocumentDraft, StoredBlob
from foliotrace.query.pipeline import answer_question
from foliotrace.query.workflow import AskQuestion, QueryServices

COMMAND = "python -m bench.query_scale"
SIZES = (2_000, 100_000)
MILLION = 1_000_000
COLLECTION = "scale"
CHUNKS_EACH = 4
CHUNK_WORDS = 60
A_COMPANY = 25  # documents of one company
KINDS = ("10-K", "10-Q", "8-K")
YEARS = tuple(range(2015, 2025))
AT_ONCE = 500  # documents in one transaction


class Words:
    """The same pseudo-words each time, drawn by Zipf's law."""

    def __init__(self, seed: int) -> None:
        self.draw = random.Random(7)
        self._words = [self._made(self.draw.randint(4, 9)) for _ in range(20_000)]
        self._sums = list(accumulate(1 / rank for rank in range(1, len(self._words) + 1)))
        self.draw.seed(seed)

    def text(self, count: int) -> str:
        return " ".join(self.draw.choices(self._words, cum_weights=self._sums, k=count))

    def _made(self, length: int) -> str:
        return "".join(self.draw.choices("bcdfghklmnprstvaeiou", k=length))


class Sentences:
    """The sentences of SciFact's abstracts, each time in a new order."""

    def __init__(self) -> None:
        self.draw = random.Random(7)
        abstracts = (text for _, _, text in corpora.scifact_texts())
        self._all = [part for text in abstracts for part in re.split(r"(?<=[.?!])\s+", text)]
        self._next: list[str] = []

    def text(self, count: int) -> str:
        words: list[str] = []
        while len(words) < count:
            if not self._next:
                self._next = self.draw.sample(self._all, len(self._all))
            words += self._next.pop().split()
        return " ".join(words[:count])


def company(number: int) -> str:
    """A name of two words that no other company has."""
    digest = hashlib.sha256(str(number).encode()).hexdigest()
    spelt = digest.translate(str.maketrans("0123456789", "ghijklmnop"))
    return f"{spelt[:7]} {spelt[7:14]}".title()


def identity(number: int) -> Identity:
    name = company(number // A_COMPANY)
    kind, year = KINDS[number % len(KINDS)], YEARS[number % len(YEARS)]
    return Identity(title=f"{name} {kind}", company=name, kind=kind, period=f"FY{year}")


async def build(at: SearchableLibrary, chunks: int, words: Words | Sentences) -> None:
    """Publish `chunks` chunks of generated text."""
    count = chunks // CHUNKS_EACH
    for first in range(0, count, AT_ONCE):
        numbers = range(first, min(first + AT_ONCE, count))
        texts = [words.text(CHUNK_WORDS * CHUNKS_EACH) for _ in numbers]
        await at.library.database.write(_published(numbers, texts))


def _published(numbers: range, texts: Sequence[str]) -> Callable[[sqlite3.Connection], None]:
    def work(connection: sqlite3.Connection) -> None:
        for number, text in zip(numbers, texts, strict=True):
            _publish(connection, number, text)

    return work


def _publish(connection: sqlite3.Connection, number: int, text: str) -> None:
    now = datetime.now(UTC)
    digest = hashlib.sha256(f"{number}\n{text}".encode()).hexdigest()
    revision = digest[:32]
    blob = StoredBlob(content_hash=digest, size_bytes=len(text), media_type="text/plain")
    draft = DocumentDraft(collection=COLLECTION, name=f"report-{number}.txt", blob=blob)
    document = writes.register(connection, TENANT, draft, now).document
    writes.begin(connection, document, revision, 1, None, now)
    document = writes.find(connection, TENANT, document.id)
    page = ParsedPage(number=1, text=text, engine="bench 1")
    writes.add_window(connection, document, revision, writes.packed_window([page]), now)
    writes.add_chunks(connection, document, revision, _chunks(document.id, revision, text))
    writes.publish(connection, document, revision, identity(number), now)


def _chunks(document_id: str, revision: str, text: str) -> list[Chunk]:
    words = text.split(" ")
    chunks, start = [], 0
    for ordinal in range(CHUNKS_EACH):
        part = " ".join(words[ordinal * CHUNK_WORDS : (ordinal + 1) * CHUNK_WORDS])
        end = start + len(part)
        chunks.append(
            Chunk(
                id=chunk_id(document_id, revision, 1, start, end),
                document_id=document_id,
                revision=revision,
                ordinal=ordinal,
                page=1,
                start=start,
                end=end,
                text=part,
            )
        )
        start = end + 1
    return chunks


def questions(chunks: int, *, named: bool) -> list[str]:
    """Questions of eight words; with `named`, about one company's report of one kind and year."""
    words = Words(seed=11)
    asked = []
    for number in range(4_000):
        about = identity(words.draw.randrange(chunks // CHUNKS_EACH))
        who = f"{about.company} {about.kind} {(about.period or '')[2:]}" if named else ""
        # No bare number: a large collection has a report of that number, a small one has not.
        asked.append(f"What of {words.text(8)} in {who} (q{number}x)?")
    return asked


async def measured(folder: Path, chunks: int, count: int) -> dict[str, float]:
    async with open_query_stack(folder) as (at, services):
        begun = time.process_time()
        if not await at.library.documents(TENANT, collection=COLLECTION, limit=1):
            await build(at, chunks, Words(seed=7))
        await at.index.catch_up()  # a kept folder may have the index of another release
        figures = {"build_cpu_s": round(time.process_time() - begun, 1)}
        for kind in ("named", "unnamed"):
            asked = questions(chunks, named=kind == "named")
            times: list[float] = []
            figures[f"{kind}_cpu_ms"] = await spent(_ask(services, asked), count)
            figures[f"{kind}_search_cpu_ms"] = await spent(_search(services, asked, times), count)
            times.sort()
            figures[f"{kind}_search_p99_ms"] = round(times[int(len(times) * 0.99)] * 1e3, 2)
    return figures


def _ask(services: QueryServices, asked: Sequence[str]) -> Callable[[int], Awaitable[None]]:
    async def ask(number: int) -> None:
        await answer_question(services, AskQuestion(query=asked[number], collection=COLLECTION))

    return ask


def _search(
    services: QueryServices, asked: Sequence[str], times: list[float]
) -> Callable[[int], Awaitable[None]]:
    async def ask(number: int) -> None:
        begun = time.perf_counter()
        await passages(services, asked[number], collection=COLLECTION, top_k=5)
        times.append(time.perf_counter() - begun)

    return ask


async def million(folder: Path, count: int) -> None:
    """One library of a million chunks: what it costs to build, to open and to ask."""
    corpora.present("scifact")
    claims = [str(row["text"]) for row in corpora.rows("scifact/queries.jsonl")]
    count = min(count, len(claims) // 2)  # each claim is asked, or searched for, once
    figures: dict[str, float] = {"chunks": MILLION, "documents": MILLION // CHUNKS_EACH}
    async with searchable_library(folder) as at:
        if not await at.library.documents(TENANT, collection=COLLECTION, limit=1):
            begun, started = time.process_time(), time.perf_counter()
            await build(at, MILLION, Sentences())
            await at.index.catch_up()
            figures["build_cpu_s"] = round(time.process_time() - begun, 1)
            figures["build_s"] = round(time.perf_counter() - started, 1)
            figures["build_peak_rss_mb"] = _rss_mb("VmHWM")
    sizes = (path.stat().st_size for path in folder.rglob("*") if path.is_file())  # noqa: ASYNC240 - nothing else runs
    figures["disk_mb"] = round(sum(sizes) / 1e6)
    async with open_query_stack(folder) as (at, services):
        before_mb, begun = _rss_mb("VmRSS"), time.process_time()
        await _ask(services, claims)(0)
        figures["first_question_cpu_s"] = round(time.process_time() - begun, 1)
        for name, asked in (("claims", claims), ("named", questions(MILLION, named=True))):
            times: list[float] = []
            figures[f"{name}_cpu_ms"] = await _once(_ask(services, asked), count)
            search = _search(services, asked[count:], times)
            figures[f"{name}_search_cpu_ms"] = await _once(search, count)
            times.sort()
            figures[f"{name}_search_p50_ms"] = round(times[len(times) // 2] * 1e3, 2)
            figures[f"{name}_search_p99_ms"] = round(times[int(len(times) * 0.99)] * 1e3, 2)
        figures["memory_for_questions_mb"] = round(_rss_mb("VmRSS") - before_mb)
    print(figures)
    save("query_million", {"questions": count, **figures}, command=f"{COMMAND} --million")


async def _once(ask: Callable[[int], Awaitable[None]], count: int) -> float:
    """CPU milliseconds per call over `count` questions that were not asked before."""
    begun = time.process_time()
    for number in range(count):
        await ask(number)
    return round((time.process_time() - begun) / count * 1000, 3)


def _rss_mb(field: str) -> float:
    status = Path("/proc/self/status").read_text()
    return int(status.partition(f"{field}:")[2].split()[0]) // 1024


async def main(folder: Path, count: int) -> None:
    sizes = {chunks: await measured(folder / str(chunks), chunks, count) for chunks in SIZES}
    small, large = (sizes[chunks] for chunks in SIZES)
    figures = {
        "questions": count,
        **{f"chunks_{chunks}": found for chunks, found in sizes.items()},
        "ratio_named_cpu": round(large["named_cpu_ms"] / small["named_cpu_ms"], 2),
        "ratio_unnamed_cpu": round(large["unnamed_cpu_ms"] / small["unnamed_cpu_ms"], 2),
    }
    print(figures)
    save("query_scale", figures, command=COMMAND)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, help="keep the libraries here and use them again")
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--million", action="store_true", help="one library of 1,000,000 chunks")
    options = parser.parse_args()
    run = million if options.million else main
    if options.folder:
        asyncio.run(run(options.folder, options.count))
    else:
        with tempfile.TemporaryDirectory() as made:
            asyncio.run(run(Path(made), options.count))
