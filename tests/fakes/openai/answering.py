"""Answers taken from the prompt: quoted sentences with markers, or a filled schema."""

import json
import re
from dataclasses import dataclass
from typing import Any

from tests.fakes.llamacloud import content, extraction
from tests.fakes.llamacloud.content import Page
from tests.fakes.openai.reading import Prompt, key_terms, marked_sections, sentences
from tests.fakes.wire import Fault

MOST_SENTENCES = 3
MOST_SUMMARISED = 8
SUMMARISE = re.compile(r"\W*(?:please\s+)?summari[sz]e\b", re.I)
LEAST_COVER = 0.34
REFUSAL = "I'm sorry, but I can't help with that."
INVENTED = "According to the board's secret memo, the figure is 987654321"
PAGE_MARK = re.compile(r"^\W*page\s+(\d+)\b.*$", re.I | re.M)
GROUNDED = frozenset({"quote", "page", "source", "citation", "evidence", "passage"})


@dataclass(frozen=True)
class Said:
    """What the model says: text, or a refusal, or JSON for a tool or schema."""

    text: str
    refusal: str | None = None
    finish: str = "stop"


def kinds(behaviours: tuple[Fault, ...]) -> set[str]:
    """The names of the behaviours planned for this request."""
    return {fault.kind for fault in behaviours}


def answer(prompt: Prompt, behaviours: tuple[Fault, ...]) -> Said:
    """The sentences that cover most of the question, each with the marker of its passage."""
    planned = kinds(behaviours)
    if "refusal" in planned:
        return Said(REFUSAL)
    if "content_filter" in planned:
        return Said("", finish="content_filter")
    if "empty_answer" in planned:
        return Said("")
    chosen = _summary(prompt) if SUMMARISE.match(prompt.question) else _best(prompt)
    if not chosen:
        return Said(prompt.if_unanswered)
    numbers = [passage.number for passage in prompt.passages]
    parts = []
    for number, sentence in chosen:
        text = f"{INVENTED} {sentence[-1:]}" if "hallucinated" in planned else sentence
        parts.append(_marked(text, _cited(number, numbers, planned)))
    return Said(" ".join(parts))


def _summary(prompt: Prompt) -> list[tuple[int, str]]:
    """The first whole sentence of each passage, of the first ones."""
    opening = [(p.number, sentences(p.text)[:1]) for p in prompt.passages]
    return [(number, first[0]) for number, first in opening if first][:MOST_SUMMARISED]


def _best(prompt: Prompt) -> list[tuple[int, str]]:
    asked = key_terms(prompt.question)
    if not asked:
        return []
    scored = []
    for order, passage in enumerate(prompt.passages):
        context = len(asked & key_terms(passage.text)) / len(asked)
        for sentence in sentences(passage.text):
            cover = len(asked & key_terms(sentence)) / len(asked)
            if cover >= LEAST_COVER:
                scored.append((cover + 0.1 * context, -order, passage.number, sentence))
    scored.sort(key=lambda entry: entry[:2], reverse=True)
    top = scored[0][0] if scored else 0
    near = [entry for entry in scored if entry[0] >= 0.7 * top]
    return [(number, sentence) for _, _, number, sentence in near[:MOST_SENTENCES]]


def _cited(number: int, numbers: list[int], planned: set[str]) -> int:
    if "no_citations" in planned:
        return 0
    if "wrong_citations" in planned:
        return max(numbers) + 7
    if "unsupported_citations" in planned:
        others = [other for other in numbers if other != number]
        return others[-1] if others else number
    return number


def _marked(sentence: str, number: int) -> str:
    if not number:
        return sentence
    body = sentence.rstrip(".!?")
    end = sentence[len(body) :] or "."
    return f"{body} [{number}]{end}"


def fill(prompt: Prompt, schema: dict[str, Any], behaviours: tuple[Fault, ...]) -> Said:
    """JSON for `schema` from the prompt's text; what is not there is null."""
    planned = kinds(behaviours)
    if "refusal" in planned:
        return Said("", refusal=REFUSAL)
    if "content_filter" in planned:
        return Said("", finish="content_filter")
    if "empty_answer" in planned:
        return Said("")
    defs = schema.get("$defs", {}) | schema.get("definitions", {})
    record = _record(_pages(prompt), schema, defs, invent="hallucinated" in planned)
    text = json.dumps(record)
    return Said(text[: len(text) // 2] if "invalid_json" in planned else text)


def _pages(prompt: Prompt) -> tuple[Page, ...]:
    """One page per numbered passage, else per "Page N" heading, else one."""
    parts = [(p.number, p.text) for p in prompt.passages if p.number]
    parts = parts or marked_sections(PAGE_MARK, prompt.text) or [(1, prompt.text)]
    return tuple(
        Page(number, page.width, page.height, page.lines)
        for number, text in parts
        for page in content.read("prompt.txt", text.encode() or b" ")
    )


def _record(
    pages: tuple[Page, ...], schema: dict[str, Any], defs: dict[str, Any], *, invent: bool
) -> dict[str, Any]:
    record: dict[str, Any] = {}
    for name, declared in schema.get("properties", {}).items():
        field = extraction.resolved(declared, defs)
        properties = field.get("properties", {})
        if "value" in properties and GROUNDED & set(properties):
            record[name] = _grounded(pages, name, field, defs, invent=invent)
        elif properties:
            record[name] = _record(pages, field, defs, invent=invent)
        else:
            record[name] = _plain(pages, name, field, defs, invent=invent)
    return record


def _plain(
    pages: tuple[Page, ...],
    name: str,
    field: dict[str, Any],
    defs: dict[str, Any],
    *,
    invent: bool,
) -> Any:
    options = extraction.Options(cite=False, confidence=False)
    if invent and "array" not in extraction.types_of(field):
        return _invented(field)
    alone = {"type": "object", "properties": {name: field}, "$defs": defs}
    return extraction.extract(pages, alone, options)[0][name]


def _invented(field: dict[str, Any]) -> Any:
    types = extraction.types_of(field)
    if "integer" in types or "number" in types:
        return 987654321
    if "boolean" in types:
        return True
    return field["enum"][0] if field.get("enum") else "Invented Value 42"


def _grounded(
    pages: tuple[Page, ...],
    name: str,
    field: dict[str, Any],
    defs: dict[str, Any],
    *,
    invent: bool,
) -> dict[str, Any]:
    """`{value, quote, page}` objects: the quote is the line that holds the value."""
    value_field = extraction.resolved(field["properties"]["value"], defs)
    found = extraction.find(pages, name, {**extraction.titles(field), **value_field})
    shown: dict[str, Any] = dict.fromkeys(field["properties"])
    if found is None and not invent:
        return shown
    line = ""
    if found is not None:
        line = next(held.text for held in found.page.lines if set(found.words) <= set(held.words))
    shown["value"] = _invented(value_field) if invent else found.value if found else None
    for key in GROUNDED & set(shown):
        number = found.page.number if found else 1
        declared = extraction.types_of(extraction.resolved(field["properties"][key], defs))
        shown[key] = number if {"integer", "number"} & set(declared) else line
    return shown
