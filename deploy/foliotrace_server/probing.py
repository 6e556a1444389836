"""One small call to each configured model and service."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from functools import partial

from foliotrace.adapters.local.clock import SystemClock
from foliotrace.model import Deadline
from foliotrace.ports import Prompt
from foliotrace.resilient import GuardFactory
from foliotrace_server.external.models import Models
from foliotrace_server.external.services import cloud_access
from foliotrace_server.external.shared_stores import SharedStores
from foliotrace_server.settings import Settings

_LIMIT_S = 15.0


Calls = Iterator[tuple[str, Callable[[], Awaitable[object]]]]


@asynccontextmanager
async def calls_of(settings: Settings) -> AsyncIterator[Calls]:
    """(name, call) of each model and service, open for the block. Raises Misconfigured."""
    clock = SystemClock()
    shared = SharedStores(settings, clock=clock)
    guards = GuardFactory(settings.resilience, clock=clock)
    models = Models(settings, clock=clock, guards=guards, ledger=shared.ledger)
    try:
        yield _calls(settings, shared, models, Deadline(clock.monotonic_s() + _LIMIT_S))
    finally:
        await models.close()
        await shared.close()


def _calls(settings: Settings, shared: SharedStores, models: Models, deadline: Deadline) -> Calls:
    prompt = Prompt(system="Reply with one word.", user="ping", version="probe")
    for generator in models.generators:
        yield (
            f"language model {generator.model}",
            partial(generator.generate, prompt, max_tokens=8, deadline=deadline),
        )
    if models.embedder is not None:
        call = partial(models.embedder.embed_query, "ping", deadline=deadline)
        yield f"embedding {models.embedder.model}", call
    if settings.redis.url is not None:
        yield "redis", partial(shared.ledger().spent_usd, "default")
    if settings.llamacloud.in_use:
        yield "llamacloud", partial(ask_cloud, settings)


async def ask_cloud(settings: Settings) -> None:
    """A call that costs nothing and needs a valid key. Raises CloudFailure, Misconfigured."""
    from foliotrace.adapters.llamacloud.client import connect
    from foliotrace.adapters.llamacloud.failures import translated_errors

    async with connect(cloud_access(settings)) as client:
        with translated_errors("list projects"):
            await client.projects.list()
