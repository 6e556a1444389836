"""`foliotrace ingest`: upload local files, skipping those whose content the server already has."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from foliotrace.errors import BadInput
from foliotrace_server.cli import output
from foliotrace_server.cli.command import (
    Command,
    Exit,
    Options,
    parse_json_object,
    pass_options,
    path_option,
    run,
    with_exit_code,
)
from foliotrace_server.cli.uploads.folder import ingest_files
from foliotrace_server.cli.uploads.local_files import find_files
from foliotrace_server.cli.uploads.report import IngestReport, IngestRequest, print_report

if TYPE_CHECKING:
    from foliotrace_server.client import AsyncFoliotraceClient


@click.command(cls=Command)
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True))
@click.option(
    "--collection", default="default", show_default=True, help="Collection to add documents to."
)
@click.option("--metadata", default="{}", help="Flat JSON object, stored with every document.")
@click.option(
    "--delete-missing",
    is_flag=True,
    help="Delete documents of the collection that are not in these folders.",
)
@click.option("--dry-run", is_flag=True, help="Print what would be done, and change nothing.")
@click.option(
    "--pages", help="Pages to read of PDF, TIFF and PPTX files, such as 1-3,7.  [default: all]"
)
@path_option("parse the files")
@pass_options
@with_exit_code
def ingest(
    options: Options,
    paths: tuple[Path, ...],
    collection: str,
    metadata: str,
    delete_missing: bool,
    dry_run: bool,
    pages: str | None,
    path: str | None,
) -> Exit | None:
    """Ingest files and folders; a document is named by its path in the folder.

    Unchanged files are neither uploaded nor parsed again, so the command can be repeated at any
    time: after a change, after an interruption, or with --delete-missing to mirror a folder.

    Examples:
      foliotrace ingest report.pdf
      foliotrace ingest report.pdf --pages 1-3,7
      foliotrace ingest ./contracts --collection legal --metadata '{"year": 2024}'
      foliotrace ingest ./contracts --collection legal --delete-missing --dry-run
    """
    if delete_missing and not all(path.is_dir() for path in paths):
        raise BadInput(
            "--delete-missing takes folders, not files",
            hint="Name the folder that the collection should mirror.",
        )
    request = IngestRequest(
        collection=collection,
        metadata=parse_json_object(metadata, "--metadata"),
        delete_missing=delete_missing,
        dry_run=dry_run,
        path=path,
        pages=_selection(pages),
    )
    report = IngestReport(dry_run)
    files = find_files(paths, report.skipped_links)

    async def command(client: "AsyncFoliotraceClient") -> Exit:
        try:
            await ingest_files(client, files, request, report)
        finally:  # an interrupted command reports what it has done
            output.print_result(report, options.output, print_report)
        return Exit.PARTLY_FAILED if report.failed else Exit.DONE

    return run(options, command, makes_library=True)


def _selection(pages: str | None) -> str | None:
    """`pages` in the short form that documents have. Raises InvalidRequest `invalid_pages`."""
    if pages is None:
        return None
    from foliotrace.ingest.upload import checked_selection

    return checked_selection(pages)
