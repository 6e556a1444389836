"""The command line: registers every command, and imports a command only when it is used."""

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click
from click.shell_completion import CompletionItem, get_completion_class

from foliotrace.errors import FoliotraceError
from foliotrace_server.cli.command import (
    Command,
    Exit,
    Group,
    Options,
    pass_options,
    print_error,
    with_exit_code,
)

if TYPE_CHECKING:
    from foliotrace_server.settings import Settings

_CLI: Final = "foliotrace_server.cli"
_FOLDER: Final = f"{_CLI}.folder"
_SHARED_OPTIONS: Final = ("--config", "--data-dir", "--url", "--api-key", "--output")
_COMPLETION_VARIABLE: Final = "_FOLIOTRACE_COMPLETE"  # set by the shell when it asks
_OPTIONAL_LIBRARIES: Final = ("rich", "pygments")


@dataclass(frozen=True, slots=True)
class LazyCommand:
    """Where a command is defined (`module:name`), and its summary for `--help`."""

    location: str
    summary: str

    def load(self) -> click.Command:
        """Import the command."""
        module, _, name = self.location.partition(":")
        command: click.Command = getattr(import_module(module), name)
        return command


COMMANDS: Final[Mapping[str, LazyCommand]] = {
    "init": LazyCommand(f"{_FOLDER}.init:init", "Ask three questions and write a settings file."),
    "demo": LazyCommand(f"{_CLI}.demo:demo", "Run every feature on example documents."),
    "ingest": LazyCommand(f"{_CLI}.ingest:ingest", "Ingest files and folders."),
    "ask": LazyCommand(f"{_CLI}.ask:ask", "Ask a question and get an answer with citations."),
    "extract": LazyCommand(f"{_CLI}.extract:extract", "Extract a typed record from a document."),
    "documents": LazyCommand(f"{_CLI}.documents:documents", "List, show and delete documents."),
    "jobs": LazyCommand(f"{_CLI}.jobs:jobs", "List, follow and cancel jobs."),
    "runs": LazyCommand(f"{_CLI}.loop.runs:runs", "List, show, open and rate runs."),
    "loop": LazyCommand(
        f"{_CLI}.loop.commands:loop", "Turn bad answers into cases, and gate releases on them."
    ),
    "traces": LazyCommand(
        f"{_CLI}.loop.traces:traces", "Generate traces, and upload files of runs to LangSmith."
    ),
    "serve": LazyCommand(f"{_CLI}.main:serve", "Run the HTTP server."),
    "doctor": LazyCommand(
        f"{_CLI}.main:doctor", "Check the configuration and report what is missing."
    ),
    "backup": LazyCommand(f"{_FOLDER}.backup:backup", "Back up the data folder."),
    "restore": LazyCommand(f"{_FOLDER}.backup:restore", "Restore a backup."),
    "erase": LazyCommand(f"{_CLI}.documents:erase", "Erase a user, a collection or a time."),
    "check": LazyCommand(f"{_FOLDER}.check:check", "Find and repair damage in the data folder."),
    "upgrade": LazyCommand(f"{_FOLDER}.check:upgrade", "Bring the data folder to this release."),
    "cloud": LazyCommand(f"{_CLI}.cloud:cloud", "Show LlamaCloud usage."),
    "index": LazyCommand(f"{_CLI}.cloud:index", "Maintain the managed LlamaCloud index."),
    "keys": LazyCommand(f"{_FOLDER}.keys:keys", "Create, list, rotate and revoke API keys."),
    "audit": LazyCommand("foliotrace_audit.cli:audit", "Verify, search and export the audit log."),
    "completion": LazyCommand(f"{_CLI}.main:completion", "Print a shell completion script."),
}


