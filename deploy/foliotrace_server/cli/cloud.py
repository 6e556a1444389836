"""`foliotrace cloud usage` and `foliotrace index reconcile`: what was bought, and what differs."""

import asyncio
from datetime import timedelta
from pathlib import Path

import click

from foliotrace.adapters.llamacloud.index import Drift
from foliotrace.adapters.llamacloud.intents import IntentLog, Spending
from foliotrace.adapters.local.clock import SystemClock
from foliotrace.adapters.local.files.lease import WriterLease
from foliotrace.errors import NotFound
from foliotrace_server.cli import shown
from foliotrace_server.cli.command import Group, shared
from foliotrace_server.cli.failures import Exit, explained
from foliotrace_server.cli.session import Options
from foliotrace_server.composing.cloud import CLOUD_FOLDER, Around, Cloud
from foliotrace_server.composing.guards import GuardFactory
from foliotrace_server.settings import Settings

_TENANT = "default"


@click.group(cls=Group)
def cloud() -> None:
    """What LlamaCloud was asked for.

    Examples:
      foliotrace cloud usage --days 7
    """


@cloud.command("usage")
@click.option("--days", default=30, show_default=True, type=click.IntRange(1), help="How far back.")
@shared
@explained
def show_usage(options: Options, days: int) -> None:
    """Jobs and credits by day and kind.

    Examples:
      foliotrace cloud usage
      foliotrace cloud usage --days 7 --output json
    """
    rows = usage(options.settings().data_dir, days)
    if options.output == "json":
        shown.as_json([{name: getattr(row, name) for name in Spending.__slots__} for row in rows])
        return
    for row in rows:
        shown.line(
            f"{row.day}  {row.kind:8} {row.jobs:6} jobs  {row.failed:5} failed"
            f"  {row.credits:10.1f} credits"
        )
    shown.line(f"{sum(row.credits for row in rows):.1f} credits in {days} days")


@click.group("index", cls=Group)
def index() -> None:
    """Look after the managed index.

    Examples:
      foliotrace index reconcile
      foliotrace index reconcile --collection legal --dry-run
    """


@index.command("reconcile")
@click.option("--collection", default="default", show_default=True, help="Which collection.")
@click.option("--dry-run", is_flag=True, help="Only say what differs.")
@shared
@explained
def show_reconciled(options: Options, collection: str, dry_run: bool) -> Exit:
    """Compare the managed index with the library and repair it. Not while a server runs.

    Examples:
      foliotrace index reconcile --dry-run
      foliotrace index reconcile --collection legal
    """
    found = asyncio.run(reconcile(options.settings(), collection, dry_run=dry_run))
    names = ("missing", "stale", "left_over")
    if options.output == "json":
        shown.as_json({name: list(getattr(found, name)) for name in names})
    else:
        done = "differs" if dry_run else "repaired"
        for name in names:
            for document_id in getattr(found, name):
                shown.line(f"{done}: {name.replace('_', ' ')} {document_id}")
        if not found:
            shown.line("nothing differs")
    return Exit.PARTLY_FAILED if found and dry_run else Exit.DONE


def usage(data_dir: Path, days: int) -> list[Spending]:
    """What was bought in the last `days`, oldest first. Raises NotFound before anything was."""
    file = data_dir / CLOUD_FOLDER / "intents.db"
    if not file.exists():
        raise NotFound(
            "LlamaCloud was never asked for anything from this data folder",
            hint="Check --data-dir.",
        )
    clock = SystemClock()
    log = IntentLog(file, clock=clock)
    try:
        return log.spending(_TENANT, since=clock.now() - timedelta(days=days))
    finally:
        log.close()


async def reconcile(settings: Settings, collection: str, *, dry_run: bool) -> Drift:
    """What differed. Raises NotFound without a managed index, IndexUnavailable, Conflict."""
    from foliotrace.adapters.local.files.blobs import FolderBlobs
    from foliotrace.adapters.local.files.filetype import sniff
    from foliotrace.adapters.local.sqlite.library import SqliteLibrary

    if settings.llamacloud.index == "local":
        raise NotFound("no managed index is in use", hint="Set llamacloud.index.")
    clock = SystemClock()
    with WriterLease.acquire(settings.data_dir):
        library = SqliteLibrary.open(settings.data_dir)
        around = Around(
            library=library,
            blobs=FolderBlobs(settings.data_dir, sniff),
            clock=clock,
            guards=GuardFactory(settings.guard, clock=clock),
        )
        opened = Cloud(settings, around)
        try:
            assert opened.index is not None  # noqa: S101 - the setting says so
            if dry_run:
                return await opened.index.drift(_TENANT, collection)
            return await opened.index.reconcile(_TENANT, collection)
        finally:
            await opened.close()
            library.close()
