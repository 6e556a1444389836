"""Reasons: why a dependency failed or an answer is degraded; and problems of single pages.

They appear in `degradation.reasons`, on `/readyz`, in spans, metrics and the audit log, and as the
`problem` of failed jobs and documents.
"""

import re
from enum import Enum
from typing import Final, TypeAlias

from foliotrace.catalog.codes import PROBE, CatalogEntry, ErrorCode

_PERMISSIONS: Final = "Check free space and permissions of the data folder."
_RESTORE: Final = "Run `foliotrace check --repair`, or restore a backup (`foliotrace restore`)."
_LLAMACLOUD: Final = "Check the key, the region and the credits with `foliotrace doctor`."
_PAGES: Final = "See the problems of the document's pages."
_NAME: Final = re.compile(r"<\w+>")


class Reason(CatalogEntry):
    """A stable reason with its default message and what to do next."""

    hint: str

    def __new__(cls, value: str, message: str, hint: str = PROBE) -> "Reason":
        """A member; `hint` defaults to probing the dependencies."""
        member = str.__new__(cls, value)
        member._value_ = value
        member.message = message
        member.hint = hint
        return member

    # language models
    LLM_TIMEOUT = "llm_timeout", "The language model did not answer in time."
    LLM_UNREACHABLE = "llm_unreachable", "The language model cannot be reached."
    LLM_FAILED = "llm_failed", "The language model failed."
    LLM_REFUSED = "llm_refused", "The language model refused the prompt."
    LLM_EMPTY = "llm_empty", "The language model returned an empty answer."
    LLM_STREAM_CUT = "llm_stream_cut", "The language model broke off its stream."
    LLM_ANSWER_MALFORMED = (
        "llm_answer_malformed",
        "The language model's answer is not the JSON that was asked for.",
    )
    GENERATOR_INCOMPLETE = (
        "generator_incomplete",
        "The language model ended its stream without a result.",
    )
    GENERATED_ANSWER_UNSUPPORTED = (
        "generated_answer_unsupported",
        "No sentence of the generated answer is supported by the retrieved passages.",
        "Read the quoted passages, or ask more precisely.",
    )
    ANSWER_CUT_BY_BUDGET = (
        "answer_cut_by_budget",
        "The streamed answer was cut when it reached its reserved budget.",
        "Raise budget.max_cost_per_query_usd, or use a cheaper model.",
    )
    DOCUMENT_TOO_LONG = (
        "document_too_long",
        "The document is too long for the language model; rules extracted the record.",
        "Split the document, or use LlamaExtract.",
    )

    # embedding and indexes
    EMBEDDER_TIMEOUT = "embedder_timeout", "The embedding model did not answer in time."
    EMBEDDER_GARBAGE = (
        "embedder_garbage",
        "The embedding model returned the wrong number of vectors, or vectors of mixed length.",
    )
    EMBEDDER_ANSWERED_WRONGLY = (
        "embedder_answered_wrongly",
        "The vectors of the embedding model cannot be used.",
    )
    EMBEDDING_PENDING = (
        "embedding_pending",
        "The collection is not completely embedded yet.",
        "Wait until embedding has finished; see /readyz.",
    )
    KEYWORD_INDEX_LOCKED = (
        "keyword_index_locked",
        "Another process writes to the keyword index.",
    )
    KEYWORD_INDEX_READ_ONLY = (
        "keyword_index_read_only",
        "This process may not write to the keyword index; another one does.",
    )
    KEYWORD_INDEX_UNAVAILABLE = (
        "keyword_index_unavailable",
        "The keyword index is damaged or cannot be read.",
    )
    VECTOR_INDEX_READ_ONLY = (
        "vector_index_read_only",
        "This process may not write to the vector index; another one does.",
    )
    MANAGED_INDEX_PENDING = (
        "managed_index_pending",
        "The managed index has not caught up with the library.",
    )
    MANAGED_INDEX_INCOMPLETE = (
        "managed_index_incomplete",
        "The managed index skipped files; passages of them came from the local index.",
        "See managed_index.skipped in the log, and run foliotrace index reconcile.",
    )
    MANAGED_INDEX_MISSED = (
        "managed_index_missed",
        "The managed index did not find the answer; the local index did.",
    )
    VECTOR_STORE_FAILED = (
        "vector_store_failed",
        "The LlamaIndex vector store failed.",
        "See failures in /readyz, and run foliotrace doctor --probe.",
    )
    RERANKER_FAILED = "reranker_failed", "A LlamaIndex node postprocessor failed and was skipped."
    RERANKER_TIMEOUT = (
        "reranker_timeout",
        "A LlamaIndex node postprocessor did not answer in time and was skipped.",
    )
    RETRIEVER_FAILED = "retriever_failed", "The LlamaIndex retriever failed."

    # parsing and extraction
    PARSE_DEADLINE = "parse_deadline", "The deadline for parsing passed."
    EXTRACT_DEADLINE = "extract_deadline", "The deadline for extraction passed."
    NO_EXTRACTOR = "no_extractor", "No extraction method works at the moment."
    WORKER_CRASHED = (
        "crashed",
        "A parser process crashed, or used more memory or CPU than allowed.",
    )
    WORKER_TIMED_OUT = "timed_out", "A parser process exceeded its time limit and was killed."
    WORKER_NOT_STARTED = "not_started", "A parser process could not be started."
    PAGES_DEGRADED = (
        "pages_degraded",
        "Another parser than the configured one read some of the pages.",
        _PAGES,
    )
    PAGES_MISSING = "pages_missing", "The parser left out pages."
    PAGES_UNREADABLE = (
        "pages_unreadable",
        "Some pages could not be read; their content was not considered.",
        _PAGES,
    )

    # stores
    BLOBS_DISK_FULL = (
        "blobs_disk_full",
        "The disk that stores the original files is full.",
        _PERMISSIONS,
    )
    BLOBS_UNAVAILABLE = (
        "blobs_unavailable",
        "The folder of original files cannot be read or written.",
        _PERMISSIONS,
    )
    JOBS_UNREADABLE = (
        "jobs_unreadable",
        "The job journal cannot be opened.",
        "Move handlers.db and intents.db with their -wal and -shm files out of the data folder: "
        "unfinished ingestion starts again, unfinished extractions fail.",
    )
    JOBS_UNWRITABLE = "jobs_unwritable", "The job journal cannot be written.", _PERMISSIONS
    LIBRARY_CLOSED = "library_closed", "The library is closed."
    LIBRARY_DAMAGED = "library_damaged", "The library file is damaged.", _RESTORE
    LIBRARY_DISK_ERROR = (
        "library_disk_error",
        "The disk failed while the library was read or written.",
        "Check the disk that holds the data folder.",
    )
    LIBRARY_DISK_FULL = (
        "library_disk_full",
        "The disk that holds the library is full.",
        "Free some disk space; nothing acknowledged is lost.",
    )
    LIBRARY_LOCKED = (
        "library_locked",
        "Another process holds the library.",
        "Another process uses the data folder; stop it or retry.",
    )
    LIBRARY_LOST = (
        "library_lost",
        "The library is missing, but the data folder holds what was stored with it.",
        "Mount the volume, restore a backup into an empty folder (`foliotrace restore`), or ingest"
        " the originals in it again (`foliotrace check --repair`).",
    )
    LIBRARY_MISSING = "library_missing", "The folder holds no library."
    LIBRARY_READ_ONLY = (
        "library_read_only",
        "The library cannot be written.",
        "Make the data folder writable for this user.",
    )
    LIBRARY_SCHEMA_VERSION = (
        "library_schema_version",
        "The library was written by another version of foliotrace.",
        "Use the foliotrace release that wrote the folder, or a newer one.",
    )
    LIBRARY_UNREADABLE = (
        "library_unreadable",
        "The library file cannot be opened.",
        "Check that the data folder exists and is writable.",
    )
    ORIGINALS_MISSING = (
        "originals_missing",
        "The original files of some documents are missing; the documents still answer.",
        "Restore a backup, or ingest these files again.",
    )
    AUDIT_KEYS_MISSING = (
        "audit_keys_missing",
        "Keys that the audit log was written with are missing, so its records cannot be proved.",
        "Put the files of the audit keys folder back from a backup.",
    )
    DATA_DISK_FULL = (
        "data_disk_full",
        "The disk that holds the data folder is full.",
        "Free some disk space. Questions are answered meanwhile; nothing acknowledged is lost.",
    )
    STALE_UNAVAILABLE = (
        "stale_unavailable",
        "The store of stale answers cannot be read or written.",
    )

    # LlamaCloud
    LLAMACLOUD_UNAUTHORIZED = (
        "llamacloud_unauthorized",
        "LlamaCloud rejected the API key.",
        _LLAMACLOUD,
    )
    LLAMACLOUD_OUT_OF_CREDITS = (
        "llamacloud_out_of_credits",
        "The LlamaCloud account has no credits left.",
        _LLAMACLOUD,
    )
    LLAMACLOUD_NOT_FOUND = (
        "llamacloud_not_found",
        "LlamaCloud does not know the requested object.",
        _LLAMACLOUD,
    )
    LLAMACLOUD_CONFLICT = (
        "llamacloud_conflict",
        "The request conflicts with the state of LlamaCloud.",
        _LLAMACLOUD,
    )
    LLAMACLOUD_REFUSED = (
        "llamacloud_refused",
        "LlamaCloud rejected the request.",
        _LLAMACLOUD,
    )
    LLAMACLOUD_RATE_LIMITED = (
        "llamacloud_rate_limited",
        "LlamaCloud limits the request rate.",
        _LLAMACLOUD,
    )
    LLAMACLOUD_SERVER_ERROR = (
        "llamacloud_server_error",
        "LlamaCloud answered with a server error.",
        _LLAMACLOUD,
    )
    LLAMACLOUD_UNREACHABLE = (
        "llamacloud_unreachable",
        "LlamaCloud cannot be reached.",
        _LLAMACLOUD,
    )
    LLAMACLOUD_TIMEOUT = (
        "llamacloud_timeout",
        "LlamaCloud did not answer in time.",
        _LLAMACLOUD,
    )
    LLAMACLOUD_GARBAGE = (
        "llamacloud_garbage",
        "The response of LlamaCloud cannot be understood.",
        _LLAMACLOUD,
    )
    LLAMACLOUD_REPLY_LOST = (
        "llamacloud_reply_lost",
        "LlamaCloud's reply to a billed request was lost; the job is looked for before another one "
        "is bought.",
        "Ask again in five minutes.",
    )
    LLAMACLOUD_JOB_FAILED = "llamacloud_job_failed", "The LlamaCloud job failed.", _LLAMACLOUD
    LLAMACLOUD_JOB_CANCELLED = (
        "llamacloud_job_cancelled",
        "The LlamaCloud job was cancelled.",
        _LLAMACLOUD,
    )
    LLAMACLOUD_DEADLINE = (
        "llamacloud_deadline",
        "The LlamaCloud job did not finish before its deadline.",
        _LLAMACLOUD,
    )
    LLAMACLOUD_EMPTY = (
        "llamacloud_empty",
        "LlamaCloud returned no result.",
        _LLAMACLOUD,
    )


