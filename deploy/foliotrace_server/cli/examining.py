"""`foliotrace doctor`."""

import asyncio

import click

from foliotrace_server.cli import shown
from foliotrace_server.cli.command import Command, shared
from foliotrace_server.cli.failures import Exit, explained
from foliotrace_server.cli.session import Options


@click.command(cls=Command)
@click.option("--probe", is_flag=True, help="Call what is configured, once and small.")
@shared
@explained
def doctor(options: Options, probe: bool) -> Exit | None:
    """Say what is configured, what is missing, and what each would add.

    Examples:
      foliotrace doctor
      foliotrace doctor --probe
    """
    from foliotrace_server.doctor import examine
    from foliotrace_server.doctor import probe as try_out

    settings = options.settings()
    found = list(examine(settings))
    if probe:
        found += asyncio.run(try_out(settings))
    if options.output == "json":
        shown.as_json(found)
    else:
        rows = [(each.area, each.state, each.said) for each in found]
        shown.table(("AREA", "STATE", "FOUND"), rows)
        for each in found:
            if each.adds:
                shown.line(f"{each.area} would add {each.adds}")
    return Exit.MISCONFIGURED if any(each.state == "problem" for each in found) else Exit.DONE
