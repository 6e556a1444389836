"""Every limit and default of the core, each declared once.

The sections are what a user can set; a journey or an adapter receives the section it needs, whole.
The server adds the environment, secrets and the settings of the process; the Python facade uses the
defaults. The constants are fixed: they are part of the API or of the design, not of a deployment.
"""

from decimal import Decimal
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Final, Literal, TypeAlias
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from foliotrace.budget import Price, UnknownPrice
from foliotrace.model import ExecutionMode
from foliotrace.resilience import BreakerPolicy, RetryPolicy

Money: TypeAlias = Annotated[Decimal, Field(ge=0)]
_MILLION: Final = Decimal(1_000_000)

# --- fixed limits ------------------------------------------------------------------------------

MAX_QUERY_CHARACTERS: Final = 1000
MAX_TOP_K: Final = 50
MAX_FILTER_DOCUMENTS: Final = 200
MAX_FILTER_FIELDS: Final = 16
MAX_FILTER_VALUES: Final = 64
MAX_HISTORY: Final = 10  # earlier questions that a question may bring
MAX_TAGS: Final = 16
MAX_METADATA_FIELDS: Final = 32
MAX_VALUE_CHARACTERS: Final = 256

MAX_QUOTES: Final = 3
"""Quoted passages in an answer without a language model."""

RETRY_AFTER_S: Final = 30.0
"""What an answer without passages advises when no dependency says better."""

INSPECT_DEADLINE_S: Final = 120.0
"""Time for counting the pages of a file."""

SHORT_CHARACTERS: Final = 20_000
"""Text that is cut and packed on the event loop: another thread costs more than a millisecond."""

PARSE_PART_PAGES: Final = 50
"""Pages that one parser process reads in one request."""

PARSE_PART_DEADLINE_S: Final = 60.0
PARSE_PAGE_DEADLINE_S: Final = 20.0
"""Time for such a part, and for a single page of a part that failed."""

WORKER_MEMORY_BYTES: Final = 3 << 30
WORKER_CPU_S: Final = 120
WORKER_REQUESTS: Final = 1000
WORKER_IDLE_S: Final = 60.0
"""Limits of one parser process: address space, CPU time of one request, requests until it is
replaced (which bounds memory leaks), and time without work until it is stopped."""

EXTRACT_PARSE_DEADLINE_S: Final = 600.0
"""Time for parsing a window of pages that extraction needs and the library does not hold."""

EXTRACTION_DEADLINE_S: Final = 180.0
"""Time for one call of one extractor."""

EXTRACTION_WINDOW_PAGES: Final = 20
"""Pages that are extracted, and saved, together."""

EXTRACTION_OTHERS: Final = 12
"""Documents of the collection whose first page tells extraction how dates are written there."""

MAX_UNWINDOWED_PAGES: Final = 500
"""A longer document is not sent to an extractor that takes only whole documents."""

INDEX_SYNC_DEADLINE_S: Final = 3600.0
"""Time for bringing the managed index up to date once."""

MODEL_CALL_S: Final = 20.0
"""Time for one call of a language or embedding model, unless its settings say otherwise."""

MAX_EXTRACTION_TOKENS: Final = 4096
"""Longest completion of a language model that extracts."""


# --- sections ----------------------------------------------------------------------------------


