"""Probes: one small call to the disk, the audit keys, the collector, each model and service."""

import os
import shutil
import tempfile
from collections.abc import AsyncIterator
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from foliotrace.adapters.local.clock import SystemClock
from foliotrace.errors import Misconfigured
from foliotrace.model import Deadline
from foliotrace.ports import Embedder, Prompt, TextGenerator
from foliotrace.resilient import GuardFactory
from foliotrace_audit import AuditKeyUnusable
from foliotrace_audit.keys import ACTIVE_FILE, read_keys
from foliotrace_otel import OTelSettings, TelemetrySettingInvalid, read_environment
from foliotrace_otel.setup.configure import collector_answers
from foliotrace_server.doctor.registry import Call, probe
from foliotrace_server.external.services import SharedStores, cloud_access
from foliotrace_server.observing.audit import audit_folders
from foliotrace_server.settings import Settings

LEAST_FREE_BYTES: Final = 256 * 2**20
COLLECTOR_S: Final = 5.0
_CALL_S: Final = 15.0


@probe(checks="the data folder takes a file and has free space")
async def _disk(settings: Settings) -> AsyncIterator[Call]:
    async def write() -> str:
        folder = _nearest(settings.data_dir.absolute())
        try:
            with tempfile.NamedTemporaryFile(dir=folder, prefix=".probe-") as file:
                file.write(b"ping")
                file.flush()
                os.fsync(file.fileno())
            free_bytes = shutil.disk_usage(folder).free
        except OSError as error:
            raise Misconfigured(
                f"the data folder cannot be written: {error.strerror}",
                hint="Free space, or set data_dir to a folder that this user may write.",
            ) from error
        if free_bytes < LEAST_FREE_BYTES:
            raise Misconfigured(
                f"{free_bytes // 2**20} MiB are free on the disk of the data folder",
                hint=f"Keep {LEAST_FREE_BYTES // 2**20} MiB free: a full disk refuses uploads.",
            )
        return f"can be written; {free_bytes // 2**20} MiB free"

    yield "disk", write


@probe(checks="the audit keys can be read; none is made")
async def _audit_keys(settings: Settings) -> AsyncIterator[Call]:
    async def read() -> str:
        folder = audit_folders(settings)[1]
        if not (folder / ACTIVE_FILE).exists():
            return "none yet: development keys are made at the first start"
        try:
            keys = read_keys(folder)
        except AuditKeyUnusable as error:
            raise Misconfigured("an audit key cannot be used", hint=error.hint) from error
        return "development keys" if keys.dev_key else "usable"

    yield "audit keys", read


@probe(checks="the collector that the environment names takes an empty export")
async def _collector(settings: Settings) -> AsyncIterator[Call]:
    environment = _named_collector(settings)
    if environment is None:
        return

    async def export() -> str:
        if not collector_answers(environment, timeout_s=COLLECTOR_S):
            raise Misconfigured(
                f"the collector accepted no span within {COLLECTOR_S:g} s",
                hint="Check OTEL_EXPORTER_OTLP_ENDPOINT and OTEL_EXPORTER_OTLP_PROTOCOL.",
            )
        return f"accepts spans over {environment.protocol}"

    yield "collector", export


def _named_collector(settings: Settings) -> OTelSettings | None:
    """The exporter's settings, if the environment names a collector."""
    try:
        environment = read_environment()
    except TelemetrySettingInvalid:
        return None  # reported by the check of audit checkpoints
    exports = not environment.disabled and environment.exporter == "otlp"
    is_named = settings.telemetry.enabled and exports and environment.endpoint_named
    return environment if is_named else None


@probe(checks="each configured model, Redis and LlamaCloud answer one call")
async def _services(settings: Settings) -> AsyncIterator[Call]:
    if not (settings.llm or settings.embedding or settings.redis.url or settings.llamacloud.in_use):
        return
    if find_spec("llama_index.core") is None:
        yield "language model", _llama_index_is_missing
        return
    from foliotrace_server.external.models import Models

    clock = SystemClock()
    shared = SharedStores(settings, clock=clock)
    guards = GuardFactory(settings.resilience, clock=clock)
    models = Models(settings, clock=clock, guards=guards, ledger=shared.ledger)
    deadline = Deadline(clock.monotonic_s() + _CALL_S)
    try:
        for generator in models.generators:
            yield f"language model {generator.model}", partial(_generate, generator, deadline)
        if models.embedder is not None:
            yield f"embedding {models.embedder.model}", partial(_embed, models.embedder, deadline)
        if settings.redis.url is not None:
            yield "redis", partial(_read_ledger, shared)
        if settings.llamacloud.in_use:
            yield "llamacloud", partial(_list_projects, settings)
    finally:
        await models.close()
        await shared.close()


async def _llama_index_is_missing() -> str:
    raise Misconfigured("llama-index is missing", hint="Install foliotrace with its dependencies.")


async def _generate(generator: TextGenerator, deadline: Deadline) -> str:
    prompt = Prompt(system="Reply with one word.", user="ping", version="probe")
    await generator.generate(prompt, max_tokens=8, deadline=deadline)
    return "answers"


async def _embed(embedder: Embedder, deadline: Deadline) -> str:
    await embedder.embed_query("ping", deadline=deadline)
    return "answers"


async def _read_ledger(shared: SharedStores) -> str:
    await shared.ledger().spent_usd("default")
    return "answers"


async def _list_projects(settings: Settings) -> str:
    """A call that costs nothing and needs a valid key."""
    from foliotrace.adapters.llamacloud.client import connect, translated_errors

    async with connect(cloud_access(settings)) as client:
        with translated_errors("list projects"):
            await client.projects.list()
    return "answers"


def _nearest(folder: Path) -> Path:
    """The folder, or its nearest parent that exists."""
    return next(each for each in (folder, *folder.parents) if each.is_dir())
