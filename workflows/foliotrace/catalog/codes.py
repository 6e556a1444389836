"""Error codes: what an RFC 9457 problem, a failed job and a failed document carry as `code`."""

from enum import StrEnum
from typing import Final, Self

SEE_REFERENCE: Final = "See docs/reference/errors.md."
PROBE: Final = "Run `foliotrace doctor`."
_OWN_APPLICATION: Final = "Open the file in its own application, save it again and send that copy."


class ErrorKind(StrEnum):
    """What sort of failure a code stands for. The HTTP edge maps each kind to one status."""

    INVALID = "invalid"
    UNPROCESSABLE = "unprocessable"  # well-formed, but its content cannot be used
    TOO_LARGE = "too_large"
    UNSUPPORTED_TYPE = "unsupported_type"
    HEADER_TOO_LARGE = "header_too_large"
    REQUEST_TIMEOUT = "request_timeout"  # the caller was too slow
    METHOD_NOT_ALLOWED = "method_not_allowed"
    NOT_FOUND = "not_found"
    CONFLICT = "conflict"
    BUSY = "busy"
    OVER_BUDGET = "over_budget"
    UNAUTHENTICATED = "unauthenticated"
    FORBIDDEN = "forbidden"
    TIMEOUT = "timeout"  # the service was too slow
    UNAVAILABLE = "unavailable"
    INTERNAL = "internal"
    CLIENT = "client"  # raised by the client or the command line; never crosses HTTP


class CatalogEntry(StrEnum):
    """A stable word with a message."""

    message: str

    @classmethod
    def parse(cls, value: str) -> Self:
        """The entry with this value. Raises ValueError."""
        return cls(value)


