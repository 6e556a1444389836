"""One frozen tree of settings, and the only reader of the environment.

Sources, the first one that names a value wins: arguments, the environment (`FOLIOTRACE_` and `__`
between levels), `.env`, a folder of secret files, a TOML file, the defaults below. An unknown name
stops the start. `docs/reference/settings.md` is generated from the descriptions here.
"""

import os
from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from tomllib import TOMLDecodeError
from types import UnionType
from typing import ClassVar, Literal, get_args, get_origin

from dotenv import dotenv_values
from pydantic import AliasChoices, BaseModel, Field, SecretStr, ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import (
    BaseSettings,
    NestedSecretsSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from foliotrace.errors import Misconfigured
from foliotrace_server.sections import (
    BudgetSettings,
    CloudSettings,
    GuardSettings,
    RedisSettings,
    Section,
)

PREFIX = "FOLIOTRACE_"
_OUTSIDE_THE_TREE = (
    "FOLIOTRACE_CONFIG",
    "FOLIOTRACE_SECRETS_DIR",
    "FOLIOTRACE_OPENINFERENCE",  # read by foliotrace_otel, as are the next and OTEL_*
    "FOLIOTRACE_SPAN_DETAIL",
)
_TRACE_URL = r"^https?://\S+\{trace_(id|uuid)\}\S*$"
_MIB = 1024 * 1024


class ServerSettings(Section):
    """The HTTP service."""

    host: str = Field(default="127.0.0.1", description="Address to bind.")
    port: int = Field(default=8080, ge=0, le=65535, description="Port to bind; 0 takes a free one.")
    allow_remote: bool = Field(
        default=False,
        description="Needed to bind an address other than loopback: there is no authentication "
        "yet, so whoever reaches the port may read every document.",
    )
    cors_origins: tuple[str, ...] = Field(
        default=(), description="Origins that browsers may call from. None by default."
    )
    max_body_bytes: int = Field(
        default=1 * _MIB, gt=0, description="Largest request body, uploads apart."
    )
    slow_body_s: float = Field(
        default=20.0,
        gt=0,
        description="How much longer than at 1 KiB a second a request body may take to come in; "
        "then it gets 408.",
    )
    max_concurrent_queries: int = Field(
        default=64,
        gt=0,
        description="Questions answered at the same time; more than `guard.calls_at_once`, so that "
        "a hanging service does not take every slot.",
    )
    max_waiting_queries: int = Field(
        default=128, ge=0, description="Questions that may wait for a slot; the next one gets 429."
    )
    max_concurrent_uploads: int = Field(
        default=4, gt=0, description="Uploads received at the same time; the next one gets 429."
    )
    max_pending_jobs: int = Field(
        default=1000, gt=0, description="Unfinished jobs; the next one gets 429."
    )
    max_event_streams: int = Field(
        default=200, gt=0, description="Event streams open at the same time; the next gets 429."
    )
    shutdown_grace_s: float = Field(
        default=10.0, ge=0, description="Time that requests under way get when the server stops."
    )


class QuerySettings(Section):
    """Questions and answers."""

    deadline_s: float = Field(default=30.0, gt=0, description="Time for one question.")
    retrieval_deadline_s: float = Field(
        default=2.0, gt=0, description="Time for one retrieval path before the next one is tried."
    )
    hedge_after_s: float | None = Field(
        default=None,
        gt=0,
        description="A retrieval path that is silent for so long gets the next one beside it, and "
        "the first answer is taken (level 2 if it is the lower one's). None: one after the other.",
    )
    cache_ttl_s: float = Field(
        default=300.0,
        ge=0,
        description="How long an answer is kept to be given again; 0 switches it off.",
    )
    semantic_cache: bool = Field(
        default=False,
        description="Give a kept answer also to a question that asks the same in other words: the "
        "words decide, the vectors must agree. Needs `embedding` and `cache_ttl_s`.",
    )
    semantic_cache_from: float = Field(
        default=0.95, gt=0, le=1, description="The least cosine at which two vectors agree."
    )
    synonyms: tuple[tuple[str, ...], ...] = Field(
        default=(),
        description="Groups of words and phrases that mean the same in your documents, for the "
        'semantic cache alone: `[["PTO", "paid leave", "vacation"]]`.',
    )
    retriever: str | None = Field(
        default=None,
        description="`pkg.mod:object`: any LlamaIndex retriever (`index.as_retriever()`), or a "
        "function that makes one; asked before every other path, for documents that are here too.",
    )


class IngestSettings(Section):
    """Files and their parsing."""

    max_file_bytes: int = Field(default=256 * _MIB, gt=0, description="Largest file.")
    max_files_per_request: int = Field(default=32, gt=0, description="Files in one upload.")
    window_pages: int = Field(
        default=100, gt=0, le=1000, description="Pages parsed and committed together."
    )
    parse_deadline_s: float = Field(
        default=300.0, gt=0, description="Time for one window of pages; a hanging parser is killed."
    )
    parser_processes: int = Field(default=2, gt=0, le=64, description="PDF parser processes.")
    tessdata: Path | None = Field(
        default=None,
        description="Folder with tesseract's trained data. Without one, scanned pages are "
        "reported as `needs_ocr`.",
    )
    max_job_attempts: int = Field(
        default=5, gt=0, description="Starts of the process a job may survive without progress."
    )


class LLMSettings(Section):
    """One language model."""

    provider: Literal["openai", "openai_like", "anthropic", "ollama", "import"] = Field(
        description="`openai`; `openai_like` for any server with OpenAI's API (vLLM, LM Studio); "
        "`anthropic` and `ollama` need the extra of that name; `import` takes any LlamaIndex LLM."
    )
    model: str = Field(
        min_length=1,
        description="The pinned model name; with `import` `pkg.mod:object`, an LLM or a function "
        "that makes one.",
    )
    api_base: str | None = Field(default=None, description="Base URL of the API.")
    api_key: SecretStr | None = Field(
        default=None, description="Key; without it the provider's standard variable is used."
    )
    timeout_s: float = Field(default=20.0, gt=0, description="Time for one call.")
    max_tokens: int = Field(default=512, gt=0, description="Longest answer.")
    context_window: int = Field(default=8192, gt=0, description="For `openai_like` only.")
    free: bool = Field(
        default=False,
        description="It runs on your own machines and costs nothing a token, whatever a price "
        "table says of its name.",
    )


class EmbeddingSettings(Section):
    """The embedding model; without one, retrieval is by keyword."""

    provider: Literal["openai", "openai_like", "import"] = Field(
        description="`import` takes any LlamaIndex embedding: `model` is then `pkg.mod:object`, "
        "an embedding or a function that makes one."
    )
    model: str = Field(min_length=1, description="The pinned model name.")
    api_base: str | None = Field(default=None, description="Base URL of the API.")
    api_key: SecretStr | None = Field(
        default=None, description="Key; without it the provider's standard variable is used."
    )
    timeout_s: float = Field(default=20.0, gt=0, description="Time for one call.")
    free: bool = Field(
        default=False, description="It runs on your own machines and costs nothing a token."
    )


class AuditSettings(Section):
    """The audit log."""

    enabled: bool = Field(default=True, description="Write the audit log.")
    folder: Path | None = Field(
        default=None, description="Where it lies; `audit` in the data folder by default."
    )
    fail_closed: bool = Field(
        default=True, description="Refuse work that cannot be audited (503), or go on without."
    )
    durability: Literal["strict", "group", "relaxed"] = Field(
        default="group",
        description="`strict`: work begins only after its record is synced to the disk; `group`: "
        "synced within 20 ms, nobody waits; `relaxed`: left to the operating system.",
    )
    keys_folder: Path | None = Field(
        default=None,
        description="Its keys; `audit-keys` in the data folder by default. Never inside `folder`.",
    )
    checkpoint_folder: Path | None = Field(
        default=None,
        description="A second folder for signed checkpoints; best where this host can only append.",
    )
    retention_days: float | None = Field(
        default=None, gt=0, description="Sealed files older than this are removed; none by default."
    )


class TelemetrySettings(Section):
    """Traces. Where they go is said by the standard variables (`OTEL_*`, `LANGSMITH_*`)."""

    enabled: bool = Field(default=True, description="Trace requests and jobs.")
    service_name: str = Field(
        default="foliotrace", min_length=1, description="`OTEL_SERVICE_NAME` goes before it."
    )
    detail: Literal["semantic", "all"] = Field(
        default="semantic",
        description="`semantic` shows what a person wants to read; `all` every LlamaIndex span.",
    )
    carry_trace: bool = Field(
        default=True,
        description="Send `traceparent` with calls of LlamaCloud and of models, so that the spans "
        "of a gateway or a server of yours join the trace. It tells a vendor two random ids, which "
        "calls belong to one run and nothing else; `tracestate` and baggage are never sent.",
    )
    jaeger_url: str | None = Field(
        default=None,
        pattern=_TRACE_URL,
        description="Address of a trace with `{trace_id}` in it, such as "
        "`http://localhost:16686/trace/{trace_id}`: answers then link to their trace.",
    )
    langsmith_url: str | None = Field(
        default=None,
        pattern=_TRACE_URL,
        description="The same for LangSmith; it may hold `{trace_id}` or `{trace_uuid}`.",
    )
    shutdown_s: float = Field(
        default=3.0, ge=0, description="Longest wait for spans to be sent when the process ends."
    )


class RunsSettings(Section):
    """What `/v1/runs/{id}` can tell."""

    keep_content: bool = Field(
        default=False, description="Keep the text of questions and answers with their runs."
    )
    retention_days: float = Field(
        default=30.0, gt=0, description="Runs and finished handlers older than this are forgotten."
    )


class LogSettings(Section):
    """The log on standard error."""

    level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="Least level written."
    )
    format: Literal["auto", "json", "console"] = Field(
        default="auto", description="`auto` is `console` on a terminal, else `json`."
    )


