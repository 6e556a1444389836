"""Writes docs/reference/{settings,errors,cli,http-api}.md from the code; `--check` compares.

`python -m foliotrace_server.reference_docs` from the repository's root.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

import click

from foliotrace import errors
from foliotrace.extract.workflow import ExtractRecord
from foliotrace.ingest.workflow import IngestDocument
from foliotrace.query.workflow import AskQuestion
from foliotrace_server.cli.failures import MEANINGS
from foliotrace_server.cli.main import main as command_line
from foliotrace_server.codes_raised import codes_raised
from foliotrace_server.openapi import openapi_of
from foliotrace_server.problems import status_of_class, status_of_code
from foliotrace_server.settings import PREFIX, Settings, leaves_of

FOLDER = Path("docs/reference")
_MADE = "<!-- made by python -m foliotrace_server.reference_docs; do not edit -->\n\n"


def pages() -> dict[str, str]:
    """File name -> text."""
    return {
        "settings.md": _MADE + _settings(),
        "errors.md": _MADE + _errors(),
        "cli.md": _MADE + _cli(),
        "http-api.md": _MADE + _http_api(),
    }


def _settings() -> str:
    lines = [
        "# Settings",
        "",
        "The first source that names a value wins: the command line, the environment, "
        "`.env`, "
        "secret files (`FOLIOTRACE_SECRETS_DIR`, `/run/secrets/foliotrace`), a TOML file "
        "(`--config`, `FOLIOTRACE_CONFIG`, `foliotrace.toml`), the default. In TOML the name "
        "is the path: `[server]` and `port = 9000`. An unknown name stops the start.",
        "",
        "| variable | default | meaning |",
        "|---|---|---|",
    ]
    for path, field in leaves_of(Settings):
        name = PREFIX + path.upper().replace(".", "__")
        default = (
            "required"
            if field.is_required()
            else _shown(field.get_default(call_default_factory=True))
        )
        lines.append(f"| `{name}` | {default} | {field.description or ''} |")
    return "\n".join(lines) + "\n"


def _shown(value: object) -> str:
    return "none" if value in (None, (), {}) else f"`{value}`"


def _errors() -> str:
    lines = [
        "# Errors",
        "",
        "Over HTTP an error is an RFC 9457 problem with `code`; in Python it is the class. A class "
        "may carry a narrower code than its own (`document_not_found` is a `NotFound`).",
        "",
        "| class | code | status | meaning |",
        "|---|---|---|---|",
    ]
    for kind in _tree(errors.FoliotraceError):
        meaning = (kind.__doc__ or "").splitlines()[0]
        lines.append(f"| `{kind.__name__}` | `{kind.code}` | {status_of_class(kind)} | {meaning} |")
    lines += ["", *_narrower()]
    return "\n".join(lines) + "\n"


def _narrower() -> Iterator[str]:
    yield from (
        "## Narrower codes",
        "",
        "What the code raises beside the codes above. The status is the class's unless told.",
        "",
        "| code | class | status | what to do |",
        "|---|---|---|---|",
    )
    own = {kind.code for kind in _tree(errors.FoliotraceError)}
    for code, raised in sorted(codes_raised().items()):
        if code not in own:
            hint = " ".join(sorted(raised.hints)) or "See the message."
            names = ", ".join(sorted(f"`{each.__name__}`" for each in raised.classes))
            status = status_of_code(code) or status_of_class(raised.kind)
            yield f"| `{code}` | {names} | {status} | {hint} |"


def _tree(kind: type[errors.FoliotraceError]) -> Iterator[type[errors.FoliotraceError]]:
    for below in sorted(kind.__subclasses__(), key=lambda each: each.__name__):
        if below.__module__ == errors.__name__:
            yield below
            yield from _tree(below)


def _cli() -> str:
    lines = ["# Command line", "", "## Exit codes", "", "| code | meaning |", "|---|---|"]
    lines += [f"| {int(code)} | {meaning} |" for code, meaning in MEANINGS.items()]
    for name, command in _commands("foliotrace", command_line):
        context = click.Context(
            command, info_name=name, terminal_width=100, help_option_names=["-h", "--help"]
        )
        lines += ["", f"## {name}", "", "```text", command.get_help(context), "```"]
    return "\n".join(lines) + "\n"


def _commands(name: str, command: click.Command) -> Iterator[tuple[str, click.Command]]:
    yield name, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for inner in command.list_commands(context):
            each = command.get_command(context, inner)
            if each is not None:
                yield from _commands(f"{name} {inner}", each)


def _http_api() -> str:
    document = openapi_of(
        (("query", AskQuestion), ("ingest", IngestDocument), ("extract", ExtractRecord))
    )
    lines = [
        "# HTTP API",
        "",
        "The whole contract, with every schema, is `/openapi.json` of a running server; `/docs` "
        "shows it without loading anything from elsewhere.",
        "",
        "| method | path | what it does | answers |",
        "|---|---|---|---|",
    ]
    for path, item in document["paths"].items():
        for method in ("get", "post", "delete"):
            if method in item:
                operation = item[method]
                answers = ", ".join(sorted(operation["responses"]))
                summary = operation["summary"]
                lines.append(f"| {method.upper()} | `{path}` | {summary} | {answers} |")
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
        sys.exit(f"not current: {', '.join(stale)}; run python -m foliotrace_server.reference_docs")


if __name__ == "__main__":
    main()
