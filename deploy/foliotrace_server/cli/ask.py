"""`foliotrace ask`."""

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

import click

from foliotrace.errors import BadInput
from foliotrace_server.cli import output
from foliotrace_server.cli.command import (
    Command,
    Exit,
    Options,
    pass_options,
    path_option,
    run,
    with_exit_code,
)

if TYPE_CHECKING:
    from foliotrace_server.bodies import AnswerBody
    from foliotrace_server.client import AsyncFoliotraceClient
    from foliotrace_server.client.api_requests import ServerEvent


@click.command(cls=Command)
@click.argument("question")
@click.option(
    "--top-k",
    type=click.IntRange(1, 50),
    default=5,
    show_default=True,
    help="Number of passages to retrieve.",
)
@click.option(
    "--collection", default="default", show_default=True, help="Collection of documents to search."
)
@click.option(
    "--filter",
    "filters",
    multiple=True,
    metavar="FIELD=VALUE",
    help="Only documents whose metadata has this value; repeatable.",
)
@path_option("retrieve passages")
@pass_options
@with_exit_code
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
    by_field = _filters(filters)

    async def command(client: "AsyncFoliotraceClient") -> Exit:
        request: dict[str, Any] = {
            "top_k": top_k,
            "filters": by_field,
            "collection": collection,
            "path": path,
        }
        if options.output == "json":
            answer = await client.ask(question, **request)
            output.print_json(answer)
        else:
            answer = await _print_stream(client.ask_in_pieces(question, **request))
        if answer.answer_mode != "abstained":
            return Exit.DONE
        if options.output == "text" and await _is_empty(client, collection):
            output.print_line(f"Collection {collection} is empty: run foliotrace ingest FILE first")
        return Exit.NOT_FOUND

    return run(options, command)


async def _print_stream(events: "AsyncIterator[ServerEvent]") -> "AnswerBody":
    """Print the text of an answer as it arrives, then its sources; the whole answer.

    A stream that breaks off raises its error; what was printed until then ends with a newline.
    """
    from foliotrace_server.bodies import AnswerBody, from_value

    answer: AnswerBody | None = None
    printed = False
    try:
        async for event in events:
            if event.name == "delta":
                output.print_text(event.value["text"])
                printed = True
            elif event.name == "answer":
                answer = from_value(AnswerBody, event.value)
    finally:
        if printed:
            output.print_line()
    assert answer is not None  # noqa: S101 - a stream ends with an answer or raises
    if not printed:
        output.print_line(answer.answer)
    output.print_sources(answer)
    return answer


async def _is_empty(client: "AsyncFoliotraceClient", collection: str) -> bool:
    return not (await client.documents(collection=collection, limit=1)).documents


def _filters(pairs: tuple[str, ...]) -> dict[str, list[str]]:
    by_field: dict[str, list[str]] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals:
            raise BadInput("--filter takes FIELD=VALUE", hint="For example --filter year=2024.")
        by_field.setdefault(name, []).append(value)
    return by_field