class Settings(BaseSettings):
    """Everything that can be set."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_nested_delimiter="__",
        extra="forbid",
        frozen=True,
        populate_by_name=True,
        validate_default=False,
        env_file=".env",
        dotenv_filtering="only_existing",
        secrets_dir_missing="ok",
    )
    toml_file: ClassVar[Path] = Path("foliotrace.toml")

    data_dir: Path = Field(
        default=Path("foliotrace-data"),
        description="The data folder: library, originals, indexes, jobs, audit log. One process "
        "writes to it at a time.",
    )
    server: ServerSettings = Field(default=ServerSettings(), description="The HTTP service.")
    query: QuerySettings = Field(default=QuerySettings(), description="Questions and answers.")
    ingest: IngestSettings = Field(default=IngestSettings(), description="Files.")
    llm: LLMSettings | None = Field(
        default=None, description="The first language model. None: quoted passages."
    )
    llm_fallbacks: tuple[LLMSettings, ...] = Field(
        default=(), description="Language models for when the first one fails, in order."
    )
    embedding: EmbeddingSettings | None = Field(
        default=None, description="The embedding model. None: keyword retrieval."
    )
    llamacloud: CloudSettings = Field(
        default=CloudSettings(), description="LlamaCloud. By default nothing is sent there."
    )
    budget: BudgetSettings = Field(default=BudgetSettings(), description="Caps on spending.")
    redis: RedisSettings = Field(default=RedisSettings(), description="Shared caches and budgets.")
    guard: GuardSettings = Field(default=GuardSettings(), description="Retries and breakers.")
    audit: AuditSettings = Field(default=AuditSettings(), description="The audit log.")
    telemetry: TelemetrySettings = Field(default=TelemetrySettings(), description="Traces.")
    runs: RunsSettings = Field(default=RunsSettings(), description="What is kept of runs.")
    log: LogSettings = Field(default=LogSettings(), description="The log.")
    workflows: dict[str, str] = Field(
        default_factory=dict,
        description="Your own LlamaIndex workflows to host: name = `pkg.mod:object`.",
    )
    openai_api_key: SecretStr | None = Field(
        default=None,
        validation_alias=AliasChoices("FOLIOTRACE_OPENAI_API_KEY", "OPENAI_API_KEY"),
        description="The provider's standard variable. It switches nothing on by itself.",
    )
    anthropic_api_key: SecretStr | None = Field(
        default=None,
        validation_alias=AliasChoices("FOLIOTRACE_ANTHROPIC_API_KEY", "ANTHROPIC_API_KEY"),
        description="The provider's standard variable. It switches nothing on by itself.",
    )
    llama_cloud_api_key: SecretStr | None = Field(
        default=None,
        validation_alias=AliasChoices("FOLIOTRACE_LLAMA_CLOUD_API_KEY", "LLAMA_CLOUD_API_KEY"),
        description="The provider's standard variable. It switches nothing on by itself.",
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments, environment, `.env`, secret files, TOML file; the first wins."""
        return (
            init_settings,
            env_settings,
            dotenv_settings,
            NestedSecretsSettingsSource(file_secret_settings, secrets_dir=_secrets_folder()),
            TomlConfigSettingsSource(settings_cls, toml_file=cls.toml_file),
        )


