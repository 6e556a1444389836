"""The tree of settings, and the only reader of the environment.

Sources, the first one that names a value wins: arguments, the environment (`FOLIOTRACE_` and `__`
between levels), `.env`, a folder of secret files, a TOML file, the defaults. An unknown name stops
the start. A setting is declared in the section it belongs to: `foliotrace.settings` for the core,
`sections` for the process. `docs/reference/settings.md` is generated from the descriptions there.
"""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import UnionType
from typing import ClassVar, get_args, get_origin

from dotenv import dotenv_values
from pydantic import BaseModel, Field, PrivateAttr, SecretStr, ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import (
    BaseSettings,
    NestedSecretsSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from foliotrace.budget import Price
from foliotrace.errors import Misconfigured
from foliotrace.settings import CoreSettings, Section
from foliotrace_server.loop.settings import LoopSettings, OnlineSettings, ReleaseSettings
from foliotrace_server.sections import (
    AuditLogSettings,
    AuthSettings,
    EmbeddingSettings,
    LimitSettings,
    LlamaCloudSection,
    LLMSettings,
    LogSettings,
    RedisSettings,
    ServerSettings,
    TracingSettings,
)
from foliotrace_server.wrong_settings import SettingProblem, Sources, not_a_setting

PREFIX = "FOLIOTRACE_"
_OUTSIDE_THE_TREE = (
    "FOLIOTRACE_CONFIG",
    "FOLIOTRACE_API_KEY",  # the key that the command line sends
    "FOLIOTRACE_SECRETS_DIR",
    "FOLIOTRACE_LANGFUSE",  # read by foliotrace_otel, as are the next and OTEL_*
    "FOLIOTRACE_OPENINFERENCE",
    "FOLIOTRACE_SPAN_DETAIL",
)
_STANDARD_KEY = "API key under its standard name, without the prefix. It enables nothing by itself."


class Settings(CoreSettings, BaseSettings):
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
    )
    toml_file: ClassVar[Path] = Path("foliotrace.toml")
    _read_from: Path = PrivateAttr(default=Path("foliotrace.toml"))

    data_dir: Path = Field(
        default=Path("foliotrace-data"),
        description="The data folder: library, original files, indexes, jobs and audit log. One "
        "process writes to it at a time.",
    )
    server: ServerSettings = Field(default=ServerSettings(), description="The HTTP service.")
    auth: AuthSettings = Field(default=AuthSettings(), description="Authentication.")
    limits: LimitSettings = Field(
        default=LimitSettings(), description="Rate limits and quotas of callers."
    )
    llm: LLMSettings | None = Field(
        default=None, description="The first language model. None: answers quote passages."
    )
    llm_fallbacks: tuple[LLMSettings, ...] = Field(
        default=(), description="Language models that are tried, in order, when the first fails."
    )
    embedding: EmbeddingSettings | None = Field(
        default=None, description="The embedding model. None: keyword retrieval."
    )
    llamacloud: LlamaCloudSection = Field(
        default=LlamaCloudSection(), description="LlamaCloud. By default nothing is sent there."
    )
    releases: dict[str, ReleaseSettings] = Field(
        default_factory=dict,
        description="Other configurations of answers, by name; `foliotrace loop release` says whom "
        "they answer.",
    )
    online: OnlineSettings = Field(
        default=OnlineSettings(), description="Evaluation of answers in production."
    )
    loop: LoopSettings = Field(
        default=LoopSettings(), description="Datasets, judges, and their copy in LangSmith."
    )
    redis: RedisSettings = Field(default=RedisSettings(), description="Shared caches and budgets.")
    audit: AuditLogSettings = Field(default=AuditLogSettings(), description="The audit log.")
    telemetry: TracingSettings = Field(default=TracingSettings(), description="Traces.")
    log: LogSettings = Field(default=LogSettings(), description="The log.")
    workflows: dict[str, str] = Field(
        default_factory=dict,
        description="Your own LlamaIndex workflows to host, as name = `pkg.mod:object`.",
    )
    openai_api_key: SecretStr | None = Field(
        default=None, validation_alias="OPENAI_API_KEY", description=_STANDARD_KEY
    )
    anthropic_api_key: SecretStr | None = Field(
        default=None, validation_alias="ANTHROPIC_API_KEY", description=_STANDARD_KEY
    )
    llama_cloud_api_key: SecretStr | None = Field(
        default=None, validation_alias="LLAMA_CLOUD_API_KEY", description=_STANDARD_KEY
    )
    langsmith_api_key: SecretStr | None = Field(
        default=None,
        validation_alias="LANGSMITH_API_KEY",
        description="Key of LangSmith. Ratings, datasets and experiments are copied there; see "
        "`loop.sync_every_s`.",
    )
    langsmith_endpoint: str | None = Field(
        default=None,
        validation_alias="LANGSMITH_ENDPOINT",
        description="LangSmith's URL. None: the hosted service.",
    )
    langsmith_project: str | None = Field(
        default=None,
        validation_alias="LANGSMITH_PROJECT",
        description="Project of the runs in LangSmith. None: `default`.",
    )

    @property
    def read_from(self) -> Path:
        """The settings file that was looked for; it need not exist."""
        return self._read_from

    @property
    def own_prices(self) -> Mapping[str, Price]:
        """The operator's prices by model."""
        return {name: price.per_token for name, price in self.budget.prices.items()}

    def costs_nothing(self, model: LLMSettings | EmbeddingSettings) -> bool:
        """Whether the tokens of `model` are free: declared so, or served from a private address."""
        if model.free is not None:
            return model.free
        return model.runs_at_home and model.model not in self.budget.prices

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
            NestedSecretsSettingsSource(
                file_secret_settings, secrets_dir=_secrets_folder(), secrets_dir_missing="ok"
            ),
            TomlConfigSettingsSource(settings_cls, toml_file=cls.toml_file),
        )


