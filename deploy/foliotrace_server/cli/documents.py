"""`foliotrace documents`: list, show, page, delete."""

from typing import TYPE_CHECKING

import click

from foliotrace.errors import NotFound
from foliotrace_server.cli import shown
from foliotrace_server.cli.command import Group, shared
from foliotrace_server.cli.failures import Exit, explained
from foliotrace_server.cli.session import Options, work

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
@click.option("--collection", help="Only this collection.")
@click.option("--name", help="Only this name.")
@click.option(
    "--limit",
    type=click.IntRange(1, 1000),
    default=100,
    show_default=True,
    help="How many at most.",
)
@shared
@explained
def list_documents(
    options: Options, collection: str | None, name: str | None, limit: int
) -> Exit | None:
    """List documents.

    Examples:
      foliotrace documents list
      foliotrace documents list --collection legal --output json
    """

    async def command(client: "AsyncFoliotraceClient") -> None:
        found = await client.documents(collection=collection, name=name, limit=limit)
        shown.told(found, options.output, shown.documents)

    return work(options, command)


@documents.command("show")
@click.argument("document")
@shared
@explained
def show_document(options: Options, document: str) -> Exit | None:
    """Show one DOCUMENT, named by its id or its name.

    Examples:
      foliotrace documents show report.pdf
    """

    async def command(client: "AsyncFoliotraceClient") -> None:
        found = await client.document(await id_of(client, document))
        shown.told(found, options.output, shown.fields)

    return work(options, command)


@documents.command("page")
@click.argument("document")
@click.argument("number", type=click.IntRange(1))
@shared
@explained
def show_page(options: Options, document: str, number: int) -> Exit | None:
    """Show the text of a page; with `--output json` its blocks, tables and boxes too.

    Examples:
      foliotrace documents page report.pdf 3
    """

    async def command(client: "AsyncFoliotraceClient") -> None:
        page = await client.page(await id_of(client, document), number)
        shown.told(page, options.output, lambda page: shown.line(page.text))

    return work(options, command)


@documents.command("delete")
@click.argument("document")
@shared
@explained
def delete_document(options: Options, document: str) -> Exit | None:
    """Delete a DOCUMENT and everything made from it.

    Examples:
      foliotrace documents delete report.pdf
    """

    async def command(client: "AsyncFoliotraceClient") -> None:
        gone = await client.delete_document(await id_of(client, document))
        shown.told(gone, options.output, lambda gone: shown.line(f"deleted {gone.name}"))

    return work(options, command)


async def id_of(client: "AsyncFoliotraceClient", named: str) -> str:
    """The id of a document named by id or name. Raises NotFound."""
    if named.startswith("doc_"):
        return named
    found = await client.documents(name=named, limit=1)
    if not found.documents:
        raise NotFound(
            f"no document is named {named}",
            code="document_not_found",
            hint="See `foliotrace documents list`; a file must be ingested first.",
        )
    return found.documents[0].id
