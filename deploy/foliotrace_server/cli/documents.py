"""`foliotrace documents`: list, show, page, delete."""

from datetime import UTC, datetime
from pathlib import PurePath
from typing import TYPE_CHECKING

import click

from foliotrace.catalog import ErrorCode
from foliotrace.errors import NotFound
from foliotrace_server.cli import output
from foliotrace_server.cli.command import (
    Command,
    Exit,
    Group,
    Options,
    pass_options,
    run,
    with_exit_code,
)

if TYPE_CHECKING:
    from foliotrace_server.client import AsyncFoliotraceClient


@click.group(cls=Group)
def documents() -> None:
    """List, show and delete documents.

    Examples:
      foliotrace documents list --collection legal
      foliotrace documents page doc_4b1f... 3
    """


@documents.command("list")
@click.option("--collection", help="Only documents of this collection.")
@click.option("--name", help="Only documents of this name.")
@click.option(
    "--limit",
    type=click.IntRange(1, 1000),
    default=100,
    show_default=True,
    help="Maximum number of documents.",
)
@pass_options
@with_exit_code
def list_documents(
    options: Options, collection: str | None, name: str | None, limit: int
) -> Exit | None:
    """List documents.

    Examples:
      foliotrace documents list
      foliotrace documents list --collection legal --output json
    """

    async def command(client: "AsyncFoliotraceClient") -> None:
        page = await client.documents(collection=collection, name=name, limit=limit)
        output.print_result(page, options.output, output.print_documents)

    return run(options, command)


@documents.command("show")
@click.argument("document")
@pass_options
@with_exit_code
def show_document(options: Options, document: str) -> Exit | None:
    """Show the metadata of a DOCUMENT, given by id or name.

    Examples:
      foliotrace documents show report.pdf
    """

    async def command(client: "AsyncFoliotraceClient") -> None:
        body = await client.document(await document_id_of(client, document))
        output.print_result(body, options.output, output.print_fields)

    return run(options, command)


@documents.command("page")
@click.argument("document")
@click.argument("number", type=click.IntRange(1))
@pass_options
@with_exit_code
def show_page(options: Options, document: str, number: int) -> Exit | None:
    """Show the text of a page of a DOCUMENT; `--output json` adds blocks, tables and boxes.

    Examples:
      foliotrace documents page report.pdf 3
    """

    async def command(client: "AsyncFoliotraceClient") -> None:
        page = await client.page(await document_id_of(client, document), number)
        output.print_result(page, options.output, lambda page: output.print_line(page.text))

    return run(options, command)


@documents.command("delete")
@click.argument("document")
@pass_options
@with_exit_code
def delete_document(options: Options, document: str) -> Exit | None:
    """Delete a DOCUMENT with its pages, chunks and extractions.

    Examples:
      foliotrace documents delete report.pdf
    """

    async def command(client: "AsyncFoliotraceClient") -> None:
        deleted = await client.delete_document(await document_id_of(client, document))
        output.print_result(
            deleted, options.output, lambda body: output.print_line(f"deleted {body.name}")
        )

    return run(options, command)


async def document_id_of(client: "AsyncFoliotraceClient", id_or_name: str) -> str:
    """The id of a document given by id, by name, or by the path it was ingested from.

    Raises NotFound.
    """
    if id_or_name.startswith("doc_"):
        return id_or_name
    parts = PurePath(id_or_name).parts  # a document is named after the end of its path
    for name in (id_or_name, *("/".join(parts[at:]) for at in range(len(parts)))):
        page = await client.documents(name=name, limit=1)
        if page.documents:
            return page.documents[0].id
    raise NotFound(
        f"there is no document named {id_or_name}",
        code=ErrorCode.DOCUMENT_NOT_FOUND,
        hint="Run `foliotrace documents list`. A file must be ingested first.",
    )


@click.command(cls=Command)
@click.option("--user", help="Subject of a key, or the user id that questions named.")
@click.option("--collection", help="Only this collection.")
@click.option(
    "--before", type=click.DateTime(), help="Only what has not changed since this time (UTC)."
)
@click.option("--yes", is_flag=True, help="Do not ask.")
@pass_options
@with_exit_code
def erase(
    options: Options,
    user: str | None,
    collection: str | None,
    before: datetime | None,
    yes: bool,
) -> Exit | None:
    """Erase documents, runs and kept answers of a user, a collection or a time.

    What is given must all hold. The receipt names the records in the audit log that prove it.

    Examples:
      foliotrace erase --user ann@example.org
      foliotrace erase --collection tenders --before 2025-01-01 --yes
    """
    if not yes:
        click.confirm("Erase this for good?", abort=True, err=True)
    since = before.replace(tzinfo=UTC) if before is not None else None

    async def command(client: "AsyncFoliotraceClient") -> None:
        erased = await client.erase(user=user, collection=collection, before=since)
        output.print_result(erased, options.output, output.print_fields)

    return run(options, command)
