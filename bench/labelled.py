"""Real documents of many formats with hand-written labels: `labelled_documents.json`.

The labels were written by reading the files before extraction was run on any of them. Files called
`examples/` are shipped, those called `samples/` are in ../shared/data (left out where absent).
"""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any

from bench.corpora import SHARED
from foliotrace.adapters.local.clock import SystemClock
from foliotrace.adapters.local.files.filetype import sniff
from foliotrace.adapters.local.readers.parser import local_parsers
from foliotrace.adapters.local.readers.reading_options import (
    ReadingOptions,
    find_tessdata,
)
from foliotrace.adapters.local.readers.worker_pool import WorkerPool
from foliotrace.model import Deadline, ParsedPage, SourceFile
from foliotrace.parse import ParserChain

ROOT = Path(__file__).parent.parent
FOLDERS = {"examples": ROOT / "examples" / "documents", "samples": SHARED / "sample-docs"}


@dataclass(frozen=True)
class Labelled:
    """A file, what is asked of it, and the right answers; None where it has none."""

    path: Path
    schema: dict[str, Any]
    truth: dict[str, Any]


def labelled() -> Iterator[Labelled]:
    """Every labelled file that is here."""
    for each in json.loads((ROOT / "bench" / "labelled_documents.json").read_text()):
        folder, name = each["file"].split("/")
        if (FOLDERS[folder] / name).exists():
            yield Labelled(FOLDERS[folder] / name, each["schema"], each["truth"])


async def pages_of(documents: list[Labelled]) -> list[list[ParsedPage]]:
    """The pages of each file, by the parsers of the default installation."""
    workers = WorkerPool()
    options = ReadingOptions(tessdata=find_tessdata())
    order = ParserChain(local_parsers(workers, SystemClock(), options=options))
    found: list[list[ParsedPage]] = []
    try:
        for document in documents:
            content = document.path.read_bytes()
            source = SourceFile(
                path=document.path,
                name=document.path.name,
                media_type=sniff(document.path),
                content_hash=hashlib.sha256(content).hexdigest(),
                size_bytes=len(content),
            )
            deadline = Deadline(monotonic() + 120)
            seen = await order.inspect(source, deadline=deadline)
            numbers = range(1, seen.pages_total + 1)
            parsed = order.parse(source, pages=numbers, deadline=deadline)
            found.append([page async for page in parsed])
    finally:
        await workers.close()
    return found


def same(truth: Any, value: Any) -> bool:
    """White space, case and closing punctuation aside; rows cell by cell."""
    if isinstance(truth, dict) and isinstance(value, dict):
        return all(same(truth[name], value.get(name)) for name in truth)
    if isinstance(truth, str) and isinstance(value, str):
        return _bare(truth) == _bare(value)
    return bool(truth == value)


def _bare(text: str) -> str:
    return "".join(text.casefold().split()).strip(".,;:")
