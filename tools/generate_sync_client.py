"""Generates the synchronous client from the asynchronous one.

`python -m tools.generate_sync_client` writes it; with `--check` it fails where the file is stale.
"""

import ast
import re
import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).parents[1] / "deploy" / "foliotrace_server" / "client"
SOURCE, TARGET = FOLDER / "asynchronous.py", FOLDER / "synchronous.py"
HEADER = '''"""The synchronous client, for code without an event loop.

Generated from asynchronous.py by `python -m tools.generate_sync_client`; do not edit.
"""'''
ONLY_ASYNC = {"workflows"}  # llama-agents has no synchronous client
TOKENS = {
    r"\basync (def|with|for)\b": r"\1",
    r"\bawait ": "",
    r"\bAsync(FoliotraceClient|Iterator|Client|BaseTransport)\b": r"\1",
    r"\basynccontextmanager\b": "contextmanager",
    r"\b__a(enter|exit)__\b": r"__\1__",
    r"\ba(close|read|iter_lines)\b": r"\1",
    r"for (\w+) in (.+):\n +yield \1\n": r"yield from \2\n",
}


def synchronous(source: str) -> str:
    """`source` without its only-asynchronous parts, and each asynchronous name replaced."""
    tree = ast.parse(source)
    dropped = [tree.body[0]]  # the docstring
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and node.name in ONLY_ASYNC:
            dropped.append(node)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            dropped.append(node)
    lines = source.splitlines()
    for node in dropped:
        decorators = getattr(node, "decorator_list", [])
        first = min([node.lineno, *(each.lineno for each in decorators)])
        for number in range(first - 1, node.end_lineno or first):
            lines[number] = ""
    text = "\n".join([HEADER, *lines])
    for pattern, replacement in TOKENS.items():
        text = re.sub(pattern, replacement, text)
    for command in (
        ("check", "--fix-only", "--quiet", "--select", "F401,I001"),
        ("format", "--quiet"),
    ):
        text = subprocess.run(  # noqa: S603 - our own command
            [sys.executable, "-m", "ruff", *command, "--stdin-filename", str(TARGET), "-"],
            input=text,
            capture_output=True,
            text=True,
            check=True,
        ).stdout
    return text


def main() -> None:
    """Write the client, or with `--check` fail if it is stale."""
    text = synchronous(SOURCE.read_text())
    if "--check" not in sys.argv:
        TARGET.write_text(text)
    elif TARGET.read_text() != text:
        sys.exit(f"{TARGET.name} is stale; run python -m tools.generate_sync_client")


if __name__ == "__main__":
    main()
