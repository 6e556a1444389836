"""What every command shares: options, help layout, the connection to a server, exit codes, errors.

Slow imports happen where they are needed, so that `--help` is fast.
"""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from difflib import get_close_matches
from enum import IntEnum
from functools import wraps
from inspect import cleandoc
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

import click

from foliotrace import errors

if TYPE_CHECKING:
    from foliotrace_server.client import AsyncFoliotraceClient
    from foliotrace_server.engine import Engine
    from foliotrace_server.settings import Settings
    from foliotrace_server.wrong_settings import SettingProblem

F = TypeVar("F", bound=Callable[..., Any])
P = ParamSpec("P")


@dataclass(frozen=True, slots=True)
class Options:
    """The options before or after any command."""

    config: Path | None
    data_dir: Path | None
    url: str | None
    output: str  # text, json
    api_key: str | None = None
    changed: Mapping[str, object] | None = None  # settings that win over all sources

    def settings(self, **overrides: object) -> "Settings":
        """Load the settings; `--data-dir` wins. Raises Misconfigured."""
        from foliotrace_server.settings import load_settings

        if self.data_dir is not None:
            overrides["data_dir"] = self.data_dir
        overrides |= self.changed or {}
        return load_settings(self.config, **overrides)

    def inspect_settings(self) -> "tuple[Settings, Sequence[SettingProblem]]":
        """The settings that are right, and what is wrong with the others. Raises nothing."""
        from foliotrace_server.settings import inspect_settings

        options = {} if self.data_dir is None else {"data_dir": self.data_dir}
        return inspect_settings(self.config, **options)


pass_options = click.make_pass_decorator(Options)


def path_option(action: str) -> Callable[[F], F]:
    """`--path`: where to run `action`, overriding the server's default for one request."""
    choices = click.Choice(["local", "cloud", "cloud_then_local"])
    description = f"Where to {action}; overrides the server default."
    return click.option("--path", type=choices, help=description)


class Command(click.Command):
    """A command whose help keeps the line breaks of its `Examples:`."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - click's own
        super().__init__(*args, **kwargs)
        self.help = _with_examples(self.help)


class Group(click.Group):
    """Lists commands in order of declaration and suggests the nearest one to a mistyped name."""

    command_class = Command
    group_class = type  # subgroups are of this class too

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - click's own
        super().__init__(*args, **kwargs)
        self.help = _with_examples(self.help)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Command names in order of declaration."""
        return list(self.commands)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command. Raises UsageError that suggests the nearest name."""
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            nearest = get_close_matches(args[0], self.list_commands(ctx), n=1)
            if not nearest:
                raise
            raise click.UsageError(f"{error.message} Did you mean '{nearest[0]}'?", ctx) from error


def _with_examples(text: str | None) -> str | None:
    """Mark `Examples:` as preformatted; click would join its lines into a paragraph."""
    return cleandoc(text).replace("Examples:\n", "\b\nExamples:\n") if text else text


class Exit(IntEnum):
    """Exit codes of `foliotrace`."""

    DONE = 0
    FAILED = 1
    WRONG_INPUT = 2
    PARTLY_FAILED = 3
    NOT_FOUND = 4
    BUSY = 5
    UNREACHABLE = 6
    MISCONFIGURED = 7

    @property
    def label(self) -> str:
        """The name for the list in `--help`."""
        return self.name.lower().replace("_", " ")


MEANINGS = {
    Exit.DONE: "The command succeeded.",
    Exit.FAILED: "Unexpected failure; see the log.",
    Exit.WRONG_INPUT: "Invalid command line, file or request.",
    Exit.PARTLY_FAILED: "A job or some files failed; the output lists them with the reason.",
    Exit.NOT_FOUND: "No such id; for `ask`: the documents do not answer the question.",
    Exit.BUSY: "Another process holds the data folder, or the server is at capacity. Retry later.",
    Exit.UNREACHABLE: "The server or an external service does not respond.",
    Exit.MISCONFIGURED: "A setting is invalid, unknown or missing.",
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


def exit_code_of(error: errors.FoliotraceError) -> Exit:
    """The exit code for one of our errors."""
    from foliotrace_server.client import ServerProblem, Unreachable

    if isinstance(error, Unreachable):
        return Exit.UNREACHABLE
    if isinstance(error, ServerProblem):
        default = Exit.WRONG_INPUT if error.status < 500 else Exit.FAILED
        return _OF_STATUS.get(error.status, default)
    return next((code for kind, code in _OF_ERROR if isinstance(error, kind)), Exit.FAILED)


def with_exit_code(command: Callable[P, Exit | None]) -> Callable[P, None]:
    """Exit with the command's code; print our errors on standard error."""

    @wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            code = command(*args, **kwargs) or Exit.DONE
        except errors.FoliotraceError as error:
            code = print_error(error)
        except KeyboardInterrupt:
            sys.exit(130)
        sys.exit(code)

    return run


