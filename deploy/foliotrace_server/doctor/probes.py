"""Probes: one small call to the disk, the audit keys, each model and service."""

import errno
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Sequence
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from foliotrace.adapters.local.clock import SystemClock
from foliotrace.errors import Misconfigured, Unavailable
from foliotrace.model import Deadline
from foliotrace.ports import Prompt, TextGenerator
from foliotrace.resilient import GuardFactory
from foliotrace_audit import AuditKeyUnusable
from foliotrace_audit.keys import ACTIVE_FILE, read_keys
from foliotrace_server.doctor.model_servers import (
    available,
    base_of,
    clock_skew_s,
    key_of,
    mending,
    window_too_small,
)
from foliotrace_server.doctor.registry import Call, probe
from foliotrace_server.external.own_parts import OwnParts, load_object
from foliotrace_server.external.services import SharedStores
from foliotrace_server.observing.audit import audit_folders
from foliotrace_server.sections import EmbeddingSettings, LLMSettings, RedisSettings
from foliotrace_server.settings import Settings, environment

LEAST_FREE_BYTES: Final = 256 * 2**20
LEAST_TEMPORARY_BYTES: Final = 64 * 2**20
MOST_SKEW_S: Final = 120.0
_CALL_S: Final = 15.0


@probe(checks="the data folder and the temporary folder take a file and have free space")
async def _disk(settings: Settings) -> AsyncIterator[Call]:
    async def write() -> str:
        return _try_disks(_nearest(settings.data_dir.absolute()))

    yield "disk", write


def _try_disks(data: Path) -> str:
    # Python leaves a full TMPDIR out by itself, other programs do not
    temporary = Path(environment().get("TMPDIR") or tempfile.gettempdir())
    if not temporary.is_dir():
        raise Misconfigured(f"TMPDIR: {temporary} is no folder", hint="Correct it, or unset it.")
    free_mib = _free_mib(data, "data folder", "data_dir")
    if temporary.stat().st_dev != data.stat().st_dev:
        _free_mib(temporary, "temporary folder", "TMPDIR", least_bytes=LEAST_TEMPORARY_BYTES)
    return f"can be written; {free_mib} MiB free"


def _free_mib(folder: Path, name: str, setting: str, *, least_bytes: int = LEAST_FREE_BYTES) -> int:
    """Free space of a folder that takes a file. Raises Misconfigured."""
    try:
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".probe-") as file:
            file.write(b"ping")
            file.flush()
            os.fsync(file.fileno())
        free_bytes = shutil.disk_usage(folder).free
    except OSError as error:
        found = f"the {name} {folder} cannot be written: {error.strerror}"
        hint = f"Set {setting} to a folder that this user may write."
        if error.errno == errno.EROFS:
            hint = "Mount it for writing (in systemd, add it to ReadWritePaths=), or change "
            hint += f"{setting}."
        elif error.errno == errno.ENOSPC and no_inode_is_left(os.statvfs(folder)):
            found += " (no inodes are left, there is room for bytes)"
            hint = f"Delete small files: `df -i {folder}` shows the inodes."
        elif error.errno == errno.ENOSPC:
            hint = f"Free space, or set {setting} to a larger disk."
        raise Misconfigured(found, hint=hint) from error
    if free_bytes < least_bytes:
        raise Misconfigured(
            f"{free_bytes // 2**20} MiB are free on the disk of the {name} {folder}",
            hint=f"Keep {least_bytes // 2**20} MiB free there: a full disk refuses uploads.",
        )
    return free_bytes // 2**20


def no_inode_is_left(disk: os.statvfs_result) -> bool:
    """Whether a file system counts inodes and has none, while bytes are free."""
    return bool(disk.f_files) and not disk.f_favail and bool(disk.f_bavail)


