"""Checks of where settings come from: files, variables, keys and paths. No text holds a value."""

import stat
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final

from dotenv import dotenv_values
from pydantic import BaseModel

from foliotrace_server.doctor.model_servers import key_of
from foliotrace_server.doctor.registry import Outcome, check
from foliotrace_server.sections import EmbeddingSettings, LLMSettings
from foliotrace_server.settings import PREFIX, Settings, environment, leaves_of, variables

_DOTENV: Final = Path(".env")
_FORMS: Final = {"sk-ant-": "anthropic", "sk-": "openai", "llx-": "LlamaCloud"}
"""How keys of a vendor begin; the first that fits counts."""
_FAMILIES: Final = ("OPENAI", "ANTHROPIC", "LLAMA", "LANGSMITH", "OTEL_EXPORTER_", "TESSDATA")
_READ_BY_OTHERS: Final = (
    *("OPENAI_API_BASE", "OPENAI_BASE_URL", "OPENAI_ORG_ID", "OPENAI_ORGANIZATION"),
    *("OPENAI_API_TYPE", "OPENAI_API_VERSION", "OPENAI_PROJECT_ID", "OPENAI_LOG"),
    *("ANTHROPIC_BASE_URL", "ANTHROPIC_AUTH_TOKEN", "ANTHROPIC_LOG", "LLAMA_CLOUD_BASE_URL"),
    *("LANGSMITH_TRACING", "LANGSMITH_TRACING_V2", "LANGSMITH_WORKSPACE_ID", "TESSDATA_PREFIX"),
)
_OTLP: Final = frozenset(
    f"OTEL_EXPORTER_OTLP_{signal}{what}"
    for signal in ("", "TRACES_", "METRICS_", "LOGS_")
    for what in ("ENDPOINT", "PROTOCOL", "HEADERS", "TIMEOUT", "COMPRESSION", "CERTIFICATE")
)
_ADDRESSES: Final = ("OPENAI_BASE_URL", "OPENAI_API_BASE", "ANTHROPIC_BASE_URL")


@check(
    "settings file",
    checks="a settings file is read, and no other user can read the keys in it",
    hint="`foliotrace init` writes one; --config or FOLIOTRACE_CONFIG names one elsewhere; in a"
    " systemd unit, set WorkingDirectory=",
)
def _settings_file(settings: Settings) -> Outcome:
    path = settings.read_from.absolute()
    readable = [each for each in (path, _DOTENV.absolute()) if _open_to_others(each)]
    if readable:
        found = readable[0].stat()
        mode = f"{stat.S_IMODE(found.st_mode):04o}"
        said = f"{readable[0]} holds a key and others can read it (mode {mode}, uid {found.st_uid})"
        return "warning", said, f"`chmod 600 {readable[0]}`; replace keys that others have seen."
    if path.is_file():
        return "on", str(path)
    return "off", f"none was read: there is no {path}"


def _open_to_others(path: Path) -> bool:
    """Whether `path` holds a secret and more than its owner may read it."""
    if not path.is_file() or not path.stat().st_mode & (stat.S_IRGRP | stat.S_IROTH):
        return False
    if path.name == _DOTENV.name:
        return any(value and _is_secret(name) for name, value in dotenv_values(path).items())
    return any(_is_secret(name) for name in _flat(_toml(path)))


def _is_secret(name: str) -> bool:
    return name.lower().endswith(("api_key", "secret", "redaction_key"))


@check("variables", checks="no variable has a name that is nearly one that is read")
def _variables(_: Settings) -> Outcome:
    known = {name for name, _ in variables() if not name.startswith(PREFIX)}
    known |= {*_READ_BY_OTHERS, *_OTLP}
    for name in sorted({*environment(), *_dotenv()}):
        upper = name.upper()
        ours = upper.startswith(_FAMILIES)
        if not ours or upper in known:
            continue
        if near := get_close_matches(upper, known, n=1, cutoff=0.9):
            hint = f"Rename it to {near[0]}, or unset it."
            if near[0] in _ADDRESSES:
                hint = "Set llm.api_base (FOLIOTRACE_LLM__API_BASE): without it, text is sent to "
                hint += "the provider's own servers on the internet."
            return "warning", f"{name} is not read; did you mean {near[0]}?", hint
    return "on", "no name is nearly right"


@dataclass(frozen=True, slots=True, kw_only=True)
class _UsedKey:
    """The key of something in use. `vendor` is "" for a server of the user's own."""

    setting: str
    variable: str
    vendor: str
    key: str


