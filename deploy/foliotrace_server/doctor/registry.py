"""The registry of checks, and how they are run."""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Final, Literal, TypeAlias

from foliotrace.errors import FoliotraceError, Misconfigured
from foliotrace_server.settings import Settings
from foliotrace_server.wrong_settings import SettingProblem

_ITSELF: Final = re.compile(r" with `foliotrace doctor[^`]*`|Run `foliotrace doctor[^`]*`\.?")
_PROBE_S: Final = 20.0
MODULES: Final = ("sources", "configuration", "documents", "collector", "probes", "llamacloud")
"""The modules that hold checks, in the order of the table; the last two hold probes alone."""

State: TypeAlias = Literal["on", "off", "warning", "problem"]
"""A warning works, but not as its owner will want it; it does not change the exit code."""


class Warned(Exception):
    """What a probe found that does not stop the service; it never leaves this package."""

    def __init__(self, said: str, *, hint: str) -> None:
        super().__init__(said)
        self.said = said
        self.hint = hint


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


def examine(settings: Settings, wrong: Sequence[SettingProblem] = ()) -> Iterator[CheckResult]:
    """Check the configuration without calling anything outside this machine.

    `wrong` are the settings that could not be read: the others are checked all the same.
    """
    for module in MODULES[:-2]:
        import_module(f"foliotrace_server.doctor.{module}")  # registers its checks
    for problem in wrong:
        yield CheckResult(
            area=f"setting {problem.setting}",
            state="problem",
            said=problem.said,
            adds=problem.hint,
        )
    for each in CHECKS:
        try:
            state, said, *hint = each.run(settings)
        except FoliotraceError as error:
            state, said, hint = "problem", error.message, [_of_others(error.hint)]
        except Exception as error:  # noqa: BLE001 - a row, whatever happens: the table is whole
            state, said, hint = "problem", f"cannot be checked: {type(error).__name__}", []
        adds = hint[0] if hint else each.hint if state == "off" else ""
        yield CheckResult(area=each.area, state=state, said=said, adds=adds)


def _of_others(hint: str) -> str:
    """The hint without the advice to run what is running."""
    return _ITSELF.sub("", hint).strip()


async def run_probes(settings: Settings) -> list[CheckResult]:
    """Try what is configured, with one small call each.

    The only text sent is the word "ping". Results hold no key, no password and no path of a key.
    """
    for module in MODULES[-2:]:
        import_module(f"foliotrace_server.doctor.{module}")  # registers its probes
    calls = [call for each in PROBES async for call in each.calls(settings)]
    return await asyncio.gather(*[_result_of(area, call) for area, call in calls])


async def _result_of(area: str, call: Callable[[], Awaitable[str]]) -> CheckResult:
    try:
        async with asyncio.timeout(_PROBE_S):
            said = await call()
    except Misconfigured as error:
        hint = _of_others(error.hint)
        return CheckResult(area=area, state="problem", said=error.message, adds=hint)
    except Warned as error:
        return CheckResult(area=area, state="warning", said=error.said, adds=error.hint)
    except FoliotraceError as error:
        said, hint = f"{error.message} [{error.error_code}]", _of_others(error.hint)
        return CheckResult(area=area, state="problem", said=said, adds=hint)
    except TimeoutError:
        return CheckResult(area=area, state="problem", said=f"no answer within {_PROBE_S:.0f} s")
    except Exception as error:  # noqa: BLE001 - a row, whatever happens
        return CheckResult(area=area, state="problem", said=f"failed: {type(error).__name__}")
    return CheckResult(area=area, state="on", said=said)
