"""The embedded adapters of one data folder, opened and closed together."""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from foliotrace.adapters.local.clock import SystemClock
from foliotrace.adapters.local.files.blobs import FolderBlobs
from foliotrace.adapters.local.files.filetype import sniff
from foliotrace.adapters.local.files.left_behind import refuse_lost_library
from foliotrace.adapters.local.keyword.index import KeywordIndex
from foliotrace.adapters.local.readers.parser import local_parsers
from foliotrace.adapters.local.readers.reading_options import (
    ReadingLimits,
    ReadingOptions,
    find_tessdata,
    installed_languages,
)
from foliotrace.adapters.local.readers.worker_pool import WorkerPool
from foliotrace.adapters.local.sqlite.jobs import SqliteJobs
from foliotrace.adapters.local.sqlite.ledger import SqliteLedger
from foliotrace.adapters.local.sqlite.library import SqliteLibrary
from foliotrace.adapters.local.sqlite.runs import KEY_FILE, ContentKey, SqliteRuns
from foliotrace.adapters.local.sqlite.stale_answers import SqliteStaleAnswers
from foliotrace.lexicon import load_lexicon
from foliotrace.ports import Clock, Embedder, Parser
from foliotrace.settings import BudgetSettings, IngestSettings, RunsSettings

if TYPE_CHECKING:
    from foliotrace.adapters.local.vectors.index import VectorIndex
    from foliotrace.adapters.local.vectors.store import VectorStore


_SNIFFER_BYTES: Final = 1 << 30


def open_ledger(folder: Path, settings: BudgetSettings, *, clock: Clock) -> SqliteLedger:
    """The spending of each tenant and day. Raises LedgerUnavailable.

    Not part of `DataFolder`: it is opened only when there is something to pay for.
    """
    return SqliteLedger(
        folder / "budget.db", clock=clock, daily_cap_usd=settings.daily_usd_per_tenant
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class DataFolder:
    """Library, originals, indexes, jobs and runs of one folder."""

    path: Path
    clock: SystemClock
    library: SqliteLibrary
    jobs: SqliteJobs
    runs: SqliteRuns
    blobs: FolderBlobs
    keyword: KeywordIndex
    stale: SqliteStaleAnswers
    workers: WorkerPool
    sniffers: WorkerPool

    @classmethod
    def open(
        cls,
        path: Path,
        settings: IngestSettings,
        runs: RunsSettings | None = None,
        *,
        lexicon: Path | None = None,
        reads_anywhere: bool = False,
    ) -> "DataFolder":
        """Open or create the folder; the caller holds its writer lease. Raises LibraryUnavailable.

        A folder that has lost its library is refused: see `refuse_lost_library`. Raises
        Misconfigured if the files of the folder `lexicon` are wrong.
        Parser processes start with the first file; they read stored originals only, unless the
        caller names files itself (`reads_anywhere`).
        """
        runs = runs or RunsSettings()
        path.mkdir(parents=True, exist_ok=True)
        refuse_lost_library(path)
        sniffers = WorkerPool(
            size=settings.parser_processes, memory_bytes=_SNIFFER_BYTES, readable=(path / "blobs",)
        )
        with ExitStack() as undo:
            library = SqliteLibrary.open(path)
            undo.callback(library.close)
            folder = cls(
                path=path,
                clock=SystemClock(),
                library=library,
                jobs=SqliteJobs(library),
                runs=SqliteRuns(
                    library,
                    key=ContentKey(runs.content_key_file or path / KEY_FILE),
                    encrypt=runs.keep_content == "encrypted",
                ),
                blobs=FolderBlobs(
                    path, sniff, sniff_archive=sniffers.sniff, own_suffixes=settings.readers
                ),
                sniffers=sniffers,
                keyword=KeywordIndex(path, library, lexicon=load_lexicon(lexicon)),
                stale=SqliteStaleAnswers(path),
                workers=WorkerPool(
                    size=settings.parser_processes,
                    memory_bytes=settings.parser_memory_bytes,
                    readable=None
                    if reads_anywhere
                    else (path / "blobs", *([settings.tessdata] if settings.tessdata else ())),
                ),
            )
            undo.pop_all()
        return folder

    def parsers(self, settings: IngestSettings) -> Sequence[Parser]:
        """The local parsers, sharing the folder's worker pool."""
        folder = str(settings.tessdata) if settings.tessdata else find_tessdata()
        installed = installed_languages(folder) if folder else None
        options = ReadingOptions(
            tessdata=folder if installed else None,
            ocr_language=settings.ocr_languages or installed or "eng",
            limits=ReadingLimits(
                archive_bytes=settings.max_unpacked_bytes,
                cells=settings.max_cells,
                pages=settings.max_pages,
            ),
        )
        return local_parsers(
            self.workers, self.clock, options=options, max_cpu_s=settings.max_cpu_s
        )

    def vectors(self, embedder: Embedder, store: "VectorStore | None" = None) -> "VectorIndex":
        """The vector index of the folder's chunks, in `store` or else in the folder."""
        from foliotrace.adapters.local.vectors.index import VectorIndex  # numpy, on first use
        from foliotrace.adapters.local.vectors.store import VectorStore

        store = store or VectorStore(self.path / "vectors.db")
        return VectorIndex(store, self.library, embedder, clock=self.clock)

    async def close(self) -> None:
        """Stop the parser processes and close every file; the library last, others write to it."""
        await self.workers.close()
        await self.sniffers.close()
        await self.stale.close()
        await self.runs.close()
        self.keyword.close()
        self.blobs.close()
        self.library.close()
