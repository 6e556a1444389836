"""`foliotrace loop eval|compare|gate`: a suite is evaluated, compared, and decided on."""

import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from foliotrace_loop.ports import LoopError
from foliotrace_server.cli import output
from foliotrace_server.cli.command import Exit, Options, pass_options
from foliotrace_server.cli.loop.judges import evaluators_of
from foliotrace_server.cli.loop.shared import (
    NOT_EVALUATED,
    connected,
    datasets_option,
    loop,
    store_of,
    with_loop_exit_code,
)

if TYPE_CHECKING:
    from foliotrace_loop.experiments.compare import Comparison
    from foliotrace_loop.shapes import CaseResult, Experiment
    from foliotrace_server.client import AsyncFoliotraceClient

F = TypeVar("F", bound=Callable[..., Any])


def suite_options(command: F) -> F:
    """The options that say what is evaluated, and how."""
    for option in reversed(
        (
            datasets_option,
            click.option("--dataset", default="complaints", show_default=True, help="Its name."),
            click.option(
                "--suite",
                type=click.Choice(["smoke", "full"]),
                default="full",
                show_default=True,
                help="`full` holds the rows of `smoke` too.",
            ),
            click.option(
                "--evaluator",
                "evaluators",
                multiple=True,
                help="Also rate with this one: a name, or pkg.mod:function.",
            ),
            click.option(
                "--repeat",
                type=click.IntRange(1, 100),
                default=1,
                show_default=True,
                help="Attempts at each row; more than one tells flaky cases.",
            ),
            click.option(
                "--max-concurrency",
                type=click.IntRange(1, 64),
                default=8,
                show_default=True,
                help="Questions at once.",
            ),
            click.option(
                "--allow-floating", is_flag=True, help="Accept model names without a date."
            ),
            click.option(
                "--save", type=click.Path(path_type=Path), help="Also write it to this JSON file."
            ),
        )
    ):
        command = option(command)
    return command


@loop.command("eval")
@suite_options
@click.option("--name", default="eval", show_default=True, help="Name of the experiment.")
@pass_options
@with_loop_exit_code
def evaluate_suite(options: Options, /, **how: Any) -> int:  # noqa: ANN401 - as click passes them
    """Evaluate a suite, and keep the result as an experiment.

    Examples:
      foliotrace loop eval --suite full --repeat 3
    """
    experiment = _evaluated(options, **how)
    if options.output == "json":
        output.print_json(_summary(experiment))
    else:
        _print_experiment(experiment)
    unknown = any(case.verdict == "unknown" for case in experiment.results)
    return NOT_EVALUATED if unknown or not experiment.results else Exit.DONE


@loop.command("compare")
@click.argument("before")
@click.argument("after")
@click.option(
    "--format",
    "shape",
    type=click.Choice(["markdown", "json", "junit"]),
    help="How to print the report.",
)
@click.option("--target", "targets", multiple=True, help="A row that must pass.")
@pass_options
@with_loop_exit_code
def compare_experiments(
    options: Options, before: str, after: str, shape: str | None, targets: tuple[str, ...]
) -> int:
    """Compare two experiments, by id or JSON file: target fixed, any case regressed, aggregate up?

    Exits as the gate would: 0, 1 (regression), 2 (could not evaluate).

    Examples:
      foliotrace loop compare exp_1a2b... exp_3c4d...
    """
    from foliotrace_loop.experiments import archive
    from foliotrace_loop.experiments.compare import compare

    store = store_of(options)
    found = compare(archive.find(store, before), archive.find(store, after), targets=targets)
    _print_comparison(options, found, shape)
    return int(found.exit)


@loop.command("gate")
@suite_options
@click.option("--baseline", help="Experiment or JSON file. Default: that of --base's merge base.")
@click.option("--base", default="origin/main", show_default=True, help="Branch to merge into.")
@click.option("--target", "targets", multiple=True, help="A row that must pass.")
@click.option("--min-pass", type=click.FloatRange(0, 1), help="Least share of cases that pass.")
@click.option(
    "--format",
    "shape",
    type=click.Choice(["markdown", "json", "junit"]),
    help="How to print the report.",
)
@click.option("--junit", type=click.Path(path_type=Path), help="Also write a JUnit file.")
@click.option("--markdown", type=click.Path(path_type=Path), help="Also write a Markdown file.")
@pass_options
@with_loop_exit_code
def gate(
    options: Options,
    /,
    baseline: str | None,
    base: str,
    targets: tuple[str, ...],
    min_pass: float | None,
    shape: str | None,
    junit: Path | None,
    markdown: Path | None,
    **how: Any,  # noqa: ANN401 - as click passes them
) -> int:
    """Evaluate a suite and decide: exit 0, 1 (regression) or 2 (could not evaluate).

    Examples:
      foliotrace loop gate --suite smoke
      foliotrace loop gate --baseline evals/baseline.json --junit gate.xml
    """
    from foliotrace_loop.experiments import archive, report
    from foliotrace_loop.experiments.compare import compare
    from foliotrace_server.cli.loop.working_commit import merge_base

    store = store_of(options)
    suite = f"{how['dataset']}/{how['suite']}"
    before = None
    if baseline is not None:
        before = archive.find(store, baseline)
        if before.suite not in (suite, f"{how['dataset']}/full"):  # full holds the smoke rows
            raise LoopError(f"{baseline} evaluated {before.suite}, not {suite}")
    elif (sha := merge_base(base)) is not None:
        before = archive.of_commit(store, suite, sha)
    experiment = _evaluated(options, name="gate", **how)
    found = compare(before, experiment, targets=targets, least_pass_rate=min_pass)
    if junit is not None:
        junit.write_text(report.junit(found), "utf-8")
    if markdown is not None:
        markdown.write_text(report.markdown(found) + "\n", "utf-8")
    _print_comparison(options, found, shape)
    return int(found.exit)


