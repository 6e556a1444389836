"""What a ratio is made of: from the question's own definition, else by its usual name. Pure."""

import re
from dataclasses import dataclass
from typing import Final, Literal

from foliotrace.query.answer.grounding.figures.numbers import quantities
from foliotrace.text_caches import text_cache

_SALES: Final = "net sales revenue revenues"
_COST: Final = "cost costs goods sold products"
NAMED: Final = (
    (r"quick ratio|acid.test", "current assets - inventories | cash + marketable securities + "
     "accounts receivable", "current liabilities"),
    (r"current ratio", "current assets", "current liabilities"),
    (r"days sales|\bDSO\b|receivables? days|collection period",
     "accounts receivable | average accounts receivable", _SALES),
    (r"days payable|\bDPO\b|payables? days", "accounts payable | average accounts payable", _COST),
    (r"days inventory|\bDIO\b|inventory days", "inventories | average inventories", _COST),
    (r"inventory turnover", _COST, "inventories | average inventories"),
    (r"receivables? turnover", _SALES, "accounts receivable | average accounts receivable"),
    (r"asset turnover", _SALES, "property plant equipment | average property plant equipment | "
     "total assets | average total assets"),
    (r"ebitda", "operating income + depreciation amortization", _SALES),
    (r"gross (?:profit )?margin", f"gross profit margin | {_SALES} - {_COST} | {_SALES} - total "
     "costs expenses", _SALES),
    (r"operating (?:profit |income )?margin", "operating income profit", _SALES),
    (r"net (?:profit |income |earnings )?margin", "net income earnings", _SALES),
    (r"return on assets|\bROA\b", "net income earnings", "total assets | average total assets"),
    (r"return on equity|\bROE\b", "net income earnings", "total equity | average total equity"),
    (r"tax rate", "provision income taxes expense", "income before taxes"),
    (r"interest coverage|cover interest", "operating income", "interest expense"),
    (r"payout ratio", "dividends", "net income earnings"),
)  # fmt: skip
"""(name, above the line, below it): labels, joined by + and -; | parts other ways to say it."""

_DEFINITION: Final = re.compile(r"\b(?:defined|calculated|computed|measured) as:?(?P<is>.+)", re.I)
_OVER: Final = re.compile(r"\s/\s|\s(?:over|divided by)\s", re.IGNORECASE)
_STOP: Final = re.compile(r"[?;\n]|\.(?=\s|$)")
_JOIN: Final = re.compile(
    r"(?P<less>\s-\s|\b(?:less|minus|net of|excluding|without)\b)|\+|,|\b(?:and|plus)\b|[()]",
    re.IGNORECASE,
)
_BEFORE: Final = re.compile(r"\(|:|\b(?:taking|using|ratio of|is)\b(?! the)", re.IGNORECASE)
_BEHIND: Final = re.compile(
    r"\)\s*(?!.*\))|,?\s\b(?:at|as of|for|in (?=the |fiscal|FY|\d))\b", re.IGNORECASE
)
_MEAN: Final = re.compile(r"\byears?[ -]average\b|\baverage (?:of|over)\b", re.IGNORECASE)
_CHANGE: Final = re.compile(r"\b(?:change|increase|decrease) in\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class RatioTerm:
    """One row of a ratio, in words, and how its columns are read."""

    words: str
    sign: int = 1
    kind: Literal["plain", "average", "change"] = "plain"
    named: bool = True  # by us: its words are labels already, and it may not be left out


@dataclass(frozen=True, slots=True)
class Ratio:
    """What stands above and below the line, each in one or more ways; and what multiplies it."""

    above: tuple[tuple[RatioTerm, ...], ...]
    below: tuple[tuple[RatioTerm, ...], ...]
    factor: float = 1.0
    mean: bool = False  # of several years


@text_cache(256)
def asked_ratio(question: str, claim: str) -> Ratio | None:
    """The ratio that the question or the sentence is about; None for another number."""
    text = f"{question} {claim}"
    definition = _DEFINITION.search(question)
    for part in (definition["is"] if definition else "", question):
        over = _OVER.search(part)
        if over is not None:
            above = _STOP.split(_BEFORE.split(part[: over.start()])[-1])[-1]
            below = _STOP.split(_BEHIND.split(part[over.end() :], maxsplit=1)[0], maxsplit=1)[0]
            return Ratio(_parts(above, named=False), _parts(below, named=False), _days(text))
    for name, above, below in NAMED:
        if re.search(name, text, re.IGNORECASE):
            return Ratio(_parts(above), _parts(below), _days(text), _MEAN.search(text) is not None)
    return None


def _parts(text: str, *, named: bool = True) -> tuple[tuple[RatioTerm, ...], ...]:
    return tuple(tuple(_sum_of(way, named=named)) for way in text.split("|"))


def _sum_of(text: str, *, named: bool) -> list[RatioTerm]:
    parts, sign, start = [], 1, 0
    for join in (*_JOIN.finditer(text), None):
        words = text[start : join.start() if join else len(text)].strip()
        if any(map(str.isalpha, words)):
            change = _CHANGE.search(words)
            kind: Literal["plain", "average", "change"] = (
                "change" if change else "average" if "average" in words.casefold() else "plain"
            )
            parts.append(RatioTerm(words[change.end() :] if change else words, sign, kind, named))
        if join:
            sign, start = -1 if join["less"] else 1, join.end()
    return parts


def _days(text: str) -> float:
    """The days that a number of days is counted by: those that are named, else a year's."""
    if not re.search(r"\bdays\b|\bD[SPI]O\b", text):
        return 1.0
    named = [q.value for q in quantities(text) if 28 <= q.value <= 366 and not q.decimals]
    return next((value for value in named if value in (360, 365, 366)), named[0] if named else 365)
