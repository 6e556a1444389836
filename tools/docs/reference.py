"""Writes the generated pages of docs/reference/ from the code.

Run `python -m tools.docs.reference` in the repository's root; `--check` only compares.
"""

import sys
from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module
from pathlib import Path

import click

from foliotrace import errors
from foliotrace.adapters.llamacloud.failures import CloudProblem
from foliotrace.extract.workflow import ExtractRecord
from foliotrace.ingest.workflow import IngestDocument
from foliotrace.query.workflow import AskQuestion
from foliotrace_audit.errors import AuditError
from foliotrace_otel.setup.environment import TelemetryError
from foliotrace_server.cli.command import MEANINGS
from foliotrace_server.cli.main import main as command_line
from foliotrace_server.openapi import openapi_of
from foliotrace_server.problems import status_of_class, status_of_code
from foliotrace_server.settings import variables
from foliotrace_server.told_words import Told, Vocabulary, vocabulary
from foliotrace_server.word_notes import PAGE_PROBLEMS
from tools.docs import audit_page, telemetry_page

FOLDER = Path("docs/reference")
Kinds = Mapping[str, type[errors.FoliotraceError]]
_NO_HINT = errors.FoliotraceError.default_hint
_MADE = "<!-- made by python -m tools.docs.reference; do not edit -->\n\n"


def pages() -> dict[str, str]:
    """File name -> text."""
    return {
        "settings.md": _MADE + _settings(),
        "errors.md": _MADE + _errors(),
        "cli.md": _MADE + _cli(),
        "http-api.md": _MADE + _http_api(),
        "telemetry.md": telemetry_page.page(),
        "audit.md": audit_page.page(),
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


def _errors() -> str:
    words = vocabulary()
    for module in sorted(words.raising):
        import_module(module)
    kinds = {kind.__name__: kind for kind in _tree(errors.FoliotraceError)}
    lines = [
        "# Errors",
        "",
        "Over HTTP an error is an RFC 9457 problem with `code`; in Python it is the class; on the "
        "command line it is told on standard error, with an [exit code](cli.md). A class may carry "
        "a narrower code than its own (`document_not_found` is a `NotFound`). The `problem` of a "
        "failed job or document is one of these codes or, when a dependency failed, one of the "
        "[reasons](#reasons). `<name>` stands for what varies.",
        "",
        "| class | code | status | meaning |",
        "|---|---|---|---|",
    ]
    for kind in kinds.values():
        if "code" not in vars(kind):
            continue
        meaning = (kind.__doc__ or "").splitlines()[0]
        of_server = "" if ".client." in kind.__module__ else _status(kind.code, kind)
        lines.append(f"| `{kind.__name__}` | `{kind.code}` | {of_server} | {meaning} |")
    lines += ["", *_narrower(words, kinds), "", *_reasons(words, kinds)]
    lines += ["", *_page_problems(), "", *_of_observers()]
    return "\n".join(lines) + "\n"


def _narrower(words: Vocabulary, kinds: Kinds) -> Iterator[str]:
    own = {kind.code for kind in kinds.values() if "code" in vars(kind)}
    yield from (
        "## Narrower codes",
        "",
        "Without a class: told by the host, by a job, or by the command line alone.",
        "",
        "| code | class | status | says | what to do |",
        "|---|---|---|---|---|",
    )
    for code, told in sorted(words.codes.items()):
        if code not in own:
            names = sorted(told.kinds)
            status = _status(code, kinds[names[0]]) if names else ""
            yield f"| `{code}` | {_names(names)} | {status} | {_said(told, kinds)} |"


def _reasons(words: Vocabulary, kinds: Kinds) -> Iterator[str]:
    problems = ", ".join(f"`{problem}`" for problem in CloudProblem)
    yield from (
        "## Reasons",
        "",
        "Why a dependency did not do its work, and why an answer is degraded: in "
        "`degradation.reasons`, on `/readyz`, in spans, metrics and the audit log. `<name>` is a "
        "dependency (`llm`, `parser`, `managed_index`, `embedder`, ...), `<mode>` a path of "
        "retrieval, `<method>` a way to extract, `<status>` an HTTP status; `<problem>` of "
        f"LlamaCloud is {problems}.",
        "",
        "| reason | class | says | what to do |",
        "|---|---|---|---|",
    )
    for reason, told in sorted(words.reasons.items()):
        yield f"| `{reason}` | {_names(sorted(told.kinds))} | {_said(told, kinds)} |"


def _page_problems() -> Iterator[str]:
    yield from (
        "## Problems of pages",
        "",
        "A page that cannot be read does not fail its document; `GET /v1/documents/{id}/pages/{n}` "
        "says why.",
        "",
        "| problem | `status` | why |",
        "|---|---|---|",
    )
    for problem, (status, why) in PAGE_PROBLEMS.items():
        yield f"| `{problem}` | `{status}` | {why} |"


def _of_observers() -> Iterator[str]:
    yield from (
        "## The audit log's and the telemetry's own",
        "",
        "`foliotrace_audit` and `foliotrace_otel` can be used without foliotrace and have small "
        "trees of their own. In the service, what is wrong at the start is a `Misconfigured`.",
        "",
        "| class | code | meaning | what to do |",
        "|---|---|---|---|",
    )
    observers: list[type[AuditError] | type[TelemetryError]] = [
        *AuditError.__subclasses__(),
        *TelemetryError.__subclasses__(),
    ]
    for kind in sorted(observers, key=lambda each: each.__name__):
        meaning = (kind.__doc__ or "").splitlines()[0]
        yield f"| `{kind.__name__}` | `{kind.code}` | {meaning} | {kind.hint} |"


def _status(word: str, kind: type[errors.FoliotraceError]) -> int:
    return status_of_code(word) or status_of_class(kind)


def _names(kinds: Sequence[str]) -> str:
    return ", ".join(f"`{kind}`" for kind in kinds)


def _said(told: Told, kinds: Kinds) -> str:
    """Two cells: what is said, and what to do (what the class says, unless it is told)."""
    of_kinds = {kinds[name].default_hint for name in told.kinds} - {_NO_HINT}
    messages, hints = (" / ".join(sorted(each)) for each in (told.messages, told.hints or of_kinds))
    return f"{messages.replace('|', '/')} | {hints}".replace("<", "&lt;")


def _tree(kind: type[errors.FoliotraceError]) -> Iterator[type[errors.FoliotraceError]]:
    """Every class of ours."""
    for below in sorted(kind.__subclasses__(), key=lambda each: each.__name__):
        if below.__module__.startswith("foliotrace"):
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
        sys.exit(f"not current: {', '.join(stale)}; run python -m tools.docs.reference")


if __name__ == "__main__":
    main()
