"""Every error foliotrace raises, as a tree. Each class names its entry in the catalogue.

FoliotraceError
    BadInput                      the caller can correct it
        InvalidQuery
        InvalidRequest               invalid_request, invalid_name, invalid_collection, ...
            WrongFields                 foliotrace_server.http.problems
        InvalidSchema
        PathNotOffered
        FileRefused                  file_empty, file_too_large, file_encrypted, file_malformed, ...
            UnsupportedFile
        Refusal                      a FileRefused inside a parser process: adapters.local.readers
    NotFound                      document_not_found, job_not_found, page_not_found, ...
    Conflict                      idempotency_conflict, job_already_final, data_folder_locked, ...
    Refused                       not now, or not for this caller
        TooBusy
            RateLimited, QuotaUsedUp    foliotrace_server.http.quotas
        BudgetExceeded
        NotAllowed
    Unavailable                   a dependency failed; a lower rung may follow
        IndexUnavailable, GeneratorUnavailable, GeneratorRefused, EmbedderUnavailable,
        ExtractorUnavailable, CacheUnavailable, LedgerUnavailable, AuditUnavailable,
        LibraryUnavailable, SourceUnavailable, DeadlineExceeded, BreakerOpen
        IdentityProviderUnavailable   foliotrace_server.keys.oidc
        ReleaseUnavailable            foliotrace_server.loop.second_service
        ParserUnavailable
            WorkerLost                  adapters.local
        CloudFailure                 adapters.llamacloud
    NothingToIndex                parsing produced no text; a failure, never a success
    RecordInvalid                 the extracted record does not satisfy its schema
    Misconfigured                 a setting is wrong or missing; stops the start
    JobEnded                      a job ended outside its run: foliotrace_server.jobs.ends
    ServerProblem, Unreachable    what the client sees: foliotrace_server.client

Only the HTTP edge turns the kinds of codes into statuses.
"""

from typing import TYPE_CHECKING, ClassVar

from foliotrace.catalog import AnyReason, ErrorCode, Reason

if TYPE_CHECKING:
    from foliotrace.model import Usage


class FoliotraceError(Exception):
    """The root. `message` may be shown to the caller: no secrets, no document or query text.

    `error_code` is stable. `reason` says more where a dependency failed, and is the code elsewhere.
    Message and hint default to those of the catalogue.
    """

    code: ClassVar[ErrorCode] = ErrorCode.ERROR
    callers_fault: ClassVar[bool] = False  # observers then count no failure of ours

    def __init__(
        self,
        message: str | None = None,
        *,
        code: ErrorCode | None = None,
        hint: str | None = None,
    ) -> None:
        entry = code or type(self).code
        self.message = message or entry.message
        super().__init__(self.message)
        self.error_code: str = entry
        self.reason: AnyReason = entry
        self.hint = hint or entry.hint


class BadInput(FoliotraceError):
    """The caller sent something that cannot be used, and can correct it."""

    code = ErrorCode.BAD_INPUT
    callers_fault = True


class InvalidQuery(BadInput):
    """The question is empty, too long or holds only control characters."""

    code = ErrorCode.INVALID_QUERY


class InvalidRequest(BadInput):
    """A field of the request is missing, unknown or out of range."""

    code = ErrorCode.INVALID_REQUEST


class PathNotOffered(BadInput):
    """The request asks for LlamaCloud where the settings keep a capability local."""

    code = ErrorCode.PATH_NOT_OFFERED


class InvalidSchema(BadInput):
    """The extraction schema is malformed, too deep, too large or refers outside itself."""

    code = ErrorCode.INVALID_SCHEMA


class FileRefused(BadInput):
    """The file `name` cannot be ingested; `error_code` says why."""

    code = ErrorCode.FILE_MALFORMED
    callers_fault = False  # met in a job, whose failure must be seen

    def __init__(
        self, message: str, *, name: str, code: ErrorCode | None = None, hint: str | None = None
    ) -> None:
        super().__init__(message, code=code, hint=hint)
        self.name = name


class UnsupportedFile(FileRefused):
    """No parser supports this file type."""

    code = ErrorCode.FILE_TYPE_UNSUPPORTED


class NotFound(FoliotraceError):
    """Nothing with that id belongs to this tenant."""

    code = ErrorCode.NOT_FOUND


