"""Checks of the configuration: what is on, what is missing, and what it would enable."""

import os
import socket
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

from foliotrace.adapters.local.files.lease import WriterLease
from foliotrace.budget import SET_A_PRICE, UnknownPrice
from foliotrace.lexicon import load_lexicon
from foliotrace_otel import read_environment
from foliotrace_server.doctor.model_servers import (
    base_of,
    endpoint_after_base,
    key_of,
    window_too_small,
)
from foliotrace_server.doctor.registry import Outcome, State, check
from foliotrace_server.external.own_parts import import_object, load_object
from foliotrace_server.observing.audit import audit_folders
from foliotrace_server.sections import EmbeddingSettings, LLMSettings
from foliotrace_server.settings import Settings


@check("data folder", checks="this user can write the data folder")
def _data_folder(settings: Settings) -> Outcome:
    folder = settings.data_dir.absolute()
    if can_be_written(folder):
        return "on", str(folder)
    if folder.exists() and not folder.is_dir():
        return "problem", f"{folder} is a file, not a folder", "Set data_dir to a folder."
    return "problem", f"{folder} cannot be written by this user", "Set data_dir to another folder."


def can_be_written(folder: Path) -> bool:
    """Whether this user can write the folder, or make it where it does not exist yet."""
    nearest = next(each for each in (folder, *folder.parents) if each.exists())
    return nearest.is_dir() and os.access(nearest, os.W_OK | os.X_OK)


@check("server", checks="a server holds the data folder; if not, that `serve` could start")
def _server(settings: Settings) -> Outcome:
    from foliotrace_server.http.identity import Authentication
    from foliotrace_server.serve import check_certificate, require_loopback

    holder = WriterLease.holder(settings.data_dir)
    if holder is not None:
        return "on", f"process {holder.pid}" + (f" at {holder.url}" if holder.url else "")
    check_certificate(settings.server)
    require_loopback(settings)
    Authentication.of(settings)
    address = f"{settings.server.host}:{settings.server.port}"
    if problem := _cannot_bind(settings.server.host, settings.server.port):
        # by default nobody asked for this port, and commands need no server
        state: State = "problem" if "port" in settings.server.model_fields_set else "off"
        return state, f"not running; {address}: {problem}", "Choose another server.port."
    return "off", "not running: commands work on the data folder themselves"


