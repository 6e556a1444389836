"""`foliotrace demo`."""

import click

from foliotrace_server.cli.command import Command, shared
from foliotrace_server.cli.failures import Exit, explained
from foliotrace_server.cli.session import Options


@click.command(cls=Command)
@click.option("--keep", is_flag=True, help="Go on with ./foliotrace-demo of an earlier demo.")
@shared
@explained
def demo(options: Options, keep: bool) -> Exit:
    """Tell the whole story on example documents: ingest, ask, refuse, extract, trace, prove.

    Needs no key, no server and no network.

    Examples:
      foliotrace demo
      foliotrace demo --output json
    """
    from foliotrace_server.cli.story import run_demo

    return run_demo(options, keep=keep)
