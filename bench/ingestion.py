"""Pages per second against the bare parser, and memory over 10,000 pages.

`python -m bench.ingestion [--pages 10000]` ingests the PDFs of ../shared/data (where present) and a
generated PDF of so many pages through the whole journey, window by window, and parses the same
files with bare liteparse (whole files, one process, same options) beside it in the same run.
Figures go to bench/results/ingestion.json.
"""

import argparse
import asyncio
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from bench.record import save
from foliotrace.adapters.local.clock import SystemClock
from foliotrace.adapters.local.files.blobs import FolderBlobs
from foliotrace.adapters.local.keyword.index import KeywordIndex
from foliotrace.adapters.local.outside_files import AllowedFiles
from foliotrace.adapters.local.readers.parser import local_parsers
from foliotrace.adapters.local.readers.worker_pool import WorkerPool
from foliotrace.adapters.local.sqlite.jobs import SqliteJobs
from foliotrace.adapters.local.sqlite.library import SqliteLibrary
from foliotrace.ingest.services import IngestServices
from foliotrace.ingest.upload import Upload, accept
from foliotrace.ingest.workflow import IngestDocument, IngestWorkflow
from foliotrace.jobs import Progress
from foliotrace.model import Deadline, Principal, Query
from foliotrace.parse import ParserChain
from foliotrace.ports import AuditEntry
from foliotrace.settings import IngestSettings

DATA = Path(__file__).parent.parent.parent / "shared" / "data"
OWNER = Principal()
AT_ONCE = 2  # jobs, as in the server
VOCABULARY = (
    "revenue cost margin report section table figure growth market product service customer net"
    " total quarter year annual change increase decrease operating income expense asset liability"
)
WORDS = VOCABULARY.split()

BARE = """
import resource, sys, time
from foliotrace.adapters.local.readers.pdf.liteparse_native import text_parser
pages = 0
start = time.perf_counter()
step = int(sys.argv[1])
for path in sys.argv[2:]:
    total = text_parser("2000000000", structured=False).parse(path).total_pages
    for first in range(1, total + 1, step):
        last = min(first + step - 1, total)
        pages += len(text_parser(f"{first}-{last}", structured=True).parse(path).pages)
wall = time.perf_counter() - start
used = resource.getrusage(resource.RUSAGE_SELF)
print(pages, wall, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024)
"""


@dataclass(frozen=True, slots=True)
class Figures:
    """Of one way over one set of files. `rss_mb`: the most memory of the process that waits."""

    pages: int
    wall_s: float
    cpu_s: float
    rss_mb: float

    def told(self) -> dict[str, float]:
        return {
            "pages": self.pages,
            "pages_per_s": round(self.pages / self.wall_s, 1),
            "cpu_ms_per_page": round(1000 * self.cpu_s / self.pages, 2),
            "max_rss_mb": round(self.rss_mb, 1),
        }


class NoAudit:
    """The audit log has a benchmark of its own."""

    async def append(self, entry: AuditEntry) -> None:
        return


