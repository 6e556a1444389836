"""Generates the reference page of errors from the catalogue: docs/reference/errors.md."""

import pkgutil
from collections.abc import Iterator
from importlib import import_module

import foliotrace
import foliotrace_server
from foliotrace.catalog import ErrorCode, ErrorKind, PageProblem, Reason, ReasonFamily
from foliotrace.catalog.codes import SEE_REFERENCE
from foliotrace.errors import FoliotraceError
from foliotrace_audit.errors import AuditError
from foliotrace_server.http.problems import status_of

_NOT_IMPORTED = ("__main__", ".llamactl", ".redis")
"""Parts of module names: entry points, and adapters whose library is optional."""


def page() -> str:
    """The whole page, in Markdown."""
    return "\n".join(
        (
            "# Errors",
            "",
            "Over HTTP an error is an RFC 9457 problem with `code`; in Python it is an exception "
            "with `error_code`; on the command line it is printed on standard error, with an "
            "[exit code](cli.md). The `problem` of a failed job or document is one of these codes "
            "or, when a dependency failed, one of the [reasons](#reasons).",
            "",
            "## Codes",
            "",
            "A code without a status is raised by the client or the command line only. Messages "
            "may be more specific than those listed here.",
            "",
            *_table(("code", "kind", "status", "message", "what to do"), _codes()),
            "",
            "## Exceptions",
            "",
            "An exception carries the code of its class or a narrower one: `document_not_found` "
            "is a `NotFound`.",
            "",
            *_table(("class", "code", "meaning"), _classes()),
            "",
            "## Reasons",
            "",
            "Why a dependency failed or an answer is degraded: in `degradation.reasons`, on "
            "`/readyz`, in spans, metrics and the audit log. `<service>` is a dependency (`llm_1`, "
            "`embedder`, `managed_index`, `llamaparse`, ...), `<mode>` a retrieval or answer mode, "
            "`<method>` an extraction method, `<status>` an HTTP status. Without a narrower reason "
            "the code of the error is the reason.",
            "",
            *_table(("reason", "message", "what to do"), _reasons()),
            "",
            "## Problems of pages",
            "",
            "A page that cannot be read does not fail its document; "
            "`GET /v1/documents/{id}/pages/{n}` shows why.",
            "",
            *_table(("problem", "`status`", "message"), _page_problems()),
            "",
            "## Errors of the audit log",
            "",
            "`foliotrace_audit` and `foliotrace_otel` can be used without foliotrace, with small "
            "trees of their own. In the service, an error at the start is a `Misconfigured`.",
            "",
            *_table(("class", "code", "meaning", "what to do"), _observers()),
            "",
        )
    )


def _codes() -> Iterator[tuple[str, ...]]:
    for code in sorted(ErrorCode):
        status = "" if code.kind is ErrorKind.CLIENT else str(status_of(code))
        yield f"`{code}`", f"`{code.kind}`", status, code.message, _hint(code)


def _classes() -> Iterator[tuple[str, ...]]:
    for package in (foliotrace, foliotrace_server):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if not any(part in module.name for part in _NOT_IMPORTED):
                import_module(module.name)
    for kind in _below(FoliotraceError):
        yield f"`{kind.__name__}`", f"`{kind.code}`", _meaning(kind)


def _reasons() -> Iterator[tuple[str, ...]]:
    families = [(each.pattern, each.message, "") for each in ReasonFamily]
    single = [(str(each), each.message, each.hint) for each in Reason]
    for reason, message, hint in sorted(families + single):
        yield f"`{reason}`", message.replace("<", "&lt;"), hint


def _page_problems() -> Iterator[tuple[str, ...]]:
    for problem in PageProblem:
        yield f"`{problem}`", f"`{problem.page_status}`", problem.message


def _observers() -> Iterator[tuple[str, ...]]:
    for kind in sorted(AuditError.__subclasses__(), key=lambda each: each.__name__):
        yield f"`{kind.__name__}`", f"`{kind.code}`", _meaning(kind), kind.hint


def _below(kind: type[FoliotraceError]) -> Iterator[type[FoliotraceError]]:
    """Every class of ours that derives from `kind`."""
    for each in sorted(kind.__subclasses__(), key=lambda each: each.__name__):
        if each.__module__.startswith("foliotrace"):
            yield each
            yield from _below(each)


def _hint(code: ErrorCode) -> str:
    return "" if code.hint == SEE_REFERENCE else code.hint


def _meaning(kind: type[Exception]) -> str:
    return (kind.__doc__ or "").splitlines()[0]


def _table(head: tuple[str, ...], rows: Iterator[tuple[str, ...]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield f"|{'---|' * len(head)}"
    for row in rows:
        yield f"| {' | '.join(cell.replace('|', '/') for cell in row)} |"
