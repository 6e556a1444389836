"""`foliotrace jobs`: list, show, follow, cancel."""

from typing import TYPE_CHECKING, Any

import click

from foliotrace_server.cli import output
from foliotrace_server.cli.command import Exit, Group, Options, pass_options, run, with_exit_code

if TYPE_CHECKING:
    from foliotrace_server.client import AsyncFoliotraceClient


@click.group(cls=Group)
def jobs() -> None:
    """List, follow and cancel jobs.

    Examples:
      foliotrace jobs list --unfinished
      foliotrace jobs follow job_8c2e...
    """


@jobs.command("list")
@click.option("--unfinished", is_flag=True, help="Only queued and running jobs.")
@click.option(
    "--limit",
    type=click.IntRange(1, 1000),
    default=100,
    show_default=True,
    help="Maximum number of jobs.",
)
@pass_options
@with_exit_code
def list_jobs(options: Options, unfinished: bool, limit: int) -> Exit | None:
    """List jobs, newest first.

    Examples:
      foliotrace jobs list --unfinished
    """

    async def command(client: "AsyncFoliotraceClient") -> None:
        page = await client.jobs(unfinished=unfinished, limit=limit)
        output.print_result(page, options.output, output.print_jobs)

    return run(options, command)


@jobs.command("show")
@click.argument("job_id")
@pass_options
@with_exit_code
def show_job(options: Options, job_id: str) -> Exit | None:
    """Show one job.

    Examples:
      foliotrace jobs show job_8c2e...
    """

    async def command(client: "AsyncFoliotraceClient") -> None:
        job = await client.job(job_id)
        output.print_result(job, options.output, output.print_fields)

    return run(options, command)


@jobs.command("follow")
@click.argument("job_id")
@pass_options
@with_exit_code
def follow_job(options: Options, job_id: str) -> Exit | None:
    """Print the progress of a job until it ends; `--output json` prints one event per line.

    Examples:
      foliotrace jobs follow job_8c2e...
    """

    async def command(client: "AsyncFoliotraceClient") -> Exit:
        last: dict[str, Any] = {}
        async for event in client.follow(job_id):
            last = event.value
            if options.output == "json":
                output.print_json({"event": event.name, **event.value})
            else:
                output.print_job_progress(event.value)
        return Exit.DONE if last.get("status") == "completed" else Exit.PARTLY_FAILED

    return run(options, command)


@jobs.command("cancel")
@click.argument("job_id")
@pass_options
@with_exit_code
def cancel_job(options: Options, job_id: str) -> Exit | None:
    """Cancel a queued or running job.

    Examples:
      foliotrace jobs cancel job_8c2e...
    """

    async def command(client: "AsyncFoliotraceClient") -> None:
        job = await client.cancel_job(job_id)
        output.print_result(
            job, options.output, lambda job: output.print_line(f"{job.id} is {job.status}")
        )

    return run(options, command)
