"""Every stable word the service tells, read out of its own sources; for the reference pages.

Codes of errors and jobs, reasons of degradation and unavailability, problems of pages. A word is
followed through constants, choices, local names and the parameters it is handed to. What cannot be
followed is listed in `Vocabulary.unfollowed`, and a test holds that list to what only hands on.
"""

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import foliotrace
import foliotrace_server
from foliotrace.adapters.local.readers.parser import HINTS
from foliotrace.adapters.local.sqlite.database import CAUSES
from foliotrace_server.host.upstream_errors import TOLD
from foliotrace_server.word_notes import NOTES

_WORDS: Final = ("code", "reason", "problem")
_ROOT: Final = "FoliotraceError"
_HANDED_ON: Final = (*_WORDS, "error_code", "status", "problem_detail")
_STORED: Final = ("row", "value", "reasons")  # what was told before is read from them
_OTHER_MEANINGS: Final = {
    "is_date_format",
    "_number",
    "Versions",
    "_finished",
    "status_of_code",
    "ServerProblem",
}
_PAGES: Final = ("ParsedPage", "replace", "_failed")
_INSIDE: Final = ("Refusal",)  # becomes a FileRefused outside the parser's process


@dataclass(slots=True)
class Told:
    """Where a word comes from: classes of errors, their messages and hints (fixed texts alone)."""

    kinds: set[str] = field(default_factory=set)
    messages: set[str] = field(default_factory=set)
    hints: set[str] = field(default_factory=set)


@dataclass(slots=True)
class Vocabulary:
    """All words, by kind."""

    codes: dict[str, Told] = field(default_factory=dict)
    reasons: dict[str, Told] = field(default_factory=dict)
    page_problems: dict[str, Told] = field(default_factory=dict)
    raising: set[str] = field(default_factory=set)  # modules that define errors of ours
    unfollowed: list[str] = field(default_factory=list)  # file, function called, expression


def vocabulary() -> Vocabulary:
    """The words of both packages."""
    found = Vocabulary()
    sources = _Sources.read()
    for source in sources.modules:
        _Reading(source, sources, found).run()
    for code, hint in HINTS.items():
        told = found.codes.setdefault(code, Told())
        told.kinds.add("UnsupportedFile" if code == "file_type_unsupported" else "FileRefused")
        told.hints = {hint}
    for mark, reason, hint in CAUSES:
        told = found.reasons.setdefault(reason, Told())
        told.kinds.add("LibraryUnavailable")
        told.messages.add(f"The library failed: {mark}.")
        told.hints.add(hint)
    for code, title in TOLD.values():
        found.codes.setdefault(code, Told()).messages.add(title)
    lost = [word for word, told in found.reasons.items() if told.kinds == {"WorkerLost"}]
    told = found.page_problems.pop("parse_<reason>")
    found.page_problems |= {f"parse_{reason}": told for reason in lost}
    for word, note in NOTES.items():
        (found.codes.get(word) or found.reasons[word]).messages.add(note)
    return found


@dataclass(frozen=True, slots=True)
class _Module:
    name: str
    tree: ast.Module


@dataclass(frozen=True, slots=True)
class _Sources:
    """All modules, with what calls and names in them mean."""

    modules: tuple[_Module, ...]
    constants: Mapping[str, frozenset[str]]
    kinds: frozenset[str]  # names of the classes of our errors
    places: Mapping[tuple[str, str], Mapping[int, str]]  # (module or "", callable) -> word by place

    @classmethod
    def read(cls) -> "_Sources":
        modules = tuple(
            _Module(file.relative_to(folder.parent).as_posix(), ast.parse(file.read_text("utf-8")))
            for folder in (
                Path(str(each.__file__)).parent for each in (foliotrace, foliotrace_server)
            )
            for file in sorted(folder.rglob("*.py"))
        )
        return cls(modules, _constants(modules), _kinds(modules), _places(modules))


