"""`foliotrace ingest`."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from foliotrace_server.cli.command import Command, shared
from foliotrace_server.cli.failures import Exit, explained
from foliotrace_server.cli.json_given import json_object
from foliotrace_server.cli.session import Options, work

if TYPE_CHECKING:
    from foliotrace_server.client import AsyncFoliotraceClient


@click.command(cls=Command)
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True))
@click.option("--collection", default="default", show_default=True, help="Where they belong.")
@click.option("--metadata", default="{}", help="A flat JSON object, given to every file.")
@shared
@explained
def ingest(
    options: Options, paths: tuple[Path, ...], collection: str, metadata: str
) -> Exit | None:
    """Ingest files and folders. Unchanged files cost nothing; run it again to go on.

    Examples:
      foliotrace ingest report.pdf
      foliotrace ingest ./contracts --collection legal --metadata '{"year": 2024}'
    """
    from foliotrace_server.cli.ingesting import find
    from foliotrace_server.cli.ingesting import ingest as ingest_files

    given = json_object(metadata, "--metadata")
    files = find(paths)

    async def command(client: "AsyncFoliotraceClient") -> Exit:
        return await ingest_files(
            client, files, collection=collection, metadata=given, output=options.output
        )

    return work(options, command)
