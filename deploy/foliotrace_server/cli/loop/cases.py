"""`foliotrace loop find|replay|promote|retire`: from a bad run to a row of a dataset."""

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypeVar

import click

from foliotrace_loop.ports import LoopError
from foliotrace_server.cli import output
from foliotrace_server.cli.command import Exit, Options, pass_options
from foliotrace_server.cli.loop.runs import filter_of, selecting
from foliotrace_server.cli.loop.shared import (
    connected,
    datasets_option,
    loop,
    store_of,
    with_loop_exit_code,
)

if TYPE_CHECKING:
    from foliotrace_loop.replay import Replay
    from foliotrace_loop.shapes import RecordedRun
    from foliotrace_server.client import AsyncFoliotraceClient

F = TypeVar("F", bound=Callable[..., Any])
Promoting: TypeAlias = Any
"""A value of one of the options of `promoting`, as click passes it."""
BAD: Final = "and(lte(feedback_score, 0.5), gte(feedback_score, 0))"


@loop.command("find")
@selecting
@click.option(
    "--limit", type=click.IntRange(1, 1000), default=20, show_default=True, help="The most runs."
)
@pass_options
@with_loop_exit_code
def find(
    options: Options,
    /,
    limit: int,
    since: datetime | None,
    until: datetime | None,
    **conditions: Any,  # noqa: ANN401 - as click passes them
) -> int:
    """Find runs worth looking at; without a condition, those rated 0.5 or lower.

    Examples:
      foliotrace loop find
      foliotrace loop find --since 24h --error
    """

    async def work(client: "AsyncFoliotraceClient") -> None:
        wanted = filter_of(**conditions) or BAD
        page = await client.runs(filter=wanted, since=since, until=until, limit=limit)
        if options.output == "json":
            output.print_json(page)
            return
        rows = []
        for each in page.runs:
            run = await client.run(each.id)
            rated = ", ".join(f"{f.key}={f.score}" for f in run.feedback if f.score is not None)
            said = next((f.comment for f in run.feedback if f.comment), "")
            text = run.query_text or f"(content {run.content.value})"
            rows.append((each.id, int(each.degradation.level), rated or "-", text[:60], said or ""))
        output.print_table(("ID", "LEVEL", "RATED", "QUESTION", "COMMENT"), rows)

    connected(options, work)
    return Exit.DONE


@loop.command("replay")
@click.argument("run_id")
@click.option("--times", type=click.IntRange(1, 50), default=3, show_default=True, help="Attempts.")
@click.option("--reference", help="The right answer; without it, the recorded answer counts.")
@click.option("--question", help="The question, if the run kept no content.")
@click.option("--allow-floating", is_flag=True, help="Accept model names without a date.")
@click.option("--now", is_flag=True, help="With the settings and documents of today: is it fixed?")
@pass_options
@with_loop_exit_code
def replay_run(
    options: Options,
    run_id: str,
    times: int,
    reference: str | None,
    question: str | None,
    allow_floating: bool,
    now: bool,
) -> int:
    """Ask a run's question again, as it was asked: is it still wrong, sometimes wrong, or fixed?

    Rebuilds model, settings and documents of the run where no server holds the data folder, and
    prints what could not be rebuilt. Exits with 1 unless every attempt matches the reference.

    Examples:
      foliotrace loop replay run_8c2e... --reference "28 days"
      foliotrace loop replay run_8c2e... --reference "28 days" --now
    """
    from foliotrace_loop.replay import Replay, ReplayVerdict, replay
    from foliotrace_server.loop.recorded import AsOfThen, as_of_then
    from foliotrace_server.loop.target import ClientRuns, ClientTarget

    async def read(client: "AsyncFoliotraceClient") -> AsOfThen:
        run = await ClientRuns(client).run(run_id)
        return AsOfThen(run=run) if now else await as_of_then(client, run)

    then = connected(options, read)

    async def work(client: "AsyncFoliotraceClient") -> Replay:
        supplied = {**then.run.outcome.inputs, "query": question} if question else None
        return await replay(
            then.run,
            ClientTarget(client),
            times=times,
            reference=reference,
            inputs=supplied,
            allow_floating=allow_floating,
            rebuilt_index=then.rebuilt,
            missing=then.missing,
        )

    found = connected(options if now else _as_recorded(options, then.run), work)
    output.print_result(found, options.output, _print_replay)
    wrong = (ReplayVerdict.REPRODUCED, ReplayVerdict.FLAKY)
    return 1 if reference is not None and found.verdict in wrong else 0


def _as_recorded(options: Options, run: "RecordedRun") -> Options:
    """The options with the settings that the run was answered with, as far as they are known."""
    from foliotrace_server.loop.recorded import recorded_settings

    if options.url is not None:
        return options
    store = store_of(options)
    fingerprint = run.outcome.configuration.settings
    changed = recorded_settings(store, fingerprint, options.settings())
    store.close()
    return replace(options, changed=changed) if changed else options


