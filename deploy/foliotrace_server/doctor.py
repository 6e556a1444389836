"""`foliotrace doctor`: what is configured, what is missing, and what each would add."""

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from foliotrace.adapters.local.files.lease import WriterLease
from foliotrace.adapters.local.readers.contract import find_tessdata
from foliotrace.budget import SET_A_PRICE
from foliotrace.errors import FoliotraceError
from foliotrace_otel import OTelSettings, TelemetrySettingInvalid, read_environment
from foliotrace_server.sections import LLMSettings
from foliotrace_server.settings import Settings

_PROBE_S = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that was looked at. `state`: on, off, problem."""

    area: str
    state: str
    said: str
    adds: str = ""


def examine(settings: Settings) -> Iterator[Finding]:
    """Look without calling anything outside."""
    yield _folder(settings)
    yield _holder(settings)
    yield _models(settings)
    yield _embedding(settings)
    yield _cloud(settings)
    yield _ocr(settings)
    yield _audit(settings)
    yield _checkpoints(settings)
    for name, place in settings.workflows.items():
        yield Finding(area=f"workflow {name}", state="on", said=place)


def _folder(settings: Settings) -> Finding:
    folder = settings.data_dir.absolute()
    there = next(each for each in (folder, *folder.parents) if each.exists())
    writable = there.is_dir() and os.access(there, os.W_OK)
    state = "on" if writable else "problem"
    said = f"{folder}" + ("" if writable else " cannot be written by this user")
    return Finding(area="data folder", state=state, said=said)


def _holder(settings: Settings) -> Finding:
    holder = WriterLease.holder(settings.data_dir)
    if holder is None:
        return Finding(
            area="server", state="off", said="none has the data folder: work is done here"
        )
    said = f"process {holder.pid}" + (f" at {holder.url}" if holder.url else "")
    return Finding(area="server", state="on", said=said)


def _models(settings: Settings) -> Finding:
    if settings.llm is not None:
        order = [settings.llm, *settings.llm_fallbacks]
        said = ", then ".join(f"{each.provider} {each.model}" for each in order)
        unpriced = _unpriced(settings, order)
        if unpriced and settings.budget.unknown_price != "free":
            does = {"deny": "will not be asked", "dearest": "counts as the dearest known"}
            said += f"; the price of {unpriced[0]} is unknown: it "
            said += does[settings.budget.unknown_price]
            return Finding(area="language model", state="problem", said=said, adds=SET_A_PRICE)
        return Finding(area="language model", state="on", said=said)
    key = "OPENAI_API_KEY is there; " if settings.openai_api_key else ""
    return Finding(
        area="language model",
        state="off",
        said=f"{key}answers are quoted passages",
        adds="written answers: set FOLIOTRACE_LLM__PROVIDER and FOLIOTRACE_LLM__MODEL",
    )


def _unpriced(settings: Settings, order: Sequence[LLMSettings]) -> list[str]:
    """The models that neither the settings nor the table have a price for."""
    from foliotrace.adapters.local.prices import PriceTable

    known = PriceTable()
    return [
        each.model
        for each in order
        if not each.free and each.model not in settings.budget.prices and not known(each.model)
    ]


def _embedding(settings: Settings) -> Finding:
    given = settings.embedding
    if given is not None:
        return Finding(area="embedding", state="on", said=f"{given.provider} {given.model}")
    return Finding(
        area="embedding",
        state="off",
        said="retrieval is by keyword",
        adds="hybrid retrieval: set FOLIOTRACE_EMBEDDING__PROVIDER and __MODEL",
    )


def _cloud(settings: Settings) -> Finding:
    given = settings.llamacloud
    key = given.api_key or settings.llama_cloud_api_key
    if given.in_use and key is None:
        return Finding(area="LlamaCloud", state="problem", said="switched on without a key")
    if given.in_use:
        said = f"parsing {given.parsing}, extraction {given.extraction}, index {given.index}"
        return Finding(area="LlamaCloud", state="on", said=said)
    return Finding(
        area="LlamaCloud",
        state="off",
        said=("a key is there; " if key else "") + "nothing is sent there",
        adds="LlamaParse, LlamaExtract, the managed index: see FOLIOTRACE_LLAMACLOUD__*",
    )


def _ocr(settings: Settings) -> Finding:
    found = settings.ingest.tessdata or find_tessdata()
    if found and Path(found).is_dir():
        return Finding(area="OCR", state="on", said=str(found))
    if settings.ingest.tessdata is not None:
        return Finding(area="OCR", state="problem", said=f"{found} is not there")
    return Finding(
        area="OCR",
        state="off",
        said="scanned pages are reported as needs_ocr",
        adds="text of scans: install tesseract's trained data, or set ingest.tessdata",
    )


def _audit(settings: Settings) -> Finding:
    if not settings.audit.enabled:
        return Finding(area="audit log", state="off", said="nothing is recorded")
    folder = settings.audit.folder or settings.data_dir / "audit"
    return Finding(area="audit log", state="on", said=str(folder))


def _checkpoints(settings: Settings) -> Finding:
    """Which ways they leave the log's own folder."""
    ways = []
    if settings.audit.checkpoint_folder is not None:
        ways.append(f"to {settings.audit.checkpoint_folder}")
    try:
        if settings.telemetry.enabled and read_environment().sends_log_events:
            ways.append("as OpenTelemetry log events of a server")
    except TelemetrySettingInvalid as error:
        return Finding(area="audit checkpoints", state="problem", said=str(error))
    if ways and settings.audit.enabled:
        return Finding(area="audit checkpoints", state="on", said=" and ".join(ways))
    return Finding(
        area="audit checkpoints",
        state="off",
        said="none leaves the log's own folder",
        adds="proof by somebody else: set FOLIOTRACE_AUDIT__CHECKPOINT_FOLDER",
    )