def _evaluated(
    options: Options,
    *,
    folder: Path,
    dataset: str,
    suite: Any,  # noqa: ANN401 - click's choice
    evaluators: tuple[str, ...],
    save: Path | None,
    **how: Any,  # noqa: ANN401 - the fields of SuiteRun
) -> "Experiment":
    """Evaluate a suite and keep the experiment. Raises LoopError, Unavailable."""
    from foliotrace_loop.datasets.rows import Datasets
    from foliotrace_loop.experiments import archive
    from foliotrace_loop.experiments.suite import SuiteRun, evaluate
    from foliotrace_server.cli.loop.working_commit import current_commit
    from foliotrace_server.loop.target import ClientTarget

    rows = Datasets(folder).suite(dataset, suite)
    commit = current_commit()
    plan = SuiteRun(suite=f"{dataset}/{suite}", git_sha=commit.sha, git_dirty=commit.dirty, **how)
    rating, judge = evaluators_of(options, folder, evaluators)
    for key, why in rating.disabled.items():
        sys.stderr.write(f"{key} rates nothing: {why}\n")

    def show(case: "CaseResult") -> None:
        if sys.stderr.isatty():
            sys.stderr.write(f"{case.verdict}: {case.name}\n")

    async def work(client: "AsyncFoliotraceClient") -> "Experiment":
        try:
            return await evaluate(rows, ClientTarget(client), rating, plan, on_case=show)
        finally:
            if judge is not None:
                await judge.close()

    experiment = connected(options, work)
    archive.save(store_of(options), experiment)
    if save is not None:
        archive.write_file(save, experiment)
    sys.stderr.write(
        f"{len(experiment.results)} rows in {experiment.elapsed_s:.1f} s, "
        f"{experiment.cost_usd} USD, experiment {experiment.id}\n"
    )
    return experiment


def _summary(experiment: "Experiment") -> dict[str, Any]:
    return {
        "id": experiment.id,
        "suite": experiment.suite,
        "git_sha": experiment.git_sha,
        "git_dirty": experiment.git_dirty,
        "configuration": asdict(experiment.configuration),
        "elapsed_s": experiment.elapsed_s,
        "cost_usd": str(experiment.cost_usd),
        "cases": [
            {
                "row_id": c.row_id,
                "verdict": c.verdict,
                "attempts": [_attempt(a) for a in c.attempts],
            }
            for c in experiment.results
        ],
    }


def _attempt(attempt: Any) -> dict[str, Any]:  # noqa: ANN401 - an Attempt
    return {
        "run_id": attempt.run_id,
        "error": attempt.error,
        "unavailable": attempt.unavailable,
        "elapsed_ms": attempt.elapsed_ms,
        "scores": {s.key: s.score for s in attempt.scores if s.score is not None},
    }


def _print_experiment(experiment: "Experiment") -> None:
    rows = []
    for case in experiment.results:
        failing = [
            f"{s.key} ({s.comment})" if s.comment else s.key
            for a in case.attempts
            for s in a.scores
            if s.passed is False
        ]
        why = next((a.unavailable for a in case.attempts if a.unavailable), "; ".join(failing[:2]))
        rows.append((case.verdict, case.name[:60], why))
    output.print_table(("END", "CASE", "WHY"), rows)


def _print_comparison(options: Options, found: "Comparison", shape: str | None) -> None:
    from foliotrace_loop.experiments import report

    shape = shape or ("json" if options.output == "json" else "markdown")
    if shape == "json":
        output.print_json(dict(report.as_json(found)))
    elif shape == "junit":
        output.print_text(report.junit(found))
    else:
        output.print_line(report.markdown(found))