def print_error(error: errors.FoliotraceError) -> Exit:
    """Print an error on standard error, as lines or as one JSON value; its exit code."""
    code = exit_code_of(error)
    fields = list(getattr(error, "fields", ()))
    options = click.get_current_context().find_object(Options)
    if options is not None and options.output == "json":
        body = {"code": error.error_code, "message": error.message, "hint": error.hint}
        lines = [json.dumps({"error": {**body, "fields": fields, "exit": code}})]
    else:
        lines = [f"foliotrace: {error.message} [{error.error_code}]"]
        lines += [f"  {field.get('pointer')}: {field.get('rule')}" for field in fields]
        lines += [f"  {error.hint}"] if error.hint else []
    sys.stderr.write("\n".join(lines) + "\n")
    return code


@asynccontextmanager
async def connect(
    options: Options, *, makes_library: bool = False
) -> AsyncIterator["AsyncFoliotraceClient"]:
    """A client of `--url`, of the server that holds the data folder, or of an embedded one.

    Raises Misconfigured (also where the data folder holds no library, unless the command
    `makes_library`), Conflict `data_folder_locked`.
    """
    from foliotrace.adapters.local.files.lease import WriterLease
    from foliotrace.adapters.local.files.permissions import private_files
    from foliotrace.adapters.local.sqlite.library import FILE_NAME
    from foliotrace_server.client import AsyncFoliotraceClient

    if options.url is not None:
        url = options.url if "://" in options.url else f"http://{options.url}"
        async with AsyncFoliotraceClient(url, api_key=options.api_key) as remote:
            yield remote
        return
    settings = options.settings()
    holder = WriterLease.holder(settings.data_dir)
    if holder is not None and holder.url is not None:
        async with AsyncFoliotraceClient(holder.url, api_key=options.api_key) as remote:
            yield remote
        return
    if not makes_library and not (settings.data_dir / FILE_NAME).exists():
        raise errors.Misconfigured(
            f"there is no library in {settings.data_dir.absolute()}",
            hint="Ingest files first: foliotrace ingest PATH. If they are in another folder, name"
            " it: --data-dir FOLDER.",
        )
    with private_files(), WriterLease.acquire(settings.data_dir):
        async with embedded(settings) as server:
            yield server.client


@dataclass(frozen=True, slots=True)
class EmbeddedServer:
    """A server in this process, without a socket, and a client of it."""

    client: "AsyncFoliotraceClient"
    engine: "Engine"

    def trace_tree(self, trace_id: str) -> str:
        """A recent trace as a text tree; "" if it is unknown or tracing is off."""
        observability = self.engine.assembly.observability
        return observability.trace_tree(trace_id) if observability is not None else ""


@asynccontextmanager
async def embedded(settings: "Settings") -> AsyncIterator[EmbeddedServer]:
    """A server on the data folder, whose writer lease the caller holds. Raises Misconfigured."""
    from foliotrace_server.app import build_app
    from foliotrace_server.client import AsyncFoliotraceClient
    from foliotrace_server.client.asgi_transport import AsgiTransport
    from foliotrace_server.compose import compose
    from foliotrace_server.http.identity import OPEN
    from foliotrace_server.logging import set_up_logging

    if "level" in settings.log.model_fields_set:
        set_up_logging(settings.log.level, settings.log.format)
    engine = compose(settings, keep_recent_traces=True)
    app = build_app(engine, OPEN)  # whoever can open the folder needs no key
    async with (
        app.lifespan(None),
        AsyncFoliotraceClient("http://localhost", transport=AsgiTransport(app)) as client,
    ):
        yield EmbeddedServer(client, engine)


def run(
    options: Options,
    command: "Callable[[AsyncFoliotraceClient], Awaitable[Exit | None]]",
    *,
    makes_library: bool = False,
) -> Exit | None:
    """Run `command` with a connected client; its exit code."""

    async def with_client() -> Exit | None:
        async with connect(options, makes_library=makes_library) as client:
            return await command(client)

    return asyncio.run(with_client())


def parse_json_object(text: str, source: str) -> dict[str, Any]:
    """The JSON object in `text`. Raises BadInput that names `source`, line and column."""
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        raise errors.BadInput(
            f"{source} is not JSON: line {error.lineno}, column {error.colno}: {error.msg}",
            hint="JSON needs double quotes around names and strings, and no trailing comma.",
        ) from None
    if not isinstance(value, dict):
        raise errors.BadInput(f"{source} is not a JSON object", hint='Write {"name": value, ...}.')
    return value