def make_pdf(path: Path, pages: int) -> None:
    """A PDF of pages with about 400 words each, written object by object."""
    chance = random.Random(11)
    offsets: list[int] = []
    with path.open("wb") as file:

        def put(number: int, body: bytes) -> None:
            offsets.append(file.tell())
            file.write(b"%d 0 obj\n%b\nendobj\n" % (number, body))

        file.write(b"%PDF-1.4\n")
        put(1, b"<< /Type /Catalog /Pages 2 0 R >>")
        kids = b" ".join(b"%d 0 R" % (4 + 2 * n) for n in range(pages))
        put(2, b"<< /Type /Pages /Count %d /Kids [%b] >>" % (pages, kids))
        put(3, b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>")
        for n in range(pages):
            lines = [f"Page {n + 1} of the generated report, marker m{n + 1}."]
            lines += [" ".join(chance.choices(WORDS, k=9)) + "." for _ in range(44)]
            shown = "".join(f"({line}) Tj T*\n" for line in lines)
            stream = f"BT /F1 11 Tf 14 TL 60 750 Td\n{shown}ET".encode()
            put(
                4 + 2 * n,
                b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents %d 0 R"
                b" /Resources << /Font << /F1 3 0 R >> >> >>" % (5 + 2 * n),
            )
            put(5 + 2 * n, b"<< /Length %d >>\nstream\n%b\nendstream" % (len(stream), stream))
        start = file.tell()
        file.write(b"xref\n0 %d\n0000000000 65535 f \n" % (len(offsets) + 1))
        file.write(b"".join(b"%010d 00000 n \n" % offset for offset in offsets))
        file.write(
            b"trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n"
            % (len(offsets) + 1, start)
        )


def bare(files: list[Path], step: int) -> Figures:
    asked = subprocess.run(
        [sys.executable, "-c", BARE, str(step), *map(str, files)],
        capture_output=True,
        text=True,
        check=True,
    )
    pages, wall_s, cpu_s, rss_mb = asked.stdout.split()
    return Figures(int(pages), float(wall_s), float(cpu_s), float(rss_mb))


def rss_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


async def content_of(path: Path) -> AsyncIterator[bytes]:
    with path.open("rb") as file:
        while piece := file.read(1 << 20):
            yield piece


async def ingest(files: list[Path], folder: Path) -> tuple[Figures, list[float], dict[str, float]]:
    """The whole journey over the files: figures, memory after each window, bytes on disk."""
    clock = SystemClock()
    library = SqliteLibrary.open(folder)
    index = KeywordIndex(folder, library)
    workers = WorkerPool(size=2)
    services = IngestServices(
        library=library,
        blobs=FolderBlobs(folder),
        jobs=SqliteJobs(library),
        parser=ParserChain(local_parsers(workers, clock)),
        indexes=(index,),
        audit=NoAudit(),
        clock=clock,
        identify=lambda: OWNER,
        trace=lambda: None,
        outside_files=AllowedFiles(IngestSettings().outside_files),
    )
    memory: list[float] = []
    used, workers_used = cpu_s(), children_s()
    start = time.perf_counter()
    slots = asyncio.Semaphore(AT_ONCE)

    async def one(path: Path) -> int:
        async with slots:
            upload = Upload(name=path.name, content=content_of(path))
            accepted = await accept(services, OWNER, upload)
            begin = IngestDocument(document_id=accepted.document.id, job_id=accepted.job.id)
            handler = IngestWorkflow(services).run(start_event=begin)
            told = handler.stream_events()
            memory.extend([rss_mb() async for event in told if isinstance(event, Progress)])
            return int((await handler).pages)

    pages = sum(await asyncio.gather(*map(one, files)))
    wall_s = time.perf_counter() - start
    await workers.close()
    figures = Figures(pages, wall_s, cpu_s() - used, max(memory))
    await check_markers(index, pages)
    index.close()
    await library.compact()
    library.close()
    on_disk = {
        "worker_cpu_us_per_page": 1e6 * (children_s() - workers_used) / pages,
        "library_bytes_per_page": (folder / "library.db").stat().st_size / pages,
        "index_bytes_per_page": sum(p.stat().st_size for p in index.folder.iterdir()) / pages,
    }
    return figures, memory, on_disk


async def check_markers(index: KeywordIndex, pages: int) -> None:
    """A generated page must be found by the word that only it holds."""
    query = Query(text=f"m{pages}", principal=OWNER)
    found = await index.retrieve(query, top_k=1, deadline=Deadline(float("inf")))
    if found and found[0].document_name == "generated.pdf" and found[0].page != pages:
        raise SystemExit(f"page {pages} is not found by its marker")


def cpu_s() -> float:
    """CPU of this process and of the workers that have ended."""
    own = resource.getrusage(resource.RUSAGE_SELF)
    return own.ru_utime + own.ru_stime + children_s()


def children_s() -> float:
    """CPU of the processes that have ended: the parser's."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return children.ru_utime + children.ru_stime


def measure(name: str, files: list[Path], scratch: Path) -> dict[str, object]:
    whole = bare(files, 1_000_000)
    windows = bare(files, 100)
    journey, memory, on_disk = asyncio.run(ingest(files, scratch / name))
    tenth = max(1, len(memory) // 10)
    children_mb = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    told: dict[str, object] = {
        "bare_whole_files": whole.told(),
        "bare_windows_of_100": windows.told(),
        "journey": journey.told(),
        "pages_per_s_over_bare_whole": round(
            (journey.pages / journey.wall_s) / (whole.pages / whole.wall_s), 2
        ),
        "pages_per_s_over_bare_windows": round(
            (journey.pages / journey.wall_s) / (windows.pages / windows.wall_s), 2
        ),
        "cpu_over_bare_whole": round(
            (journey.cpu_s / journey.pages) / (whole.cpu_s / whole.pages), 2
        ),
        "load_average": os.getloadavg()[0],
        "rss_mb_after_a_tenth_of_the_windows": round(memory[tenth], 1),
        "rss_mb_before_indexing": round(memory[-2], 1),
        "rss_mb_at_the_end": round(memory[-1], 1),
        "largest_child_mb_so_far": round(children_mb, 1),
        **{key: round(value) for key, value in on_disk.items()},
    }
    print(name, *(f"  {key}: {value}" for key, value in told.items()), sep="\n")
    return told


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pages", type=int, default=10_000)
    asked = parser.parse_args()
    figures: dict[str, object] = {}
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        real = sorted((DATA / "financebench-dev" / "pdfs").glob("*.pdf"))
        if real:
            figures["filings"] = measure("filings", real, folder)
        generated = folder / "generated.pdf"
        make_pdf(generated, asked.pages)
        figures["generated"] = measure("generated", [generated], folder)
    save("ingestion", figures, command=f"python -m bench.ingestion --pages {asked.pages}")


if __name__ == "__main__":
    main()