@probe(checks="the clock agrees with the Date of a server that is called anyway, within 120 s")
async def _clock(settings: Settings) -> AsyncIterator[Call]:
    models = (settings.llm, *settings.llm_fallbacks, settings.embedding)
    servers = [base_of(each) for each in models if each and each.provider != "import"]
    if not (servers or settings.llamacloud.in_use):
        return

    async def compare() -> str:
        if not servers:
            from foliotrace.adapters.llamacloud.client import base_url  # imports the SDK

            servers.append(base_url(settings.llamacloud.where))
        host = urlsplit(servers[0]).hostname
        skew_s = await clock_skew_s(servers[0])
        if skew_s is None:
            return f"not compared: {host} names no time"
        if abs(skew_s) > MOST_SKEW_S:
            side = "behind" if skew_s > 0 else "ahead"
            raise Misconfigured(
                f"this machine's clock is {abs(skew_s):.0f} s {side} that of {host}",
                hint="Turn on NTP (chrony or systemd-timesyncd) on whichever is wrong.",
            )
        return f"within {MOST_SKEW_S:.0f} s of {host}"

    yield "clock", compare


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


@probe(checks="each configured model and object of yours, and Redis, answer one call")
async def _services(settings: Settings) -> AsyncIterator[Call]:
    order = (*([settings.llm] if settings.llm else []), *settings.llm_fallbacks)
    if (order or settings.embedding) and find_spec("llama_index.core") is None:
        yield "language model", _llama_index_is_missing
        return
    for number, llm in enumerate(order):
        setting = "llm" if number == 0 else f"llm_fallbacks.{number - 1}"
        alone = {"llm": llm, "llm_fallbacks": (), "embedding": None}
        yield _area("language model", llm), partial(_try_model, settings, alone, setting, llm)
    if settings.embedding is not None:
        alone = {"llm": None, "llm_fallbacks": ()}
        area = _area("embedding", settings.embedding)
        yield area, partial(_try_model, settings, alone, "embedding", settings.embedding)
    if settings.query.retriever is not None:
        yield "query.retriever", partial(_ask_retriever, settings.query.retriever)
    for number, reference in enumerate(settings.query.rerankers):
        setting = f"query.rerankers.{number}"
        yield setting, partial(_ask_reranker, setting, reference)
    if settings.index.vector_store is not None and settings.embedding is not None:
        yield "index.vector_store", partial(_try_vector_store, settings)
    if settings.redis.url is not None:
        yield "redis", partial(_read_ledger, settings)


def _area(kind: str, model: LLMSettings | EmbeddingSettings) -> str:
    return f"{kind} {model.model}"


async def _llama_index_is_missing() -> str:
    raise Misconfigured("llama-index is missing", hint="Install foliotrace with its dependencies.")


async def _try_model(
    settings: Settings,
    alone: dict[str, object],
    setting: str,
    model: LLMSettings | EmbeddingSettings,
) -> str:
    """Ask a model; if it does not answer, its server's list of models may say why."""
    try:
        said = await _ask_model(settings, alone, setting)
    except Unavailable as error:
        if model.provider == "import":
            raise
        offer = await available(base_of(model), key_of(settings, model))
        raise Misconfigured(
            f"{error.message} [{error.error_code}]",
            hint=mending(setting, model, offer) or error.hint,
        ) from error
    if isinstance(model, LLMSettings) and model.provider != "import":
        offer = await available(base_of(model), key_of(settings, model))
        wrong, hint = window_too_small(settings, setting, offer.windows.get(model.model))
        if wrong:
            raise Misconfigured(wrong, hint=hint)
    return said


async def _ask_model(
    settings: Settings,
    alone: dict[str, object],
    setting: str,
    embedded: Callable[[Sequence[float]], None] = lambda vector: None,
) -> str:
    """One call of the only model that `alone` leaves configured; `embedded` receives its vector."""
    from foliotrace_server.external.models import Models

    parts, clock = OwnParts(), SystemClock()
    with tempfile.TemporaryDirectory(prefix="foliotrace-probe-") as folder:
        only = settings.model_copy(update={**alone, "data_dir": Path(folder)})
        shared = SharedStores(only.model_copy(update={"redis": RedisSettings()}), clock=clock)
        once = settings.resilience.model_copy(update={"attempts": 1})
        guards = GuardFactory(once, clock=clock)
        models = Models(only, clock=clock, guards=guards, ledger=shared.ledger, parts=parts)
        deadline = Deadline(clock.monotonic_s() + _CALL_S)
        try:
            for generator in models.generators:
                await _generate(generator, deadline)
            if models.embedder is not None:
                embedded(await models.embedder.embed_query("ping", deadline=deadline))
        except Unavailable:
            said = parts.failures("*")
            if not said:
                raise
            hint = f"Check {setting}.model: the object raised this for the word ping."
            raise Misconfigured(said[0], hint=hint) from None
        finally:
            await models.close()
            await shared.close()
    return "answers"


