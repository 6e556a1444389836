"""`foliotrace runs`: list, show, open, stats, rate."""

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeVar

import click

from foliotrace.errors import BadInput
from foliotrace_server.cli import output
from foliotrace_server.cli.command import Exit, Group, Options, pass_options, run, with_exit_code

if TYPE_CHECKING:
    from foliotrace_loop.runs.windows import WindowStats
    from foliotrace_server.client import AsyncFoliotraceClient
    from foliotrace_server.loop import bodies

F = TypeVar("F", bound=Callable[..., Any])
_AGO = re.compile(r"(\d+)\s*(s|m|h|d)")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_RATED = re.compile(r"([\w.-]+)\s*(<=|>=|=|<|>)\s*(-?\d+(?:\.\d+)?)")
_OPERATORS = {"<": "lt", "<=": "lte", ">": "gt", ">=": "gte", "=": "eq"}


class MomentOption(click.ParamType[datetime]):
    """An ISO 8601 time (UTC where it names no zone), or an age such as `90m`, `24h`, `7d`."""

    name = "time"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> datetime:
        """The moment that `value` names."""
        text = str(value)
        if ago := _AGO.fullmatch(text):
            return datetime.now(UTC) - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            self.fail(f"{text!r} is neither an ISO 8601 time nor an age such as 24h", param, ctx)
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def selecting(command: F) -> F:
    """The options that select runs."""
    for option in reversed(
        (
            click.option("--filter", "filter_", help="LangSmith's grammar: `gt(latency, 5)`."),
            click.option("--since", type=MomentOption(), help="From this time or age (24h) on."),
            click.option("--until", type=MomentOption(), help="Before this time or age."),
            click.option("--level", type=int, help="Only this degradation level."),
            click.option("--error/--no-error", default=None, help="Only failed, or answered runs."),
            click.option("--tag", "tags", multiple=True, help="Only with this tag."),
            click.option("--user", help="Only of this user id."),
            click.option("--session", help="Only of this session id."),
            click.option("--metadata", multiple=True, help="NAME=VALUE that the metadata hold."),
            click.option("--feedback", multiple=True, help='Rated so: "user_score<=0.5".'),
        )
    ):
        command = option(command)
    return command


def filter_of(
    *,
    filter_: str | None = None,
    level: int | None = None,
    error: bool | None = None,
    tags: tuple[str, ...] = (),
    user: str | None = None,
    session: str | None = None,
    metadata: tuple[str, ...] = (),
    feedback: tuple[str, ...] = (),
) -> str | None:
    """The options as one filter; None for no condition. Raises BadInput."""
    parts = [filter_] if filter_ else []
    if level is not None:
        parts.append(f"eq(level, {level})")
    if error is not None:
        parts.append(f'eq(status, "{"error" if error else "success"}")')
    parts += [f"has(tags, {json.dumps(tag)})" for tag in tags]
    for name, value in (("user_id", user), ("session_id", session)):
        if value is not None:
            parts.append(f"eq({name}, {json.dumps(value)})")
    for pair in metadata:
        name, equals, value = pair.partition("=")
        if not equals:
            raise BadInput("--metadata takes NAME=VALUE")
        parts.append(
            f"and(eq(metadata_key, {json.dumps(name)}), eq(metadata_value, {json.dumps(value)}))"
        )
    for rule in feedback:
        match = _RATED.fullmatch(rule.strip())
        if match is None:
            raise BadInput('--feedback takes KEY<=SCORE, such as "user_score<=0.5"')
        operator = _OPERATORS[match[2]]
        parts.append(
            f"and(eq(feedback_key, {json.dumps(match[1])}), {operator}(feedback_score, {match[3]}))"
        )
    if len(parts) < 2:
        return parts[0] if parts else None
    return f"and({', '.join(parts)})"


@click.group(cls=Group)
def runs() -> None:
    """List, show, open and rate runs: what was asked, how it ended, what it cost.

    Examples:
      foliotrace runs list --since 24h --feedback "user_score<=0.5"
      foliotrace runs stats --since 7d --window-s 86400
    """


@runs.command("list")
@selecting
@click.option(
    "--limit", type=click.IntRange(1, 1000), default=50, show_default=True, help="The most runs."
)
@click.option("--after", help="Continue behind this run: the `next` of the page before.")
@pass_options
@with_exit_code
def list_runs(
    options: Options,
    /,
    limit: int,
    after: str | None,
    since: datetime | None,
    until: datetime | None,
    **conditions: Any,  # noqa: ANN401 - as click passes them
) -> Exit | None:
    """List runs, newest first, without texts.

    Examples:
      foliotrace runs list --error --since 1h
      foliotrace runs list --filter 'and(gt(latency, "5s"), has(tags, "beta"))'
    """

    async def command(client: "AsyncFoliotraceClient") -> None:
        page = await client.runs(
            filter=filter_of(**conditions), since=since, until=until, limit=limit, after=after
        )
        output.print_result(page, options.output, _print_runs)

    return run(options, command)


