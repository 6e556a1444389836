"""Writes the generated pages of docs/reference/ from the code.

Run `python -m tools.docs.reference` in the repository's root; `--check` only compares.
"""

import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import click

from foliotrace_server.cli.command import MEANINGS
from foliotrace_server.cli.main import main as command_line
from foliotrace_server.doctor.registry import CHECKS, MODULES, PROBES
from foliotrace_server.openapi.document import openapi_document
from foliotrace_server.settings import variables
from tools.docs import audit_page, errors_page, formats_page, lexicon_page, telemetry_page

FOLDER = Path("docs/reference")
_MADE = "<!-- made by python -m tools.docs.reference; do not edit -->\n\n"


def pages() -> dict[str, str]:
    """File name -> text."""
    return {
        "settings.md": _MADE + _settings(),
        "errors.md": _MADE + errors_page.page(),
        "cli.md": _MADE + _cli(),
        "http-api.md": _MADE + _http_api(),
        "telemetry.md": telemetry_page.page(),
        "audit.md": audit_page.page(),
        "formats.md": _MADE + formats_page.page(),
        "lexicon.md": _MADE + lexicon_page.page(),
    }


def _settings() -> str:
    lines = [
        "# Settings",
        "",
        "The first source that names a value wins: the command line, the environment, "
        "`.env`, "
        "secret files (`FOLIOTRACE_SECRETS_DIR`, `/run/secrets/foliotrace`), a TOML file "
        "(`--config`, `FOLIOTRACE_CONFIG`, `foliotrace.toml`), the default. In TOML the name "
        "is the path: `[server]` and `port = 9000`. An unknown name stops the start. API keys of "
        "providers keep their standard names, `OPENAI_API_KEY`, `ANTHROPIC_API_KEY` and "
        "`LLAMA_CLOUD_API_KEY`. The provider `anthropic` needs an extra: "
        "`pip install 'foliotrace[anthropic]'`.",
        "",
        "| variable | default | meaning |",
        "|---|---|---|",
    ]
    for name, field in variables():
        default = (
            "required"
            if field.is_required()
            else _shown(field.get_default(call_default_factory=True))
        )
        lines.append(f"| `{name}` | {default} | {field.description or ''} |")
    return "\n".join(lines) + "\n"


def _shown(value: object) -> str:
    return "none" if value in (None, (), {}) else f"`{value}`"


def _cli() -> str:
    lines = ["# Command line", "", "## Exit codes", "", "| code | meaning |", "|---|---|"]
    lines += [f"| {int(code)} | {meaning} |" for code, meaning in MEANINGS.items()]
    for name, command in _commands("foliotrace", command_line):
        context = click.Context(
            command, info_name=name, terminal_width=100, help_option_names=["-h", "--help"]
        )
        lines += ["", f"## {name}", "", "```text", command.get_help(context), "```"]
    return "\n".join([*lines, "", *_doctor_checks()]) + "\n"


def _doctor_checks() -> Iterator[str]:
    for module in MODULES:
        import_module(f"foliotrace_server.doctor.{module}")
    yield from (
        "## What foliotrace doctor checks",
        "",
        "| area | checks that |",
        "|---|---|",
        *(f"| {check.area} | {check.checks} |" for check in CHECKS),
        *(f"| with `--probe` | {probe.checks} |" for probe in PROBES),
    )


def _commands(name: str, command: click.Command) -> Iterator[tuple[str, click.Command]]:
    yield name, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for inner in command.list_commands(context):
            each = command.get_command(context, inner)
            if each is not None:
                yield from _commands(f"{name} {inner}", each)


def _http_api() -> str:
    document = openapi_document(("query", "ingest", "extract"))
    lines = [
        "# HTTP API",
        "",
        "The whole contract, with schemas and examples, is `/openapi.json` of a running server; "
        "`/docs` shows it without loading anything from elsewhere.",
    ]
    for tag in document["tags"]:
        lines += ["", f"## {tag['name'].capitalize()}", "", tag["description"], ""]
        lines += ["| method | path | what it does | statuses |", "|---|---|---|---|"]
        for path, methods in document["paths"].items():
            for method, operation in methods.items():
                if operation["tags"] == [tag["name"]]:
                    statuses = ", ".join(sorted(operation["responses"]))
                    summary = operation["summary"]
                    lines.append(f"| {method.upper()} | `{path}` | {summary} | {statuses} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Write the pages, or fail if they are not current."""
    stale = []
    for name, text in pages().items():
        place = FOLDER / name
        if place.exists() and place.read_text() == text:
            continue
        stale.append(name)
        if "--check" not in sys.argv:
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(text)
    if stale and "--check" in sys.argv:
        sys.exit(f"not current: {', '.join(stale)}; run python -m tools.docs.reference")


if __name__ == "__main__":
    main()
