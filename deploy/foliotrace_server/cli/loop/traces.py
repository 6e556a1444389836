"""`foliotrace traces`: synthetic traces, and files of runs uploaded to LangSmith."""

import gzip
import io
import json
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, TypeVar

import click

from foliotrace_server.cli import output
from foliotrace_server.cli.command import Exit, Group, Options, pass_options
from foliotrace_server.cli.loop.shared import with_loop_exit_code
from foliotrace_server.cli.loop.sync import langsmith_of, langsmith_options
from foliotrace_server.cli.loop.uploads import journal_of, print_plan, upload

if TYPE_CHECKING:
    from foliotrace_loop.langsmith.wire import LangSmithApi

F = TypeVar("F", bound=Callable[..., Any])


@click.group(cls=Group)
def traces() -> None:
    """Generate traces, and upload files of runs to LangSmith: nothing lost, nothing twice.

    Exits with 0, 1 (runs were refused, or are not found) or 2 (stopped: run it again).

    Examples:
      foliotrace traces generate --n 1000 --file traces.jsonl.gz
      foliotrace traces upload --project refunds --input traces.jsonl.gz
      foliotrace traces retry --project refunds --input traces.jsonl.gz
    """


@traces.command("generate")
@click.option(
    "--n", "count", type=click.IntRange(0), default=1000, show_default=True, help="Traces."
)
@click.option("--seed", type=int, default=0, show_default=True, help="Same seed, same traces.")
@click.option(
    "--category",
    "--categories",
    "categories",
    multiple=True,
    help="Categories; several with commas.",
)
@click.option(
    "--error-rate",
    type=click.FloatRange(0, 1),
    default=0.05,
    show_default=True,
    help="Share of failed traces.",
)
@click.option(
    "--file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="JSONL, .json or .gz by its name; default: standard output.",
)
@with_loop_exit_code
def generate_traces(
    count: int, seed: int, categories: tuple[str, ...], error_rate: float, file: Path | None
) -> int:
    """Write synthetic traces: trees of runs with categories, errors and token counts.

    Examples:
      foliotrace traces generate --n 1000 --seed 7 --file traces.jsonl.gz
      foliotrace traces generate --n 50 --categories refunds,shipping --error-rate 0.2
    """
    from foliotrace_loop.traces.generate import CATEGORIES, TraceSynthesis, generate

    named = [name.strip() for each in categories for name in each.split(",") if name.strip()]
    what = TraceSynthesis(
        traces=count, seed=seed, categories=named or CATEGORIES, error_rate=error_rate
    )
    written = 0
    as_array = file is not None and file.name.removesuffix(".gz").endswith(".json")
    with _writing(file) as out:
        for run in generate(what):
            out.write(("[\n" if written == 0 else ",\n") if as_array else "")
            out.write(json.dumps(run) + ("" if as_array else "\n"))
            written += 1
        out.write(("\n]\n" if written else "[]\n") if as_array else "")
    if file is not None:
        output.print_line(f"Generated {written} runs in {count} traces: {file}")
    return Exit.DONE


def uploading(command: F) -> F:
    """The options that say what is uploaded where, and how fast."""
    for option in reversed(
        (
            click.option("--project", required=True, help="Project in LangSmith."),
            click.option(
                "--input",
                "file",
                type=click.Path(path_type=Path, dir_okay=False),
                required=True,
                help="Runs as JSON, JSONL, or either with gzip.",
            ),
            click.option(
                "--workers",
                type=click.IntRange(1, 64),
                default=16,
                show_default=True,
                help="Requests at once.",
            ),
            click.option(
                "--rate",
                type=click.FloatRange(0, min_open=True),
                help="At most so many runs a second.",
            ),
            click.option(
                "--give-up-after",
                "give_up_after_s",
                type=click.FloatRange(0),
                default=60.0,
                show_default=True,
                help="Seconds without success until it stops.",
            ),
            click.option(
                "--read-back",
                "patience_s",
                type=click.FloatRange(0),
                default=30.0,
                show_default=True,
                help="Seconds to wait until LangSmith lists all runs.",
            ),
            click.option(
                "--dead-letter",
                type=click.Path(path_type=Path, dir_okay=False),
                help="Write refused runs and their reasons to this JSONL file.",
            ),
        )
    ):
        command = option(command)
    return command


@traces.command("upload")
@uploading
@langsmith_options
@click.option(
    "--resume/--no-resume",
    default=True,
    show_default=True,
    help="Send only what is left, or all again with the same ids.",
)
@click.option("--dry-run", is_flag=True, help="Say what would be sent.")
@pass_options
@with_loop_exit_code
def upload_traces(options: Options, /, resume: bool, dry_run: bool, **how: Any) -> int:  # noqa: ANN401 - as click passes them
    """Upload a file of runs, shifted so that the latest one ends now.

    The same file and project continue where they stopped, with the same ids.

    Examples:
      foliotrace traces upload --project refunds --input traces.jsonl
      foliotrace traces upload --project refunds --input traces.json.gz --workers 8 --rate 500
      foliotrace traces upload --project refunds --input traces.jsonl --dry-run
    """
    if dry_run:
        with tempfile.TemporaryDirectory() as folder, journal_of(Path(folder), how) as journal:
            print_plan(journal)
        return Exit.DONE
    langsmith = _langsmith(how)
    with journal_of(_folder(options), how, reload=not resume) as journal:
        counts = journal.counts()
        if resume and counts.sent:
            output.print_line(f"Resuming: {counts.sent} of {counts.runs} runs were sent before")
        return upload(journal, langsmith, how)


@traces.command("retry")
@uploading
@langsmith_options
@pass_options
@with_loop_exit_code
def retry_traces(options: Options, /, **how: Any) -> int:  # noqa: ANN401 - as click passes them
    """Send again what was refused in an earlier upload of this file.

    Examples:
      foliotrace traces retry --project refunds --input traces.jsonl
    """
    from foliotrace_loop.traces.rewriting import State

    langsmith = _langsmith(how)
    with journal_of(_folder(options), how) as journal:
        output.print_line(f"Retrying {journal.revive(State.DEAD)} refused runs")
        return upload(journal, langsmith, how)


def _folder(options: Options) -> Path:
    return options.settings().data_dir / "uploads"


def _langsmith(how: dict[str, Any]) -> "LangSmithApi":
    return langsmith_of(how["endpoint"], how["key"], connections=how["workers"])


@contextmanager
def _writing(file: Path | None) -> Iterator[IO[str]]:
    if file is None:
        yield sys.stdout
    elif file.name.endswith(".gz"):
        # No name and no time in the header: the same seed makes the same bytes.
        with (
            file.open("wb") as raw,
            gzip.GzipFile("", "wb", fileobj=raw, mtime=0) as packed,
            io.TextIOWrapper(packed, encoding="utf-8") as text,
        ):
            yield text
    else:
        with file.open("w", encoding="utf-8") as text:
            yield text