class ComposedReason(str):
    """A reason with names in it, made by `ReasonFamily.of`."""

    __slots__ = ()


class ReasonFamily(Enum):
    """Reasons that carry a name, written `<like this>`; `of` fills it in."""

    BREAKER_OPEN = (
        "<service>_breaker_open",
        "The circuit breaker of <service> is open after repeated failures.",
    )
    SERVICE_BUSY = "<service>_busy", "All call slots of <service> stayed in use."
    SERVICE_TIMEOUT = "<service>_timeout", "<service> did not answer in time."
    PATH_TIMEOUT = "<mode>_timeout", "The <mode> retrieval path did not answer in time."
    PATH_HEDGED = (
        "<mode>_hedged",
        "A lower retrieval path answered while the <mode> path was still at work.",
    )
    METHOD_FAILED = (
        "<method>_<reason>",
        "An extraction method failed for that reason; the next one was used.",
    )
    LOWER_ANSWER = (
        "<mode>_answer",
        "A lower kind of answer was given: quotes, a stale answer or a template.",
    )
    LLM_STATUS = "llm_<status>", "The language model answered with that HTTP status."
    NOT_READY = "<capability>_not_ready", "The configured path cannot be used at the moment."

    def __init__(self, pattern: str, message: str) -> None:
        self.pattern = pattern
        self.message = message

    def of(self, *names: object) -> ComposedReason:
        """The reason for these names. Raises ValueError unless there is one for each blank."""
        *texts, last = _NAME.split(self.pattern)
        filled = "".join(f"{text}{name}" for text, name in zip(texts, names, strict=True))
        return ComposedReason(filled + last)


