"""`foliotrace loop release` and `foliotrace loop watch`: whom a release answers, how well."""

from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import click

from foliotrace_loop.ports import LoopError
from foliotrace_server.cli import output
from foliotrace_server.cli.command import Exit, Group, Options, pass_options
from foliotrace_server.cli.loop.shared import (
    NOT_EVALUATED,
    connected,
    loop,
    store_of,
    with_loop_exit_code,
)

if TYPE_CHECKING:
    from foliotrace_loop.releases.rollout import Rollout, Rollouts
    from foliotrace_loop.releases.watch import ReleaseFigures, Watched, WatchLimits
    from foliotrace_loop.runs.windows import WindowStats
    from foliotrace_server.client import AsyncFoliotraceClient

_WORSE = 1


@loop.group("release", cls=Group)
def release() -> None:
    """Releases: which configuration answers whom. A running server follows within seconds.

    Examples:
      foliotrace loop release canary grounded --share 0.1
      foliotrace loop release show
      foliotrace loop release promote
      foliotrace loop release rollback --why "wrong currencies"
    """


@release.command("show")
@click.option("--history", type=click.IntRange(1, 100), default=1, help="How many rollouts.")
@pass_options
@with_loop_exit_code
def show(options: Options, history: int) -> int:
    """Show which release answers whom, and since when.

    Examples:
      foliotrace loop release show --history 5
    """
    from foliotrace_loop.releases.rollout import Rollout

    found = _rollouts(options).history(limit=history) or [Rollout()]
    if options.output == "json":
        output.print_json([asdict(each) for each in found])
    else:
        for each in found:
            _print_rollout(each)
    return Exit.DONE


@release.command("canary")
@click.argument("name")
@click.option("--share", type=click.FloatRange(0, 1), default=0.0, help="Share of the users.")
@click.option("--tenant", "tenants", multiple=True, help="All users of this tenant.")
@pass_options
@with_loop_exit_code
def canary(options: Options, name: str, share: float, tenants: tuple[str, ...]) -> int:
    """Let a release of the settings answer a share of the users, or whole tenants.

    A user stays with a release while the share grows. Share 1 is blue-green: everybody at once.

    Examples:
      foliotrace loop release canary grounded --share 0.1
      foliotrace loop release canary grounded --tenant acme
    """
    if not share and not tenants:
        raise LoopError("name a share of the users, or tenants: --share 0.1, --tenant acme")
    now = _rollouts(options).current()
    return _change(options, replace(now, canary=name, share=share, tenants=tenants), "canary")


@release.command("shadow")
@click.argument("name")
@click.option(
    "--share", type=click.FloatRange(0, 1), default=1.0, show_default=True, help="Of the answers."
)
@pass_options
@with_loop_exit_code
def shadow(options: Options, name: str, share: float) -> int:
    """Let a release repeat answers after they were sent; nobody sees what it says.

    Its runs are in the project `shadow`; they cost what its answers cost.

    Examples:
      foliotrace loop release shadow grounded --share 0.2
    """
    now = _rollouts(options).current()
    return _change(options, replace(now, shadow=name, shadow_share=share), "shadow")


@release.command("promote")
@click.option("--why", default="promoted by hand", help="Kept with the rollout.")
@pass_options
@with_loop_exit_code
def promote(options: Options, why: str) -> int:
    """Let the canary answer everybody.

    Examples:
      foliotrace loop release promote --why "a day without a regression"
    """
    return _change(options, _rollouts(options).current().promoted(why, _now()), why)


@release.command("rollback")
@click.option("--why", default="rolled back by hand", help="Kept with the rollout.")
@pass_options
@with_loop_exit_code
def rollback(options: Options, why: str) -> int:
    """Let the stable release answer everybody again; the shadow ends too.

    Examples:
      foliotrace loop release rollback --why "wrong currencies"
    """
    return _change(options, _rollouts(options).current().rolled_back(why, _now()), why)


