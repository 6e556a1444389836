"""Makes the services of each release in the settings, over one data folder."""

from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from foliotrace.adapters.local.prices import PriceTable
from foliotrace.errors import Misconfigured
from foliotrace.ports import Clock
from foliotrace.query.services import QueryServices
from foliotrace.settings import QuerySettings
from foliotrace.stack import Host, Stack
from foliotrace_server.external.own_parts import OwnParts
from foliotrace_server.external.services import connect
from foliotrace_server.loop.settings import ReleaseSettings
from foliotrace_server.sections import is_safe_url
from foliotrace_server.settings import Settings

if TYPE_CHECKING:
    from foliotrace.model import Run
    from foliotrace_loop.store import LoopStore
    from foliotrace_server.loop.online import OnlineEvaluation
    from foliotrace_server.loop.releases import ReleaseRouter
    from foliotrace_server.loop.second_service import SecondService


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenReleases:
    """The router, None where there is one configuration and nothing rates it."""

    router: "ReleaseRouter | None" = None
    background: Sequence[Callable[[], Coroutine[Any, Any, None]]] = ()
    closing: Sequence[Callable[[], Awaitable[None]]] = ()
    online: "OnlineEvaluation | None" = None

    def on_rated(self, run: "Run", score: float | None) -> None:
        """Have a run rated that a caller rated badly."""
        if self.online is not None:
            self.online.consider_rated(run, score)

    async def close(self) -> None:
        """Close what was opened for releases."""
        for close in self.closing:
            await close()


def open_releases(
    settings: Settings,
    stack: Stack,
    host: Host,
    parts: OwnParts,
    prices: PriceTable,
    store: "LoopStore",
) -> OpenReleases:
    """Raises Misconfigured for a release whose settings are wrong."""
    if not settings.releases and not settings.online.enabled:
        _note(settings, store, {stack.query.fingerprint: settings})
        return OpenReleases()
    from foliotrace_loop.releases.rollout import BASE, Rollouts
    from foliotrace_server.loop.online import RunsWithFailures
    from foliotrace_server.loop.releases import ReleaseRouter

    if BASE in settings.releases:
        raise Misconfigured(
            f"releases.{BASE} is the name of the settings themselves", hint="Choose another name."
        )
    services: dict[str, QueryServices] = {BASE: stack.query}
    closing: list[Callable[[], Awaitable[None]]] = []
    noted = {stack.query.fingerprint: settings}
    for name, release in settings.releases.items():
        changed = settings.model_copy(update=_changes(settings, name, release))
        external = stack.external
        if release.llm is not None or "retriever" in release.query:
            own = connect(changed, stack.folder, parts, prices)
            closing.extend(own.closing)
            external = replace(external, generators=own.generators, retriever=own.retriever)
        made = Stack(stack.folder, changed, host, external).query
        services[name] = replace(made, release=name)
        if release.base_url is not None:
            second = _second_service(name, release, stack.folder.clock)
            closing.append(second.close)
            services[name] = replace(services[name], second_service=second)
        else:
            noted[made.fingerprint] = changed
    _note(settings, store, noted)
    online = None
    if settings.online.enabled:
        online, close = _online(settings, stack, store)
        closing.extend(close)
        watched = RunsWithFailures(stack.folder.runs, online.consider_failed)
        services = {name: replace(each, runs=watched) for name, each in services.items()}
    router = ReleaseRouter(
        services, online=online, automatic_rollback=settings.online.automatic_rollback
    )
    rollouts = Rollouts(store)
    return OpenReleases(
        router=router,
        background=(lambda: router.run(rollouts), *((online.run,) if online else ())),
        closing=tuple(closing),
        online=online,
    )


def _second_service(name: str, release: ReleaseSettings, clock: Clock) -> "SecondService":
    from foliotrace_server.loop.second_service import SecondService

    url = release.base_url or ""
    if not is_safe_url(url):
        raise Misconfigured(
            f"releases.{name}.base_url is neither https nor a private address",
            hint="Callers' keys are sent there.",
        )
    if release.query or release.llm is not None:
        raise Misconfigured(
            f"releases.{name} has a base_url, so its `query` and `llm` would have no effect",
            hint="Set them at the second service.",
        )
    return SecondService(name, url, clock)


def _note(settings: Settings, store: "LoopStore", noted: Mapping[str, Settings]) -> None:
    """Note what answers, for replays: only where runs keep what can be asked again."""
    if settings.runs.keep_content != "off":
        from foliotrace_server.loop.recorded import note_configurations

        note_configurations(store, noted)


def _online(
    settings: Settings, stack: Stack, store: "LoopStore"
) -> "tuple[OnlineEvaluation, Sequence[Callable[[], Awaitable[None]]]]":
    """Online evaluation and what it closes. Raises Misconfigured."""
    from foliotrace_loop.evaluators.registry import TONE_KEY
    from foliotrace_loop.ports import LoopError
    from foliotrace_server.loop.judge import ONLINE, open_judge
    from foliotrace_server.loop.online import OnlineEvaluation

    try:
        opened = None
        if TONE_KEY in settings.online.evaluators:
            opened = open_judge(
                settings,
                settings.data_dir,
                account=ONLINE,
                daily_usd=settings.online.daily_usd,
                clock=stack.folder.clock,
            )
        online = OnlineEvaluation(
            settings.online,
            stack.folder.runs,
            store,
            judge=opened.judge if opened is not None else None,
            calibrations=settings.loop.datasets.parent / "judges",
        )
    except LoopError as error:
        raise Misconfigured(str(error), hint="See `online` in the settings.") from error
    return online, (opened.close,) if opened is not None else ()


def _changes(settings: Settings, name: str, release: ReleaseSettings) -> dict[str, Any]:
    differing = {key: None if value == "" else value for key, value in release.query.items()}
    try:
        query = QuerySettings.model_validate({**settings.query.model_dump(), **differing})
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(str(each) for each in first["loc"])
        raise Misconfigured(
            f"releases.{name}.query.{where}: {first['msg']}", hint="See `query` in the settings."
        ) from None
    changes: dict[str, Any] = {"query": query}
    if release.llm is not None:
        changes |= {"llm": release.llm, "llm_fallbacks": ()}
    return changes