def _cannot_bind(host: str, port: int) -> str:
    """Why `serve` could not listen there; "" if it could."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as tried:
        tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            tried.bind((host, port))
        except OSError as error:
            return error.strerror or type(error).__name__
    return ""


@check("callers", checks="what the settings say about callers can be used together")
def _callers(settings: Settings) -> Outcome:
    proxy, server = settings.auth.proxy, settings.server
    if proxy.subject_header and not server.trusted_proxies:
        return (
            "problem",
            f"auth.proxy.subject_header {proxy.subject_header} is never believed",
            "Set server.trusted_proxies to the addresses of the proxy.",
        )
    if server.max_concurrent_queries <= settings.resilience.calls_at_once:
        return (
            "problem",
            "one service that hangs can occupy every slot for questions",
            "Set server.max_concurrent_queries above resilience.calls_at_once.",
        )
    ways = [f"tokens of {settings.auth.oidc.issuer}"] if settings.auth.oidc else []
    ways += ["headers of a proxy"] if proxy.subject_header else []
    return ("on", " and ".join(ways)) if ways else ("off", "API keys, once one is made")


@check(
    "language model",
    checks="language models are configured and their prices are known",
    hint="written answers: set FOLIOTRACE_LLM__PROVIDER and FOLIOTRACE_LLM__MODEL",
)
def _language_models(settings: Settings) -> Outcome:
    if settings.llm is None and settings.llm_fallbacks:
        return "problem", "llm_fallbacks are set without llm", "Set llm.provider and llm.model."
    if settings.llm is None:
        key = "OPENAI_API_KEY is set; " if settings.openai_api_key else ""
        return "off", f"{key}answers quote passages"
    order = [settings.llm, *settings.llm_fallbacks]
    said = ", then ".join(_named(each) for each in order)
    for each in order:
        if broken := _cannot_work(settings, each, "llms"):
            return broken
        stated = each.context_window if each.provider == "openai_like" else None
        too_small, advice = window_too_small(settings, "llm", stated)
        if too_small:
            return "problem", f"{_named(each)}: {too_small}", advice
    paid = [each for each in order if not settings.costs_nothing(each)]
    if paid and not settings.budget.max_cost_per_query_usd:
        hint = "Set budget.max_cost_per_query_usd above 0, or llm.free for a model of your own."
        return "problem", f"{said}: never asked, a question may cost nothing", hint
    policy, unpriced = settings.budget.unknown_price, _without_price(settings, order)
    if not unpriced or policy is UnknownPrice.FREE:
        return "on", said
    denied = policy is UnknownPrice.DENY
    effect = "will not be asked" if denied else "counts as the dearest known"
    said += f"; the price of {unpriced[0]} is unknown: it {effect}"
    return "problem", said, SET_A_PRICE


def _named(model: LLMSettings) -> str:
    """Provider and model; also the host where nothing in the settings names it."""
    host = urlsplit(base_of(model)).hostname
    outside = model.api_base is None and model.provider in ("openai", "anthropic")
    return f"{model.provider} {model.model}" + (f" at {host}" if outside else "")


def _cannot_work(
    settings: Settings, model: LLMSettings | EmbeddingSettings, kind: str
) -> Outcome | None:
    """What is missing for `model`: its key, its package or the object it names; None if nothing."""
    provider, said = model.provider, f"{model.provider} {model.model}"
    setting = kind.removesuffix("s") if kind == "llms" else "embedding"
    if provider == "import":
        _loaded(f"{setting}.model", model.model, kind)
        return None
    if model.api_base is not None and "://" not in model.api_base:
        hint = f"Set {setting}.api_base to http://... or https://..."
        return "problem", f"{said}: api_base is not a URL", hint
    if model.api_base and (extra := endpoint_after_base(model.api_base)):
        hint = f"Remove {extra} from the end of {setting}.api_base; it ends in /v1."
        return "problem", f"{said}: api_base ends in {extra}, an endpoint of its own", hint
    key, variable = key_of(settings, model), f"{provider.upper()}_API_KEY"
    if provider in ("openai", "anthropic") and not key:
        return "problem", f"{said} has no key", f"Set {variable}, or api_key beside the model."
    package = "openai" if kind == "embeddings" or provider == "openai_like" else provider
    if find_spec(f"llama_index.{kind}.{package}") is None:
        extra = package.replace("_", "-")
        return "problem", f"{said}: not installed", f"pip install 'foliotrace[{extra}]'"
    return None


def _loaded(setting: str, reference: str, kind: str) -> None:
    """Load an object of the user's own as a start would. Raises Misconfigured."""
    import_object(setting, reference)  # says at once what is missing, without LlamaIndex
    from llama_index.core.base.base_retriever import BaseRetriever
    from llama_index.core.base.embeddings.base import BaseEmbedding
    from llama_index.core.llms import LLM
    from llama_index.core.postprocessor.types import BaseNodePostprocessor
    from llama_index.core.readers.base import BaseReader
    from workflows import Workflow

    kinds = {
        "llms": LLM,
        "embeddings": BaseEmbedding,
        "retriever": BaseRetriever,
        "reranker": BaseNodePostprocessor,
        "reader": BaseReader,
        "workflow": Workflow,
    }
    load_object(setting, reference, kinds[kind])


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


@check("semantic cache", checks="the semantic cache has what it compares questions with")
def _semantic_cache(settings: Settings) -> Outcome:
    if not settings.query.semantic_cache:
        return "off", "questions in other words are answered anew"
    if settings.embedding is None or not settings.query.cache_ttl_s:
        hint = "Set embedding.provider and embedding.model, and query.cache_ttl_s above 0."
        return "problem", "it needs an embedding model and query.cache_ttl_s above 0", hint
    return "on", f"from cosine {settings.query.semantic_cache_from}"


@check("retriever", checks="a retriever of your own can be loaded")
def _own_retriever(settings: Settings) -> Outcome:
    if settings.query.retriever is None:
        return "off", "none of your own"
    _loaded("query.retriever", settings.query.retriever, "retriever")
    return "on", settings.query.retriever


@check("readers", checks="each reader of your own can be loaded")
def _own_readers(settings: Settings) -> Outcome:
    for suffix, reference in settings.ingest.readers.items():
        _loaded(f"ingest.readers{suffix}", reference, "reader")
    named = [f"{suffix} {reference}" for suffix, reference in settings.ingest.readers.items()]
    return ("on", ", ".join(named)) if named else ("off", "none of your own")