@loop.command("watch")
@click.option("--candidate", help="Release to watch. Default: the canary.")
@click.option("--baseline", help="What it is compared with. Default: the stable release.")
@click.option(
    "--hours", type=click.FloatRange(min=0.0), default=24.0, show_default=True, help="Least time."
)
@click.option(
    "--least-runs", type=click.IntRange(1), default=100, show_default=True, help="Least runs."
)
@click.option("--apply", is_flag=True, help="Promote or roll back as decided.")
@pass_options
@with_loop_exit_code
def watch_release(
    options: Options,
    candidate: str | None,
    baseline: str | None,
    hours: float,
    least_runs: int,
    apply: bool,
) -> int:
    """Compare a release with its baseline in production: promote, hold or roll back.

    Counts errors, degraded answers and bad ratings (Fisher's exact test), then p95 and cost. Exits
    0 (promote), 1 (roll back), 2 (hold: too early to say).

    Examples:
      foliotrace loop watch
      foliotrace loop watch --hours 48 --apply
    """
    from foliotrace_loop.releases.watch import Decision, WatchLimits, watch

    now = _rollouts(options).current()
    candidate, baseline = candidate or now.canary, baseline or now.stable
    if candidate is None:
        raise LoopError("there is no canary; name the release with --candidate")
    since = datetime.fromisoformat(now.changed_at) if now.changed_at else None
    limits = WatchLimits(least_runs=least_runs, least_time=timedelta(hours=hours))
    before, after = connected(
        options, lambda client: _figures(client, (baseline, candidate), since, limits)
    )
    watched = watch(before, after, _now() - (since or _now()), limits)
    _print_watched(options, watched)
    if apply and watched.decision is not Decision.HOLD:
        why = "; ".join(watched.reasons)
        promoting = watched.decision is Decision.PROMOTE
        changed = now.promoted(why, _now()) if promoting else now.rolled_back(why, _now())
        _change(options, changed, why)
    codes = {Decision.PROMOTE: int(Exit.DONE), Decision.ROLL_BACK: _WORSE}
    return codes.get(watched.decision, NOT_EVALUATED)


async def _figures(
    client: "AsyncFoliotraceClient",
    releases: tuple[str, str],
    since: datetime | None,
    limits: "WatchLimits",
) -> "list[ReleaseFigures]":
    """The figures of each release since the rollout changed, evaluations and shadows left out."""
    from foliotrace_loop.releases.watch import ReleaseFigures

    async def count(*conditions: str) -> "WindowStats":
        return (await client.run_stats(filter=f"and({', '.join(conditions)})", since=since)).total

    found: list[ReleaseFigures] = []
    above: list[str] = []
    for name in releases:
        mine = (f'eq(release, "{name}")', 'neq(project, "evaluation")', 'neq(project, "shadow")')
        total = await count(*mine)
        if not found:
            slow_ms, dear_usd = limits.factor_limits(total.p95_ms, total.cost_per_run_usd)
            above = [
                f"gt(latency, {(slow_ms or 0) / 1000:.6f})",
                f"gt(total_cost, {dear_usd or 0})",
            ]
        slow, dear = [(await count(*mine, each)).runs for each in above]
        found.append(
            ReleaseFigures(
                release=name,
                runs=total.runs,
                errors=total.errors,
                degraded=total.degraded,
                rated=(await count(*mine, "gte(feedback_score, 0)")).runs,
                bad=(await count(*mine, "lt(feedback_score, 0.5)")).runs,
                p95_ms=total.p95_ms,
                cost_per_run_usd=total.cost_per_run_usd,
                slow=slow,
                dear=dear,
            )
        )
    return found


def _now() -> datetime:
    return datetime.now(UTC)


def _rollouts(options: Options) -> "Rollouts":
    from foliotrace_loop.releases.rollout import Rollouts

    if options.url is not None:
        raise LoopError("releases are changed beside the data folder: leave --url out")
    return Rollouts(store_of(options))


def _change(options: Options, rollout: "Rollout", why: str) -> int:
    from foliotrace_loop.releases.rollout import check

    check(rollout, options.settings().releases)
    changed = _rollouts(options).change(rollout, why=why, now=_now())
    if options.output == "json":
        output.print_json(asdict(changed))
    else:
        _print_rollout(changed)
    return Exit.DONE


def _print_rollout(rollout: "Rollout") -> None:
    said = [f"stable {rollout.stable}"]
    if rollout.canary is not None:
        whom = [f"{rollout.share:.0%} of the users"] if rollout.share else []
        said.append(f"canary {rollout.canary}: {', '.join([*whom, *rollout.tenants])}")
    if rollout.shadow is not None:
        said.append(f"shadow {rollout.shadow}: {rollout.shadow_share:.0%} of the answers")
    since = f" ({rollout.changed_at[:19]}, {rollout.why})" if rollout.changed_at else ""
    output.print_line("; ".join(said) + since)


def _print_watched(options: Options, watched: "Watched") -> None:
    if options.output == "json":
        output.print_json(asdict(watched))
        return
    output.print_table(
        ("", watched.baseline.release, watched.candidate.release, "p"),
        [
            ("runs", watched.baseline.runs, watched.candidate.runs, ""),
            *(
                (c.name, _figure(c.baseline), _figure(c.candidate), _figure(c.p_value))
                for c in watched.checks
            ),
        ],
    )
    output.print_line(f"{watched.decision}: {'; '.join(watched.reasons)}")


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.3g}"
