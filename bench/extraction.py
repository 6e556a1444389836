"""How well records are extracted without a language model: real documents, then generated paper.

`python -m bench.extraction [--count 300] [--seed 1]`. Field precision, recall, F1, by layout and by
confidence; rows of lists; values that do not stand where they are cited (must be none). The real
receipts are those of ../shared/data/receipts-dev; other real files have labels written by hand.
"""

import argparse
import asyncio
import hashlib
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterable
from pathlib import Path
from time import monotonic, perf_counter
from typing import Any

from bench.corpora import SHARED
from bench.labelled import labelled, pages_of, same
from bench.paper import SCHEMA, Paper, papers
from bench.receipts import FOLDER, Receipt, receipts, right
from bench.receipts import SCHEMA as RECEIPT
from bench.record import save
from foliotrace.adapters.local.clock import SystemClock
from foliotrace.adapters.local.readers.parser import local_parsers
from foliotrace.adapters.local.readers.worker_pool import WorkerPool
from foliotrace.adapters.local.rules import RulesExtractor
from foliotrace.extract.extract import record_of
from foliotrace.extract.schema import resolve
from foliotrace.model import (
    Deadline,
    Document,
    DocumentStatus,
    Extraction,
    ParsedPage,
    Principal,
    SourceFile,
)
from foliotrace.parse import ParserChain
from foliotrace.ports import ExtractionTask

HELD_OUT_SEED = 20261121
_BANDS = ((0.9, 1.01), (0.8, 0.9), (0.7, 0.8), (0.6, 0.7), (0.45, 0.6))


class Score:
    """Right, wrong and missing answers."""

    def __init__(self) -> None:
        self.count: Counter[str] = Counter()

    def add(self, truth: Any, value: Any) -> None:
        if value is None:
            self.count["null, rightly" if truth is None else "missing"] += 1
        elif value == truth:
            self.count["right"] += 1
        else:
            self.count["wrong, nothing to find" if truth is None else "wrong"] += 1

    def figures(self) -> dict[str, Any]:
        right = self.count["right"]
        given = right + self.count["wrong"] + self.count["wrong, nothing to find"]
        there = right + self.count["wrong"] + self.count["missing"]
        precision, recall = right / max(given, 1), right / max(there, 1)
        f1 = 2 * precision * recall / max(precision + recall, 1e-9)
        return {
            "precision": round(precision, 3),
            "recall": round(recall, 3),
            "f1": round(f1, 3),
            **self.count,
        }


async def parsed(made: Iterable[Paper | Receipt], folder: Path) -> list[list[ParsedPage]]:
    """The pages of each paper, by the real parser."""
    workers = WorkerPool()
    order = ParserChain(local_parsers(workers, SystemClock()))
    pages: list[list[ParsedPage]] = []
    try:
        for number, paper in enumerate(made):
            path = folder / f"{number}.pdf"
            path.write_bytes(paper.pdf)
            source = SourceFile(
                path=path,
                name=path.name,
                media_type="application/pdf",
                content_hash=hashlib.sha256(paper.pdf).hexdigest(),
                size_bytes=len(paper.pdf),
            )
            deadline = Deadline(monotonic() + 60)
            found = order.parse(source, pages=range(1, 2), deadline=deadline)
            pages.append([page async for page in found])
    finally:
        await workers.close()
    return pages


def task(name: str, schema: dict[str, Any]) -> ExtractionTask:
    now = SystemClock().now()
    document = Document(
        id="doc_bench",
        tenant="default",
        collection="default",
        name=name,
        content_hash="",
        media_type="application/pdf",
        size_bytes=1,
        status=DocumentStatus.READY,
        created_at=now,
        updated_at=now,
    )
    return ExtractionTask(principal=Principal(), document=document, schema=schema)


def ungrounded(made: Extraction, pages: list[ParsedPage]) -> int:
    """Values without a citation, or whose citation is not the page's text."""
    bad = 0
    for field in made.fields:
        if field.value is None:
            continue
        texts = [
            (pages[c.anchor.page - 1].text[c.anchor.start : c.anchor.end], c.quote)
            for c in field.citations
        ]
        bad += not texts or any(text != quote for text, quote in texts)
    return bad


async def measure(count: int, seed: int) -> dict[str, Any]:
    """All figures."""
    schema = resolve(SCHEMA)
    made = papers(count, seed)
    with tempfile.TemporaryDirectory() as folder:
        pages = await parsed(made, Path(folder))
    fields: defaultdict[str, Score] = defaultdict(Score)
    layouts: defaultdict[str, Score] = defaultdict(Score)
    bands: defaultdict[str, Counter[str]] = defaultdict(Counter)
    every, rows, loose, spent_s = Score(), Score(), 0, 0.0
    extractor = RulesExtractor(SystemClock())
    for paper, read in zip(made, pages, strict=True):
        began = perf_counter()
        found = await extractor.extract(
            task("paper.pdf", schema), read, deadline=Deadline(monotonic() + 60)
        )
        spent_s += perf_counter() - began
        loose += ungrounded(found, read)
        record = record_of(schema, found.fields)
        for name, truth in paper.truth.items():
            if name == "lines":
                add_rows(rows, truth or [], record["lines"] or [])
                continue
            for score in (every, fields[name], layouts[paper.layout]):
                score.add(truth, record[name])
        for field in found.fields:
            name = field.pointer[1:]
            if field.value is not None and name in paper.truth:
                right = "right" if field.value == paper.truth[name] else "wrong"
                bands[_band(field.confidence or 0.0)][right] += 1
    return {
        "documents": count,
        "seed": seed,
        "fields": every.figures(),
        "rows": rows.figures(),
        "ungrounded_values": loose,
        "ms_per_document": round(1000 * spent_s / count, 2),
        "by_field": {name: score.figures() for name, score in fields.items()},
        "by_layout": {name: score.figures() for name, score in sorted(layouts.items())},
        "right_by_confidence": {
            name: {
                "given": sum(band.values()),
                "right": round(band["right"] / sum(band.values()), 3),
            }
            for name, band in sorted(bands.items(), reverse=True)
        },
    }