@check("rerankers", checks="each node postprocessor of your own can be loaded")
def _own_rerankers(settings: Settings) -> Outcome:
    named = settings.query.rerankers
    for number, reference in enumerate(named):
        _loaded(f"query.rerankers.{number}", reference, "reranker")
    return ("on", ", ".join(named)) if named else ("off", "none of your own")


@check(
    "vector store",
    checks="a vector store of your own can be loaded, and deletes",
    hint="vectors in a store of your own: set FOLIOTRACE_INDEX__VECTOR_STORE",
)
def _own_vector_store(settings: Settings) -> Outcome:
    name = settings.index.vector_store
    if name is None:
        place = "vectors are in the data folder" if settings.embedding else "no vectors"
        return "off", place
    if settings.embedding is None:
        hint = "Set embedding.provider and embedding.model."
        return "problem", "it is set without an embedding model", hint
    from llama_index.core.vector_stores.types import BasePydanticVectorStore

    from foliotrace.adapters.llamaindex.vector_store import refuse_unusable

    store = load_object("index.vector_store", name, BasePydanticVectorStore)  # type: ignore[type-abstract] # only checked against
    refuse_unusable(store, name)
    return "on", name


@check("workflows", checks="each workflow of your own can be loaded")
def _own_workflows(settings: Settings) -> Outcome:
    for name, reference in settings.workflows.items():
        _loaded(f"workflows.{name}", reference, "workflow")
    return ("on", ", ".join(settings.workflows)) if settings.workflows else ("off", "none")


@check("lexicon", checks="the lexicon's files can be read")
def _lexicon(settings: Settings) -> Outcome:
    load_lexicon(settings.query.lexicon)
    return "on", str(settings.query.lexicon or "the shipped files")


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
        hint = "Set LLAMA_CLOUD_API_KEY, or switch the capability to local."
        return "problem", "switched on without a key", hint
    from foliotrace.adapters.llamacloud.client import base_url  # imports the SDK

    base_url(cloud.where)
    return "on", f"parsing {cloud.parsing}, extraction {cloud.extraction}, index {cloud.index}"


@check("audit log", checks="the audit log is enabled")
def _audit_log(settings: Settings) -> Outcome:
    if not settings.audit.enabled:
        return "off", "disabled"
    log, keys = audit_folders(settings)
    if keys.resolve().is_relative_to(log.resolve()):
        hint = "Set audit.keys_folder to a folder outside of audit.folder."
        return "problem", "audit.keys_folder is inside the folder of the log", hint
    for setting, folder in (("folder", log), ("keys_folder", keys)):
        if not can_be_written(folder.absolute()):
            hint = f"Set audit.{setting} to a folder that this user can write."
            return "problem", f"{folder} cannot be written by this user", hint
    return "on", str(log)


@check("content of runs", checks="the key that encrypts the content of runs can be kept")
def _run_content(settings: Settings) -> Outcome:
    runs = settings.runs
    if runs.keep_content == "off":
        return "off", "questions and answers are not stored"
    key = runs.content_key_file
    if runs.keep_content == "encrypted" and key and not can_be_written(key.absolute().parent):
        hint = "Set runs.content_key_file to a place that this user can write."
        return "problem", f"{key} cannot be written by this user", hint
    return "on", runs.keep_content


@check(
    "audit checkpoints",
    checks="signed checkpoints leave the folder of the audit log",
    hint="verification by others: set FOLIOTRACE_AUDIT__CHECKPOINT_FOLDER",
)
def _audit_checkpoints(settings: Settings) -> Outcome:
    ways = []
    if settings.audit.checkpoint_folder is not None:
        ways.append(f"to {settings.audit.checkpoint_folder}")
        if not can_be_written(settings.audit.checkpoint_folder.absolute()):
            hint = "Set audit.checkpoint_folder to a folder that this user can write."
            return "problem", f"{settings.audit.checkpoint_folder} cannot be written", hint
    if settings.telemetry.enabled and read_environment().sends_log_events:
        ways.append("as OpenTelemetry log events of a server")
    if ways and settings.audit.enabled:
        return "on", " and ".join(ways)
    return "off", "none leaves the folder of the log"
