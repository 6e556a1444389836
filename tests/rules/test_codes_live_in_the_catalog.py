"""Error codes, reasons and page problems are declared in the catalogue and written nowhere else."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from foliotrace.catalog import ErrorCode, PageProblem, Reason, ReasonFamily

ROOT = Path(__file__).parents[2]
PRODUCT = ("workflows/foliotrace", "instrumentation", "deploy/foliotrace_server")
CATALOGUES = (
    "workflows/foliotrace/catalog/",
    # the observers can be used without foliotrace: each has a small tree of errors of its own
    "instrumentation/foliotrace_otel/setup/environment.py",
    "instrumentation/foliotrace_audit/errors.py",
)
NAMES = {"code", "error_code", "reason", "reasons", "problem"}
WORDS = {word for word in (*ErrorCode, *Reason, *PageProblem) if "_" in word}


def literals(source: str) -> Iterator[int]:
    """The lines that write a code, a reason or a page problem as a text."""
    tree = ast.parse(source)
    skipped = {id(each) for node in ast.walk(tree) for each in _not_codes(node)}
    for node in ast.walk(tree):
        match node:
            case ast.keyword(arg=str(name), value=value) if name in NAMES and _has_text(value):
                yield value.lineno
            case ast.Assign(targets=[target], value=value) if _named(target) and _has_text(value):
                yield node.lineno
            case ast.Compare(left=left, ops=[ast.In() | ast.NotIn()], comparators=[others]):
                if _named(left) and _has_text(others):
                    yield node.lineno
            case ast.Compare(left=left, comparators=[other]):
                if (_named(left) and _has_text(other)) or (_named(other) and _has_text(left)):
                    yield node.lineno
            case ast.Constant(value=str(word)) if word in WORDS and id(node) not in skipped:
                yield node.lineno


def _not_codes(node: ast.AST) -> Iterator[ast.AST]:
    """Members of enums and names of fields, which may be spelled like a code."""
    if isinstance(node, ast.Dict):
        yield from (key for key in node.keys if key is not None)
    if isinstance(node, ast.ClassDef) and any("Enum" in ast.unparse(b) for b in node.bases):
        for each in node.body:
            if isinstance(each, ast.Assign):
                yield from ast.walk(each.value)


def _named(node: ast.expr) -> bool:
    name = node.id if isinstance(node, ast.Name) else getattr(node, "attr", None)
    return name in NAMES


def _is_text(node: ast.expr) -> bool:
    return isinstance(node, ast.JoinedStr) or (
        isinstance(node, ast.Constant) and isinstance(node.value, str)
    )


def _has_text(node: ast.expr) -> bool:
    """Whether a value is a text, a choice between texts, or a tuple or list of them."""
    match node:
        case ast.IfExp(body=one, orelse=other):
            return _has_text(one) or _has_text(other)
        case ast.BoolOp(values=values):
            return any(map(_has_text, values))
        case ast.Tuple(elts=values) | ast.List(elts=values) | ast.Set(elts=values):
            return any(map(_has_text, values))
        case ast.Call(args=[ast.GeneratorExp(elt=value)]):
            return _has_text(value)
    return _is_text(node)


def test_no_code_reason_or_page_problem_is_a_literal_outside_the_catalogue() -> None:
    found = []
    for folder in PRODUCT:
        for file in sorted((ROOT / folder).rglob("*.py")):
            name = file.relative_to(ROOT).as_posix()
            if not name.startswith(CATALOGUES):
                found += [f"{name}:{line}" for line in literals(file.read_text("utf-8"))]
    assert found == []


@pytest.mark.parametrize(
    "planted",
    [
        'raise NotFound("There is no such job.", code="job_lost")',
        'raise Unavailable("It failed.", reason=f"{name}_lost")',
        'mark = Degradation(level=2, reasons=("something_lost",))',
        'mark = Degradation(level=2, reasons=tuple(f"llm_{n}_lost" for n in places))',
        'page = replace(page, problem="ocr_lost" if ocr else None)',
        'if error.error_code == "job_lost":\n    pass',
        'if error.reason in ("lost", "found"):\n    pass',
        'class Lost(FoliotraceError):\n    code = "lost"',
        'handler.error = "job_cancelled"',
        'reasons.append("pages_missing")',
    ],
)
def test_a_planted_literal_is_found(planted: str) -> None:
    assert list(literals(planted))


def test_no_two_entries_share_a_value() -> None:
    values = [*ErrorCode, *Reason, *(family.pattern for family in ReasonFamily)]
    assert len(values) == len(set(map(str, values)))


def test_every_entry_says_what_happened_in_a_sentence() -> None:
    entries = [*ErrorCode, *Reason, *PageProblem]
    silent = [e for e in entries if len(e.message.split()) < 3 or not e.message.endswith(".")]
    assert silent == []


def test_a_family_makes_a_reason_of_its_names() -> None:
    assert ReasonFamily.BREAKER_OPEN.of("llm_1") == "llm_1_breaker_open"
    assert ReasonFamily.METHOD_FAILED.of("cloud", Reason.LLAMACLOUD_EMPTY) == (
        "cloud_llamacloud_empty"
    )
    with pytest.raises(ValueError, match="zip"):
        ReasonFamily.METHOD_FAILED.of("cloud")