def _constants(modules: tuple[_Module, ...]) -> dict[str, frozenset[str]]:
    found: dict[str, frozenset[str]] = {}
    for module in modules:
        for node in module.tree.body:
            targets = node.targets if isinstance(node, ast.Assign) else []
            targets = [node.target] if isinstance(node, ast.AnnAssign) else targets
            value = getattr(node, "value", None)
            if isinstance(value, ast.Constant) and isinstance(value.value, str):
                for target in targets:
                    if isinstance(target, ast.Name):
                        known = found.get(target.id, frozenset())
                        found[target.id] = known | {value.value}
    return found


def _kinds(modules: tuple[_Module, ...]) -> frozenset[str]:
    bases = {
        node.name: {base.id for base in node.bases if isinstance(base, ast.Name)}
        for module in modules
        for node in ast.walk(module.tree)
        if isinstance(node, ast.ClassDef)
    }
    kinds = {_ROOT}
    while more := {name for name, above in bases.items() if above & kinds} - kinds:
        kinds |= more
    return frozenset(kinds)


def _places(modules: tuple[_Module, ...]) -> dict[tuple[str, str], dict[int, str]]:
    """Where words are parameters. A name that is defined twice counts in its own module only."""
    defined: dict[str, list[tuple[str, dict[int, str]]]] = {}
    for module in modules:
        for name, function in _functions(module.tree):
            names = [each.arg for each in (*function.args.posonlyargs, *function.args.args)]
            names = names[1:] if names[:1] in (["self"], ["cls"]) else names
            words = {place: each for place, each in enumerate(names) if each in _WORDS}
            defined.setdefault(name, []).append((module.name, words))
    found: dict[tuple[str, str], dict[int, str]] = {}
    for name, definitions in defined.items():
        for place, words in definitions:
            if words and name not in _OTHER_MEANINGS:
                found[place if len(definitions) > 1 or name.startswith("_") else "", name] = words
    return found


