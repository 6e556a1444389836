"""The registry of checks, and how they are run."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from typing import Final, Literal, TypeAlias

from foliotrace.errors import FoliotraceError, Misconfigured
from foliotrace_server.settings import Settings

_PROBE_S: Final = 20.0

State: TypeAlias = Literal["on", "off", "problem"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckResult:
    """What a check found. `adds`: what a setting would enable, or how to solve the problem."""

    area: str
    state: State
    said: str
    adds: str = ""


Outcome: TypeAlias = tuple[State, str] | tuple[State, str, str]
"""(state, what was found), and the hint where it differs from the check's own."""

Call: TypeAlias = tuple[str, Callable[[], Awaitable[str]]]
"""(area, one call that returns what to report); it fails by raising a FoliotraceError."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One check. `checks` says what it looks at; `hint`, what to set if it is off."""

    area: str
    checks: str
    hint: str
    run: Callable[[Settings], Outcome]


CheckFunction: TypeAlias = Callable[[Settings], Outcome]
ProbeFunction: TypeAlias = Callable[[Settings], AsyncIterator[Call]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """Calls to one kind of service. `calls` yields nothing where none is configured.

    It is an async generator, so that it can close what it opened after the last call.
    """

    checks: str
    calls: ProbeFunction


CHECKS: Final[list[Check]] = []
PROBES: Final[list[Probe]] = []


def check(area: str, *, checks: str, hint: str = "") -> Callable[[CheckFunction], CheckFunction]:
    """Register a check of the configuration."""

    def register(run: CheckFunction) -> CheckFunction:
        CHECKS.append(Check(area=area, checks=checks, hint=hint, run=run))
        return run

    return register


def probe(*, checks: str) -> Callable[[ProbeFunction], ProbeFunction]:
    """Register a probe."""

    def register(calls: ProbeFunction) -> ProbeFunction:
        PROBES.append(Probe(checks=checks, calls=calls))
        return calls

    return register


def examine(settings: Settings) -> Iterator[CheckResult]:
    """Check the configuration without calling anything outside this machine."""
    import_module("foliotrace_server.doctor.configuration")  # registers its checks
    for each in CHECKS:
        state, said, *hint = each.run(settings)
        adds = hint[0] if hint else each.hint if state == "off" else ""
        yield CheckResult(area=each.area, state=state, said=said, adds=adds)
    for name, reference in settings.workflows.items():
        yield CheckResult(area=f"workflow {name}", state="on", said=reference)


async def run_probes(settings: Settings) -> list[CheckResult]:
    """Try what is configured, with one small call each.

    The only text sent is the word "ping". Results hold no key, no URL and no path of a key.
    """
    import_module("foliotrace_server.doctor.probes")  # registers its probes
    return [
        await _result_of(area, call) for each in PROBES async for area, call in each.calls(settings)
    ]


async def _result_of(area: str, call: Callable[[], Awaitable[str]]) -> CheckResult:
    try:
        async with asyncio.timeout(_PROBE_S):
            said = await call()
    except Misconfigured as error:
        return CheckResult(area=area, state="problem", said=error.message, adds=error.hint)
    except FoliotraceError as error:
        said = f"{error.message} [{error.error_code}]"
        return CheckResult(area=area, state="problem", said=said)
    except TimeoutError:
        return CheckResult(area=area, state="problem", said=f"no answer within {_PROBE_S:.0f} s")
    return CheckResult(area=area, state="on", said=said)