def load_settings(toml_file: Path | None = None, **overrides: object) -> Settings:
    """Read every source once. Raises Misconfigured naming each setting that is wrong.

    `toml_file` (or FOLIOTRACE_CONFIG) must exist; without either, `foliotrace.toml` is read where
    the process was started, if it is there.
    """
    named = toml_file or _environment().get("FOLIOTRACE_CONFIG")
    if named is not None and not Path(named).is_file():
        raise Misconfigured(f"settings file {named} not found")
    refuse_unknown_names([*_environment(), *_dotenv_names(), *_secret_names()])

    class Loaded(Settings):
        toml_file: ClassVar[Path] = Path(named or Settings.toml_file)

    try:
        loaded = Loaded(**overrides)  # type: ignore[arg-type] # pydantic checks them
    except ValidationError as error:
        raise Misconfigured(_explain(error)) from None
    except TOMLDecodeError as error:
        raise Misconfigured(
            f"{Loaded.toml_file} is not TOML: {error}", hint="Mend that line of the file."
        ) from None
    except ValueError as error:  # JSON in a variable
        raise Misconfigured(f"settings cannot be read: {type(error).__name__}") from None
    return Settings.model_construct(
        **{name: getattr(loaded, name) for name in Settings.model_fields}
    )


def refuse_unknown_names(names: Iterable[str]) -> None:
    """Raise Misconfigured if a name under the prefix is no setting, with the nearest that is."""
    known = known_names()
    wrong = [
        name
        for name in names
        if name.upper().startswith(PREFIX) and not _is_known(name.upper(), known)
    ]
    if not wrong:
        return
    lines = []
    for name in sorted(wrong):
        near = get_close_matches(name.upper(), known, n=1, cutoff=0.6)
        lines.append(f"{name} is not a setting" + (f"; did you mean {near[0]}?" if near else ""))
    raise Misconfigured("; ".join(lines), hint="See docs/reference/settings.md.")