def promoting(command: F) -> F:
    """The options that say what a row holds."""
    for option in reversed(
        (
            datasets_option,
            click.option("--dataset", default="complaints", show_default=True, help="Its name."),
            click.option(
                "--reference", "references", multiple=True, help="A right answer; several may be."
            ),
            click.option("--refused", is_flag=True, help="The right answer is a refusal."),
            click.option("--reference-json", help="Other reference outputs as a JSON object."),
            click.option("--question", help="The question, instead of that of the run."),
            click.option("--category", help="Kind of failure, such as `wrong_document`."),
            click.option("--incident", help="Id of the complaint or ticket."),
            click.option(
                "--split",
                type=click.Choice(["smoke", "full"]),
                default="full",
                show_default=True,
                help="Suite of the row.",
            ),
            click.option(
                "--evaluator", "evaluators", multiple=True, help="Only this; a name or pkg.mod:f."
            ),
        )
    ):
        command = option(command)
    return command


@loop.command("promote")
@click.argument("run_id")
@promoting
@pass_options
@with_loop_exit_code
def promote_run(
    options: Options,
    /,
    run_id: str,
    folder: Path,
    dataset: str,
    **said: Promoting,
) -> int:
    """Turn a run into a dataset row, anonymised; promoted again, it is the same row.

    Examples:
      foliotrace loop promote run_8c2e... --reference "28 days" --incident T-41 --split smoke
      foliotrace loop promote run_8c2e... --refused --category out_of_scope
    """
    promote_from(options, run_id, folder, dataset, said)
    return Exit.DONE


def promote_from(
    options: Options, run_id: str, folder: Path, dataset: str, said: Mapping[str, Promoting]
) -> str:
    """Write the row of a run, print it, and return its id. Raises LoopError."""
    from foliotrace_loop.datasets.promote import Promotion, promote
    from foliotrace_loop.datasets.rows import Datasets
    from foliotrace_server.loop.target import ClientRuns

    reference = _json_object(said["reference_json"]) if said["reference_json"] else {}
    if references := said["references"]:
        reference["answer"] = references[0] if len(references) == 1 else list(references)
    if said["refused"]:
        reference["refused"] = True

    async def work(client: "AsyncFoliotraceClient") -> "RecordedRun":
        return await ClientRuns(client).run(run_id)

    row = promote(
        connected(options, work),
        Promotion(
            dataset=dataset,
            reference_outputs=reference,
            category=said["category"],
            incident_id=said["incident"],
            split=said["split"],
            evaluators=said["evaluators"],
            inputs={"query": said["question"]} if said["question"] else None,
            created=datetime.now(UTC).date().isoformat(),
        ),
    )
    datasets = Datasets(folder)
    is_new = datasets.put(dataset, row)
    if options.output == "json":
        output.print_json({"id": row.id, "new": is_new, "file": str(datasets.path(dataset))})
    else:
        verb = "added to" if is_new else "updated in"
        output.print_line(f"{row.id} {verb} {datasets.path(dataset)}")
        since = next(each.retired_at for each in datasets.read(dataset) if each.id == row.id)
        if since is not None:
            output.print_line(
                f"it is retired since {since}; to evaluate it again: "
                f"foliotrace loop retire {row.id} --undo"
            )
    return row.id


@loop.command("retire")
@click.argument("row_id")
@datasets_option
@click.option("--dataset", default="complaints", show_default=True, help="Its name.")
@click.option("--undo", is_flag=True, help="Evaluate the row again.")
@with_loop_exit_code
def retire(row_id: str, folder: Path, dataset: str, undo: bool) -> int:
    """Retire a row whose question no longer makes sense; it stays in the file.

    Examples:
      foliotrace loop retire 0b7e...
      foliotrace loop retire 0b7e... --undo
    """
    from foliotrace_loop.datasets.rows import Datasets

    today = datetime.now(UTC).date().isoformat()
    row = Datasets(folder).retire(dataset, row_id, None if undo else today)
    said = "is evaluated again" if undo else f"is retired since {row.retired_at}"
    output.print_line(f"{row.id} {said}")
    return Exit.DONE


def _json_object(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError as error:
        raise LoopError(f"--reference-json is not JSON: {error}") from None
    if not isinstance(value, dict):
        raise LoopError("--reference-json is not a JSON object")
    return value


def _print_replay(found: "Replay") -> None:
    output.print_line(f"{found.verdict}: {len(found.attempts)} attempts")
    for each in found.attempts:
        said = each.error or " ".join(each.answer.split())[:100]
        output.print_line(f"  {each.run_id}: {said}")
    output.print_line(f"as recorded: {', '.join(found.rebuilt) or 'nothing'}")
    for difference in found.not_rebuilt:
        output.print_line(f"not rebuilt: {difference}")
