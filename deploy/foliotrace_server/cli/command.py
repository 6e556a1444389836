"""How every command is written: examples stay as they are, errors are told, options are shared."""

from collections.abc import Callable
from difflib import get_close_matches
from inspect import cleandoc
from typing import Any, TypeVar

import click

from foliotrace_server.cli.session import Options

F = TypeVar("F", bound=Callable[..., Any])

shared = click.make_pass_decorator(Options)
"""Gives a command the options that stand before it."""


def path_option(what: str) -> Callable[[F], F]:
    """`--path`: who does it, within what the settings switch on."""
    choices = click.Choice(["local", "cloud", "cloud_then_local"])
    told = f"Who {what}: less cloud than the settings allow, or the cloud alone."
    return click.option("--path", type=choices, help=told)


class Command(click.Command):
    """A command whose `Examples:` keep their lines."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - click's own
        super().__init__(*args, **kwargs)
        self.help = _with_examples(self.help)


class Group(click.Group):
    """Commands in the order in which they are written; a mistyped one is met with the nearest."""

    command_class = Command
    group_class = type  # its groups are of this class too

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - click's own
        super().__init__(*args, **kwargs)
        self.help = _with_examples(self.help)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In order of declaration."""
        return list(self.commands)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command. Raises UsageError that names the nearest one."""
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            near = get_close_matches(args[0], self.list_commands(ctx), n=1)
            if not near:
                raise
            told = f"{error.message} Did you mean '{near[0]}'?"
            raise click.UsageError(told, ctx) from error


def _with_examples(text: str | None) -> str | None:
    """Click joins lines into paragraphs, but not behind its mark."""
    return cleandoc(text).replace("Examples:\n", "\b\nExamples:\n") if text else text
