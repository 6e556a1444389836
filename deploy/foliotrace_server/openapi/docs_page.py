"""`/docs`: the OpenAPI document as one page of HTML that loads nothing."""

import json
from collections.abc import Mapping
from html import escape
from typing import Any

_METHODS = ("get", "post", "put", "delete")
_STYLE = """
body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}
body{color:#1c2430}
h1{font-size:1.6rem}h2{font-size:1.2rem;margin-top:2rem}
details{border:1px solid #d5dbe3;border-radius:6px;margin:.4rem 0;padding:.4rem .8rem}
summary{cursor:pointer}code,pre{font:13px/1.45 ui-monospace,monospace}
pre{background:#f4f6f9;padding:.6rem;overflow:auto;border-radius:4px}
.m{display:inline-block;width:4.5rem;font-weight:700}
.get{color:#0b6b3a}.post{color:#0a4f9e}.delete{color:#a3161d}
table{border-collapse:collapse}td{padding:.1rem .8rem .1rem 0;vertical-align:top}
@media(prefers-color-scheme:dark){body{background:#12161c;color:#dfe5ec}pre{background:#1b222b}
details{border-color:#333d49}.get{color:#56c98a}.post{color:#7ab4ff}.delete{color:#ff8a8f}}
"""


def docs_page(document: Mapping[str, Any]) -> str:
    """The page for `document`."""
    info = document["info"]
    groups: dict[str, list[str]] = {"REST API": [], "llama-agents protocol": []}
    for path, item in document["paths"].items():
        for method in _METHODS:
            if method in item:
                group = "llama-agents protocol" if item[method].get("tags") else "REST API"
                groups[group].append(_operation(path, method, item))
    parts = "".join(f"<h2>{escape(name)}</h2>{''.join(shown)}" for name, shown in groups.items())
    schemas = "".join(
        f"<details id='{escape(name)}'><summary><code>{escape(name)}</code></summary>"
        f"<pre>{_pretty(schema)}</pre></details>"
        for name, schema in sorted(document["components"]["schemas"].items())
    )
    return (
        "<!doctype html><html lang='en'><head><meta charset='utf-8'>"
        "<meta name='viewport' content='width=device-width,initial-scale=1'>"
        f"<title>{escape(info['title'])} API</title><style>{_STYLE}</style></head><body>"
        f"<h1>{escape(info['title'])} {escape(info['version'])}</h1>"
        f"<p>{escape(info['description'])}</p>"
        "<p>Machine-readable: <a href='/openapi.json'>/openapi.json</a></p>"
        f"{parts}<h2>Schemas</h2>{schemas}</body></html>"
    )


def _operation(path: str, method: str, item: Mapping[str, Any]) -> str:
    operation = item[method]
    parameters = [*item.get("parameters", ()), *operation.get("parameters", ())]
    rows = "".join(
        f"<tr><td><code>{escape(p['name'])}</code></td><td>{escape(p['in'])}</td>"
        f"<td>{escape(p.get('description', ''))}</td></tr>"
        for p in parameters
    )
    body = operation.get("requestBody", {}).get("content", {})
    sent = "".join(
        f"<p>Body: <code>{escape(kind)}</code></p><pre>{_pretty(content['schema'])}</pre>"
        for kind, content in body.items()
    )
    answers = "".join(
        f"<tr><td>{escape(status)}</td><td>{escape(answer['description'])}</td>"
        f"<td>{_schema_link(answer)}</td></tr>"
        for status, answer in sorted(operation["responses"].items())
    )
    return (
        f"<details><summary><span class='m {method}'>{method.upper()}</span>"
        f"<code>{escape(path)}</code> {escape(operation['summary'])}</summary>"
        f"<table>{rows}</table>{sent}<table>{answers}</table></details>"
    )


def _schema_link(answer: Mapping[str, Any]) -> str:
    for content in answer.get("content", {}).values():
        name = content["schema"].get("$ref", "").rpartition("/")[2]
        if name:
            return f"<a href='#{escape(name)}'>{escape(name)}</a>"
    return ""


def _pretty(schema: Mapping[str, Any]) -> str:
    return escape(json.dumps(schema, indent=2))
