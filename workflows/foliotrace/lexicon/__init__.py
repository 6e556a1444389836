"""The lexicon: words of a question, and the words of the documents that answer it, as data.

TOML files, one for each field of knowledge. The shipped ones lie beside this module; the setting
`query.lexicon` names a folder of the user's own files, which replace shipped ones of equal names.
Retrieval and the semantic cache read the same lexicon through `load_lexicon`: retrieval searches
for the line items and page kinds of a metric and weighs instructions out, the cache takes
`Lexicon.synonyms` (groups whose words mean exactly the same) and nothing else.
"""

import tomllib
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from foliotrace.errors import Misconfigured
from foliotrace.lexicon.formulas import parsed

SHIPPED: Final = Path(__file__).parent
_Phrases = tuple[str, ...]


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class PageKindTerms(_Entry):
    """A kind of page, known by its titles: `tabular` if it must also be full of figures."""

    name: str
    ask: _Phrases = Field(min_length=1, description="A question with one of these asks for it.")
    titles: _Phrases = Field(min_length=1, description="Titles such a page has, any of them.")
    tabular: bool = False


class Metric(_Entry):
    """What a question may ask for, and how documents write it."""

    ask: _Phrases = Field(min_length=1, description="A question with one of these asks for it.")
    items: _Phrases = Field(min_length=1, description="Searched for as well, at lower weight.")
    pages: _Phrases = Field(default=(), description="Names of the page kinds that print it.")


class Synonyms(_Entry):
    """Words and phrases that mean exactly the same: one answers for the other."""

    words: _Phrases = Field(min_length=2)


class RowLabels(_Entry):
    """A figure that questions and the rows of tables call differently."""

    ask: _Phrases = Field(min_length=1, description="Phrases of a question.")
    labels: _Phrases = Field(min_length=1, description="Labels of the rows that state just this.")
    pages: _Phrases = Field(default=(), description="Names of the page kinds that print the row.")
    magnitude: bool = Field(default=False, description="A minus before its value says nothing.")
    percent: bool = Field(default=False, description="Its values are percentages.")
    reversed_by: _Phrases = Field(default=(), description="With these in its label, minus is plus.")


class Formula(_Entry):
    """A figure that is computed from rows: "gross profit / revenue"."""

    ask: _Phrases = Field(min_length=1, description="Phrases of a question.")
    formula: str = Field(
        description="Phrases of rows or formulas with + - * / and brackets; `average X` is of the "
        "asked year and the one before, `change in X` the difference between them."
    )
    unit: Literal["money", "percent", "ratio", "times", "days"] = "ratio"

    @field_validator("formula")
    @classmethod
    def _is_formula(cls, text: str) -> str:
        if parsed(text) is None:
            raise ValueError(f"{text!r} is not a formula")
        return text


class PartsEntry(_Entry):
    """Words that call the parts of a whole, for shares and for "which is the highest"."""

    ask: _Phrases = Field(min_length=1, description="Words of a question for such parts.")
    titles: _Phrases = Field(default=(), description="Words above a table of such parts.")
    labels: _Phrases = Field(default=(), description="Labels of rows that are such parts.")


class Cells(_Entry):
    """Words for choosing the cell of a table that a question asks for."""

    asking: _Phrases = Field(default=(), description="They ask for a value without naming it.")
    fillers: _Phrases = Field(default=(), description="Words of labels that need not be asked for.")
    neutral: _Phrases = Field(default=(), description="Those that do not make it another figure.")
    series: _Phrases = Field(default=(), description="They ask for the values of all periods.")
    numeric: _Phrases = Field(default=(), description="They ask for a number.")
    percent: _Phrases = Field(default=(), description="They ask for a percentage.")
    deriving: _Phrases = Field(default=(), description="They say what to compute, not of what.")
    qualifiers: _Phrases = Field(
        default=(), description="Families of words that make a measure another one."
    )
    optional_qualifiers: _Phrases = Field(
        default=(),
        description="Those that a row may leave out where it has no other of the family.",
    )


class Lexicon(_Entry):
    """What one file holds, or all files together."""

    instructions: _Phrases = ()
    generic: _Phrases = ()
    cells: Cells = Cells()
    page: tuple[PageKindTerms, ...] = ()
    metric: tuple[Metric, ...] = ()
    row: tuple[RowLabels, ...] = ()
    formula: tuple[Formula, ...] = ()
    parts: tuple[PartsEntry, ...] = ()
    synonyms: tuple[Synonyms, ...] = ()


@lru_cache
def load_lexicon(folder: Path | None = None) -> Lexicon:
    """The shipped files and those of `folder`. Raises Misconfigured, naming the file."""
    files = {path.name: path for path in sorted(SHIPPED.glob("*.toml"))}
    if folder is not None:
        if not folder.is_dir():
            raise Misconfigured(f"query.lexicon: there is no folder {folder}")
        files |= {path.name: path for path in sorted(folder.glob("*.toml"))}
    lexicon = _joined([_read(path) for path in files.values()])
    known = {page.name for page in lexicon.page}
    printed = [(e.ask[0], e.pages) for e in lexicon.metric]
    printed += [(e.ask[0], e.pages) for e in lexicon.row]
    for ask, pages in printed:
        if unknown := [name for name in pages if name not in known]:
            raise Misconfigured(
                f"query.lexicon: {ask!r} names a page kind that no file has: {unknown[0]}"
            )
    return lexicon


def _read(path: Path) -> Lexicon:
    try:
        return Lexicon.model_validate(tomllib.loads(path.read_text("utf-8")))
    except (OSError, ValueError, ValidationError) as error:
        raise Misconfigured(f"query.lexicon: {path.name}: {error}") from error


def _joined(lexicons: Iterable[Lexicon]) -> Lexicon:
    parts = list(lexicons)
    return Lexicon(
        instructions=tuple(cue for part in parts for cue in part.instructions),
        generic=tuple(word for part in parts for word in part.generic),
        cells=Cells(
            **{
                field: tuple(word for part in parts for word in getattr(part.cells, field))
                for field in Cells.model_fields
            }
        ),
        page=tuple(page for part in parts for page in part.page),
        metric=tuple(metric for part in parts for metric in part.metric),
        row=tuple(row for part in parts for row in part.row),
        formula=tuple(entry for part in parts for entry in part.formula),
        parts=tuple(entry for part in parts for entry in part.parts),
        synonyms=tuple(group for part in parts for group in part.synonyms),
    )