def _functions(tree: ast.Module) -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    """Every function under the name it is called by: a class's `__init__` under the class's."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            for each in node.body:
                if isinstance(each, ast.FunctionDef) and each.name == "__init__":
                    yield node.name, each
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and node.name != "__init__":
            yield node.name, node


class _Reading:
    """Reads one module's calls."""

    def __init__(self, module: _Module, sources: _Sources, found: Vocabulary) -> None:
        self._module, self._sources, self._found = module, sources, found

    def run(self) -> None:
        tree = self._module.tree
        for _, function in _functions(tree):
            for node in ast.walk(function):
                if isinstance(node, ast.Call):
                    self._call(node, function)
                elif isinstance(node, ast.Assign):
                    self._assigned(node, function)
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef) and node.name in self._sources.kinds:
                self._own_code(node)

    def _assigned(self, node: ast.Assign, within: ast.AST) -> None:
        """`handler.error = WORD` and `reasons = (WORD,)`."""
        target = node.targets[0]
        if isinstance(target, ast.Attribute) and target.attr in ("error", "problem"):
            for word in self._words(node.value, within) or ():
                self._found.codes.setdefault(word, Told())
        elif isinstance(target, ast.Name) and target.id == "reasons":
            for each in node.value.elts if isinstance(node.value, ast.Tuple) else ():
                for word in self._words(each, within) or ():
                    self._found.reasons.setdefault(word, Told())

    def _own_code(self, kind: ast.ClassDef) -> None:
        self._found.raising.add(self._module.name.removesuffix(".py").replace("/", "."))
        for node in kind.body:
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "code":
                for word in self._words(node.value, kind) or ():
                    told = self._found.codes.setdefault(word, Told())
                    told.kinds.add(kind.name)

    def _call(self, call: ast.Call, within: ast.AST) -> None:
        name = _called(call)
        if name in _OTHER_MEANINGS:
            return
        places = self._sources.places.get((self._module.name, name)) or self._sources.places.get(
            ("", name), {}
        )
        given = [(word, call.args[at]) for at, word in places.items() if at < len(call.args)]
        given += [(k.arg, k.value) for k in call.keywords if k.arg in _WORDS]
        if name == "append" and ast.unparse(call.func) == "reasons.append":
            given.append(("reason", call.args[0]))
        for keyword in call.keywords:
            if keyword.arg == "reasons" and isinstance(keyword.value, ast.Tuple):
                elements = keyword.value.elts
                given += [("reason", e) for e in elements if not isinstance(e, ast.Starred)]
        for word, value in given:
            self._note(word, value, call, within)

    def _note(self, word: str, value: ast.expr, call: ast.Call, within: ast.AST) -> None:
        words = self._words(value, within)
        if words is None:
            self._found.unfollowed.append(
                f"{self._module.name}: {_called(call)}({ast.unparse(value)})"
            )
            return
        name = _called(call)
        kept = {"code": self._found.codes, "reason": self._found.reasons}.get(word)
        if kept is None:
            of_page = name in _PAGES and "/adapters/" in self._module.name
            kept = self._found.page_problems if of_page else self._found.codes
        for each in words:
            told = kept.setdefault(each, Told())
            if name in self._sources.kinds and name not in _INSIDE:
                told.kinds.add(name)
                said = [each for each in call.args[:1] if each is not value]
                told.messages |= {text for text in map(_text, said) if text}
                hints = [k.value for k in call.keywords if k.arg == "hint"]
                told.hints |= {text for text in map(_text, hints) if text}

    def _words(self, value: ast.expr, within: ast.AST) -> frozenset[str] | None:
        """What the expression can be; nothing for what only hands on; None if not followed."""
        match value:
            case ast.Constant(value=str(word)):
                return frozenset({word})
            case ast.Constant(value=None):
                return frozenset()
            case ast.JoinedStr():
                return frozenset({_text(value) or ""})
            case ast.IfExp(body=one, orelse=other):
                return self._union((one, other), within)
            case ast.BoolOp(values=several):
                return self._union(tuple(several), within)
            case ast.Attribute(attr=attribute) if attribute in _HANDED_ON:
                return frozenset()
            case ast.Subscript(value=ast.Name(id=name)) if name in _STORED:
                return frozenset()
            case ast.Attribute(value=ast.Name(id="CloudProblem")):
                return frozenset()  # `llamacloud_<problem>`
            case ast.Name(id=name):
                return self._named(name, within)
        return None

    def _union(self, values: tuple[ast.expr, ...], within: ast.AST) -> frozenset[str] | None:
        found = [self._words(each, within) for each in values]
        known = [each for each in found if each is not None]
        return frozenset().union(*known) if len(known) == len(found) else None

    def _named(self, name: str, within: ast.AST) -> frozenset[str] | None:
        if name in self._sources.constants:
            return self._sources.constants[name]
        if isinstance(within, (ast.FunctionDef, ast.AsyncFunctionDef)):
            arguments = within.args
            parameters = (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)
            if name in _WORDS and name in {each.arg for each in parameters}:
                return frozenset()  # followed where the function is called
            assigned = tuple(
                node.value
                for node in ast.walk(within)
                if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == name
            )
            return self._union(assigned, within) if assigned else None
        return None


def _called(call: ast.Call) -> str:
    return call.func.id if isinstance(call.func, ast.Name) else getattr(call.func, "attr", "")


def _text(value: ast.expr) -> str | None:
    """A fixed text; what varies in it in angle brackets."""
    if isinstance(value, ast.Constant):
        return value.value if isinstance(value.value, str) else None
    if not isinstance(value, ast.JoinedStr):
        return None
    parts = []
    for part in value.values:
        if isinstance(part, ast.FormattedValue):
            path = ast.unparse(part.value).removesuffix(".value")
            name = path.rpartition(".")[2].strip("_").lower()
            parts.append(f"<{name}>" if name.isidentifier() else "<...>")
        else:
            parts.append(_text(part) or "")
    return "".join(parts)
