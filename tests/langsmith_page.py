"""Renders what `tests.langsmith_view` understood as pages: run list, tree with a run, thread."""

import html
import json
from collections.abc import Iterable, Sequence
from typing import Any, Final

from tests.langsmith_view import Run, short

_LONGEST: Final = 420
_STYLE: Final = """
body{font:14px/1.45 sans-serif;margin:0;color:#1c2430;background:#fff}
header{padding:10px 16px;border-bottom:1px solid #d8dee6;background:#f5f7fa}
header b{font-size:16px} header span{color:#5b6778;margin-left:10px}
table{border-collapse:collapse;width:100%} td,th{padding:6px 10px;text-align:left;
vertical-align:top;
border-bottom:1px solid #e6eaf0}
th{color:#5b6778;font-weight:600} .no{color:#b3261e} .yes{color:#1a7f4b}
.two{display:flex} .tree{width:44%;border-right:1px solid #d8dee6;padding:8px}
.run{flex:1;padding:10px 16px}
.row{padding:3px 6px;white-space:nowrap} .on{background:#e3edff;border-radius:4px}
.kind{display:inline-block;font-size:11px;padding:0 6px;border-radius:8px;
background:#e6eaf0;margin-right:6px}
.llm{background:#dff3e4}.retriever{background:#fdeccf}.tool{background:#efe1fb}.agent{background:#d9ecff}
.ms{color:#5b6778;float:right} h3{margin:10px 0 4px;font-size:13px;color:#5b6778}
pre{background:#f5f7fa;padding:8px;margin:0;white-space:pre-wrap;
word-break:break-word;font-size:12px}
.tag{background:#e3edff;border-radius:8px;padding:0 7px;margin-right:4px;font-size:12px}
.q{margin:14px 16px 4px 20%;background:#e3edff;padding:8px 12px;border-radius:8px}
.a{margin:4px 20% 14px 16px;background:#f5f7fa;padding:8px 12px;border-radius:8px}
"""


def page(title: str, about: str, body: str) -> str:
    """A whole page; `body` is HTML."""
    head = f"<header><b>{_text(title)}</b><span>{_text(about)}</span></header>"
    return f'<!doctype html><meta charset="utf-8"><style>{_STYLE}</style>{head}{body}'


def run_table(roots: Iterable[Run]) -> str:
    """The list of runs: status, name, input, output, error, tags, tokens, time."""
    heads = ("", "Name", "Input", "Output", "Error", "Tags", "Tokens", "Latency")
    rows = [f"<tr>{''.join(f'<th>{head}</th>' for head in heads)}</tr>"]
    for root in roots:
        cells = (
            _mark(root), _text(root.name), _text(short(root.inputs)), _text(short(root.outputs)),
            f'<span class="no">{_text(root.error or "")}</span>', _tags(root),
            str(root.total_tokens or ""), _latency(root),
        )  # fmt: skip
        rows.append(f"<tr>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>")
    return f"<table>{''.join(rows)}</table>"


def tree_with(root: Run, chosen: Run) -> str:
    """The tree of a trace, and one of its runs opened beside it."""
    return (
        f'<div class="two"><div class="tree">{"".join(_rows(root, chosen, 0))}</div>'
        f'<div class="run">{_opened(chosen)}</div></div>'
    )


def thread(turns: Sequence[tuple[str, str]]) -> str:
    """The turns of a thread."""
    return "".join(
        f'<div class="q">{_text(asked)}</div><div class="a">{_text(answered)}</div>'
        for asked, answered in turns
    )


def _rows(run: Run, chosen: Run, depth: int) -> Iterable[str]:
    on = " on" if run is chosen else ""
    name = f'<span class="no">{_text(run.name)}</span>' if run.error else _text(run.name)
    yield (
        f'<div class="row{on}" style="margin-left:{depth * 18}px">'
        f'<span class="kind {run.run_type}">{_text(run.run_type)}</span>{name}'
        f'<span class="ms">{_latency(run)}</span></div>'
    )
    for child in run.children:
        yield from _rows(child, chosen, depth + 1)


def _opened(run: Run) -> str:
    parts = [f"<b>{_text(run.name)}</b> {_tags(run)}"]
    if run.error:
        parts.append(f'<h3>Error</h3><pre class="no">{_text(run.error)}</pre>')
    parts += [_field("Input", run.inputs), _field("Output", run.outputs)]
    parts += [_field(f"Document {n}", document) for n, document in enumerate(run.documents[:2], 1)]
    for name, value in (
        ("Parameters", run.invocation), ("Tokens", run.usage), ("Metadata", run.metadata),
    ):  # fmt: skip
        if value:
            parts.append(_field(name, value))
    return "".join(parts)


def _field(name: str, value: Any) -> str:
    if value is None:
        return f"<h3>{name}</h3><pre>(empty)</pre>"
    text = json.dumps(value, indent=1, ensure_ascii=False)
    return f"<h3>{name}</h3><pre>{_text(text[:_LONGEST])}{'…' if text[_LONGEST:] else ''}</pre>"


def _tags(run: Run) -> str:
    return "".join(f'<span class="tag">{_text(tag)}</span>' for tag in run.tags)


def _mark(run: Run) -> str:
    return '<span class="no">✗</span>' if run.error else '<span class="yes">✓</span>'


def _latency(run: Run) -> str:
    return f"{(run.end_ns - run.start_ns) / 1e6:.0f} ms"


def _text(text: str) -> str:
    return html.escape(text)
