"""`foliotrace completion`."""

import click
from click.shell_completion import get_completion_class

from foliotrace_server.cli import shown
from foliotrace_server.cli.command import Command

_ASKED_BY_THE_SHELL = "_FOLIOTRACE_COMPLETE"


@click.command(cls=Command)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print what makes SHELL complete commands and options.

    Examples:
      foliotrace completion bash >> ~/.bashrc
      foliotrace completion zsh >> ~/.zshrc
      foliotrace completion fish > ~/.config/fish/completions/foliotrace.fish
    """
    found = get_completion_class(shell)
    assert found is not None  # noqa: S101 - click has the three
    script = found(context.find_root().command, {}, "foliotrace", _ASKED_BY_THE_SHELL)
    shown.line(script.source())
