"""Exit codes that mean something, and errors told on one line with what to do next."""

import json
import sys
from collections.abc import Callable
from enum import IntEnum
from functools import wraps
from typing import ParamSpec

import click

from foliotrace import errors
from foliotrace_server.cli.session import Options

P = ParamSpec("P")


class Exit(IntEnum):
    """What became of a command."""

    DONE = 0
    FAILED = 1
    WRONG_INPUT = 2
    PARTLY_FAILED = 3
    NOT_FOUND = 4
    BUSY = 5
    UNREACHABLE = 6
    MISCONFIGURED = 7

    @property
    def words(self) -> str:
        """For a list of them."""
        return self.name.lower().replace("_", " ")


MEANINGS = {
    Exit.DONE: "Done.",
    Exit.FAILED: "Failed in a way that was not planned for; the log says where.",
    Exit.WRONG_INPUT: "The command line or what it names cannot be used.",
    Exit.PARTLY_FAILED: "Some files or a job failed; the output says which and why.",
    Exit.NOT_FOUND: "No such id; or, for `ask`, the documents do not answer the question.",
    Exit.BUSY: "Not now: another process holds the data folder, or every place is taken.",
    Exit.UNREACHABLE: "A server or a dependency does not answer.",
    Exit.MISCONFIGURED: "A setting is wrong, unknown or missing.",
}
_OF_ERROR: tuple[tuple[type[errors.FoliotraceError], Exit], ...] = (
    (errors.Misconfigured, Exit.MISCONFIGURED),
    (errors.NotFound, Exit.NOT_FOUND),
    (errors.Conflict, Exit.BUSY),
    (errors.Refused, Exit.BUSY),
    (errors.Unavailable, Exit.UNREACHABLE),
    (errors.BadInput, Exit.WRONG_INPUT),
)
_OF_STATUS = {404: Exit.NOT_FOUND, 409: Exit.BUSY, 429: Exit.BUSY, 503: Exit.UNREACHABLE}


def exit_of(error: errors.FoliotraceError) -> Exit:
    """The exit code for one of our errors."""
    from foliotrace_server.client import ServerProblem, Unreachable

    if isinstance(error, Unreachable):
        return Exit.UNREACHABLE
    if isinstance(error, ServerProblem):
        by_default = Exit.WRONG_INPUT if error.status < 500 else Exit.FAILED
        return _OF_STATUS.get(error.status, by_default)
    return next((code for kind, code in _OF_ERROR if isinstance(error, kind)), Exit.FAILED)


def explained(command: Callable[P, Exit | None]) -> Callable[P, None]:
    """Run a command; end with its exit code, and tell errors on standard error."""

    @wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            code = command(*args, **kwargs) or Exit.DONE
        except errors.FoliotraceError as error:
            code = tell(error)
        except KeyboardInterrupt:
            sys.exit(130)
        sys.exit(code)

    return run


def tell(error: errors.FoliotraceError) -> Exit:
    """Tell on standard error, in lines or with `--output json` as one value; the exit code."""
    code = exit_of(error)
    fields = list(getattr(error, "fields", ()))
    options = click.get_current_context().find_object(Options)
    if options is not None and options.output == "json":
        told = {"code": error.error_code, "message": error.message, "hint": error.hint}
        lines = [json.dumps({"error": {**told, "fields": fields, "exit": code}})]
    else:
        lines = [f"foliotrace: {error.message} [{error.error_code}]"]
        lines += [f"  {field.get('pointer')}: {field.get('rule')}" for field in fields]
        lines += [f"  {error.hint}"] if error.hint else []
    sys.stderr.write("\n".join(lines) + "\n")
    return code