@runs.command("show")
@click.argument("run_id")
@pass_options
@with_exit_code
def show_run(options: Options, run_id: str) -> Exit | None:
    """Show one run with its feedback, by run id or trace id.

    Examples:
      foliotrace runs show run_8c2e...
    """

    async def command(client: "AsyncFoliotraceClient") -> None:
        output.print_result(await client.run(run_id), options.output, output.print_fields)

    return run(options, command)


@runs.command("open")
@click.argument("run_id")
@click.option("--browser", is_flag=True, help="Open the first link in a browser.")
@pass_options
@with_exit_code
def open_run(options: Options, run_id: str, browser: bool) -> Exit | None:
    """Print where a run's trace opens: Jaeger, LangSmith.

    Examples:
      foliotrace runs open run_8c2e... --browser
    """

    async def command(client: "AsyncFoliotraceClient") -> Exit:
        found = await client.run(run_id)
        if options.output == "json":
            output.print_json(
                {"run_id": found.id, "trace_id": found.trace_id, "links": dict(found.links)}
            )
        for name, url in found.links.items():
            if options.output != "json":
                output.print_line(f"{name}: {url}")
        if not found.links and options.output != "json":
            output.print_line(
                f"trace {found.trace_id}: set telemetry.jaeger_url or telemetry.langsmith_url"
                if found.trace_id
                else "the run has no sampled trace"
            )
        if browser and found.links:
            click.launch(next(iter(found.links.values())))
        return Exit.DONE if found.links else Exit.NOT_FOUND

    return run(options, command)


@runs.command("stats")
@selecting
@click.option("--window-s", type=click.IntRange(1), help="Also print each window of this width.")
@pass_options
@with_exit_code
def show_stats(
    options: Options,
    /,
    window_s: int | None,
    since: datetime | None,
    until: datetime | None,
    **conditions: Any,  # noqa: ANN401 - as click passes them
) -> Exit | None:
    """Print latency percentiles, error rate, tokens and cost of the matching runs.

    Examples:
      foliotrace runs stats --since 24h --window-s 3600
    """

    async def command(client: "AsyncFoliotraceClient") -> None:
        figures = await client.run_stats(
            filter=filter_of(**conditions), since=since, until=until, window_s=window_s
        )
        output.print_result(figures, options.output, _print_stats)

    return run(options, command)


@runs.command("rate")
@click.argument("run_id")
@click.option("--key", default="user_score", show_default=True, help="What is rated.")
@click.option("--score", type=click.FloatRange(0, 1), help="From 0 (bad) to 1 (good).")
@click.option("--comment", help="Why.")
@pass_options
@with_exit_code
def rate_run(
    options: Options, run_id: str, key: str, score: float | None, comment: str | None
) -> Exit | None:
    """Rate a run, by run id or trace id.

    Examples:
      foliotrace runs rate run_8c2e... --score 0 --comment "wrong year"
    """

    async def command(client: "AsyncFoliotraceClient") -> None:
        kept = await client.feedback(run_id, key, score=score, comment=comment)
        output.print_result(kept, options.output, output.print_fields)

    return run(options, command)


def _print_runs(page: "bodies.RunsBody") -> None:
    rows = [
        (
            each.id,
            f"{each.created_at:%Y-%m-%d %H:%M:%S}",
            int(each.degradation.level),
            each.error or each.degradation.answer.value,
            f"{each.elapsed_ms:.0f}",
            each.usage.cost_usd,
            each.user_id or "",
        )
        for each in page.runs
    ]
    output.print_table(("ID", "AT (UTC)", "LEVEL", "END", "MS", "USD", "USER"), rows)


def _print_stats(figures: "bodies.RunStatsBody") -> None:
    head = ("FROM (UTC)", "RUNS", "ERRORS", "P50 MS", "P95 MS", "P99 MS", "TOKENS", "USD/RUN")
    rows = [_row(f"{each.since:%Y-%m-%d %H:%M}", each) for each in figures.windows]
    output.print_table(head, [*rows, _row("total", figures.total)])


def _row(name: str, each: "WindowStats") -> tuple[object, ...]:
    def cell(value: object) -> object:
        return "-" if value is None else value

    rate = "-" if each.error_rate is None else f"{each.error_rate:.1%}"
    latency = (cell(each.p50_ms), cell(each.p95_ms), cell(each.p99_ms))
    return (name, each.runs, rate, *latency, each.tokens, cell(each.cost_per_run_usd))