class Conflict(FoliotraceError):
    """The request contradicts the stored state."""

    code = ErrorCode.CONFLICT


class Refused(FoliotraceError):
    """The request was understood and refused: for now, or for this caller."""

    code = ErrorCode.REFUSED


class TooBusy(Refused):
    """Every slot is taken. `retry_after_s` estimates when one is free."""

    code = ErrorCode.TOO_BUSY

    def __init__(self, message: str, *, retry_after_s: float) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class BudgetExceeded(Refused):
    """The call could exceed the budget of the query or the tenant."""

    code = ErrorCode.BUDGET_EXCEEDED


class NotAllowed(Refused):
    """This caller may not do this."""

    code = ErrorCode.NOT_ALLOWED


class Unavailable(FoliotraceError):
    """A dependency failed; `reason` goes into degradation marks.

    `lasting`: another attempt would fail the same way (a wrong key, a failed job), so nobody
    retries. `answered`: the service works and rejected this one request, so its circuit breaker
    does not count it. `usage` is what a useless reply was billed; `maybe_billed`: the request was
    sent and no reply came, so its worst case is charged.
    """

    code = ErrorCode.UNAVAILABLE

    def __init__(
        self,
        message: str | None = None,
        *,
        reason: AnyReason | None = None,
        retry_after_s: float | None = None,
        hint: str | None = None,
        lasting: bool = False,
        answered: bool = False,
        usage: "Usage | None" = None,
        maybe_billed: bool = False,
    ) -> None:
        entry = reason if isinstance(reason, Reason) else type(self).code
        super().__init__(message or entry.message, hint=hint or entry.hint)
        self.reason = reason or type(self).code
        self.retry_after_s = retry_after_s
        self.lasting = lasting
        self.answered = answered
        self.usage = usage
        self.maybe_billed = maybe_billed


class IndexUnavailable(Unavailable):
    """A retrieval path failed. Never replaced by an empty result."""

    code = ErrorCode.INDEX_UNAVAILABLE


class ParserUnavailable(Unavailable):
    """A parser crashed, timed out or cannot be reached; another one may work."""

    code = ErrorCode.PARSER_UNAVAILABLE


class GeneratorUnavailable(Unavailable):
    """A language model failed in a way that does not concern another one."""

    code = ErrorCode.GENERATOR_UNAVAILABLE


class GeneratorRefused(Unavailable):
    """A language model refused or could not take this prompt; another attempt would not help."""

    code = ErrorCode.GENERATOR_REFUSED


class EmbedderUnavailable(Unavailable):
    """The embedding model failed."""

    code = ErrorCode.EMBEDDER_UNAVAILABLE


class ExtractorUnavailable(Unavailable):
    """An extractor failed."""

    code = ErrorCode.EXTRACTOR_UNAVAILABLE


class CacheUnavailable(Unavailable):
    """The answer cache failed; the query counts as a cache miss."""

    code = ErrorCode.CACHE_UNAVAILABLE


class LedgerUnavailable(Unavailable):
    """The budget ledger failed, so no money may be spent."""

    code = ErrorCode.LEDGER_UNAVAILABLE


class AuditUnavailable(Unavailable):
    """The audit log cannot be written, and the policy refuses unaudited work."""

    code = ErrorCode.AUDIT_UNAVAILABLE


class LibraryUnavailable(Unavailable):
    """The library cannot be read or written."""

    code = ErrorCode.LIBRARY_UNAVAILABLE


class SourceUnavailable(Unavailable):
    """A file that a start event names could not be fetched."""

    code = ErrorCode.SOURCE_UNAVAILABLE


class DeadlineExceeded(Unavailable):
    """The deadline passed."""

    code = ErrorCode.DEADLINE_EXCEEDED


class BreakerOpen(Unavailable):
    """The circuit breaker of the dependency is open; no request was sent."""

    code = ErrorCode.BREAKER_OPEN


class NothingToIndex(FoliotraceError):
    """Parsing produced no chunk. A failure with a reason, never a success."""

    code = ErrorCode.ZERO_CHUNKS


class RecordInvalid(FoliotraceError):
    """The caller wants a typed value, and the extracted record does not satisfy its schema."""

    code = ErrorCode.RECORD_INVALID


class Misconfigured(FoliotraceError):
    """A setting is wrong, unknown or missing."""

    code = ErrorCode.MISCONFIGURED
