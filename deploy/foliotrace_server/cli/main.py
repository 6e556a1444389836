"""The commands. Each works on this machine's data folder, or on a server with `--url`."""

import asyncio
import json
import sys
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

import click

from foliotrace.errors import BadInput, NotFound
from foliotrace_server import contract
from foliotrace_server.cli import shown
from foliotrace_server.cli.failures import Exit, explained
from foliotrace_server.cli.session import Options, work
from foliotrace_server.client import AsyncFoliotraceClient
from foliotrace_server.logging import set_up_logging

_SHARED = click.make_pass_decorator(Options)


_SHARED_OPTIONS = ("--config", "--data-dir", "--url", "--output")


class Grouped(click.Group):
    """Keeps the order in which commands are written, and examples as they are written."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In order of declaration."""
        return list(self.commands)


class Main(Grouped):
    """Takes the shared options before or behind the command, as people write them."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Move the shared options to the front, each with its value."""
        front: list[str] = []
        rest: list[str] = []
        given = iter(args)
        for arg in given:
            if arg == "--":
                rest += [arg, *given]
            elif arg in _SHARED_OPTIONS and "audit" not in rest:
                front += [arg, *([value] if (value := next(given, None)) is not None else [])]
            elif arg.startswith(tuple(f"{o}=" for o in _SHARED_OPTIONS)) and "audit" not in rest:
                front.append(arg)
            else:
                rest.append(arg)
        return super().parse_args(ctx, [*front, *rest])

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Ours first."""
        return [*super().list_commands(ctx), "cloud", "index", "audit"]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Ours; those of the cloud and of the audit log are imported when they are asked for."""
        if cmd_name == "audit":
            from foliotrace_audit.commands import audit

            return audit
        if cmd_name in ("cloud", "index"):
            from foliotrace_server.cli import cloud

            found: click.Command = getattr(cloud, cmd_name)
            return found
        return super().get_command(ctx, cmd_name)


@click.group(cls=Main, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(version("foliotrace"), prog_name="foliotrace")
@click.option("--config", type=click.Path(path_type=Path, dir_okay=False), help="TOML settings.")
@click.option("--data-dir", type=click.Path(path_type=Path, file_okay=False), help="Data folder.")
@click.option("--url", help="A running server; without it, the data folder is used.")
@click.option(
    "--output", type=click.Choice(["text", "json"]), default="text", help="For whom to print."
)
@click.pass_context
def main(
    context: click.Context,
    config: Path | None,
    data_dir: Path | None,
    url: str | None,
    output: str,
) -> None:
    """Ask real documents and get checkable answers and typed records.

    \b
    Examples:
      foliotrace ingest ./reports
      foliotrace ask "How long is the refund window?"
      foliotrace --output json ask "What was revenue in 2023?"
      foliotrace --url http://127.0.0.1:8080 documents list
    """  # noqa: D301 - click keeps lines after it
    context.obj = Options(config, data_dir, url, output)
    set_up_logging("warning", "auto")
    if context.invoked_subcommand == "audit":
        from foliotrace_server.observing.auditing import command_defaults

        context.default_map = {"audit": command_defaults(context.obj.settings())}


@main.command()
@click.option("--host", help="Address to bind.")
@click.option("--port", type=click.IntRange(0, 65535), help="Port to bind; 0 takes a free one.")
@_SHARED
@explained
def serve(options: Options, host: str | None, port: int | None) -> None:
    """Serve the REST API and the llama-agents protocol until stopped.

    \b
    Examples:
      foliotrace serve
      foliotrace --data-dir /var/lib/foliotrace serve --port 9000
    """  # noqa: D301 - click keeps lines after it
    from foliotrace_server.serve import serve as serve_until_stopped

    given = {"host": host, "port": port}
    settings = options.settings()
    changed = {name: value for name, value in given.items() if value is not None}
    settings = settings.model_copy(
        update={"server": settings.server.model_copy(update=changed)} if changed else {}
    )
    set_up_logging(settings.log.level, settings.log.format)
    serve_until_stopped(settings)


@main.command()
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True))
@click.option("--collection", default="default", show_default=True, help="Where they belong.")
@click.option("--metadata", default="{}", help="A flat JSON object, given to every file.")
@_SHARED
@explained
def ingest(
    options: Options, paths: tuple[Path, ...], collection: str, metadata: str
) -> Exit | None:
    """Ingest files and folders. Unchanged files cost nothing; run it again to go on.

    \b
    Examples:
      foliotrace ingest report.pdf
      foliotrace ingest ./contracts --collection legal --metadata '{"year": 2024}'
    """  # noqa: D301 - click keeps lines after it
    from foliotrace_server.cli.ingesting import find
    from foliotrace_server.cli.ingesting import ingest as ingest_files

    given = _json_object(metadata, "--metadata")
    files = find(paths)

    async def command(client: AsyncFoliotraceClient) -> Exit:
        return await ingest_files(
            client, files, collection=collection, metadata=given, output=options.output
        )

    return work(options, command)


