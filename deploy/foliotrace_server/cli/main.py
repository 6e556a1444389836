"""The command line: every command is registered here, and imported when it is asked for."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Final

import click
from click.shell_completion import CompletionItem

from foliotrace.errors import FoliotraceError
from foliotrace_server.cli.command import Group
from foliotrace_server.cli.failures import Exit, tell
from foliotrace_server.cli.session import Options


@dataclass(frozen=True, slots=True)
class Registered:
    """Where a command stands, `module:name`, and what `--help` says of it without importing it."""

    place: str
    summary: str

    def load(self) -> click.Command:
        """The command itself."""
        module, _, name = self.place.partition(":")
        found: click.Command = getattr(import_module(module), name)
        return found


_CLI: Final = "foliotrace_server.cli"
COMMANDS: Final[Mapping[str, Registered]] = {
    "demo": Registered(f"{_CLI}.demo:demo", "See it all on example documents, in one minute."),
    "ingest": Registered(f"{_CLI}.ingest:ingest", "Ingest files and folders."),
    "ask": Registered(f"{_CLI}.ask:ask", "Ask a question; every citation opens."),
    "extract": Registered(f"{_CLI}.extract:extract", "Extract a typed record from a document."),
    "documents": Registered(f"{_CLI}.documents:documents", "List, show and delete documents."),
    "jobs": Registered(f"{_CLI}.jobs:jobs", "List, follow and cancel jobs."),
    "serve": Registered(f"{_CLI}.serving:serve", "Serve the REST API and the protocol."),
    "doctor": Registered(f"{_CLI}.examining:doctor", "Say what is configured and what is missing."),
    "cloud": Registered(f"{_CLI}.cloud:cloud", "What LlamaCloud was asked for."),
    "index": Registered(f"{_CLI}.cloud:index", "Look after the managed index."),
    "audit": Registered("foliotrace_audit.cli:audit", "Prove, search and keep the audit log."),
    "completion": Registered(f"{_CLI}.completion:completion", "Complete commands in your shell."),
}
_SHARED_OPTIONS: Final = ("--config", "--data-dir", "--url", "--output")


class Main(Group):
    """Takes the shared options before or behind the command, as people write them."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Move the shared options to the front, each with its value; `audit` has its own."""
        front: list[str] = []
        rest: list[str] = []
        given = iter(args)
        for arg in given:
            if arg == "--":
                rest += [arg, *given]
            elif arg in _SHARED_OPTIONS and "audit" not in rest:
                front += [arg, *([value] if (value := next(given, None)) is not None else [])]
            elif arg.startswith(tuple(f"{o}=" for o in _SHARED_OPTIONS)) and "audit" not in rest:
                front.append(arg)
            else:
                rest.append(arg)
        return super().parse_args(ctx, [*front, *rest])

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In the order in which they are registered."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name."""
        registered = COMMANDS.get(cmd_name)
        return registered.load() if registered is not None else None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list in `--help`."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, each.summary) for name, each in COMMANDS.items()])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Names of commands, and our options."""
        names = [
            CompletionItem(name, help=each.summary)
            for name, each in COMMANDS.items()
            if name.startswith(incomplete)
        ]
        return names + click.Command.shell_complete(self, ctx, incomplete)


_EPILOG: Final = f"Exit codes: {', '.join(f'{code:d} {code.words}' for code in Exit)}."


@click.group(cls=Main, epilog=_EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="foliotrace", prog_name="foliotrace")
@click.option("--config", type=click.Path(path_type=Path, dir_okay=False), help="TOML settings.")
@click.option("--data-dir", type=click.Path(path_type=Path, file_okay=False), help="Data folder.")
@click.option("--url", help="A running server; without it, the data folder is used.")
@click.option(
    "--output", type=click.Choice(["text", "json"]), default="text", help="For whom to print."
)
@click.pass_context
def main(
    context: click.Context,
    config: Path | None,
    data_dir: Path | None,
    url: str | None,
    output: str,
) -> None:
    """Ask real documents and get checkable answers and typed records.

    Every command works on this machine's data folder, or on a server with `--url`.

    Examples:
      foliotrace ingest ./reports
      foliotrace ask "How long is the refund window?"
      foliotrace --output json ask "What was revenue in 2023?"
      foliotrace --url http://127.0.0.1:8080 documents list
    """
    from foliotrace_server.cli.quick_imports import import_without_rich

    import_without_rich("httpx", "structlog")
    from foliotrace_server.logging import set_up_logging

    context.obj = Options(config, data_dir, url, output)
    set_up_logging("warning", "auto")
    if context.invoked_subcommand == "audit":
        context.default_map = {"audit": _audit_defaults(context.obj)}


def _audit_defaults(options: Options) -> dict[str, dict[str, object]]:
    """What the settings know of the options that `audit` and its commands take."""
    from foliotrace_server.observing.auditing import command_defaults

    try:
        return command_defaults(options.settings(), options.output)
    except FoliotraceError as error:
        sys.exit(tell(error))
