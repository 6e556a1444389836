"""The narrower codes that the sources raise, read out of the sources; for the reference page."""

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import foliotrace
import foliotrace_server
from foliotrace import errors
from foliotrace.adapters.local.refusals import HINTS


@dataclass(slots=True)
class Raised:
    """What raises a code, and the hints it is raised with (their fixed texts alone)."""

    classes: set[type[errors.FoliotraceError]] = field(default_factory=set)
    hints: set[str] = field(default_factory=set)

    @property
    def kind(self) -> type[errors.FoliotraceError]:
        """The class whose status the code has: the first by name."""
        return min(self.classes, key=lambda kind: kind.__name__)


def codes_raised() -> Mapping[str, Raised]:
    """By code: every `SomeError(..., code="...")` of both packages, and the files' refusals."""
    found = {code: Raised({errors.FileRefused}, {hint}) for code, hint in HINTS.items()}
    for package in (foliotrace, foliotrace_server):
        for source in sorted(Path(str(package.__file__)).parent.rglob("*.py")):
            for kind, code, hint in _calls(ast.parse(source.read_text("utf-8"))):
                raised = found.setdefault(code, Raised())
                raised.classes.add(kind)
                if hint and code not in HINTS:
                    raised.hints.add(hint)
    return found


def _calls(tree: ast.AST) -> Iterator[tuple[type[errors.FoliotraceError], str, str | None]]:
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
            continue
        kind = getattr(errors, node.func.id, None)
        if isinstance(kind, type) and issubclass(kind, errors.FoliotraceError):
            given = {
                k.arg: k.value.value for k in node.keywords if isinstance(k.value, ast.Constant)
            }
            if given.get("code"):
                yield kind, str(given["code"]), given.get("hint")  # type: ignore[misc] # a str