@main.command()
@click.argument("question")
@click.option("--top-k", default=5, show_default=True, help="Passages to look at.")
@click.option("--collection", default="default", show_default=True, help="Where to look.")
@click.option("--filter", "filters", multiple=True, help="FIELD=VALUE; may be given again.")
@_SHARED
@explained
def ask(
    options: Options, question: str, top_k: int, collection: str, filters: tuple[str, ...]
) -> Exit | None:
    """Ask a question; every citation names document, page and quote.

    \b
    Examples:
      foliotrace ask "How long is the refund window?"
      foliotrace ask "What was revenue?" --filter company=ACME --filter period=2023
    """  # noqa: D301 - click keeps lines after it
    wanted = _filters(filters)

    async def command(client: AsyncFoliotraceClient) -> Exit:
        found = await client.ask(question, top_k=top_k, filters=wanted, collection=collection)
        shown.as_json(found) if options.output == "json" else shown.answer(found)
        return Exit.NOT_FOUND if found.answer_mode == "abstained" else Exit.DONE

    return work(options, command)


@main.command()
@click.argument("document")
@click.option("--schema", required=True, help="A JSON Schema file, or a Pydantic pkg.mod:Model.")
@click.option("--instructions", help="What to mind, in words (used with a language model).")
@_SHARED
@explained
def extract(options: Options, document: str, schema: str, instructions: str | None) -> Exit | None:
    """Extract a typed record from a DOCUMENT, named by its id or its name.

    \b
    Examples:
      foliotrace extract invoice.pdf --schema invoice.schema.json
      foliotrace extract doc_4b1f... --schema mypackage.models:Invoice
    """  # noqa: D301 - click keeps lines after it
    wanted = _schema(schema)

    async def command(client: AsyncFoliotraceClient) -> Exit:
        document_id = await _document_id(client, document)
        started = await client.extract(document_id, wanted, instructions=instructions)
        async for _ in client.follow(started.id):
            pass
        found = await client.extraction(started.id)
        if options.output == "json":
            shown.as_json(found)
        else:
            shown.extraction(found)
        if found.status != "completed":
            shown.line(f"the job has {found.status}: {found.job.problem}")
        return Exit.DONE if found.valid else Exit.PARTLY_FAILED

    return work(options, command)


@main.group(cls=Grouped)
def documents() -> None:
    """List, show and delete documents.

    \b
    Examples:
      foliotrace documents list --collection legal
      foliotrace documents page doc_4b1f... 3
    """  # noqa: D301 - click keeps lines after it


@documents.command("list")
@click.option("--collection", help="Only this collection.")
@click.option("--name", help="Only this name.")
@click.option("--limit", default=100, show_default=True, help="How many at most.")
@_SHARED
@explained
def list_documents(
    options: Options, collection: str | None, name: str | None, limit: int
) -> Exit | None:
    """List documents."""

    async def command(client: AsyncFoliotraceClient) -> None:
        found = await client.documents(collection=collection, name=name, limit=limit)
        shown.as_json(found) if options.output == "json" else shown.documents(found.documents)

    return work(options, command)


@documents.command("show")
@click.argument("document")
@_SHARED
@explained
def show_document(options: Options, document: str) -> Exit | None:
    """Show one DOCUMENT, named by its id or its name."""

    async def command(client: AsyncFoliotraceClient) -> None:
        shown.as_json(await client.document(await _document_id(client, document)))

    return work(options, command)


@documents.command("page")
@click.argument("document")
@click.argument("number", type=click.IntRange(1))
@_SHARED
@explained
def show_page(options: Options, document: str, number: int) -> Exit | None:
    """Show the text of a page; with `--output json` its blocks, tables and boxes too."""

    async def command(client: AsyncFoliotraceClient) -> None:
        page = await client.page(await _document_id(client, document), number)
        shown.as_json(page) if options.output == "json" else shown.line(page.text)

    return work(options, command)


@documents.command("delete")
@click.argument("document")
@_SHARED
@explained
def delete_document(options: Options, document: str) -> Exit | None:
    """Delete a DOCUMENT and everything made from it."""

    async def command(client: AsyncFoliotraceClient) -> None:
        gone = await client.delete_document(await _document_id(client, document))
        shown.as_json(gone) if options.output == "json" else shown.line(f"deleted {gone.name}")

    return work(options, command)


@main.group(cls=Grouped)
def jobs() -> None:
    """List, follow and cancel jobs.

    \b
    Examples:
      foliotrace jobs list --unfinished
      foliotrace jobs follow job_8c2e...
    """  # noqa: D301 - click keeps lines after it


