"""What JSON and the rows of Markdown tables claim, cell by cell, as short sentences. Pure.

A value is claimed of its keys: {"revenue": {"2024": 8400}} says "revenue 2024: 8400". A unit that
an object or a heading states belongs to each of its numbers.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

_REFERENCES: Final = frozenset(
    {"source", "sources", "citation", "citations", "passage", "passages", "page", "pages"}
)
_UNITS: Final = frozenset({"unit", "units", "scale", "currency", "in"})
_FENCE: Final = re.compile(r"^```\w*\s*|\s*```$")
_IN_BRACKETS: Final = re.compile(r"\(([^)]*)\)")
_SCALE: Final = re.compile(
    r"\b(thousand|million|billion|mio|mrd)s?\b|\b(usd|eur|gbp|chf)\b|([$€£])", re.IGNORECASE
)
_NUMBER: Final = re.compile(r"\d")


def of_json(text: str) -> list[str] | None:
    """The claims of JSON; None where it is none, or claims nothing by itself."""
    try:
        value = json.loads(_FENCE.sub("", text.strip()), parse_float=str, parse_int=str)
    except ValueError:
        return None
    found = list(_leaves(value, "", "")) if isinstance(value, dict | list) else []
    return found or None


def _leaves(value: object, path: str, unit: str) -> Iterator[str]:
    if isinstance(value, Mapping):
        stated = " ".join(
            str(held) for key, held in value.items()
            if str(key).casefold() in _UNITS and isinstance(held, str)
        )  # fmt: skip
        for key, held in value.items():
            plain = str(key).casefold()
            if plain not in _REFERENCES and not (plain in _UNITS and isinstance(held, str)):
                words = str(key).replace("_", " ")
                yield from _leaves(held, f"{path} {words}".strip(), stated or unit)
    elif isinstance(value, list):
        for held in value:
            yield from _leaves(held, path, unit)
    elif value is True or value is False:
        yield f"{'Yes' if value else 'No'}, {path}."
    elif value is not None:
        yield _said(path, str(value), unit)


def _said(label: str, value: str, unit: str) -> str:
    if not _NUMBER.search(value) or not unit:
        return f"{label}: {value}"
    words = [found.group() for found in _SCALE.finditer(unit)]
    scale = " ".join(word for word in words if len(word) > 3)
    money = next((word for word in words if len(word) <= 3), "")
    if _SCALE.search(value):
        return f"{label}: {value}"
    return f"{label}: {money}{' ' if len(money) > 1 else ''}{value} {scale}".strip()


def cells_of(row: str) -> list[str]:
    """The cells of a Markdown row."""
    return [cell.strip() for cell in row.strip().strip("|").split("|")]


def of_row(row: str, header: Sequence[str]) -> list[str]:
    """The claims of a row: of each cell with a number under the heading of its column."""
    cells = cells_of(row)
    if len(cells) != len(header) or len(cells) < 2:
        return []
    return [
        _said(f"{cells[0]} {_IN_BRACKETS.sub('', heading).strip()}", cell, " ".join(
            (*_IN_BRACKETS.findall(heading), *_IN_BRACKETS.findall(header[0]))
        ))
        for cell, heading in zip(cells[1:], header[1:], strict=True)
        if cell
    ]  # fmt: skip