def load_settings(toml_file: Path | None = None, **overrides: object) -> Settings:
    """Read every source once. Raises Misconfigured naming each setting that is wrong.

    `toml_file` (or FOLIOTRACE_CONFIG) must exist; without either, `foliotrace.toml` is read where
    the process was started, if it is there.
    """
    settings, problems = inspect_settings(toml_file, **overrides)
    if problems:
        hints = dict.fromkeys(each.hint for each in problems if each.hint)
        raise Misconfigured(
            "; ".join(f"{each.setting}: {each.said}" for each in problems), hint=" ".join(hints)
        )
    return settings


def inspect_settings(
    toml_file: Path | None = None, **overrides: object
) -> tuple[Settings, Sequence[SettingProblem]]:
    """The settings without those that are wrong, and what is wrong. Raises nothing.

    A wrong setting has its default; of a wrong model or section that needs it, nothing is left.
    """
    named = toml_file or environment().get("FOLIOTRACE_CONFIG")
    described = {path: leaf.description or "" for path, leaf in leaves_of(Settings)}
    sources = Sources(described, Path(named or Settings.toml_file))
    if named is not None and not Path(named).is_file():
        sources.report("config", f"settings file {named} not found", "Correct its path.")
    sources.problems += unknown_names([*environment(), *_dotenv_names(), *_secret_names()])

    class Loaded(Settings):
        toml_file: ClassVar[Path] = sources.path

        @classmethod
        def settings_customise_sources(
            cls,
            settings_cls: type[BaseSettings],
            init_settings: PydanticBaseSettingsSource,
            env_settings: PydanticBaseSettingsSource,
            dotenv_settings: PydanticBaseSettingsSource,
            file_secret_settings: PydanticBaseSettingsSource,
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            before = (init_settings, env_settings, dotenv_settings, file_secret_settings)
            order = super().settings_customise_sources
            return sources.without_wrong(lambda: order(settings_cls, *before), cls)

    while True:
        try:
            loaded = Loaded(**overrides)  # type: ignore[arg-type] # pydantic checks them
        except ValidationError as error:
            sources.drop(error)
        else:
            values = {name: getattr(loaded, name) for name in Settings.model_fields}
            settings = Settings.model_construct(**values)
            settings._read_from = sources.path
            return settings, sources.each_once(PREFIX)


def unknown_names(names: Iterable[str]) -> Sequence[SettingProblem]:
    """Each name under the prefix that is no setting, with the nearest that is."""
    known = known_names()
    ours = sorted({each for each in names if each.upper().startswith(PREFIX)})
    return [
        not_a_setting(name, name.upper(), known)
        for name in ours
        if not _is_known(name.upper(), known)
    ]


def known_names() -> tuple[str, ...]:
    """The variable of every setting, sections left out."""
    return (*(name for name, _ in variables()), *_OUTSIDE_THE_TREE)


def variables() -> Iterator[tuple[str, FieldInfo]]:
    """(environment variable, field) of every setting, in order of declaration."""
    for path, field in leaves_of(Settings):
        standard = field.validation_alias
        yield (
            (standard if isinstance(standard, str) else PREFIX + path.upper().replace(".", "__")),
            field,
        )


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


def environment() -> Mapping[str, str]:
    """The variables of this process."""
    return os.environ  # noqa: TID251 - the one module that may


def _dotenv_names() -> Iterable[str]:
    return dotenv_values(".env") if Path(".env").is_file() else ()


def _secrets_folder() -> Path:
    return Path(environment().get("FOLIOTRACE_SECRETS_DIR", "/run/secrets/foliotrace"))


def _secret_names() -> Iterable[str]:
    folder = _secrets_folder()
    return [entry.name for entry in folder.iterdir()] if folder.is_dir() else ()
