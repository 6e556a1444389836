"""`foliotrace doctor`."""

import asyncio

import click

from foliotrace_server.cli import output
from foliotrace_server.cli.command import Command, Exit, Options, pass_options, with_exit_code


@click.command(cls=Command)
@click.option(
    "--probe", is_flag=True, help="Also send one small request to each configured service."
)
@pass_options
@with_exit_code
def doctor(options: Options, probe: bool) -> Exit | None:
    """Check the configuration and report what is missing and what it would enable.

    Examples:
      foliotrace doctor
      foliotrace doctor --probe
    """
    from foliotrace_server.doctor import examine, run_probes

    settings = options.settings()
    results = list(examine(settings))
    if probe:
        results += asyncio.run(run_probes(settings))
    if options.output == "json":
        output.print_json(results)
    else:
        rows = [(each.area, each.state, each.said) for each in results]
        output.print_table(("AREA", "STATE", "FOUND"), rows)
        for each in results:
            if each.adds:
                output.print_line(f"{each.area} would add {each.adds}")
    return Exit.MISCONFIGURED if any(each.state == "problem" for each in results) else Exit.DONE