@check("keys", checks="no key has white space or quotes around it, or belongs to another vendor")
def _keys(settings: Settings) -> Outcome:
    for each in _used_keys(settings):
        places = _places(settings, each)
        where = places[0][0] if places else f"{each.setting} or {each.variable}"
        if broken := _surrounded(each.key):
            hint = "Write the key alone (`printf %s`; no quotes in a file for --env-file): in"
            return "problem", f"{each.setting}, from {where}, {broken}", f"{hint} {where}."
        vendor = next((name for form, name in _FORMS.items() if each.key.startswith(form)), "")
        if vendor and each.vendor and vendor != each.vendor:
            said = f"{each.setting}, from {where}, has the form of a key of {vendor}"
            return "problem", said, f"Put a key of {each.vendor} in {where}."
        if others := [place for place, value in places[1:] if value != places[0][1]]:
            said = f"{each.setting}: the key of {where} is used, another in {', '.join(others)} not"
            return "warning", said, f"Remove the wrong one; {where} goes before."
    return "on", "written as keys are"


def _surrounded(key: str) -> str:
    """What stands around or inside a key that cannot belong to it; "" if nothing."""
    if key.strip() != key or key.strip("'\"") != key:
        return "has spaces, line ends or quotes around it"
    return "" if key.isprintable() and " " not in key else "has white space inside it"


def _used_keys(settings: Settings) -> Iterator[_UsedKey]:
    models: list[tuple[str, LLMSettings | EmbeddingSettings | None]] = [
        ("llm", settings.llm),
        ("embedding", settings.embedding),
        *((f"llm_fallbacks.{n}", each) for n, each in enumerate(settings.llm_fallbacks)),
    ]
    for setting, model in models:
        if model is not None and (key := key_of(settings, model)):
            official = model.api_base is None and model.provider in _FORMS.values()
            yield _UsedKey(
                setting=f"{setting}.api_key",
                variable=f"{model.provider.upper()}_API_KEY",
                vendor=model.provider if official else "",
                key=key,
            )
    cloud = settings.llamacloud.api_key or settings.llama_cloud_api_key
    if cloud and settings.llamacloud.in_use:
        key = cloud.get_secret_value()
        variable = "LLAMA_CLOUD_API_KEY"
        yield _UsedKey(
            setting="llamacloud.api_key", variable=variable, vendor="LlamaCloud", key=key
        )


def _places(settings: Settings, used: _UsedKey) -> list[tuple[str, str]]:
    """(place, value) of each key that could be used, the one in force first."""
    own = PREFIX + used.setting.upper().replace(".", "__")
    dotenv, file = _dotenv(), _flat(_toml(settings.read_from))
    found = [
        (f"{own} of the environment", environment().get(own)),
        (f"{own} of .env", dotenv.get(own)),
        (f"{used.setting} of {settings.read_from}", file.get(used.setting)),
        (f"{used.variable} of the environment", environment().get(used.variable)),
        (f"{used.variable} of .env", dotenv.get(used.variable)),
    ]
    return [(place, value) for place, value in found if value]


@check("paths", checks="no path has ~ or a variable in it, or a control character")
def _paths(settings: Settings) -> Outcome:
    for setting, path in _configured_paths(settings):
        text = str(path)
        if not text.isprintable():
            hint = "In TOML, write Windows paths in single quotes or with forward slashes."
            return "problem", f"{setting} holds a control character", hint
        if text.startswith("~") or "$" in text:
            hint = f"Write it out: {setting} = '{_expanded(text)}'."
            return "problem", f"{setting} is {text}: ~ and variables are not expanded", hint
    setting, empty = "ingest.outside_files.folders", ""
    hint = f"Correct {setting}, mount the folder, or let this user read it."
    for folder in settings.ingest.outside_files.folders:
        place = Path(folder).absolute()
        try:
            empty = empty if any(place.iterdir()) else str(place)
        except OSError as error:
            return "problem", f"{setting}: {place}: {error.strerror}", hint
    if empty:
        return "warning", f"{setting}: {empty} is empty", hint
    return "on", "absolute, or relative to the working folder"


def _configured_paths(settings: Settings) -> Iterator[tuple[str, Path]]:
    for setting, _ in leaves_of(Settings):
        value: object = settings
        for name in setting.split("."):
            value = getattr(value, name, None) if isinstance(value, BaseModel) else None
        values = value if isinstance(value, tuple) else (value,)
        yield from ((setting, each) for each in values if isinstance(each, Path))


def _expanded(text: str) -> str:
    for name, value in environment().items():
        text = text.replace(f"${{{name}}}", value)
        if text == f"${name}" or text.startswith(f"${name}/"):
            text = value + text.removeprefix(f"${name}")
    return str(Path(text).expanduser())


def _dotenv() -> Mapping[str, str | None]:
    return dotenv_values(_DOTENV) if _DOTENV.is_file() else {}


def _toml(path: Path) -> Mapping[str, Any]:
    try:
        return tomllib.loads(path.read_text())
    except (OSError, ValueError):
        return {}  # reported as a setting that is wrong


def _flat(table: Mapping[str, Any], above: str = "") -> dict[str, str]:
    """The texts of a table by dotted name."""
    found: dict[str, str] = {}
    for name, value in table.items():
        if isinstance(value, Mapping):
            found |= _flat(value, f"{above}{name}.")
        elif isinstance(value, str):
            found[above + name] = value
    return found
