"""`/docs`: the OpenAPI document as one page of HTML that loads nothing."""

import json
import re
from collections.abc import Iterable, Mapping
from html import escape
from typing import Any

_STYLE = """
body{font:15px/1.5 system-ui,sans-serif;max-width:62rem;margin:2rem auto;padding:0 1rem}
body{color:#1c2430}
h1{font-size:1.6rem}h2{font-size:1.2rem;margin:2rem 0 0}h3{font-size:1rem;margin:1rem 0 .2rem}
nav a{margin-right:1rem}p{margin:.3rem 0}
details{border:1px solid #d5dbe3;border-radius:6px;margin:.4rem 0;padding:.4rem .8rem}
details details{border:0;padding:0}
summary{cursor:pointer}code,pre{font:13px/1.45 ui-monospace,monospace}
pre{background:#f4f6f9;padding:.6rem;overflow:auto;max-height:24rem;border-radius:4px}
.m{display:inline-block;width:4.5rem;font-weight:700}
.get{color:#0b6b3a}.post{color:#0a4f9e}.delete{color:#a3161d}
table{border-collapse:collapse}td{padding:.1rem .8rem .1rem 0;vertical-align:top}
@media(prefers-color-scheme:dark){body{background:#12161c;color:#dfe5ec}pre{background:#1b222b}
details{border-color:#333d49}.get{color:#56c98a}.post{color:#7ab4ff}.delete{color:#ff8a8f}
a{color:#7ab4ff}}
"""


def docs_page(document: Mapping[str, Any]) -> str:
    """The page for `document`: its operations by tag, then its schemas."""
    info, tags = document["info"], document["tags"]
    by_tag: dict[str, list[str]] = {tag["name"]: [] for tag in tags}
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            schemas = document["components"]["schemas"]
            by_tag[operation["tags"][0]].append(_operation(path, method, operation, schemas))
    links = "".join(f"<a href='#{escape(name)}'>{escape(name)}</a>" for name in by_tag)
    groups = "".join(
        f"<h2 id='{escape(tag['name'])}'>{escape(tag['name'])}</h2>"
        f"<p>{escape(tag['description'])}</p>{''.join(by_tag[tag['name']])}"
        for tag in tags
    )
    components = "".join(
        f"<details id='schema-{escape(name)}'><summary><code>{escape(name)}</code></summary>"
        f"{_schema(schema)}</details>"
        for name, schema in sorted(document["components"]["schemas"].items())
    )
    return (
        "<!doctype html><html lang='en'><head><meta charset='utf-8'>"
        "<meta name='viewport' content='width=device-width,initial-scale=1'>"
        f"<title>{escape(info['title'])} API</title><style>{_STYLE}</style></head><body>"
        f"<h1>{escape(info['title'])} {escape(info['version'])}</h1>"
        f"<p>{escape(info['description'])} "
        "Machine-readable: <a href='/openapi.json'>/openapi.json</a></p>"
        f"<nav>{links}<a href='#schemas'>schemas</a></nav>"
        f"{groups}<h2 id='schemas'>schemas</h2>{components}</body></html>"
    )


def _operation(
    path: str, method: str, operation: Mapping[str, Any], schemas: Mapping[str, Any]
) -> str:
    parameters = _table(
        (
            f"<code>{escape(parameter['name'])}</code>",
            f"{parameter['in']}, {_type(parameter['schema'])}",
            _prose(parameter.get("description", "")),
            _code(parameter["example"]) if "example" in parameter else "",
        )
        for parameter in operation["parameters"]
    )
    request = "".join(
        f"<h3>Request: {escape(kind)}</h3>"
        f"{_body({**content, 'schema': _resolved(content['schema'], schemas)})}"
        for kind, content in operation.get("requestBody", {}).get("content", {}).items()
    )
    problems, answers = [], []
    for status, response in sorted(operation["responses"].items()):
        content = response.get("content", {})
        about = _prose(response["description"])
        if set(content) == {"application/problem+json"}:
            problems.append((status, about))
            continue
        answers.append(f"<h3>{status}: {about}</h3>")
        answers += [
            f"<p>{escape(kind)}</p>{_body(body)}"
            for kind, body in content.items()
            if kind != "application/problem+json"
        ]
    return (
        f"<details><summary><span class='m {method}'>{method.upper()}</span>"
        f"<code>{escape(path)}</code> {_prose(operation['summary'])}</summary>"
        f"{parameters}{request}{''.join(answers)}"
        f"<h3>Problems: {_type({'$ref': '/ProblemBody'})}</h3>{_table(problems)}</details>"
    )


def _resolved(schema: Mapping[str, Any], schemas: Mapping[str, Any]) -> Mapping[str, Any]:
    resolved: Mapping[str, Any] = schemas.get(schema.get("$ref", "").rpartition("/")[2], schema)
    return resolved


def _body(content: Mapping[str, Any]) -> str:
    """The schema of a body, folded, and its example."""
    example = f"<pre>{_text(content['example'])}</pre>" if "example" in content else ""
    return f"{_schema(content['schema'])}{example}"


def _schema(schema: Mapping[str, Any]) -> str:
    """The fields of an object, the events of a stream, or the name of the type."""
    about = f"<p>{_prose(schema['description'])}</p>" if "description" in schema else ""
    if "contentSchema" in schema:
        return about + _table(_events(schema["contentSchema"]["oneOf"]))
    if not schema.get("properties"):
        return f"{about}<p>{_type(schema)}</p>"
    required = schema.get("required", ())
    rows = (
        (
            f"<code>{escape(name)}</code>",
            _type(each) + ("" if name in required else ", optional"),
            _prose(each.get("description", "")),
        )
        for name, each in schema["properties"].items()
    )
    return about + _table(rows)


def _events(kinds: list[Mapping[str, Any]]) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    for kind in kinds:
        name, data = kind["properties"].values()
        rows.append((f"event <code>{escape(name['const'])}</code>", _type(data)))
    return rows


def _type(schema: Mapping[str, Any]) -> str:
    """A type in a few words, each schema a link to its fields."""
    if "$ref" in schema:
        name = escape(schema["$ref"].rpartition("/")[2])
        return f"<a href='#schema-{name}'>{name}</a>"
    alternatives = schema.get("anyOf") or schema.get("oneOf")
    if alternatives:
        return " or ".join(_type(each) for each in alternatives)
    if "enum" in schema or "const" in schema:
        values = schema.get("enum", [schema.get("const")])
        return " or ".join(_code(value) for value in values)
    kind = schema.get("type", "any value")
    if kind == "array":
        return f"list of {_type(schema.get('items', {}))}"
    if kind == "object" and isinstance(schema.get("additionalProperties"), Mapping):
        return f"object of {_type(schema['additionalProperties'])}"
    return escape(" or ".join(kind) if isinstance(kind, list) else kind)


def _table(rows: Iterable[tuple[str, ...]]) -> str:
    cells = ("".join(f"<td>{cell}</td>" for cell in row) for row in rows)
    body = "".join(f"<tr>{row}</tr>" for row in cells)
    return f"<table>{body}</table>" if body else ""


def _code(value: object) -> str:
    return f"<code>{_text(value)}</code>"


def _prose(text: str) -> str:
    """Text whose `names` are set as code."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text))


def _text(value: object) -> str:
    if isinstance(value, str):
        return escape(value)
    return escape(json.dumps(value, indent=2, ensure_ascii=False))