@jobs.command("list")
@click.option("--unfinished", is_flag=True, help="Only those going on.")
@click.option("--limit", default=100, show_default=True, help="How many at most.")
@_SHARED
@explained
def list_jobs(options: Options, unfinished: bool, limit: int) -> Exit | None:
    """List jobs, newest first."""

    async def command(client: AsyncFoliotraceClient) -> None:
        found = await client.jobs(unfinished=unfinished, limit=limit)
        shown.as_json(found) if options.output == "json" else shown.jobs(found.jobs)

    return work(options, command)


@jobs.command("show")
@click.argument("job_id")
@_SHARED
@explained
def show_job(options: Options, job_id: str) -> Exit | None:
    """Show one job."""

    async def command(client: AsyncFoliotraceClient) -> None:
        shown.as_json(await client.job(job_id))

    return work(options, command)


@jobs.command("follow")
@click.argument("job_id")
@_SHARED
@explained
def follow_job(options: Options, job_id: str) -> Exit | None:
    """Print a job's events, one JSON value on a line, until it ends."""

    async def command(client: AsyncFoliotraceClient) -> Exit:
        last: dict[str, Any] = {}
        async for event in client.follow(job_id):
            last = event.value
            shown.as_json({"event": event.name, **event.value})
        return Exit.DONE if last.get("status") == "completed" else Exit.PARTLY_FAILED

    return work(options, command)


@jobs.command("cancel")
@click.argument("job_id")
@_SHARED
@explained
def cancel_job(options: Options, job_id: str) -> Exit | None:
    """Cancel a job."""

    async def command(client: AsyncFoliotraceClient) -> None:
        job = await client.cancel_job(job_id)
        shown.as_json(job) if options.output == "json" else shown.line(f"{job.id} is {job.status}")

    return work(options, command)


@main.command()
@click.option("--probe", is_flag=True, help="Call what is configured, once and small.")
@_SHARED
@explained
def doctor(options: Options, probe: bool) -> Exit | None:
    """Say what is configured, what is missing, and what each would add.

    \b
    Examples:
      foliotrace doctor
      foliotrace doctor --probe
    """  # noqa: D301 - click keeps lines after it
    from foliotrace_server.doctor import examine
    from foliotrace_server.doctor import probe as try_out

    settings = options.settings()
    found = list(examine(settings))
    if probe:
        found += asyncio.run(try_out(settings))
    if options.output == "json":
        shown.as_json(found)
    else:
        rows = [(each.area, each.state, each.said) for each in found]
        shown.table(("AREA", "STATE", "FOUND"), rows)
        missing = [f"{each.area} would add {each.adds}" for each in found if each.adds]
        for each in missing:
            shown.line(each)
    return Exit.MISCONFIGURED if any(each.state == "problem" for each in found) else Exit.DONE


async def _document_id(client: AsyncFoliotraceClient, named: str) -> str:
    """The id of a document named by id or name. Raises NotFound."""
    if named.startswith("doc_"):
        return named
    found: contract.DocumentsBody = await client.documents(name=named, limit=1)
    if not found.documents:
        raise NotFound(f"no document is named {named}", code="document_not_found")
    return found.documents[0].id


def _filters(given: tuple[str, ...]) -> dict[str, list[str]]:
    wanted: dict[str, list[str]] = {}
    for each in given:
        name, found, value = each.partition("=")
        if not found:
            raise BadInput("--filter takes FIELD=VALUE")
        wanted.setdefault(name, []).append(value)
    return wanted


def _json_object(text: str, option: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError:
        raise BadInput(f"{option} is not JSON") from None
    if not isinstance(value, dict):
        raise BadInput(f"{option} is not a JSON object")
    return value


def _schema(named: str) -> dict[str, Any]:
    """A JSON Schema from a file or a Pydantic model. Raises BadInput."""
    if Path(named).is_file():
        return _json_object(Path(named).read_text(), "--schema")
    module, _, name = named.partition(":")
    sys.path.insert(0, "")
    try:
        model = getattr(import_module(module), name)
        schema: dict[str, Any] = model.model_json_schema()
    except (ImportError, AttributeError, ValueError):
        raise BadInput(
            "--schema is neither a file nor a Pydantic model", hint="Use pkg.mod:Model."
        ) from None
    return schema


@main.command()
@click.option("--keep", is_flag=True, help="Go on with ./foliotrace-demo of an earlier demo.")
@_SHARED
@explained
def demo(options: Options, keep: bool) -> Exit:
    """Tell the whole story on example documents: ingest, ask, refuse, extract, trace, prove.

    \b
    Examples:
      foliotrace demo
      foliotrace demo --output json
    """  # noqa: D301 - click keeps lines after it
    from foliotrace_server.cli.demo import run_demo

    return run_demo(options, keep=keep)
