"""Counts the product files that must name a field of the model, or a setting.

`python -m tools.count_touched_files Document.pages_unreadable Answer.notice query.deadline_s`

A file must name a field if without it the value would not get from where it is made to the
callers: it declares the field, stores it in SQL, sets it, or copies it from one object to the
next. Files that only read a value to use it are not counted. Those that choose what they show of
an object are listed apart: nothing forces a new field into them. Of a setting, the declarations in
classes of settings are counted: beside them only the code that it controls names it.

Names are not resolved: ask for one that no other class has (`trace_id` counts them all).
"""

import ast
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGES = (
    "workflows/foliotrace",
    "deploy/foliotrace_server",
    "instrumentation/foliotrace_detect",
    "instrumentation/foliotrace_otel",
    "instrumentation/foliotrace_audit",
)
CHOOSE = {
    "workflows/foliotrace/events/queries.py": "telemetry attributes",
    "workflows/foliotrace/events/documents.py": "telemetry attributes",
    "workflows/foliotrace/query/records.py": "telemetry attributes",
    "workflows/foliotrace/ingest/workflow.py": "the result of the ingest workflow",
    "workflows/foliotrace/adapters/llamaindex/retriever.py": "the metadata of a response",
    "deploy/foliotrace_server/loop/target.py": "what an evaluation rates",
    "deploy/foliotrace_server/folder/repair.py": "a library rebuilt from its damaged rows",
    "deploy/foliotrace_server/cli/output.py": "printed text",
    "deploy/foliotrace_server/cli/demo.py": "printed text",
}


@dataclass(frozen=True, slots=True)
class Touched:
    """The files that name a field: path and why."""

    must: dict[str, set[str]] = field(default_factory=dict)
    choose: dict[str, str] = field(default_factory=dict)


def touched(name: str, *, setting: bool = False) -> Touched:
    """The product files that name the field or setting `name`."""
    found = Touched()
    for path in _sources():
        roles = set(_roles(path, name, setting=setting))
        if not roles:
            continue
        relative = path.relative_to(ROOT).as_posix()
        if relative in CHOOSE:
            found.choose[relative] = CHOOSE[relative]
        else:
            found.must[relative] = roles
    return found


def _sources() -> Iterator[Path]:
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            if path.name != "synchronous.py":  # generated
                yield path


def _roles(path: Path, name: str, *, setting: bool) -> Iterator[str]:
    """What `path` does with the field: declares, stores, sets or copies it."""
    text = path.read_text()
    if name not in text:
        return
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ClassDef):
            if setting and not node.name.endswith(("Settings", "Section")):
                continue
            declared = (each for each in node.body if isinstance(each, ast.AnnAssign))
            if any(isinstance(d.target, ast.Name) and d.target.id == name for d in declared):
                yield "declares"
        elif setting:
            continue
        elif isinstance(node, ast.keyword) and node.arg == name:
            yield "copies" if _reads(node.value, name) else "sets"
        elif isinstance(node, ast.Dict):
            for key, value in zip(node.keys, node.values, strict=True):
                if isinstance(key, ast.Constant) and key.value == name:
                    yield "copies" if _reads(value, name) else "sets"
        elif isinstance(node, ast.Constant) and _is_sql(node.value, name):
            yield "stores"


def _reads(node: ast.expr, name: str) -> bool:
    return any(isinstance(each, ast.Attribute) and each.attr == name for each in ast.walk(node))


def _is_sql(value: object, name: str) -> bool:
    sql = r"\b(SELECT|UPDATE|INSERT|CREATE TABLE|ALTER TABLE)\b|= \?"
    if not isinstance(value, str):
        return False
    return bool(re.search(sql, value) and re.search(rf"\b{name}\b", value))


def main() -> None:
    """Print the files of each field or setting named on the command line."""
    for argument in sys.argv[1:]:
        owner, _, name = argument.rpartition(".")
        found = touched(name, setting=owner[:1].islower())
        print(f"{argument}: {len(found.must)}")
        for path, roles in found.must.items():
            print(f"  {path}: {', '.join(sorted(roles))}")
        for path, why in found.choose.items():
            print(f"  ({path}: {why})")


if __name__ == "__main__":
    main()