async def _generate(generator: TextGenerator, deadline: Deadline) -> None:
    prompt = Prompt(system="Reply with one word.", user="ping", version="probe")
    await generator.generate(prompt, max_tokens=8, deadline=deadline)


async def _ask_retriever(reference: str) -> str:
    """Ask the user's retriever for the word ping, by the same road as a question."""
    from llama_index.core.base.base_retriever import BaseRetriever

    from foliotrace.adapters.llamaindex.blocking import AsyncOrThread, retriever_blocks
    from foliotrace.adapters.llamaindex.component_health import describe_failure

    own = load_object("query.retriever", reference, BaseRetriever)  # type: ignore[type-abstract] # only checked against
    calls = AsyncOrThread(blocks=retriever_blocks(own))
    try:
        hits = await calls.call(lambda: own.aretrieve("ping"), lambda: own.retrieve("ping"))
    except Exception as error:  # the user's object may raise anything
        raise Misconfigured(
            f"query.retriever failed: {describe_failure(error, ('ping',))}",
            hint=f"Check {reference}: it was asked for the word ping.",
        ) from error
    return f"answers, with {len(hits)} hits for the word ping"


async def _ask_reranker(setting: str, reference: str) -> str:
    """Have the user's node postprocessor order two passages for the word ping."""
    from llama_index.core.postprocessor.types import BaseNodePostprocessor
    from llama_index.core.schema import NodeWithScore, TextNode

    from foliotrace.adapters.llamaindex.blocking import AsyncOrThread
    from foliotrace.adapters.llamaindex.component_health import describe_failure
    from foliotrace.adapters.llamaindex.reranker import postprocessor_blocks

    own = load_object(setting, reference, BaseNodePostprocessor)  # type: ignore[type-abstract] # only checked against
    nodes = [NodeWithScore(node=TextNode(text=text), score=0.5) for text in ("ping", "pong")]
    calls = AsyncOrThread(blocks=postprocessor_blocks(own))
    try:
        left = await calls.call(
            lambda: own.apostprocess_nodes(nodes, query_str="ping"),
            lambda: own.postprocess_nodes(nodes, query_str="ping"),
        )
    except Exception as error:  # the user's object may raise anything
        raise Misconfigured(
            f"{setting} failed: {describe_failure(error, ('ping', 'pong'))}",
            hint=f"Check {reference}: it was given two passages and the word ping.",
        ) from error
    kept = {each.node.node_id for each in left} & {each.node.node_id for each in nodes}
    return f"answers, with {len(kept)} of 2 passages"


async def _try_vector_store(settings: Settings) -> str:
    """Add, find and delete one chunk, the word ping, in the user's vector store."""
    from llama_index.core.vector_stores.types import BasePydanticVectorStore

    from foliotrace.adapters.llamaindex.component_health import describe_failure
    from foliotrace.adapters.llamaindex.vector_store import try_store

    reference = str(settings.index.vector_store)
    alone: dict[str, object] = {"llm": None, "llm_fallbacks": ()}
    own = load_object("index.vector_store", reference, BasePydanticVectorStore)  # type: ignore[type-abstract] # only checked against
    vectors: list[Sequence[float]] = []
    await _ask_model(settings, alone, "embedding", vectors.append)
    hint = f"Check {reference}: one chunk, the word ping, was added, looked for and deleted."
    try:
        problem = await try_store(own, vectors[0])
    except Exception as error:  # the user's object may raise anything
        said = describe_failure(error, ("ping",))
        raise Misconfigured(f"index.vector_store failed: {said}", hint=hint) from error
    if problem:
        raise Misconfigured(f"index.vector_store: {problem}", hint=hint)
    return "adds, finds and deletes"


async def _read_ledger(settings: Settings) -> str:
    shared = SharedStores(settings, clock=SystemClock())
    try:
        await shared.ledger().spent_usd("default")
    finally:
        await shared.close()
    return "answers"


def _nearest(folder: Path) -> Path:
    """The folder, or its nearest parent that exists."""
    return next(each for each in (folder, *folder.parents) if each.is_dir())
