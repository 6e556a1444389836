"""`foliotrace loop queue`: annotation queues."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from foliotrace_server.cli import output
from foliotrace_server.cli.command import Exit, Group, Options, pass_options
from foliotrace_server.cli.loop.cases import Promoting, promote_from, promoting
from foliotrace_server.cli.loop.shared import connected, loop, with_loop_exit_code

if TYPE_CHECKING:
    from foliotrace_server.client import AsyncFoliotraceClient
    from foliotrace_server.loop import bodies


@loop.group("queue", cls=Group)
def queue() -> None:
    """Annotation queues: runs that people should look at.

    Examples:
      foliotrace loop queue create complaints
      foliotrace loop queue next complaints --reviewer ada
      foliotrace loop queue review complaints run_8c2e... bad --reviewer ada
      foliotrace loop queue show complaints
    """


@queue.command("create")
@click.argument("name")
@click.option(
    "--reviewers", type=click.IntRange(1, 20), default=2, show_default=True, help="Reviews each."
)
@click.option(
    "--score-at-most",
    type=click.FloatRange(0, 1),
    default=0.5,
    show_default=True,
    help="Runs that anybody rated so low.",
)
@click.option("--key", help="Only ratings of this key count.")
@click.option("--degraded/--no-degraded", default=True, show_default=True, help="Degraded runs.")
@click.option(
    "--needs-review/--no-needs-review",
    default=True,
    show_default=True,
    help="Runs tagged needs_review.",
)
@click.option(
    "--sample",
    type=click.FloatRange(0, 1),
    default=0.0,
    show_default=True,
    help="Share of other runs.",
)
@pass_options
@with_loop_exit_code
def create(
    options: Options,
    name: str,
    reviewers: int,
    score_at_most: float,
    key: str | None,
    degraded: bool,
    needs_review: bool,
    sample: float,
) -> int:
    """Create a queue, or change the rules of the one with this name, and fill it."""
    from foliotrace_loop.queues import QueueRules

    rules = QueueRules(
        score_at_most=score_at_most,
        key=key,
        degraded=degraded,
        needs_review=needs_review,
        sample=sample,
    )

    async def work(client: "AsyncFoliotraceClient") -> None:
        made = await client.create_queue(name, reviewers=reviewers, rules=rules)
        filled = await client.fill_queue(name)
        output.print_result(made, options.output, output.print_fields)
        if options.output != "json":
            output.print_line(f"{filled.added} runs added")

    connected(options, work)
    return Exit.DONE


@queue.command("fill")
@click.argument("name")
@pass_options
@with_loop_exit_code
def fill(options: Options, name: str) -> int:
    """Add the runs that the queue's rules name; repeating it adds nothing twice."""

    async def work(client: "AsyncFoliotraceClient") -> None:
        filled = await client.fill_queue(name)
        output.print_result(filled, options.output, output.print_fields)

    connected(options, work)
    return Exit.DONE


@queue.command("show")
@click.argument("name")
@pass_options
@with_loop_exit_code
def show(options: Options, name: str) -> int:
    """Show a queue's runs, their reviews, and how far the reviewers agree (kappa)."""

    async def work(client: "AsyncFoliotraceClient") -> None:
        output.print_result(await client.queue(name), options.output, _print_queue)

    connected(options, work)
    return Exit.DONE


@queue.command("next")
@click.argument("name")
@click.option("--reviewer", help="Who reviews; with API keys, the key says it.")
@pass_options
@with_loop_exit_code
def next_item(options: Options, name: str, reviewer: str | None) -> int:
    """Lease the oldest run that still needs your review, and show it with links to its trace."""

    async def work(client: "AsyncFoliotraceClient") -> int:
        item = (await client.lease(name, reviewer=reviewer)).item
        if item is None:
            await client.fill_queue(name)
            item = (await client.lease(name, reviewer=reviewer)).item
        if item is None:
            if options.output == "json":
                output.print_json({"item": None})
            else:
                output.print_line("nothing to review")
            return Exit.NOT_FOUND
        run = await client.run(item.run_id)
        if options.output == "json":
            output.print_json({"item": item, "run": run})
        else:
            output.print_fields(item)
            output.print_fields(run)
        return Exit.DONE

    return connected(options, work)


@queue.command("review")
@click.argument("name")
@click.argument("run_id")
@click.argument("label")
@click.option("--comment", help="Why.")
@click.option("--reviewer", help="Who reviews; with API keys, the key says it.")
@pass_options
@with_loop_exit_code
def review(
    options: Options,
    name: str,
    run_id: str,
    label: str,
    comment: str | None,
    reviewer: str | None,
) -> int:
    """Label a run, for example `good` or `bad`."""

    async def work(client: "AsyncFoliotraceClient") -> None:
        item = await client.review(name, run_id, label, comment=comment, reviewer=reviewer)
        output.print_result(item, options.output, output.print_fields)

    connected(options, work)
    return Exit.DONE


@queue.command("accept")
@click.argument("name")
@click.argument("run_id")
@promoting
@pass_options
@with_loop_exit_code
def accept(
    options: Options,
    /,
    name: str,
    run_id: str,
    folder: Path,
    dataset: str,
    **said: Promoting,
) -> int:
    """Turn a run of the queue into a dataset row, as `loop promote` does, and take it out."""
    row_id = promote_from(options, run_id, folder, dataset, said)

    async def work(client: "AsyncFoliotraceClient") -> None:
        await client.accept(name, run_id, row_id)

    connected(options, work)
    return Exit.DONE


def _print_queue(found: "bodies.QueueBody") -> None:
    rows = [
        (
            item.run_id,
            item.reason,
            f"{len(item.reviews)}/{found.queue.reviewers}",
            ", ".join(f"{r.reviewer}: {r.label}" for r in item.reviews),
            item.accepted_as or "",
        )
        for item in found.items
    ]
    output.print_table(("RUN", "REASON", "REVIEWS", "LABELS", "ROW"), rows)
    agreement = found.agreement
    for name, value in (
        ("agreed", agreement.agreed),
        ("Cohen's kappa", agreement.cohen_kappa),
        ("Fleiss' kappa", agreement.fleiss_kappa),
    ):
        if value is not None:
            output.print_line(f"{name}: {value:.3f} over {agreement.items} runs")
