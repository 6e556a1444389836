"""Files, their parsing and the index."""

from ipaddress import ip_network
from pathlib import Path

from pydantic import Field, field_validator

from foliotrace.settings.limits import WORKER_MEMORY_BYTES
from foliotrace.settings.section import Section


class OutsideFileSettings(Section):
    """Files that a start event of `ingest` names instead of holding them. The default is none."""

    folders: tuple[Path, ...] = Field(
        default=(),
        description="Folders whose files may be named. Whoever may ingest may read all of them.",
    )
    url_hosts: tuple[str, ...] = Field(
        default=(),
        description="Hosts whose URLs may be named: `files.example.org`, or with another port than "
        "80 and 443 `files.example.org:8443`. Redirects must lead to one of them as well.",
    )
    private_networks: tuple[str, ...] = Field(
        default=(),
        description="Networks inside your own that these hosts may be in, such as `10.1.0.0/16`. "
        "Every other private, loopback or link-local address is refused.",
    )
    fetch_s: float = Field(default=60.0, gt=0, description="Time limit of one download.")

    @field_validator("private_networks")
    @classmethod
    def _networks(cls, networks: tuple[str, ...]) -> tuple[str, ...]:
        for each in networks:
            ip_network(each, strict=False)
        return networks


class IngestSettings(Section):
    """Files and their parsing."""

    max_file_bytes: int = Field(
        default=256 * 1024 * 1024, gt=0, description="Largest file, in bytes."
    )
    max_inline_bytes: int = Field(
        default=16 * 1024 * 1024,
        gt=0,
        description="Largest file inside a start event (base64), in bytes.",
    )
    max_files_per_request: int = Field(default=32, gt=0, description="Files in one upload.")
    window_pages: int = Field(
        default=100, gt=0, le=1000, description="Pages that are parsed and committed together."
    )
    parse_deadline_s: float = Field(
        default=300.0,
        gt=0,
        description="Time limit for one window of pages; a parser that hangs is killed.",
    )
    read_again_after_s: float = Field(
        default=300.0,
        ge=0,
        description="Wait before documents are read again whose pages a lower parser read, while "
        "the preferred one works; each further attempt waits twice as long. 0: never.",
    )
    parser_processes: int = Field(default=2, gt=0, le=64, description="Parser processes.")
    max_pages: int = Field(default=100_000, gt=0, description="Pages of one file.")
    max_cells: int = Field(default=5_000_000, gt=0, description="Cells of one sheet.")
    max_unpacked_bytes: int = Field(
        default=512 * 1024 * 1024, gt=0, description="What one file may unpack to, in bytes."
    )
    max_cpu_s: float = Field(
        default=3600.0, gt=0, description="CPU time that parsing one file may take, in seconds."
    )
    parser_memory_bytes: int = Field(
        default=WORKER_MEMORY_BYTES,
        ge=256 * 1024 * 1024,
        description="Address space of one parser process, in bytes; a file that needs more is "
        "refused as `file_too_complex`.",
    )
    tessdata: Path | None = Field(
        default=None,
        description="Folder with Tesseract's trained data. None: the usual system folders are "
        "searched; if none has it, scanned pages are reported as `needs_ocr`.",
    )
    ocr_languages: str | None = Field(
        default=None,
        pattern=r"^\w+(\+\w+)*$",
        description="Languages of scanned pages as Tesseract names them: `deu+eng`. None: up to "
        "four languages whose trained data are installed, English first.",
    )
    readers: dict[str, str] = Field(
        default_factory=dict,
        description="LlamaIndex readers by the ending of a file's name: `.dwg` = "
        "`pkg.mod:object`, a `BaseReader` or a function that returns one. They are preferred to "
        "the formats that foliotrace reads, and run inside the server.",
    )
    outside_files: OutsideFileSettings = Field(
        default=OutsideFileSettings(),
        description="Files that a start event names by path or URL.",
    )
    max_job_attempts: int = Field(
        default=5,
        gt=0,
        description="Starts of a job, the first included, that may be killed in a row without "
        "completing a step; then the job fails.",
    )

    @field_validator("readers")
    @classmethod
    def _endings(cls, readers: dict[str, str]) -> dict[str, str]:
        for each in readers:
            if not each.startswith(".") or each != each.lower():
                raise ValueError(f"{each} is not an ending such as .dwg, in lower case")
        return readers


class IndexSettings(Section):
    """The vector index."""

    vector_store: str | None = Field(
        default=None,
        description="`pkg.mod:object`: a LlamaIndex vector store (Qdrant, Chroma, pgvector), or a "
        "function that returns one. It holds the vectors and texts of all chunks instead of the "
        "data folder, and follows every upload and deletion. Needs `embedding`.",
    )