def known_names() -> tuple[str, ...]:
    """The variable of every setting, sections left out."""
    leaves = tuple(PREFIX + path.upper().replace(".", "__") for path, _ in leaves_of(Settings))
    return (*leaves, *_OUTSIDE_THE_TREE)


def leaves_of(section: type[BaseModel], path: str = "") -> Iterator[tuple[str, FieldInfo]]:
    """(dotted path, field) of every setting below `section`, in order of declaration."""
    for name, field in section.model_fields.items():
        inner = section_of(field)
        if inner is None:
            yield path + name, field
        else:
            yield from leaves_of(inner, f"{path}{name}.")


def section_of(field: FieldInfo) -> type[Section] | None:
    """The section a field holds, also when it is optional."""
    optional = get_args(field.annotation) if get_origin(field.annotation) is UnionType else ()
    for kind in (field.annotation, *optional):
        if isinstance(kind, type) and issubclass(kind, Section):
            return kind
    return None


def _is_known(name: str, known: Iterable[str]) -> bool:
    """A setting, a section given as JSON, or an entry of a mapping."""
    return any(
        name == leaf or leaf.startswith(f"{name}__") or name.startswith("FOLIOTRACE_WORKFLOWS__")
        for leaf in known
    )


def _explain(error: ValidationError) -> str:
    """Which settings are wrong and why, without the values."""
    return "; ".join(
        f"{'.'.join(str(part) for part in problem['loc']) or 'settings'}: {problem['msg']}"
        for problem in error.errors(include_input=False, include_url=False, include_context=False)
    )


def _environment() -> Mapping[str, str]:
    return os.environ  # noqa: TID251 - the one module that may


def _dotenv_names() -> Iterable[str]:
    return dotenv_values(".env") if Path(".env").is_file() else ()


def _secrets_folder() -> Path:
    return Path(_environment().get("FOLIOTRACE_SECRETS_DIR", "/run/secrets/foliotrace"))


def _secret_names() -> Iterable[str]:
    folder = _secrets_folder()
    return [entry.name for entry in folder.iterdir()] if folder.is_dir() else ()
