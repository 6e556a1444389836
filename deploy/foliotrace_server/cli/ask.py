"""`foliotrace ask`."""

from typing import TYPE_CHECKING

import click

from foliotrace.errors import BadInput
from foliotrace_server.cli import shown
from foliotrace_server.cli.command import Command, path_option, shared
from foliotrace_server.cli.failures import Exit, explained
from foliotrace_server.cli.session import Options, work

if TYPE_CHECKING:
    from foliotrace_server.client import AsyncFoliotraceClient


@click.command(cls=Command)
@click.argument("question")
@click.option(
    "--top-k", type=click.IntRange(1, 50), default=5, show_default=True, help="Passages to look at."
)
@click.option("--collection", default="default", show_default=True, help="Where to look.")
@click.option("--filter", "filters", multiple=True, help="FIELD=VALUE; may be given again.")
@path_option("retrieves")
@shared
@explained
def ask(
    options: Options,
    question: str,
    top_k: int,
    collection: str,
    filters: tuple[str, ...],
    path: str | None,
) -> Exit | None:
    """Ask a question; every citation names document, page and quote.

    Examples:
      foliotrace ask "How long is the refund window?"
      foliotrace ask "What was revenue?" --filter company=ACME --filter period=2023
    """
    wanted = _filters(filters)

    async def command(client: "AsyncFoliotraceClient") -> Exit:
        found = await client.ask(
            question, top_k=top_k, filters=wanted, collection=collection, path=path
        )
        shown.told(found, options.output, shown.answer)
        if found.answer_mode != "abstained":
            return Exit.DONE
        if options.output == "text" and await _is_empty(client, collection):
            shown.line(f"Nothing is in collection {collection} yet: foliotrace ingest FILE")
        return Exit.NOT_FOUND

    return work(options, command)


async def _is_empty(client: "AsyncFoliotraceClient", collection: str) -> bool:
    return not (await client.documents(collection=collection, limit=1)).documents


def _filters(given: tuple[str, ...]) -> dict[str, list[str]]:
    wanted: dict[str, list[str]] = {}
    for each in given:
        name, found, value = each.partition("=")
        if not found:
            raise BadInput("--filter takes FIELD=VALUE", hint="For example --filter year=2024.")
        wanted.setdefault(name, []).append(value)
    return wanted