class Section(BaseModel):
    """A part of the settings: frozen, and it refuses names it does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class RedactionSettings(Section):
    """What is removed from answers, besides social security numbers, cards and remote content."""

    any_sixteen_digits: bool = Field(
        default=False,
        description="Redact any sixteen digits as a card number, even if they fail the checksum; "
        "in answers, spans and logs.",
    )
    remove_dangerous_code: bool = Field(
        default=True,
        description="Remove code blocks that import or call what touches the system, or that "
        "cannot be parsed and name such a module.",
    )


Grounding = Literal["strict", "mark"]
"""The policy for sentences of a language model that the passages do not verify."""


class PlanningSettings(Section):
    """Questions that take more than one search or model call. Used with a language model only."""

    max_parts: int = Field(
        default=6,
        ge=2,
        le=20,
        description="Parts of a comparison (companies, documents, periods) that are searched for "
        "by themselves; the answer names the parts beyond.",
    )
    list_passages: int = Field(
        default=20,
        gt=0,
        le=MAX_TOP_K,
        description='Passages for a question that asks for a list ("list all ...", "which '
        'documents mention ...").',
    )
    tokens_per_call: int = Field(
        default=12_000,
        ge=500,
        description="Document text in one call of a comparison, a list or a summary, in tokens.",
    )
    summary_calls: int = Field(
        default=8,
        gt=0,
        description="Model calls for the summary of one document. A document that needs more is "
        "read from its beginning, and the answer names the pages that were read.",
    )


class QuerySettings(Section):
    """Questions and answers."""

    deadline_s: float = Field(default=30.0, gt=0, description="Time limit of one question.")
    retrieval_deadline_s: float = Field(
        default=2.0,
        gt=0,
        description="Time limit of one retrieval path; after it the next path is tried.",
    )
    hedge_after_s: float | None = Field(
        default=None,
        gt=0,
        description="If a retrieval path has not answered after this time, the next path is "
        "queried in parallel and the first answer is used (level 2 if it is the lower path's). "
        "None: one path after the other.",
    )
    max_answer_tokens: int = Field(
        default=512, gt=0, description="Longest answer of a language model, in tokens."
    )
    cache_ttl_s: float = Field(
        default=300.0, ge=0, description="How long answers are cached; 0 disables the cache."
    )
    semantic_cache: bool = Field(
        default=False,
        description="Also answer a question from the cache if it asks the same in other words: "
        "the words decide, and the embeddings must agree. Needs `embedding` and `cache_ttl_s`.",
    )
    semantic_cache_from: float = Field(
        default=0.95, gt=0, le=1, description="Lowest cosine similarity at which embeddings agree."
    )
    lexicon: Path | None = Field(
        default=None,
        description="Folder of TOML files with the words of your field: synonyms, what documents "
        "call the things people ask for, kinds of page. They are read beside the shipped ones.",
    )
    retriever: str | None = Field(
        default=None,
        description="`pkg.mod:object`: any LlamaIndex retriever (`index.as_retriever()`), or a "
        "function that returns one. It is queried before every other path and must return "
        "documents that are also in this library.",
    )
    rerankers: tuple[str, ...] = Field(
        default=(),
        description="LlamaIndex node postprocessors, each as `pkg.mod:object` (or a function that "
        "returns one), that reorder or drop the passages of every retrieval path, in this order.",
    )
    rerank_candidates: int = Field(
        default=20,
        gt=0,
        le=200,
        description="Passages that are retrieved for the first of `rerankers`, at least; the best "
        "`top_k` of theirs are used.",
    )
    grounding: Grounding = Field(
        default="strict",
        description="What happens to a sentence of a language model that the passages do not "
        "verify: `strict` removes it, `mark` keeps it with `[unverified]` behind it.",
    )
    redaction: RedactionSettings = Field(
        default=RedactionSettings(), description="What is removed from answers."
    )
    planning: PlanningSettings = Field(
        default=PlanningSettings(),
        description="Comparisons, lists and summaries by a language model.",
    )


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


class LlamaCloudSettings(Section):
    """LlamaCloud. Nothing is sent there until a capability is switched to it."""

    where: str = Field(
        default="us", description="Region (`us`, `eu`) or base URL; keys belong to a region."
    )
    project_id: str | None = Field(
        default=None, description="Project in which everything is created."
    )
    organization_id: str | None = Field(default=None, description="Organization of the project.")
    timeout_s: float = Field(default=60.0, gt=0, description="Time limit of one request.")
    parsing: ExecutionMode = Field(
        default=ExecutionMode.LOCAL,
        description="What parses PDF, DOCX, PPTX and images. `cloud_then_local` falls back page "
        "by page; with `cloud`, a page that LlamaParse cannot read stays unread.",
    )
    extraction: ExecutionMode = Field(
        default=ExecutionMode.LOCAL,
        description="What extracts records. `cloud_then_local` falls back to the language model "
        "and the rules.",
    )
    index: ExecutionMode = Field(
        default=ExecutionMode.LOCAL,
        description="What retrieves passages. With `cloud_then_local` the local index answers "
        "when the managed one cannot; with `cloud` the local index is kept up to date but not "
        "queried.",
    )
    parse_tier: Literal["fast", "cost_effective", "agentic", "agentic_plus"] = Field(
        default="cost_effective", description="LlamaParse tier."
    )
    parse_version: str | None = Field(
        default=None, description="LlamaParse version. None: the one pinned for the tier."
    )
    custom_prompt: str | None = Field(
        default=None, description="Instructions for LlamaParse; not available in tier `fast`."
    )
    languages: tuple[str, ...] = Field(default=(), description="Languages for OCR by LlamaParse.")
    extract_tier: Literal["cost_effective", "agentic", "agentic_plus", "turbo"] = Field(
        default="cost_effective", description="LlamaExtract tier."
    )
    extract_version: str = Field(default="latest", description="LlamaExtract version.")
    extract_window_pages: int = Field(
        default=EXTRACTION_WINDOW_PAGES,
        ge=1,
        le=500,
        description="Pages of one LlamaExtract job; a longer document is extracted in windows "
        "whose records are merged. Types without pages (text, sheets, DOCX) are sent whole.",
    )
    disable_cache: bool = Field(
        default=False, description="Ask LlamaParse neither to reuse nor to keep results."
    )
    delete_after_use: bool = Field(
        default=False,
        description="Delete file and result in the cloud once they have been used. Cannot be "
        "combined with the managed index, which needs its files.",
    )
    webhook_url: str | None = Field(
        default=None,
        description="Public address of `POST /v1/webhooks/llamacloud` "
        "(`https://.../v1/webhooks/llamacloud`). Each billed job asks LlamaCloud to post its end "
        "there; polling becomes the fallback.",
    )

    @property
    def in_use(self) -> bool:
        """Whether any capability is switched to the cloud."""
        return {self.parsing, self.extraction, self.index} != {ExecutionMode.LOCAL}

    @model_validator(mode="after")
    def _consistent(self) -> "LlamaCloudSettings":
        if self.delete_after_use and self.index is not ExecutionMode.LOCAL:
            raise ValueError("delete_after_use would delete the files of the managed index")
        if self.custom_prompt and self.parse_tier == "fast":
            raise ValueError("tier fast ignores custom_prompt: choose another tier")
        if self.webhook_url is not None:
            parts = urlsplit(self.webhook_url)
            if parts.scheme not in ("http", "https") or not parts.hostname:
                raise ValueError("webhook_url is not an http(s) address")
        return self


class PriceSettings(Section):
    """What a model costs, in US dollars per million tokens."""

    input_usd_per_million: Decimal = Field(ge=0, description="Prompt tokens.")
    output_usd_per_million: Decimal = Field(ge=0, description="Completion tokens.")
    cached_input_usd_per_million: Decimal | None = Field(
        default=None, ge=0, description="Cached prompt tokens. None: as the other prompt tokens."
    )

    @property
    def per_token(self) -> Price:
        """US dollars per token."""
        return Price(
            input_usd=self.input_usd_per_million / _MILLION,
            output_usd=self.output_usd_per_million / _MILLION,
            cached_input_usd=None
            if self.cached_input_usd_per_million is None
            else self.cached_input_usd_per_million / _MILLION,
        )


class BudgetSettings(Section):
    """Limits on spending for models and LlamaCloud."""

    max_cost_per_query_usd: Money = Field(
        default=Decimal("0.10"), description="Limit for one question, in US dollars."
    )
    max_cost_per_job_usd: Money | None = Field(
        default=Decimal(5),
        description="Limit for one ingestion or extraction, LlamaCloud credits included, in US "
        "dollars. None: none.",
    )
    usd_per_credit: Money = Field(
        default=Decimal("0.00125"), description="Price of a LlamaCloud credit, in US dollars."
    )
    daily_usd_per_tenant: Money | None = Field(
        default=None, description="Limit for one tenant and day (UTC), in US dollars. None: none."
    )
    unknown_price: UnknownPrice = Field(
        default=UnknownPrice.DEAREST,
        description="How to treat a model that no price table lists: refuse it, charge it as the "
        "most expensive known model, or treat it as free. Mark a model of your own with "
        "`llm.free`.",
    )
    prices: dict[str, PriceSettings] = Field(
        default_factory=dict, description="Your prices by model name; they override the table."
    )


class ResilienceSettings(Section):
    """How calls to a failing service are retried and stopped; one breaker for each service."""

    attempts: int = Field(
        default=3, ge=1, le=10, description="Requests of one call, the first one included."
    )
    first_wait_s: float = Field(
        default=4.0,
        ge=0,
        description="Base of the wait before the first retry, of which half is random.",
    )
    longest_wait_s: float = Field(
        default=60.0,
        ge=0,
        description="Cap of the doubling wait between retries; Retry-After may exceed it.",
    )
    breaker_failures: int = Field(
        default=3, ge=1, description="Consecutive failed calls that open the circuit breaker."
    )
    breaker_rest_s: float = Field(
        default=5.0,
        gt=0,
        description="How long the breaker stays open at first; doubled while probes fail.",
    )
    breaker_longest_rest_s: float = Field(
        default=120.0, gt=0, description="How long the breaker stays open at most."
    )
    calls_at_once: int = Field(default=32, gt=0, description="Concurrent calls to one service.")

    def retry(self, *, attempts: int | None = None) -> RetryPolicy:
        """The retry rule; `attempts` overrides the setting."""
        return RetryPolicy(
            attempts=attempts or self.attempts,
            base_s=self.first_wait_s,
            cap_s=self.longest_wait_s,
        )

    @property
    def breaker(self) -> BreakerPolicy:
        """The breaker rule."""
        return BreakerPolicy(
            failures=self.breaker_failures,
            rest_s=self.breaker_rest_s,
            cap_s=self.breaker_longest_rest_s,
        )


class RunsSettings(Section):
    """What is stored about runs."""

    keep_content: Literal["off", "redacted", "encrypted"] = Field(
        default="off",
        description="The texts of questions and answers in their runs. `off`: not stored. "
        "`redacted`: stored without personal data and keys. `encrypted`: stored whole, under "
        "`content_key_file`.",
    )
    content_key_file: Path | None = Field(
        default=None,
        description="File with the key of `encrypted`; made if it is missing. None: "
        "`run-content.key` in the data folder, which backups leave out.",
    )
    project: str = Field(
        default="default",
        pattern=r"^[A-Za-z0-9_.-]{1,64}$",
        description="Project of runs whose metadata names none as `project`.",
    )
    retention_days: float = Field(
        default=30.0,
        gt=0,
        description="Runs, their feedback and finished handlers are deleted after this time.",
    )
    retention_days_by_project: dict[str, float] = Field(
        default_factory=dict, description="The same for the runs of single projects."
    )


class CoreSettings(Section):
    """The sections of the core."""

    query: QuerySettings = Field(default=QuerySettings(), description="Questions and answers.")
    ingest: IngestSettings = Field(default=IngestSettings(), description="Files.")
    index: IndexSettings = Field(default=IndexSettings(), description="The vector index.")
    llamacloud: LlamaCloudSettings = Field(
        default=LlamaCloudSettings(), description="LlamaCloud. By default nothing is sent there."
    )
    budget: BudgetSettings = Field(default=BudgetSettings(), description="Limits on spending.")
    resilience: ResilienceSettings = Field(
        default=ResilienceSettings(), description="Retries and circuit breakers."
    )
    runs: RunsSettings = Field(default=RunsSettings(), description="What is stored about runs.")
