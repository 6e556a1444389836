"""`foliotrace jobs`: list, show, follow, cancel."""

from typing import TYPE_CHECKING, Any

import click

from foliotrace_server.cli import shown
from foliotrace_server.cli.command import Group, shared
from foliotrace_server.cli.failures import Exit, explained
from foliotrace_server.cli.session import Options, work

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
@click.option("--unfinished", is_flag=True, help="Only those going on.")
@click.option(
    "--limit",
    type=click.IntRange(1, 1000),
    default=100,
    show_default=True,
    help="How many at most.",
)
@shared
@explained
def list_jobs(options: Options, unfinished: bool, limit: int) -> Exit | None:
    """List jobs, newest first.

    Examples:
      foliotrace jobs list --unfinished
    """

    async def command(client: "AsyncFoliotraceClient") -> None:
        found = await client.jobs(unfinished=unfinished, limit=limit)
        shown.told(found, options.output, shown.jobs)

    return work(options, command)


@jobs.command("show")
@click.argument("job_id")
@shared
@explained
def show_job(options: Options, job_id: str) -> Exit | None:
    """Show one job.

    Examples:
      foliotrace jobs show job_8c2e...
    """

    async def command(client: "AsyncFoliotraceClient") -> None:
        found = await client.job(job_id)
        shown.told(found, options.output, shown.fields)

    return work(options, command)


@jobs.command("follow")
@click.argument("job_id")
@shared
@explained
def follow_job(options: Options, job_id: str) -> Exit | None:
    """Print a job's events until it ends; with `--output json` one value on a line.

    Examples:
      foliotrace jobs follow job_8c2e...
    """

    async def command(client: "AsyncFoliotraceClient") -> Exit:
        last: dict[str, Any] = {}
        async for event in client.follow(job_id):
            last = event.value
            if options.output == "json":
                shown.as_json({"event": event.name, **event.value})
            else:
                shown.progress(event.value)
        return Exit.DONE if last.get("status") == "completed" else Exit.PARTLY_FAILED

    return work(options, command)


@jobs.command("cancel")
@click.argument("job_id")
@shared
@explained
def cancel_job(options: Options, job_id: str) -> Exit | None:
    """Cancel a job.

    Examples:
      foliotrace jobs cancel job_8c2e...
    """

    async def command(client: "AsyncFoliotraceClient") -> None:
        job = await client.cancel_job(job_id)
        shown.told(job, options.output, lambda job: shown.line(f"{job.id} is {job.status}"))

    return work(options, command)