AnyReason: TypeAlias = Reason | ComposedReason | ErrorCode
"""What an `Unavailable` may give as its reason; without a narrower one it is the error's code."""


class PageProblem(CatalogEntry):
    """Why a page could not be read, with the `status` such a page has."""

    page_status: str

    def __new__(cls, value: str, page_status: str, message: str) -> "PageProblem":
        """A member."""
        member = str.__new__(cls, value)
        member._value_ = value
        member.page_status = page_status
        member.message = message
        return member

    NEEDS_OCR = (
        "needs_ocr",
        "needs_ocr",
        "The page is scanned or a picture, and no Tesseract models were found. Install them "
        "(`apt install tesseract-ocr`, `dnf install tesseract` or `brew install tesseract`) and "
        "ingest the file again.",
    )
    OCR_FOUND_NOTHING = "ocr_found_nothing", "needs_ocr", "OCR ran and recognised no word."
    PAGE_UNREADABLE = "page_unreadable", "failed", "The structure of the page is damaged."
    PARSE_TIMED_OUT = (
        "parse_timed_out",
        "failed",
        "The page exceeded the time limit; its parser process was killed.",
    )
    PARSE_CRASHED = (
        "parse_crashed",
        "failed",
        "The parser process crashed, or used more memory or CPU than allowed.",
    )
    ATTACHMENT_NOT_READ = (
        "attachment_not_read",
        "failed",
        "The attachment is of a type that is not read, is encrypted or is damaged.",
    )
    NESTED_TOO_DEEP = (
        "nested_too_deep",
        "failed",
        "The file is inside more than three other files (archives or mails). Unpack the outer "
        "archive and ingest the folder, or send the file itself.",
    )
    MARKUP_NOT_TEXT = (
        "markup_not_text",
        "failed",
        "The page is markup or encoded data instead of text.",
    )
    PARSE_NOT_STARTED = "parse_not_started", "failed", "No parser process could be started."
    CLOUD_PAGE_FAILED = (
        "cloud_page_failed",
        "failed",
        "LlamaParse failed on the page; the local parser is used next.",
    )
    CLOUD_PAGE_EMPTY = (
        "cloud_page_empty",
        "failed",
        "LlamaParse found nothing on the page; the local parser is used next.",
    )