class ErrorCode(CatalogEntry):
    """A stable code with its kind, its default message and what to do next."""

    kind: ErrorKind
    hint: str

    def __new__(
        cls, value: str, kind: ErrorKind, message: str, hint: str = SEE_REFERENCE
    ) -> "ErrorCode":
        """A member; `hint` defaults to the reference page."""
        member = str.__new__(cls, value)
        member._value_ = value
        member.kind = kind
        member.message = message
        member.hint = hint
        return member

    # the caller's input
    BAD_INPUT = "bad_input", ErrorKind.INVALID, "The input cannot be used."
    INVALID_QUERY = (
        "invalid_query",
        ErrorKind.INVALID,
        "The question is empty, too long or holds only control characters.",
        "Send 1 to 1,000 characters of text.",
    )
    INVALID_REQUEST = (
        "invalid_request",
        ErrorKind.INVALID,
        "A field of the request is missing, unknown or out of range.",
    )
    BACKUP_INVALID = (
        "backup_invalid",
        ErrorKind.CLIENT,
        "The backup is incomplete or was changed.",
        "Restore another backup; this one was interrupted, or its disk is failing.",
    )
    BACKUP_FOLDER_NOT_EMPTY = (
        "backup_folder_not_empty",
        ErrorKind.CLIENT,
        "Backups are written to, and restored to, new or empty folders.",
        "Name another folder.",
    )
    INVALID_NAME = "invalid_name", ErrorKind.INVALID, "The file name cannot be used."
    INVALID_COLLECTION = (
        "invalid_collection",
        ErrorKind.INVALID,
        "The collection name cannot be used.",
        "Use 1 to 64 letters, digits, dots, dashes and underscores.",
    )
    INVALID_IDEMPOTENCY_KEY = (
        "invalid_idempotency_key",
        ErrorKind.INVALID,
        "The idempotency key cannot be used.",
    )
    INVALID_METADATA = "invalid_metadata", ErrorKind.INVALID, "The metadata cannot be used."
    INVALID_PAGES = (
        "invalid_pages",
        ErrorKind.INVALID,
        "The pages that were asked for cannot be used.",
        "Write numbers and ranges from 1, with commas between them: 1-3,7.",
    )
    PAGES_OUT_OF_RANGE = (
        "pages_out_of_range",
        ErrorKind.UNPROCESSABLE,
        "The file has fewer pages than were asked for.",
        "Ask for pages that the file has, or leave `pages` out to read all of them.",
    )
    FILE_WITHOUT_PAGES = (
        "file_without_pages",
        ErrorKind.UNPROCESSABLE,
        "Pages can be chosen of PDF, TIFF and PPTX files; this file has no numbered pages.",
        "Leave `pages` out to read the whole file.",
    )
    PATH_NOT_OFFERED = (
        "path_not_offered",
        ErrorKind.INVALID,
        "The request asks for LlamaCloud, but the settings keep this capability local.",
        "Leave `path` out or send `local`; only the operator can enable LlamaCloud.",
    )
    INVALID_SCHEMA = (
        "invalid_schema",
        ErrorKind.UNPROCESSABLE,
        "The extraction schema is malformed, too deep, too large or refers outside itself.",
    )
    BODY_CUT_SHORT = (
        "body_cut_short",
        ErrorKind.INVALID,
        "The connection closed before the request was complete.",
    )
    BODY_TOO_LARGE = (
        "body_too_large",
        ErrorKind.TOO_LARGE,
        "The request body is larger than the server accepts.",
        "Send less in one request.",
    )
    BODY_TOO_SLOW = (
        "body_too_slow",
        ErrorKind.REQUEST_TIMEOUT,
        "The upload of the request body timed out.",
        "Send it again over a faster connection.",
    )
    HEADER_TOO_LARGE = (
        "header_too_large",
        ErrorKind.HEADER_TOO_LARGE,
        "The header of the request is larger than the server accepts.",
        "Send shorter headers, or raise `server.max_header_bytes`.",
    )
    HEADER_TOO_SLOW = (
        "header_too_slow",
        ErrorKind.REQUEST_TIMEOUT,
        "The header of the request did not arrive in time.",
        "Send it again over a faster connection.",
    )
    MEDIA_TYPE_UNSUPPORTED = (
        "media_type_unsupported",
        ErrorKind.UNSUPPORTED_TYPE,
        "This route does not read that content type.",
    )
    METHOD_NOT_ALLOWED = (
        "method_not_allowed",
        ErrorKind.METHOD_NOT_ALLOWED,
        "This route does not support that method.",
    )

    # files
    FILE_EMPTY = (
        "file_empty",
        ErrorKind.UNPROCESSABLE,
        "The file is empty.",
        "The file has no content. Check the upload and send it again.",
    )
    FILE_ENCRYPTED = (
        "file_encrypted",
        ErrorKind.UNPROCESSABLE,
        "The file needs a password or is encrypted.",
        "Remove the password or the encryption and send the file again.",
    )
    FILE_MALFORMED = (
        "file_malformed",
        ErrorKind.UNPROCESSABLE,
        "The file is damaged.",
        _OWN_APPLICATION,
    )
    FILE_TRUNCATED = (
        "file_truncated",
        ErrorKind.UNPROCESSABLE,
        "The end of the file is missing.",
        "Send the whole file again.",
    )
    FILE_TOO_COMPLEX = (
        "file_too_complex",
        ErrorKind.UNPROCESSABLE,
        "Parsing the file would exceed the limits on time, memory or size.",
        "Split or simplify the file.",
    )
    FILE_TOO_LARGE = (
        "file_too_large",
        ErrorKind.TOO_LARGE,
        "The file exceeds the upload limit.",
        "Split the file or raise the upload limit in the settings.",
    )
    FILE_TYPE_UNSUPPORTED = (
        "file_type_unsupported",
        ErrorKind.UNSUPPORTED_TYPE,
        "No parser supports this file type.",
        "Convert it to PDF, DOCX, PPTX, XLSX, CSV, HTML, Markdown, text, PNG, JPEG or TIFF.",
    )
    NEEDS_CONVERTER = (
        "needs_converter",
        ErrorKind.UNSUPPORTED_TYPE,
        "The file can only be read with a converter that is not installed.",
        "For old Office files install LibreOffice (`apt install libreoffice-writer "
        "libreoffice-impress`, it provides `soffice`), for HEIC pictures "
        "`pip install 'foliotrace[heic]'`; or save the file in a newer format.",
    )
    FILE_MOSTLY_UNREADABLE = (
        "file_mostly_unreadable",
        ErrorKind.UNPROCESSABLE,
        "More than half of the pages cannot be read.",
        "See the problems of its pages: scans need OCR models, a damaged file must be saved again.",
    )
    ZERO_CHUNKS = (
        "zero_chunks",
        ErrorKind.UNPROCESSABLE,
        "Parsing produced no text to index.",
        "The document holds no readable text; see the problems of its pages.",
    )
    FILE_UNREADABLE = (
        "file_unreadable",
        ErrorKind.CLIENT,
        "The command line cannot open the file.",
    )
    FOLDER_UNREADABLE = (
        "folder_unreadable",
        ErrorKind.INVALID,
        "The folder cannot be read.",
        "Check the permissions of the folder; nothing was ingested.",
    )
    NO_FILES = (
        "no_files",
        ErrorKind.INVALID,
        "The folder holds no file.",
        "Check the path; hidden files are skipped.",
    )
    SAME_NAME = (
        "same_name",
        ErrorKind.INVALID,
        "Two files would become the same document.",
        "Ingest them into two collections, or name the folder that holds both.",
    )

    # nothing of that id
    NOT_FOUND = "not_found", ErrorKind.NOT_FOUND, "Nothing with that id or name exists."
    DOCUMENT_NOT_FOUND = (
        "document_not_found",
        ErrorKind.NOT_FOUND,
        "There is no such document.",
    )
    COLLECTION_NOT_FOUND = (
        "collection_not_found",
        ErrorKind.NOT_FOUND,
        "There is no such collection.",
        "Check its name; a collection exists once a file is ingested into it:"
        " `foliotrace ingest PATH --collection NAME`.",
    )
    PAGE_NOT_FOUND = "page_not_found", ErrorKind.NOT_FOUND, "There is no such page."
    ORIGINAL_NOT_FOUND = (
        "original_not_found",
        ErrorKind.NOT_FOUND,
        "The original file is not stored.",
    )
    JOB_NOT_FOUND = "job_not_found", ErrorKind.NOT_FOUND, "There is no such job."
    EXTRACTION_NOT_FOUND = (
        "extraction_not_found",
        ErrorKind.NOT_FOUND,
        "This job has no extracted record.",
    )
    KEY_NOT_FOUND = "key_not_found", ErrorKind.NOT_FOUND, "There is no such API key."
    RUN_NOT_FOUND = "run_not_found", ErrorKind.NOT_FOUND, "There is no such run."
    HANDLER_NOT_FOUND = (
        "handler_not_found",
        ErrorKind.NOT_FOUND,
        "No run with that handler id has started.",
    )
    WORKFLOW_NOT_FOUND = (
        "workflow_not_found",
        ErrorKind.NOT_FOUND,
        "No workflow with that name is hosted.",
    )
    ROUTE_NOT_FOUND = (
        "route_not_found",
        ErrorKind.NOT_FOUND,
        "There is no such route.",
        "See /docs.",
    )

    SOURCE_NOT_FOUND = (
        "source_not_found",
        ErrorKind.NOT_FOUND,
        "There is no such file under the allowed folders, or at that URL.",
        "Check its spelling; symbolic links are not followed.",
    )

    # contradicts what is there
    CONFLICT = "conflict", ErrorKind.CONFLICT, "The request conflicts with the current state."
    DATA_FOLDER_LOCKED = (
        "data_folder_locked",
        ErrorKind.CONFLICT,
        "Another process writes to the data folder.",
        "Stop that process, or open the folder read-only.",
    )
    IDEMPOTENCY_CONFLICT = (
        "idempotency_conflict",
        ErrorKind.CONFLICT,
        "The idempotency key was already used for a different request.",
        "Use a new key for a new request.",
    )
    INGEST_SUPERSEDED = (
        "ingest_superseded",
        ErrorKind.CONFLICT,
        "A newer version of this document arrived and replaces this ingestion.",
        "Follow the newest job of the document.",
    )
    HANDLER_EXISTS = "handler_exists", ErrorKind.CONFLICT, "A run with this id already exists."
    JOB_ALREADY_RUNNING = (
        "job_already_running",
        ErrorKind.CONFLICT,
        "A run with this id is already in progress.",
    )
    JOB_ALREADY_FINAL = "job_already_final", ErrorKind.CONFLICT, "The job has already ended."
    JOB_CANCELLED = "job_cancelled", ErrorKind.CONFLICT, "The job was cancelled."

    # not now, or not for this caller
    REFUSED = "refused", ErrorKind.FORBIDDEN, "The request was understood and refused."
    NOT_ALLOWED = "not_allowed", ErrorKind.FORBIDDEN, "This caller may not do this."
    HOST_NOT_ALLOWED = (
        "host_not_allowed",
        ErrorKind.FORBIDDEN,
        "This server answers only to loopback host names.",
        "Make an API key with `foliotrace keys create`, or set `server.allow_remote`.",
    )
    ORIGIN_NOT_ALLOWED = (
        "origin_not_allowed",
        ErrorKind.FORBIDDEN,
        "Pages of that origin may not call this server.",
    )
    EVENT_NOT_ACCEPTED = (
        "event_not_accepted",
        ErrorKind.FORBIDDEN,
        "No step of this run waits for that event from outside.",
        "Send a `HumanResponseEvent` that a step of the workflow takes.",
    )
    KEY_REQUIRED = (
        "key_required",
        ErrorKind.UNAUTHENTICATED,
        "This server answers only callers that it knows.",
        "Send `Authorization: Bearer <key>`; `foliotrace keys create` makes a key.",
    )
    KEY_MISTYPED = (
        "key_mistyped",
        ErrorKind.UNAUTHENTICATED,
        "This is no API key: its form or its checksum is wrong.",
        "Copy the whole key again, from `ftk_` to its last character.",
    )
    KEY_REFUSED = (
        "key_refused",
        ErrorKind.UNAUTHENTICATED,
        "The API key is unknown here or revoked.",
        "Check that it belongs to this server; `foliotrace keys list` shows its state.",
    )
    KEY_EXPIRED = (
        "key_expired",
        ErrorKind.UNAUTHENTICATED,
        "The API key has expired.",
        "Ask the operator for a new key (`foliotrace keys create` or `rotate`).",
    )
    TOKEN_REFUSED = (
        "token_refused",
        ErrorKind.UNAUTHENTICATED,
        "The bearer token is not valid here: its signature, issuer, audience or claims.",
        "Get a token for this service; `auth.oidc` in the settings says what it must hold.",
    )
    TOKEN_EXPIRED = (
        "token_expired",
        ErrorKind.UNAUTHENTICATED,
        "The bearer token has expired.",
        "Get a new token from the identity provider.",
    )
    COLLECTION_NOT_ALLOWED = (
        "collection_not_allowed",
        ErrorKind.FORBIDDEN,
        "This caller may not use that collection.",
        "Name a collection that the key is for; `foliotrace keys list` shows them.",
    )
    SCOPE_MISSING = (
        "scope_missing",
        ErrorKind.FORBIDDEN,
        "The API key does not have the scope that this request needs.",
        "Use a key with that scope; `foliotrace keys list` shows the scopes of each key.",
    )
    SOURCE_NOT_ALLOWED = (
        "source_not_allowed",
        ErrorKind.FORBIDDEN,
        "The operator does not allow files from there.",
        "Send the file itself, or have `ingest.outside_files` in the settings allow its place.",
    )
    BUDGET_EXCEEDED = (
        "budget_exceeded",
        ErrorKind.OVER_BUDGET,
        "The call could exceed the budget of the query or the tenant.",
        "Raise the budget or use a cheaper model.",
    )
    RATE_LIMITED = (
        "rate_limited",
        ErrorKind.BUSY,
        "This caller has sent too many requests.",
        "Retry after the time given in `Retry-After`; `RateLimit` says what is left.",
    )
    QUOTA_USED_UP = (
        "quota_used_up",
        ErrorKind.BUSY,
        "This caller has used its tokens, pages or money.",
        "Wait as long as `Retry-After` says, or ask the operator for a larger quota.",
    )
    TOO_BUSY = (
        "too_busy",
        ErrorKind.BUSY,
        "All slots are in use.",
        "Retry after the time given in `Retry-After`.",
    )

    # a dependency failed
    UNAVAILABLE = "unavailable", ErrorKind.UNAVAILABLE, "A dependency failed.", PROBE
    AUDIT_UNAVAILABLE = (
        "audit_unavailable",
        ErrorKind.UNAVAILABLE,
        "The audit log cannot be written, and the policy refuses unaudited work.",
        PROBE,
    )
    BREAKER_OPEN = (
        "breaker_open",
        ErrorKind.UNAVAILABLE,
        "A circuit breaker is open after repeated failures.",
        PROBE,
    )
    CACHE_UNAVAILABLE = (
        "cache_unavailable",
        ErrorKind.UNAVAILABLE,
        "The answer cache failed; the query counts as a cache miss.",
        PROBE,
    )
    DEADLINE_EXCEEDED = (
        "deadline_exceeded",
        ErrorKind.TIMEOUT,
        "The deadline passed before the work was done.",
        PROBE,
    )
    EMBEDDER_UNAVAILABLE = (
        "embedder_unavailable",
        ErrorKind.UNAVAILABLE,
        "The embedding model failed.",
        PROBE,
    )
    RELEASE_UNAVAILABLE = (
        "release_unavailable",
        ErrorKind.UNAVAILABLE,
        "The second service of a release gives no answer.",
        "Check `releases.<name>.base_url`, or roll the release back.",
    )
    SOURCE_UNAVAILABLE = (
        "source_unavailable",
        ErrorKind.UNAVAILABLE,
        "The file could not be fetched.",
        "Check that the host answers, and try again.",
    )
    EXTRACTOR_UNAVAILABLE = (
        "extractor_unavailable",
        ErrorKind.UNAVAILABLE,
        "The extractor failed.",
        PROBE,
    )
    GENERATOR_REFUSED = (
        "generator_refused",
        ErrorKind.UNAVAILABLE,
        "The language model refused the prompt; asking again would not help.",
        PROBE,
    )
    GENERATOR_UNAVAILABLE = (
        "generator_unavailable",
        ErrorKind.UNAVAILABLE,
        "The language model failed; another one may answer.",
        PROBE,
    )
    IDENTITY_PROVIDER_UNAVAILABLE = (
        "identity_provider_unavailable",
        ErrorKind.UNAVAILABLE,
        "The keys of the identity provider cannot be fetched, so no token can be checked.",
        "Check `auth.oidc.issuer`, and that this machine reaches it; API keys still work.",
    )
    INDEX_UNAVAILABLE = (
        "index_unavailable",
        ErrorKind.UNAVAILABLE,
        "A retrieval path failed.",
        PROBE,
    )
    LEDGER_UNAVAILABLE = (
        "ledger_unavailable",
        ErrorKind.UNAVAILABLE,
        "The budget ledger failed, so no money may be spent.",
        PROBE,
    )
    LIBRARY_UNAVAILABLE = (
        "library_unavailable",
        ErrorKind.UNAVAILABLE,
        "The library cannot be read or written.",
        PROBE,
    )
    LLAMACLOUD_FAILED = (
        "llamacloud_failed",
        ErrorKind.UNAVAILABLE,
        "A request to LlamaCloud failed.",
        "Check the key, the region and the credits with `foliotrace doctor`.",
    )
    PARSER_UNAVAILABLE = (
        "parser_unavailable",
        ErrorKind.UNAVAILABLE,
        "A parser crashed, timed out or cannot be reached; another one may work.",
        PROBE,
    )

    # jobs that the host ended
    JOB_INTERRUPTED = (
        "job_interrupted",
        ErrorKind.INTERNAL,
        "The process stopped before the job was done.",
    )
    JOB_CRASHED_REPEATEDLY = (
        "job_crashed_repeatedly",
        ErrorKind.INTERNAL,
        "The job was abandoned because the process crashed each time it ran.",
    )
    JOB_STALLED = (
        "job_stalled",
        ErrorKind.INTERNAL,
        "The job was given up because one of its steps did not return for hours.",
        "Send the file or the request again; the log names the job as `job.stalled`.",
    )
    JOB_UNREPAIRABLE = (
        "job_unrepairable",
        ErrorKind.INTERNAL,
        "The stored record of the job cannot be read, so the job was given up.",
        "Send the file or the request again; the log names the job as `job.quarantined`.",
    )
    UPLOAD_INTERRUPTED = (
        "upload_interrupted",
        ErrorKind.INTERNAL,
        "The upload was interrupted. Send the file again.",
    )
    WORKFLOW_NOT_HOSTED = (
        "workflow_not_hosted",
        ErrorKind.INTERNAL,
        "The workflow of this job is no longer hosted.",
    )
    RESULT_UNREADABLE = (
        "result_unreadable",
        ErrorKind.UNPROCESSABLE,
        "This version cannot read the stored result.",
    )

    # ours
    ERROR = "error", ErrorKind.INTERNAL, "The operation failed."
    INTERNAL_ERROR = (
        "internal_error",
        ErrorKind.INTERNAL,
        "The server failed on this request.",
        "Look for `request.failed` in the server's log.",
    )
    RECORD_INVALID = (
        "record_invalid",
        ErrorKind.INTERNAL,
        "The extracted record does not satisfy its schema.",
        "Make fields nullable, or ask for the extraction with its metadata.",
    )
    MISCONFIGURED = (
        "misconfigured",
        ErrorKind.INTERNAL,
        "A setting is wrong, unknown or missing.",
        "Run `foliotrace doctor`.",
    )

    # raised by the client
    SERVER_PROBLEM = "server_problem", ErrorKind.CLIENT, "The server refused the request or failed."
    SERVER_UNREACHABLE = (
        "server_unreachable",
        ErrorKind.CLIENT,
        "No foliotrace server answers at the URL.",
        "Check the URL, or start a server with `foliotrace serve`.",
    )
