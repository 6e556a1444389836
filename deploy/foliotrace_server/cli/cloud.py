"""`foliotrace cloud usage` and `foliotrace index reconcile`: LlamaCloud usage and index repair."""

from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from foliotrace.adapters.llamacloud.purchases.journal import PurchaseJournal, Spending
from foliotrace.adapters.local.clock import SystemClock
from foliotrace.errors import NotFound
from foliotrace.stack.cloud_services import journal_file
from foliotrace_server.cli import output
from foliotrace_server.cli.command import Exit, Group, Options, pass_options, run, with_exit_code

if TYPE_CHECKING:
    from foliotrace_server.client import AsyncFoliotraceClient

_TENANT = "default"


@click.group(cls=Group)
def cloud() -> None:
    """Show LlamaCloud usage.

    Examples:
      foliotrace cloud usage --days 7
    """


@cloud.command("usage")
@click.option(
    "--days", default=30, show_default=True, type=click.IntRange(1), help="Period to show, in days."
)
@pass_options
@with_exit_code
def show_usage(options: Options, days: int) -> None:
    """Show LlamaCloud jobs and credits by day and kind.

    Examples:
      foliotrace cloud usage
      foliotrace cloud usage --days 7 --output json
    """
    rows = usage(options.settings().data_dir, days)
    if options.output == "json":
        output.print_json(
            [{name: getattr(row, name) for name in Spending.__slots__} for row in rows]
        )
        return
    for row in rows:
        output.print_line(
            f"{row.day}  {row.kind:8} {row.jobs:6} jobs  {row.failed:5} failed"
            f"  {row.credits:10.1f} credits"
        )
    output.print_line(f"{sum(row.credits for row in rows):.1f} credits in {days} days")


@click.group("index", cls=Group)
def index() -> None:
    """Maintain the managed LlamaCloud index.

    Examples:
      foliotrace index reconcile
      foliotrace index reconcile --collection legal --dry-run
    """


@index.command("reconcile")
@click.option("--collection", default="default", show_default=True, help="Collection to compare.")
@click.option("--dry-run", is_flag=True, help="Print the differences without repairing them.")
@pass_options
@with_exit_code
def reconcile_command(options: Options, collection: str, dry_run: bool) -> Exit | None:
    """Compare the managed index with the library and repair it, through a running server if any.

    Examples:
      foliotrace index reconcile --dry-run
      foliotrace index reconcile --collection legal
    """

    async def command(client: "AsyncFoliotraceClient") -> Exit:
        drift = await client.reconcile_index(collection, dry_run=dry_run)
        differences = {name: list(ids) for name, ids in asdict(drift).items()}
        if options.output == "json":
            output.print_json(differences)
        else:
            state = "differs" if dry_run else "repaired"
            for name, ids in differences.items():
                for document_id in ids:
                    output.print_line(f"{state}: {name.replace('_', ' ')} {document_id}")
            if not any(differences.values()):
                output.print_line("no differences")
        return Exit.PARTLY_FAILED if dry_run and any(differences.values()) else Exit.DONE

    return run(options, command)


def usage(data_dir: Path, days: int) -> list[Spending]:
    """LlamaCloud usage of the last `days`, oldest first. Raises NotFound if there never was any."""
    file = journal_file(data_dir)
    if not file.exists():
        raise NotFound(
            "LlamaCloud was never used from this data folder",
            hint="Check --data-dir.",
        )
    clock = SystemClock()
    journal = PurchaseJournal(file, clock=clock)
    try:
        return journal.spending(_TENANT, since=clock.now() - timedelta(days=days))
    finally:
        journal.close()
