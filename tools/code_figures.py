"""Measure how the product code reads: sizes, comments, string contracts, private vocabulary.

    python -m tools.code_figures              # the table of decision 8, for this checkout
    python -m tools.code_figures ../other     # the same for another checkout

Only the four product packages (and `foliotrace_detect`) count, files of under three lines left out.
"""

import ast
import io
import re
import sys
import tokenize
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median

SOURCE_ROOTS = ("workflows", "instrumentation", "deploy")
PRIVATE_WORDS = frozenset(
    re.findall(
        r"\w+",
        """told tell tells teller telling tellings untold given shown desk door doors purse alike
        keeping gist offered account wiping wipe trying examining probing plugged outside around
        story intake front hot gaps edge hearing gone whose leaf""",
    )
)
"""Everyday words that the first version used for the field's nouns; see decision 8."""
CODE_KEYWORDS = ("code", "reason", "problem")
CATALOGUE = "catalog"  # the folder whose modules declare codes
_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")


@dataclass(frozen=True, slots=True)
class Module:
    """One source file, parsed."""

    path: Path
    text: str
    tree: ast.Module

    @property
    def lines(self) -> int:
        """All lines, blank ones too."""
        return self.text.count("\n")


def modules(root: Path) -> Iterator[Module]:
    """Every product module of the checkout at `root`."""
    for source_root in SOURCE_ROOTS:
        for package in sorted((root / source_root).glob("foliotrace*")):
            for path in sorted(package.rglob("*.py")):
                text = path.read_text(encoding="utf-8")
                if text.count("\n") >= 3:
                    yield Module(path, text, ast.parse(text))


def comment_lines(module: Module) -> int:
    """Lines that hold a comment, directives for tools left out."""
    tokens = tokenize.generate_tokens(io.StringIO(module.text).readline)
    return len(
        {
            token.start[0]
            for token in tokens
            if token.type == tokenize.COMMENT
            and not re.match(r"#\s*(noqa|type:|fmt:|pragma)", token.string)
        }
    )


def functions(module: Module) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Every function and method."""
    for node in ast.walk(module.tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def code_literals(module: Module) -> list[str]:
    """Error codes, reasons and page problems written as strings outside the catalogue."""
    if CATALOGUE in module.path.parts:
        return []
    return [
        f"{module.path}:{node.lineno}"
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Call)
        for keyword in node.keywords
        if keyword.arg in CODE_KEYWORDS
        and isinstance(keyword.value, ast.Constant)
        and isinstance(keyword.value.value, str)
    ]


def names(module: Module) -> Iterator[str]:
    """Every name the module defines: itself, classes, functions, parameters, variables."""
    yield module.path.stem
    for node in ast.walk(module.tree):
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name
        elif isinstance(node, ast.arg):
            yield node.arg
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id


def private_names(module: Module) -> list[str]:
    """The names that hold a word of the private vocabulary."""
    return [
        name
        for name in names(module)
        if PRIVATE_WORDS & {word.lower() for word in _WORD.findall(name.replace("_", " "))}
    ]


def figures(root: Path) -> dict[str, str]:
    """The figures by name, ready to print."""
    found = list(modules(root))
    sizes = sorted(module.lines for module in found)
    spans = sorted(
        (function.end_lineno or function.lineno) - function.lineno + 1
        for module in found
        for function in functions(module)
    )
    lines = sum(sizes)
    folders = Counter(module.path.parent for module in found)
    crowded = [f"{p.relative_to(root)} {n}" for p, n in folders.most_common() if n > 12]
    private = Counter(name for module in found for name in private_names(module))
    classes: dict[str, set[Path]] = {}
    for module in found:
        for node in module.tree.body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                classes.setdefault(node.name, set()).add(module.path)
    twice = sorted(name for name, places in classes.items() if len(places) > 1)
    comments = sum(comment_lines(module) for module in found)
    return {
        "files": str(len(found)),
        "lines": str(lines),
        "lines a file: median, 90th percentile, max": _spread(sizes),
        "files under 50 lines": str(sum(size < 50 for size in sizes)),
        "lines a function: median, 90th percentile, max": _spread(spans),
        "modules in the largest folder": str(max(folders.values())),
        "folders of more than 12 modules": f"{len(crowded)} {crowded or ''}".strip(),
        "comment lines per 1,000 lines": f"{1000 * comments / lines:.1f}",
        "code literals outside the catalogue": str(sum(len(code_literals(m)) for m in found)),
        "names of the private vocabulary": f"{private.total()} in {len(private)} spellings",
        "public class names with two meanings": f"{len(twice)} {twice or ''}".strip(),
    }


def _spread(values: list[int]) -> str:
    return f"{median(values):.0f} / {values[int(len(values) * 0.9)]} / {values[-1]}"


def main() -> None:
    """Print the table of the checkout that the first argument names, or of this one."""
    root = Path(sys.argv[1] if sys.argv[1:] else ".").resolve()
    for name, value in figures(root).items():
        print(f"{name:<50} {value}")


if __name__ == "__main__":
    main()