def _exports(settings: Settings) -> OTelSettings | None:
    """What the environment says of a collector it names; None where spans go nowhere else."""
    try:
        found = read_environment()
    except TelemetrySettingInvalid:
        return None  # told under "audit checkpoints"
    sends = settings.telemetry.enabled and not found.disabled and found.exporter == "otlp"
    return found if sends and found.endpoint_named else None


async def probe(settings: Settings) -> list[Finding]:
    """Try what is here and what is configured: a file written, keys read, each service called once.

    Text sent: the word "ping". No key, no URL and no path of a key is told.
    """
    from foliotrace_server.trying import collector, disk, keys

    found = [_here("disk", lambda: disk(settings)), _here("audit keys", lambda: keys(settings))]
    sends = _exports(settings)
    if sends is not None:
        found.append(_here("collector", lambda: collector(sends)))
    if not (settings.llm or settings.embedding or settings.redis.url or settings.llamacloud.in_use):
        return found
    if find_spec("llama_index.core") is None:
        missing = Finding(area="language model", state="problem", said="llama-index is missing")
        return [*found, missing]
    from foliotrace_server.probing import calls_of

    async with calls_of(settings) as calls:
        return found + [await _tried(name, call) for name, call in calls]


def _here(area: str, look: Callable[[], str]) -> Finding:
    try:
        return Finding(area=area, state="on", said=look())
    except FoliotraceError as error:
        return Finding(area=area, state="problem", said=error.message, adds=error.hint or "")


async def _tried(name: str, call: Callable[[], Awaitable[object]]) -> Finding:
    try:
        async with asyncio.timeout(_PROBE_S):
            await call()
    except FoliotraceError as error:
        return Finding(area=name, state="problem", said=f"{error.message} [{error.error_code}]")
    except TimeoutError:
        return Finding(area=name, state="problem", said=f"no answer within {_PROBE_S:.0f} s")
    return Finding(area=name, state="on", said="answers")
