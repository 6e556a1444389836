"""Generates docs/reference/lexicon.md: the shipped lexicon, and what each entry changes.

The questions are those of FinanceBench's development set, by id, from bench/results/retrieval.json.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from foliotrace.lexicon import load_lexicon

RECORD = Path("bench/results/retrieval.json")
_Effect = Mapping[str, Mapping[str, Sequence[str]]]

_INTRODUCTION = """# Lexicon

Documents call things otherwise than questions do. A lexicon says how: TOML files, one for each
field of knowledge. The shipped ones are
[questions.toml](../../workflows/foliotrace/lexicon/questions.toml),
[generic.toml](../../workflows/foliotrace/lexicon/generic.toml),
[everyday.toml](../../workflows/foliotrace/lexicon/everyday.toml),
[finance.toml](../../workflows/foliotrace/lexicon/finance.toml) and
[chemistry.toml](../../workflows/foliotrace/lexicon/chemistry.toml). Put your own into a folder
and name
it in `FOLIOTRACE_QUERY__LEXICON`; a file called like a shipped one replaces it, so an empty
`finance.toml` takes finance out. A lexicon works at the next start, on what is indexed already.

```toml
[[synonyms]]                  # mean exactly the same; the semantic cache reads these too
words = ["PTO", "paid leave"]

[[metric]]                    # what people ask for, and what documents write
ask = ["notice period"]
items = ["terminated by giving notice", "months written notice"]
pages = ["tariff sheet"]      # optional: kinds of page that print it, preferred by a third

[[page]]                      # a kind of page, known by its titles
name = "tariff sheet"
ask = ["tariff sheet"]
titles = ["schedule of charges"]
tabular = true                # and by many figures

[[row]]                       # rows of tables that state just what is asked for
ask = ["rent"]
labels = ["monthly rent", "rent payable"]
pages = ["tariff sheet"]      # optional: where the row stands
magnitude = true              # optional: a minus before its value says nothing (costs)
reversed_by = ["(credit)"]    # optional: with this in its label, a minus stands for a plus
percent = true                # optional: its values are percentages

[[formula]]                   # a figure computed from rows or other formulas
ask = ["rent per area"]
formula = "rent / (average area + change in area)"
unit = "ratio"                # or money, percent, times, days

[cells]                       # optional: words for choosing a cell of a table
asking = ["amount", "value"]  # ask for a value without naming it
fillers = ["total", "net"]    # words of labels that need not be asked for
series = ["over time"]        # ask for the values of all periods
numeric = ["how much"]        # ask for a number
percent = ["percentage"]      # ask for a percentage
neutral = ["total", "net"]    # fillers that do not make a row another figure
deriving = ["growth"]         # say what to compute, not of what
qualifiers = ["net gross"]    # families of words that make a measure another one: "net debt"
optional_qualifiers = ["total"] # those that a row without any word of the family may leave out

[[parts]]                     # what parts of a whole are called: shares, "which is the highest"
ask = ["district"]
titles = ["rent by district"] # words above a table of such parts
labels = ["Old Town"]         # optional: rows that are such parts, whatever stands above them
```

A `metric` may list what a ratio is computed from; a `row` may not, because its cell is the answer.
In a formula, `average X` is of the asked year and the one before, `change in X` the difference.

`instructions` are phrases that say how to answer; their sentences are not searched for. `generic`
are words that many questions have, whatever they are about; they count for a fifth in a search.
Phrases
match in any case and ending. Name no company in `items`: it would raise that company's documents
for everybody's questions.

The columns "more" and "fewer" list questions of FinanceBench's development set that find more or
fewer of their gold pages with the entry than without it (`python -m bench.retrieval`)."""


def page() -> str:
    """The whole page, in Markdown."""
    record = json.loads(RECORD.read_text())["figures"]["financebench-dev"].get("lexicon", {})
    unmeasured = [] if record else ["", "The record that is committed does not have them yet."]
    return "\n".join([_INTRODUCTION, *unmeasured, "", *_tables(record), ""])


def _tables(effect: _Effect) -> Iterator[str]:
    lexicon = load_lexicon()
    yield from ("## Metrics", "", "| asked | searched for as well | pages | more | fewer |")
    yield "|---|---|---|---|---|"
    for metric in lexicon.metric:
        cells = (", ".join(metric.ask), ", ".join(metric.items), ", ".join(metric.pages))
        yield _row(*cells, *_changed(effect, f"metric: {metric.ask[0]}"))
    yield from ("", "## Formulas", "", "| asked | formula | unit |", "|---|---|---|")
    for entry in lexicon.formula:
        yield _row(", ".join(entry.ask), f"`{entry.formula}`", entry.unit)
    yield from ("", "## Kinds of page", "", "| name | asked | titles | more | fewer |")
    yield "|---|---|---|---|---|"
    for kind in lexicon.page:
        cells = (kind.name, ", ".join(kind.ask), ", ".join(kind.titles))
        yield _row(*cells, *_changed(effect, f"page: {kind.name}"))
    yield from ("", "## Instructions", "", "| phrase | more | fewer |", "|---|---|---|")
    for phrase in lexicon.instructions:
        yield _row(phrase, *_changed(effect, f"instructions: {phrase}"))


def _changed(effect: _Effect, entry: str) -> tuple[str, str]:
    found = effect.get(entry, {})
    more, fewer = (
        ", ".join(id.removeprefix("financebench_id_") for id in found.get(way, ())) or "-"
        for way in ("gains", "loses")
    )
    return more, fewer


def _row(*cells: str) -> str:
    return "| " + " | ".join(cell or "-" for cell in cells) + " |"
