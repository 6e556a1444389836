"""`foliotrace ingest`."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from foliotrace.errors import BadInput
from foliotrace_server.cli import shown
from foliotrace_server.cli.command import Command, path_option, shared
from foliotrace_server.cli.failures import Exit, explained
from foliotrace_server.cli.json_given import json_object
from foliotrace_server.cli.session import Options, work

if TYPE_CHECKING:
    from foliotrace_server.client import AsyncFoliotraceClient


@click.command(cls=Command)
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True))
@click.option("--collection", default="default", show_default=True, help="Where they belong.")
@click.option("--metadata", default="{}", help="A flat JSON object, given to every file.")
@click.option(
    "--delete-missing",
    is_flag=True,
    help="Delete the collection's documents that are not in these folders.",
)
@click.option("--dry-run", is_flag=True, help="Only say what would be done.")
@path_option("reads the files")
@shared
@explained
def ingest(
    options: Options,
    paths: tuple[Path, ...],
    collection: str,
    metadata: str,
    delete_missing: bool,
    dry_run: bool,
    path: str | None,
) -> Exit | None:
    """Ingest files and folders; a document's name is its path in the folder.

    What is held already is neither sent nor parsed, so run it again at any time: after a change,
    after an interruption, or with --delete-missing to keep a collection equal to a folder.

    Examples:
      foliotrace ingest report.pdf
      foliotrace ingest ./contracts --collection legal --metadata '{"year": 2024}'
      foliotrace ingest ./contracts --collection legal --delete-missing --dry-run
    """
    from foliotrace_server.cli import ingesting
    from foliotrace_server.cli.local_files import find

    if delete_missing and not all(path.is_dir() for path in paths):
        raise BadInput(
            "--delete-missing takes folders, not files",
            hint="Name the folder that the collection is to be equal to.",
        )
    wanted = ingesting.Wanted(
        collection=collection,
        metadata=json_object(metadata, "--metadata"),
        delete_missing=delete_missing,
        dry_run=dry_run,
        path=path,
    )
    files = find(paths)
    outcome = ingesting.Outcome(dry_run)

    async def command(client: "AsyncFoliotraceClient") -> Exit:
        try:
            await ingesting.ingest(client, files, wanted, outcome)
        finally:  # told as far as it came
            shown.told(outcome, options.output, ingesting.report)
        return Exit.PARTLY_FAILED if outcome.failed else Exit.DONE

    return work(options, command)
