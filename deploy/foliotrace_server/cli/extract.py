"""`foliotrace extract`."""

import sys
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
from foliotrace_server.cli.documents import document_id_of

if TYPE_CHECKING:
    from foliotrace.model import JsonObject
    from foliotrace_server.client import AsyncFoliotraceClient


@click.command(cls=Command)
@click.argument("document")
@click.option(
    "--schema", required=True, help="JSON Schema file, or Pydantic model as pkg.mod:Model."
)
@click.option("--instructions", help="Instructions for the language model, if one is used.")
@path_option("extract the record")
@pass_options
@with_exit_code
def extract(
    options: Options, document: str, schema: str, instructions: str | None, path: str | None
) -> Exit | None:
    """Extract a typed record from a DOCUMENT, given by id or name.

    Examples:
      foliotrace extract invoice.pdf --schema invoice.schema.json
      foliotrace extract doc_4b1f... --schema mypackage.models:Invoice
    """
    json_schema = _load_schema(schema)

    async def command(client: "AsyncFoliotraceClient") -> Exit:
        document_id = await document_id_of(client, document)
        started = await client.extract(
            document_id, json_schema, instructions=instructions, path=path
        )
        with output.progress_bars() as bars:
            await output.follow_job(client, started.job, document, bars)
        extraction = await client.extraction(started.id)
        output.print_result(extraction, options.output, output.print_extraction)
        return Exit.DONE if extraction.valid else Exit.PARTLY_FAILED

    return run(options, command)


def _load_schema(source: str) -> "JsonObject":
    """A JSON Schema from a file or a Pydantic model. Raises BadInput, InvalidSchema."""
    file = Path(source)
    if file.is_file():
        try:
            text = file.read_text("utf-8")
        except (OSError, UnicodeDecodeError):
            raise BadInput(f"{source} is not a readable text file", hint="Check it.") from None
        return parse_json_object(text, source)
    module, colon, _ = source.partition(":")
    if not colon:
        raise BadInput(
            f"there is no file {source}",
            hint="Pass the path of a JSON Schema file, or a Pydantic model as pkg.mod:Model.",
        )
    from foliotrace.extract.schema import model_at, schema_of

    sys.path.insert(0, "")
    return schema_of(model_at(source, allowed=(module,)))