async def measure_documents() -> dict[str, Any]:
    """Figures of the labelled files, by file; fields that no file states count if one is given."""
    documents = list(labelled())
    read = await pages_of(documents)
    every, rows, by_file, loose = Score(), Score(), {}, 0
    extractor = RulesExtractor(SystemClock())
    for document, pages in zip(documents, read, strict=True):
        schema = resolve(document.schema)
        found = await extractor.extract(
            task(document.path.name, schema), pages, deadline=Deadline(monotonic() + 60)
        )
        loose += ungrounded(found, pages)
        record = record_of(schema, found.fields)
        own, wrong = Score(), {}
        for name, truth in document.truth.items():
            value = record[name]
            if isinstance(truth, list):
                given = [next((t for t in truth if same(t, row)), row) for row in value or []]
                add_rows(rows, truth, given)
                if given != truth:
                    wrong[name] = value
                continue
            right = value is not None and same(truth, value)
            for score in (every, own):
                score.add(truth, truth if right else value)
            if not right and value != truth:
                wrong[name] = value
        by_file[document.path.name] = {**own.figures(), "not right": wrong}
    return {
        "documents": len(documents),
        "fields": every.figures(),
        "rows": rows.figures(),
        "ungrounded_values": loose,
        "by_file": by_file,
    }


async def measure_receipts() -> dict[str, Any]:
    """Figures of the real receipts, by field."""
    schema, real = resolve(RECEIPT), list(receipts())
    with tempfile.TemporaryDirectory() as folder:
        pages = await parsed(real, Path(folder))
    fields: defaultdict[str, Score] = defaultdict(Score)
    extractor, loose, spent_s = RulesExtractor(SystemClock()), 0, 0.0
    for receipt, read in zip(real, pages, strict=True):
        began = perf_counter()
        found = await extractor.extract(
            task("receipt.pdf", schema), read, deadline=Deadline(monotonic() + 60)
        )
        spent_s += perf_counter() - began
        loose += ungrounded(found, read)
        record = record_of(schema, found.fields)
        for name, truth in receipt.truth.items():
            value = record[name]
            same = value is not None and right(name, truth, value)
            fields[name].add(truth, truth if same else value)
    return {
        "documents": len(real),
        "by_field": {name: score.figures() for name, score in fields.items()},
        "ungrounded_values": loose,
        "ms_per_document": round(1000 * spent_s / max(len(real), 1), 2),
    }


def add_rows(score: Score, truth: list[dict[str, Any]], found: list[dict[str, Any]]) -> None:
    """A row is right when all its values are."""
    for row in found:
        score.add(row if row in truth else None, row)
    for row in truth:
        if row not in found:
            score.add(row, None)


def _band(confidence: float) -> str:
    low, high = next((b for b in _BANDS if b[0] <= confidence < b[1]), (0.0, 0.45))
    return f"{low:.2f} to {min(high, 1.0):.2f}"


def main() -> None:
    """Measure, print, record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--documents", action="store_true", help="labelled documents only")
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--seed", type=int, default=HELD_OUT_SEED)
    told = parser.parse_args()
    real_files = asyncio.run(measure_documents())
    for name in ("fields", "rows", "ungrounded_values"):
        print(f"labelled documents: {name}: {real_files[name]}")
    for name, score in real_files["by_file"].items():
        print(f"  {name:50} {score['not right']}")
    if told.documents:
        return
    real = asyncio.run(measure_receipts()) if (SHARED / FOLDER).exists() else None
    for name, score in real["by_field"].items() if real else ():
        print(f"receipts: {name:16} {score}")
    figures = asyncio.run(measure(told.count, told.seed))
    for name in ("fields", "rows", "ungrounded_values", "ms_per_document", "right_by_confidence"):
        print(f"{name}: {figures[name]}")
    for group in ("by_field", "by_layout"):
        for name, score in figures[group].items():
            print(f"  {name:16} {score}")
    if told.seed == HELD_OUT_SEED:
        command = f"python -m bench.extraction --count {told.count}"
        kept = {name: figure for name, figure in real_files.items() if name != "by_file"}
        recorded = {"labelled documents": kept, "receipts": real, "generated paper": figures}
        save("extraction", recorded, command=command)


if __name__ == "__main__":
    main()
