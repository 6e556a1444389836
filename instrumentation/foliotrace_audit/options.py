"""Options that the audit commands share, and how their errors are reported."""

from collections.abc import Callable
from datetime import UTC, datetime
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec

import click

from foliotrace_audit.errors import AuditError

P = ParamSpec("P")


class AuditFailure(click.ClickException):
    """The command could not do its work: exit code 2, so that it is never taken for `tampered`."""

    exit_code = 2


def reports_errors(command: Callable[P, None]) -> Callable[P, None]:
    """Report this package's errors and unreadable files as a message, a code and a hint."""

    @wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            command(*args, **kwargs)
        except AuditError as error:
            raise AuditFailure(f"{error} [{error.code}]\n{error.hint}") from error
        except OSError as error:
            raise AuditFailure(f"{error.strerror}: {error.filename}") from error

    return run


class Instant(click.ParamType[datetime]):
    """An RFC 3339 time or date; UTC where it names no zone."""

    name = "time"

    def convert(
        self,
        value: Any,  # noqa: ANN401 - click's signature
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> datetime:
        """Parse `value`."""
        if isinstance(value, datetime):
            return value
        try:
            when = datetime.fromisoformat(value)
        except ValueError:
            self.fail(f"{value!r} is not a time such as 2026-11-21T02:00Z", param, ctx)
        return when if when.tzinfo else when.replace(tzinfo=UTC)


KEYS_HELP = (
    "Key folder; needed for --query, and to verify each record that is read: without it, "
    "`verified` is null."
)
SUBJECT_HELP = "Who asked or for whom: the caller (key:<id>, oidc:<sub>) or the user's id."

existing_path = click.Path(exists=True, path_type=Path)
log_option = click.option("--log", "log_folder", required=True, type=existing_path, help="The log.")
output_option = click.option(
    "--output",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="Output format.",
)
since_option = click.option("--since", type=Instant(), help="Only records from this time on.")
until_option = click.option("--until", type=Instant(), help="Only records before this time.")
