"""`foliotrace extract`."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from foliotrace.errors import BadInput
from foliotrace_server.cli import shown
from foliotrace_server.cli.command import Command, path_option, shared
from foliotrace_server.cli.documents import id_of
from foliotrace_server.cli.failures import Exit, explained
from foliotrace_server.cli.json_given import json_object
from foliotrace_server.cli.session import Options, work

if TYPE_CHECKING:
    from foliotrace.model import JsonObject
    from foliotrace_server.client import AsyncFoliotraceClient


@click.command(cls=Command)
@click.argument("document")
@click.option("--schema", required=True, help="A JSON Schema file, or a Pydantic pkg.mod:Model.")
@click.option("--instructions", help="What to mind, in words (used with a language model).")
@path_option("extracts")
@shared
@explained
def extract(
    options: Options, document: str, schema: str, instructions: str | None, path: str | None
) -> Exit | None:
    """Extract a typed record from a DOCUMENT, named by its id or its name.

    Examples:
      foliotrace extract invoice.pdf --schema invoice.schema.json
      foliotrace extract doc_4b1f... --schema mypackage.models:Invoice
    """
    from foliotrace_server.cli.progress import bars, followed

    wanted = _schema(schema)

    async def command(client: "AsyncFoliotraceClient") -> Exit:
        document_id = await id_of(client, document)
        started = await client.extract(document_id, wanted, instructions=instructions, path=path)
        with bars() as shown_bars:
            await followed(client, started.job, document, shown_bars)
        found = await client.extraction(started.id)
        shown.told(found, options.output, shown.extraction)
        return Exit.DONE if found.valid else Exit.PARTLY_FAILED

    return work(options, command)


def _schema(named: str) -> "JsonObject":
    """A JSON Schema from a file or a Pydantic model. Raises BadInput, InvalidSchema."""
    file = Path(named)
    if file.is_file():
        try:
            text = file.read_text("utf-8")
        except (OSError, UnicodeDecodeError):
            raise BadInput(f"{named} cannot be read as text", hint="Check the file.") from None
        return json_object(text, named)
    module, found, _ = named.partition(":")
    if not found:
        raise BadInput(
            f"there is no file {named}",
            hint="Name a JSON Schema file that is there, or a Pydantic model as pkg.mod:Model.",
        )
    from foliotrace.extract.schema import model_at, schema_of

    sys.path.insert(0, "")
    return schema_of(model_at(named, allowed=(module,)))
