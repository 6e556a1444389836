"""Every error foliotrace raises, as a tree. `code` is stable; `hint` says what to do next.

FoliotraceError
    BadInput                      the caller can mend it
        InvalidQuery                 invalid_query
        InvalidRequest               invalid_request
        InvalidSchema                invalid_schema
        FileRefused                  file_empty, file_too_large, file_encrypted, file_malformed, ...
            UnsupportedFile          file_type_unsupported
    NotFound                      document_not_found, job_not_found, page_not_found, run_not_found
    Conflict                      idempotency_conflict, job_already_final, data_folder_locked
    Refused                       not now, or not for you
        TooBusy                      too_busy
        BudgetExceeded               budget_exceeded
        NotAllowed                   not_allowed
    Unavailable                   a dependency failed; a lower rung may follow
        IndexUnavailable, ParserUnavailable, GeneratorUnavailable, EmbedderUnavailable,
        ExtractorUnavailable, CacheUnavailable, LedgerUnavailable, AuditUnavailable,
        LibraryUnavailable
        DeadlineExceeded             deadline_exceeded
        BreakerOpen                  breaker_open
    NothingToIndex                zero_chunks: parsing gave no text; a failure, never a success
    RecordInvalid                 record_invalid: what was extracted does not satisfy its schema
    Misconfigured                 a setting is wrong or missing; stops the start

Only the HTTP edge turns codes into statuses.
"""

from typing import ClassVar


class FoliotraceError(Exception):
    """The root. `message` may be shown to the caller: no secrets, no document or query text."""

    code: ClassVar[str] = "error"
    default_hint: ClassVar[str] = "See docs/reference/errors.md."

    def __init__(self, message: str, *, code: str | None = None, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.error_code = code or type(self).code
        self.hint = hint or type(self).default_hint


class BadInput(FoliotraceError):
    """The caller sent something that cannot be used, and can mend it."""

    code = "bad_input"


class InvalidQuery(BadInput):
    """The question is empty, too long, or holds nothing but control characters."""

    code = "invalid_query"
    default_hint = "Send 1 to 1,000 characters of text."


class InvalidRequest(BadInput):
    """A field of the request is missing, unknown or out of range."""

    code = "invalid_request"


class PathNotOffered(BadInput):
    """The request asks for LlamaCloud where the settings keep a capability local."""

    code = "path_not_offered"
    default_hint = "Leave `path` out, or ask for `local`; the operator switches LlamaCloud on."


class InvalidSchema(BadInput):
    """The extraction schema is malformed, too deep, too large or refers outside itself."""

    code = "invalid_schema"


class FileRefused(BadInput):
    """The file cannot be ingested. Names the file; `error_code` says why."""

    code = "file_malformed"

    def __init__(self, message: str, *, name: str, code: str, hint: str) -> None:
        super().__init__(message, code=code, hint=hint)
        self.name = name


class UnsupportedFile(FileRefused):
    """No parser takes this type of content."""

    code = "file_type_unsupported"


class NotFound(FoliotraceError):
    """Nothing of that id belongs to this tenant."""

    code = "not_found"


class Conflict(FoliotraceError):
    """The request contradicts what is already there."""

    code = "conflict"


class Refused(FoliotraceError):
    """Understood, and not done: now, or for this caller."""

    code = "refused"


class TooBusy(Refused):
    """Every slot is taken. `retry_after_s` is an honest guess."""

    code = "too_busy"
    default_hint = "Retry after the given time."

    def __init__(self, message: str, *, retry_after_s: float) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class BudgetExceeded(Refused):
    """The call would spend more than the query's or the tenant's budget."""

    code = "budget_exceeded"
    default_hint = "Raise the budget, or use a cheaper model."


class NotAllowed(Refused):
    """This caller may not do this."""

    code = "not_allowed"


class Unavailable(FoliotraceError):
    """A dependency did not do its work; `reason` is a stable word for degradation marks.

    `lasting`: asking again would end the same way (a wrong key, a job that failed), so nobody
    retries. `answered`: the service works and said no to this one request, so its breaker is left
    alone.
    """

    code = "unavailable"
    default_hint = "Run `foliotrace doctor --probe`."

    def __init__(
        self,
        message: str,
        *,
        reason: str | None = None,
        retry_after_s: float | None = None,
        hint: str | None = None,
        lasting: bool = False,
        answered: bool = False,
    ) -> None:
        super().__init__(message, hint=hint)
        self.reason = reason or type(self).code
        self.retry_after_s = retry_after_s
        self.lasting = lasting
        self.answered = answered


class IndexUnavailable(Unavailable):
    """A retrieval path cannot answer. Never to be replaced by an empty result."""

    code = "index_unavailable"


class ParserUnavailable(Unavailable):
    """A parser cannot work now (crashed, timed out, unreachable); another may."""

    code = "parser_unavailable"


class GeneratorUnavailable(Unavailable):
    """An LLM did not answer, in a way that another LLM could mend."""

    code = "generator_unavailable"


class GeneratorRefused(Unavailable):
    """An LLM refused or could not take this prompt; another attempt would do the same."""

    code = "generator_refused"


class EmbedderUnavailable(Unavailable):
    """An embedding model did not answer."""

    code = "embedder_unavailable"


class ExtractorUnavailable(Unavailable):
    """An extractor did not answer."""

    code = "extractor_unavailable"


class CacheUnavailable(Unavailable):
    """The answer cache did not answer; a miss."""

    code = "cache_unavailable"


class LedgerUnavailable(Unavailable):
    """The budget ledger did not answer; money may not be spent."""

    code = "ledger_unavailable"


class AuditUnavailable(Unavailable):
    """The audit log cannot be written and the policy is to refuse."""

    code = "audit_unavailable"


class LibraryUnavailable(Unavailable):
    """The library cannot be read or written."""

    code = "library_unavailable"


class DeadlineExceeded(Unavailable):
    """The time given ran out."""

    code = "deadline_exceeded"


class BreakerOpen(Unavailable):
    """The dependency failed often and is not being asked for a while."""

    code = "breaker_open"


class NothingToIndex(FoliotraceError):
    """Parsing gave no chunk. A failure with a reason, never a success."""

    code = "zero_chunks"
    default_hint = "The document holds no readable text; see its pages' problems."


class RecordInvalid(FoliotraceError):
    """A record was asked for as a typed value, and does not satisfy its schema."""

    code = "record_invalid"
    default_hint = "Let fields be null, or ask for the extraction with its metadata."


class Misconfigured(FoliotraceError):
    """A setting is wrong, unknown or missing."""

    code = "misconfigured"
    default_hint = "Run `foliotrace doctor`."
