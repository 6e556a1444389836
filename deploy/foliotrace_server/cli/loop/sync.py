"""`foliotrace loop sync`, and where LangSmith is, for all commands that talk to it."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from foliotrace_loop.ports import LoopError
from foliotrace_server.cli import output
from foliotrace_server.cli.command import Exit, Options, pass_options
from foliotrace_server.cli.loop.shared import datasets_option, loop, store_of, with_loop_exit_code

if TYPE_CHECKING:
    from foliotrace_loop.langsmith.wire import LangSmithApi

F = TypeVar("F", bound=Callable[..., Any])


def langsmith_options(command: F) -> F:
    """`--endpoint` and `--langsmith-api-key`, by default from the variables of LangSmith's SDK."""
    for option in reversed(
        (
            click.option(
                "--endpoint",
                envvar=["LANGSMITH_ENDPOINT", "LANGCHAIN_ENDPOINT"],
                help="LangSmith's URL; default: LANGSMITH_ENDPOINT, or the hosted service.",
            ),
            click.option(
                "--langsmith-api-key",
                "key",
                envvar=["LANGSMITH_API_KEY", "LANGCHAIN_API_KEY"],
                help="Other users can see the command line, not LANGSMITH_API_KEY.",
            ),
        )
    ):
        command = option(command)
    return command


def langsmith_of(endpoint: str | None, key: str | None, *, connections: int = 16) -> "LangSmithApi":
    """The workspace that the options name. Raises LoopError without a key."""
    from foliotrace_loop.langsmith.wire import ENDPOINT, LangSmithApi

    if not key:
        raise LoopError("there is no key of LangSmith: set LANGSMITH_API_KEY")
    return LangSmithApi(endpoint or ENDPOINT, key, connections=connections)


@loop.command("sync")
@click.option(
    "--project",
    envvar=["LANGSMITH_PROJECT", "LANGCHAIN_PROJECT"],
    default="default",
    show_default="LANGSMITH_PROJECT, or default",
    help="Project in LangSmith that the traces are sent to.",
)
@click.option("--tenant", default="default", show_default=True, help="Whose feedback.")
@datasets_option
@langsmith_options
@pass_options
@with_loop_exit_code
def sync(
    options: Options,
    project: str,
    tenant: str,
    folder: Path,
    endpoint: str | None,
    key: str | None,
) -> int:
    """Push feedback, datasets and experiments to LangSmith; what it holds is not sent again.

    Personal data in comments and answers are replaced by placeholders.

    Examples:
      foliotrace loop sync
      foliotrace loop sync --project refunds
    """
    from foliotrace_loop.datasets.rows import Datasets
    from foliotrace_loop.langsmith.sync import LangSmithSync

    store = store_of(options)
    pushing = LangSmithSync(langsmith_of(endpoint, key), store)
    datasets = Datasets(folder)
    rows = {name: datasets.read(name) for name in datasets.names()}
    ratings = [each for held in store.feedback_by_run(tenant).values() for each in held]
    rated = pushing.push_feedback(project, ratings)
    pushed_rows = sum(pushing.push_dataset(name, each).rows for name, each in rows.items())
    experiments = sum(
        pushing.push_experiment(each, rows.get(each.suite.partition("/")[0], ())).experiments
        for each in pushing.experiments()
    )
    output.print_line(
        f"Pushed {rated.feedback} ratings, {pushed_rows} rows, {experiments} experiments"
    )
    if rated.untraced:
        output.print_line(f"{rated.untraced} ratings are of runs without a trace: not pushed")
    return Exit.DONE
