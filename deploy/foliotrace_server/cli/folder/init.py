"""`foliotrace init`: three questions, and the settings file that answers them."""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from foliotrace.errors import BadInput, Misconfigured
from foliotrace_server.cli import output
from foliotrace_server.cli.command import Command, Exit, Options, pass_options, with_exit_code

if TYPE_CHECKING:
    from foliotrace_server.doctor.model_servers import Offer
    from foliotrace_server.settings import Settings

_NONE: Final = "none"
_PREFERRED: Final = {"openai": ("gpt-4o-mini", "gpt-"), "anthropic": ("claude-",)}
_NO_CHAT: Final = ("embed", "bge-", "minilm", "rerank", "whisper")  # in names of other models


@dataclass(frozen=True, slots=True, kw_only=True)
class _Model:
    """A language model that can be asked from here. `found_at` says where it was found."""

    provider: str
    model: str
    found_at: str = ""
    api_base: str | None = None
    context_window: int | None = None

    @property
    def name(self) -> str:
        return f"{self.provider}:{self.model}"


@click.command(cls=Command)
@click.option("--llm", help="Language model as PROVIDER:MODEL, or none.")
@click.option("--api-base", help="Base URL of the server of that model.")
@click.option("--llamacloud/--no-llamacloud", default=None, help="Parse files with LlamaParse.")
@click.option("--server", "servers", multiple=True, help="Base URL of a model server to look at.")
@click.option("--yes", is_flag=True, help="Ask nothing: take what is proposed.")
@click.option("--force", is_flag=True, help="Replace the settings file if there is one.")
@pass_options
@with_exit_code
def init(
    options: Options,
    llm: str | None,
    api_base: str | None,
    llamacloud: bool | None,
    servers: tuple[str, ...],
    yes: bool,
    force: bool,
) -> Exit | None:
    """Write a settings file: asks for the data folder, the language model and LlamaCloud.

    Looks for Ollama, vLLM and LM Studio on this machine and for API keys in the environment. Keys
    are not written to the file.

    Examples:
      foliotrace init
      foliotrace init --yes
      foliotrace init --data-dir /srv/library --llm openai:gpt-4o-mini --no-llamacloud --yes
    """
    from foliotrace_server.settings import inspect_settings, load_settings

    path = options.config or Path("foliotrace.toml")
    if path.exists() and not force:
        raise BadInput(f"{path} exists", hint="Replace it with --force, or write to --config FILE.")
    settings, _ = inspect_settings()  # keys: what else is set stays as it is
    found = asyncio.run(_find_models(settings, servers)) if llm is None else ()
    for each in found:
        click.echo(f"found {each.name} at {each.found_at}", err=True)
    proposed = found[0].name if found else _NONE
    folder = str(options.data_dir or _ask("Data folder", "foliotrace-data", yes=yes))
    named = llm or _ask("Language model (PROVIDER:MODEL, or none)", proposed, yes=yes)
    if llamacloud is None:
        llamacloud = not yes and click.confirm("Parse files with LlamaParse?", err=True)
    if llamacloud and not (settings.llama_cloud_api_key or settings.llamacloud.api_key):
        raise Misconfigured(
            "LlamaParse needs a key", hint="Set LLAMA_CLOUD_API_KEY, or answer no: --no-llamacloud."
        )
    text = _toml(folder, _chosen(named, api_base, found), llamacloud=bool(llamacloud))
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f".{path.name}.new")
    try:
        new.write_text(text, "utf-8")
        load_settings(new)
        new.replace(path)
    finally:
        new.unlink(missing_ok=True)
    if options.output == "json":
        output.print_json({"file": str(path), "llm": named, "llamacloud": bool(llamacloud)})
    else:
        output.print_line(f"wrote {path}\n")
        output.print_line(text)
        output.print_line("Check it: foliotrace doctor\nThen: foliotrace ingest PATH")
    return None


def _ask(question: str, proposed: str, *, yes: bool) -> str:
    answer: str = proposed if yes else click.prompt(question, default=proposed, err=True)
    return answer


async def _find_models(settings: "Settings", servers: Sequence[str]) -> Sequence[_Model]:
    """One model of each server that answers, those of this machine first."""
    from foliotrace_server.doctor.model_servers import ANTHROPIC, OPENAI, available, find_servers

    found = []
    for name, (url, offer) in (await find_servers(servers)).items():
        if model := _first(offer, ("",)):
            window = offer.windows.get(model)
            where = _Model(
                provider="openai_like", model=model, api_base=url, context_window=window,
                found_at=name if name == url else f"{name}, {url}",
            )  # fmt: skip
            found.append(where)
    keys = {"openai": settings.openai_api_key, "anthropic": settings.anthropic_api_key}
    for provider, url in (("openai", OPENAI), ("anthropic", ANTHROPIC)):
        key = keys[provider]
        if key is None or find_spec(f"llama_index.llms.{provider}") is None:
            continue
        offer = await available(url, key.get_secret_value())
        if offer.refuses_the_key:
            click.echo(f"{provider.upper()}_API_KEY is set and not accepted", err=True)
        elif model := _first(offer, _PREFERRED[provider]):
            origin = f"{url}, with {provider.upper()}_API_KEY"
            found.append(_Model(provider=provider, model=model, found_at=origin))
    return found


def _first(offer: "Offer", preferred: Sequence[str]) -> str | None:
    """The first model that can chat, by the beginnings of names in order of preference."""
    able = [each for each in offer.models if not any(word in each.lower() for word in _NO_CHAT)]
    return next((each for begin in preferred for each in able if each.startswith(begin)), None)


def _chosen(named: str, api_base: str | None, found: Sequence[_Model]) -> _Model | None:
    """The model of that name. Raises BadInput."""
    if named == _NONE:
        return None
    provider, _, model = named.partition(":")
    if not provider or not model:
        raise BadInput(
            f"{named} is not a language model",
            hint="Write PROVIDER:MODEL, such as openai:gpt-4o-mini or ollama:llama3.2, or none.",
        )
    known = next((each for each in found if each.name == named), None)
    if known is not None and api_base is None:
        return known
    beside = next((each for each in found if each.provider == provider), None)
    base = api_base or (beside.api_base if beside else None)
    return _Model(provider=provider, model=model, api_base=base)


def _toml(folder: str, llm: _Model | None, *, llamacloud: bool) -> str:
    """The settings file. Strings of JSON are strings of TOML."""
    lines = [
        "# Written by `foliotrace init`. All settings: docs/reference/settings.md",
        f"data_dir = {json.dumps(folder)}",
    ]
    if llm is not None:
        lines += ["", "[llm]", f"provider = {json.dumps(llm.provider)}"]
        lines.append(f"model = {json.dumps(llm.model)}")
        lines += [f"api_base = {json.dumps(llm.api_base)}"] if llm.api_base else []
        lines += [f"context_window = {llm.context_window}"] if llm.context_window else []
    if llamacloud:
        lines += ["", "[llamacloud]", 'parsing = "cloud_then_local"']
    return "\n".join([*lines, ""])
