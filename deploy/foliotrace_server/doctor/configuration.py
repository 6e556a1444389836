"""Checks of the configuration: what is on, what is missing, and what it would enable."""

import os
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from foliotrace.adapters.local.files.lease import WriterLease
from foliotrace.adapters.local.readers.reading_options import find_tessdata, installed_languages
from foliotrace.budget import SET_A_PRICE, UnknownPrice
from foliotrace.errors import Misconfigured
from foliotrace_otel import TelemetrySettingInvalid, read_environment
from foliotrace_server.doctor.registry import Outcome, check
from foliotrace_server.external.own_parts import import_object
from foliotrace_server.sections import EmbeddingSettings, LLMSettings
from foliotrace_server.settings import Settings


@check("data folder", checks="this user can write the data folder")
def _data_folder(settings: Settings) -> Outcome:
    folder = settings.data_dir.absolute()
    nearest = next(each for each in (folder, *folder.parents) if each.exists())
    if nearest.is_dir() and os.access(nearest, os.W_OK):
        return "on", str(folder)
    return "problem", f"{folder} cannot be written by this user"


@check("server", checks="a server holds the data folder")
def _server(settings: Settings) -> Outcome:
    holder = WriterLease.holder(settings.data_dir)
    if holder is None:
        return "off", "not running: commands work on the data folder themselves"
    return "on", f"process {holder.pid}" + (f" at {holder.url}" if holder.url else "")


@check(
    "language model",
    checks="language models are configured and their prices are known",
    hint="written answers: set FOLIOTRACE_LLM__PROVIDER and FOLIOTRACE_LLM__MODEL",
)
def _language_models(settings: Settings) -> Outcome:
    if settings.llm is None:
        key = "OPENAI_API_KEY is set; " if settings.openai_api_key else ""
        return "off", f"{key}answers quote passages"
    order = [settings.llm, *settings.llm_fallbacks]
    said = ", then ".join(f"{each.provider} {each.model}" for each in order)
    for each in order:
        if broken := _cannot_work(settings, each, "llms"):
            return broken
    policy, unpriced = settings.budget.unknown_price, _without_price(settings, order)
    if not unpriced or policy is UnknownPrice.FREE:
        return "on", said
    denied = policy is UnknownPrice.DENY
    effect = "will not be asked" if denied else "counts as the dearest known"
    said += f"; the price of {unpriced[0]} is unknown: it {effect}"
    return "problem", said, SET_A_PRICE


def _cannot_work(
    settings: Settings, model: LLMSettings | EmbeddingSettings, kind: str
) -> Outcome | None:
    """What is missing for `model`: its key, its package or the object it names; None if nothing."""
    provider, said = model.provider, f"{model.provider} {model.model}"
    if provider == "import":
        try:
            import_object(f"{kind.removesuffix('s')}.model", model.model)
        except Misconfigured as error:
            return "problem", error.message, error.hint
        return None
    keys = {"openai": settings.openai_api_key, "anthropic": settings.anthropic_api_key}
    if provider in keys and not (model.api_key or keys[provider]):
        variable = f"{provider.upper()}_API_KEY"
        return "problem", f"{said} has no key", f"Set {variable}, or api_key beside the model."
    package = "openai" if kind == "embeddings" else provider
    if find_spec(f"llama_index.{kind}.{package}") is None:
        extra = package.replace("_", "-")
        return "problem", f"{said}: not installed", f"pip install 'foliotrace[{extra}]'"
    return None


def _without_price(settings: Settings, order: Sequence[LLMSettings]) -> list[str]:
    """The models that neither the settings nor the price table list."""
    from foliotrace.adapters.local.prices import PriceTable

    price_of = PriceTable()
    return [
        each.model
        for each in order
        if not settings.costs_nothing(each)
        and each.model not in settings.budget.prices
        and not price_of(each.model)
    ]


@check(
    "embedding",
    checks="an embedding model is configured",
    hint="hybrid retrieval: set FOLIOTRACE_EMBEDDING__PROVIDER and __MODEL",
)
def _embedding(settings: Settings) -> Outcome:
    if settings.embedding is None:
        return "off", "retrieval uses keywords only"
    broken = _cannot_work(settings, settings.embedding, "embeddings")
    return broken or ("on", f"{settings.embedding.provider} {settings.embedding.model}")


@check(
    "LlamaCloud",
    checks="LlamaCloud is switched on and has a key",
    hint="LlamaParse, LlamaExtract, the managed index: see FOLIOTRACE_LLAMACLOUD__*",
)
def _llamacloud(settings: Settings) -> Outcome:
    cloud = settings.llamacloud
    key = cloud.api_key or settings.llama_cloud_api_key
    if not cloud.in_use:
        return "off", ("a key is set; " if key else "") + "nothing is sent there"
    if key is None:
        return "problem", "switched on without a key"
    return "on", f"parsing {cloud.parsing}, extraction {cloud.extraction}, index {cloud.index}"


@check(
    "OCR",
    checks="Tesseract's trained data can be found",
    hint="text of scans: `apt install tesseract-ocr` (`dnf install tesseract`, `brew install"
    " tesseract`), or set ingest.tessdata",
)
def _ocr(settings: Settings) -> Outcome:
    tessdata = settings.ingest.tessdata or find_tessdata()
    languages = installed_languages(str(tessdata)) if tessdata else None
    if languages:
        return "on", f"{settings.ingest.ocr_languages or languages} in {tessdata}"
    if settings.ingest.tessdata is not None:
        exists = Path(settings.ingest.tessdata).is_dir()
        return "problem", f"{tessdata} {'holds no trained data' if exists else 'does not exist'}"
    return "off", "scanned pages are reported as needs_ocr"


@check("audit log", checks="the audit log is enabled")
def _audit_log(settings: Settings) -> Outcome:
    if not settings.audit.enabled:
        return "off", "disabled"
    return "on", str(settings.audit.folder or settings.data_dir / "audit")


@check(
    "audit checkpoints",
    checks="signed checkpoints leave the folder of the audit log",
    hint="verification by others: set FOLIOTRACE_AUDIT__CHECKPOINT_FOLDER",
)
def _audit_checkpoints(settings: Settings) -> Outcome:
    ways = []
    if settings.audit.checkpoint_folder is not None:
        ways.append(f"to {settings.audit.checkpoint_folder}")
    try:
        if settings.telemetry.enabled and read_environment().sends_log_events:
            ways.append("as OpenTelemetry log events of a server")
    except TelemetrySettingInvalid as error:
        return "problem", str(error)
    if ways and settings.audit.enabled:
        return "on", " and ".join(ways)
    return "off", "none leaves the folder of the log"