class Main(Group):
    """Accepts the shared options before and after the command."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Move the shared options to the front, each with its value; `audit` has its own."""
        shared: list[str] = []
        rest: list[str] = []
        remaining = iter(args)
        for arg in remaining:
            if arg == "--":
                rest += [arg, *remaining]
            elif arg in _SHARED_OPTIONS and "audit" not in rest:
                value = next(remaining, None)
                shared += [arg, *([value] if value is not None else [])]
            elif arg.startswith(tuple(f"{o}=" for o in _SHARED_OPTIONS)) and "audit" not in rest:
                shared.append(arg)
            else:
                rest.append(arg)
        return super().parse_args(ctx, [*shared, *rest])

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Command names in order of registration."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return a command; None if there is none of that name."""
        lazy = COMMANDS.get(cmd_name)
        return lazy.load() if lazy is not None else None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, lazy.summary) for name, lazy in COMMANDS.items()])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Complete command names and shared options without importing commands."""
        names = [
            CompletionItem(name, help=lazy.summary)
            for name, lazy in COMMANDS.items()
            if name.startswith(incomplete)
        ]
        return names + click.Command.shell_complete(self, ctx, incomplete)


_EPILOG: Final = f"Exit codes: {', '.join(f'{code:d} {code.label}' for code in Exit)}."


@click.group(cls=Main, epilog=_EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="foliotrace", prog_name="foliotrace")
@click.option(
    "--config", type=click.Path(path_type=Path, dir_okay=False), help="TOML file with settings."
)
@click.option(
    "--data-dir",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder that holds documents, index, jobs and audit log.",
)
@click.option("--url", help="URL of a running server; without it, the data folder is used.")
@click.option(
    "--api-key",
    envvar="FOLIOTRACE_API_KEY",
    help="API key for the server; other users can see the command line, not FOLIOTRACE_API_KEY.",
)
@click.option(
    "--output",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="Output format.",
)
@click.pass_context
def main(
    context: click.Context,
    config: Path | None,
    data_dir: Path | None,
    url: str | None,
    api_key: str | None,
    output: str,
) -> None:
    """Ask questions about your documents and extract typed records, with verifiable citations.

    Every command works on a local data folder, or on a server with `--url`.

    Examples:
      foliotrace ingest ./reports
      foliotrace ask "How long is the refund window?"
      foliotrace --output json ask "What was revenue in 2023?"
      foliotrace --url http://127.0.0.1:8080 documents list
    """
    import_without_rich("httpx", "structlog")
    from foliotrace_server.logging import set_up_logging

    context.obj = Options(config, data_dir, url, output, api_key)
    set_up_logging("error", "console")  # `embedded` obeys the settings, if they set a level
    if context.invoked_subcommand == "audit":
        from foliotrace_audit.cli import OPERATION

        context.default_map = {"audit": _audit_defaults(context.obj)}
        context.meta[OPERATION] = partial(_audited, context.obj.settings())


@contextmanager
def _audited(settings: "Settings", action: str, log_folder: Path) -> Iterator[None]:
    """Record a command that reads this installation's own audit log, not a copy of one."""
    from foliotrace_server.observing.audit import audit_folders
    from foliotrace_server.observing.audit_commands import audited_command

    if log_folder.resolve() != audit_folders(settings)[0].resolve():
        yield
        return
    try:
        with audited_command(settings, action):
            yield
    except FoliotraceError as error:
        sys.exit(print_error(error))


def import_without_rich(*libraries: str) -> None:
    """Import `libraries` as if rich and pygments were not installed.

    httpx imports them for its own command line and structlog for tracebacks; neither is used here,
    and without them every command starts 0.14 s of CPU sooner. They can be imported afterwards.
    """
    hidden = [name for name in _OPTIONAL_LIBRARIES if name not in sys.modules]
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type] # None: "not installed"
    try:
        for library in libraries:
            import_module(library)
    finally:
        for name in hidden:
            del sys.modules[name]


def _audit_defaults(options: Options) -> dict[str, dict[str, object]]:
    """Default options of the `audit` commands, from the settings."""
    from foliotrace_server.observing.audit_commands import command_defaults

    try:
        return command_defaults(options.settings(), options.output)
    except FoliotraceError as error:
        sys.exit(print_error(error))


@click.command(cls=Command)
@click.option("--host", help="Address to bind.")
@click.option("--port", type=click.IntRange(0, 65535), help="Port to bind; 0 picks a free one.")
@pass_options
@with_exit_code
def serve(options: Options, host: str | None, port: int | None) -> None:
    """Serve the REST API and the llama-agents protocol until SIGINT or SIGTERM.

    Examples:
      foliotrace serve
      foliotrace --data-dir /var/lib/foliotrace serve --port 9000
    """
    from foliotrace_server.logging import set_up_logging
    from foliotrace_server.serve import serve as serve_until_signal

    def read() -> "Settings":
        settings = options.settings()
        changed = {k: v for k, v in {"host": host, "port": port}.items() if v is not None}
        server = settings.server.model_copy(update=changed)
        return settings.model_copy(update={"server": server})

    settings = read()
    set_up_logging(settings.log.level, settings.log.format)
    serve_until_signal(settings, read)


@click.command(cls=Command)
@click.option(
    "--probe/--offline",
    default=True,
    help="Send one small request to each configured service (default), or to none.",
)
@pass_options
@with_exit_code
def doctor(options: Options, probe: bool) -> Exit | None:
    """Check the configuration and its services; report what is missing and what it would enable.

    Settings that are wrong are reported too; the rest is checked without them. The only text that
    is sent is the word ping. Exit code 7: something does not work.

    Examples:
      foliotrace doctor
      foliotrace doctor --offline
    """
    import asyncio

    from foliotrace_server.cli import output
    from foliotrace_server.doctor import examine, run_probes

    settings, wrong = options.inspect_settings()
    results = list(examine(settings, wrong))
    if probe:
        results += asyncio.run(run_probes(settings))
    if options.output == "json":
        output.print_json(results)
    else:
        rows = [(each.area, each.state, each.said) for each in results]
        output.print_table(("AREA", "STATE", "FOUND"), rows)
        for each in results:
            if each.adds:
                says = " would add" if each.state == "off" else ":"
                output.print_line(f"{each.area}{says} {each.adds}")
    return Exit.MISCONFIGURED if any(each.state == "problem" for each in results) else Exit.DONE


@click.command(cls=Command)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print a script that completes commands and options in SHELL.

    Examples:
      foliotrace completion bash >> ~/.bashrc
      foliotrace completion zsh >> ~/.zshrc
      foliotrace completion fish > ~/.config/fish/completions/foliotrace.fish
    """
    kind = get_completion_class(shell)
    assert kind is not None  # noqa: S101 - click supports these three
    script = kind(context.find_root().command, {}, "foliotrace", _COMPLETION_VARIABLE)
    click.echo(script.source())
