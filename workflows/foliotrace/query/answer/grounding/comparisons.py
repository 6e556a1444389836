"""Whether a sentence compares its own numbers rightly. Pure.

"15.7% was above 21%" needs no passage to be wrong. A result that follows two operands ("from 10 to
14, growth of 40%") is redone from those two, whatever else the passages would give.
"""

import re
from collections.abc import Sequence
from itertools import pairwise
from typing import Final

from foliotrace.query.answer.grounding import polarity
from foliotrace.query.answer.grounding.claims import Claim
from foliotrace.query.answer.grounding.figures import numbers

_MORE: Final = re.compile(
    r"\b(?:above|exceed(?:s|ed|ing)?|higher than|more than|greater than|larger than|outweigh\w*|"
    r"surpass\w*|cover(?:s|ed))\b",
    re.IGNORECASE,
)
_LESS: Final = re.compile(
    r"\b(?:below|lower than|less than|fewer than|smaller than|(?:fell|falls|fall) short of)\b",
    re.IGNORECASE,
)
_AT_LEAST: Final = re.compile(r"\b(?:no|not) (?:less|more|fewer) than\s+[$€£]?$", re.IGNORECASE)
_TIMES: Final = re.compile(
    r"(?:(?P<n>\d+(?:\.\d+)?|two|three|four|five|six|seven|eight|nine|ten)[ -]?(?:times|fold)"
    r"|twice|double)\s+(?:as (?:much|many|high|large) as )?(?:the |its |that of |of )*"
    r"(?:[a-z]+ ){0,2}[$€£]?$",
    re.IGNORECASE,
)
_COUNTS: Final = {
    "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7,
    "eight": 8, "nine": 9, "ten": 10,
}  # fmt: skip
_AGAINST: Final = re.compile(
    r"^[\d.]+\s?(?:%|percent)\s+"
    r"(?:below|above|(?:less|more|lower|higher|fewer|larger|smaller) than)\s+"
    r"(?:the |its |an? )?(?:[a-z]+ ){0,2}[$€£]?$",
    re.IGNORECASE,
)
_NOT: Final = re.compile(r"\b(?:not|never|no)\b|n['\u2019]t\b", re.IGNORECASE)
_AWAY: Final = re.compile(
    r"[;.](?=\s)|\b(?:by|of which|compared|which|while|whereas|from|than a year)\b", re.IGNORECASE
)
_BETWEEN: Final = re.compile(
    r"\b(?:to|against|versus|vs\.?|compared (?:with|to)|from)\b", re.IGNORECASE
)
_RESULT: Final = re.compile(
    r"\b(?:(?P<amount>difference|gap)|growth|increase|decrease|decline|drop|rise|change|gain)"
    r"(?: of)?\s*(?:about |approximately |roughly |around |nearly |almost |some |only )?"
    r"[$\u20ac\u00a3]?$",
    re.IGNORECASE,
)
_SHARE: Final = re.compile(
    r"(\d+(?:\.\d+)?)\s?(?:%|percent)[^.;()\d]{0,60}"
    r"\([$€£]?(\d[\d,]*(?:\.\d+)?)(?: \w+)? (?:of|out of|/) [$€£]?(\d[\d,]*(?:\.\d+)?)",
)
_TO: Final = re.compile(r"\bto\b", re.IGNORECASE)
_FROM: Final = re.compile(
    r"\b(?:from|compared (?:with|to)|versus|vs\.?|against|after)\s+(?:(?:just|only|an?) )?"
    r"(?:about |roughly |around |approximately )?[$€£]?$",
    re.IGNORECASE,
)


_PART: Final = re.compile(r"\bof\s+(?:the |a |all |its |total )*[$€£]?$", re.IGNORECASE)
_WHICH_IS: Final = re.compile(
    r"(?:, or|\(|, i\.e\.|, that is|\bwhich is|\brepresenting|\bequal to|\u2013|\u2014)\s*"
    r"(?:about |roughly |around |approximately |nearly |just |some )*$",
    re.IGNORECASE,
)


_FRACTIONS: Final = {
    "half": 1 / 2, "a third": 1 / 3, "one third": 1 / 3, "two thirds": 2 / 3, "a quarter": 1 / 4,
    "one quarter": 1 / 4, "three quarters": 3 / 4, "a fifth": 1 / 5, "one fifth": 1 / 5,
    "a tenth": 1 / 10, "one tenth": 1 / 10,
}  # fmt: skip
_FRACTION: Final = re.compile(
    r"(?P<hedge>\b(?:about|roughly|around|approximately|nearly|almost|some|over|more than)[^\d]*)?"
    rf"\b(?P<part>{'|'.join(name.replace(' ', '[ -]') for name in _FRACTIONS)}) of\b"
    r"[^\d.;]{0,30}$",
    re.IGNORECASE,
)
HEDGED_FRACTION: Final = 0.06
EXACT_FRACTION: Final = 0.02


def compared_rightly(claim: Claim) -> bool | None:
    """Whether the numbers on both sides of "above", "below" and the like stand so, if any do."""
    right_ones = None
    amounts = [q for q in claim.quantities if not q.is_year]
    for left, right in pairwise(amounts):
        between = _AT_LEAST.sub("", claim.rest[left.start : right.start])
        if left.percent != right.percent or _AWAY.search(between):
            continue
        more, less = _MORE.search(between), _LESS.search(between)
        if (more is None) == (less is None) or _unlike(left, right):
            continue
        one, other = left.value * left.scale, right.value * right.scale
        says_more = (more is not None) != (_NOT.search(between) is not None)
        if one != other and says_more != (one > other):
            return False
        right_ones = True
    return right_ones


def _unlike(left: numbers.Quantity, right: numbers.Quantity) -> bool:
    return left.scale != right.scale or left.money != right.money


def results_follow(claim: Claim) -> bool:
    """Whether each result that follows its two operands is their difference or relative change."""
    undated = numbers.quantities(numbers.without_dates(claim.rest)) if claim.has_digits else ()
    amounts = [q for q in undated if not q.is_year]
    for first, second, result in zip(amounts, amounts[1:], amounts[2:], strict=False):
        named = _RESULT.search(claim.rest[second.start : result.start])
        linked = _BETWEEN.search(claim.rest[first.start : second.start])
        if not named or not linked or first.percent or second.percent or _unlike(first, second):
            continue
        if polarity.is_change(claim.rest[: first.start]):
            continue  # "by 380 to 4,779"
        old, new = (first, second) if linked.group().casefold() == "to" else (second, first)
        if (result.percent or result.money or named["amount"]) and not _follows(result, old, new):
            return False
    return True


def moves_follow(claim: Claim) -> bool:
    """Whether "969 in 2024, down 1.3% from 982" goes the way and as far as it says; 30% is 3 of 10.

    The percentage between two figures is that of their change; one before "(3 of 10)" is a share.
    """
    if not claim.has_digits:
        return True
    for found in _SHARE.finditer(claim.rest):
        share, part, whole = (float(n.replace(",", "")) for n in found.groups())
        decimals = len(found[1].partition(".")[2])
        if whole and abs(share - 100 * part / whole) > 0.51 * 10.0**-decimals:
            return False
    figures = [q for q in claim.quantities if not q.is_year and not q.points]
    checks = (_multiples_follow, _fractions_follow, _shares_of_follow, _parts_follow)
    if not all(follow(claim.rest, figures) for follow in checks):
        return False
    amounts = [[q for q in figures if q.percent == percent] for percent in (False, True)]
    pairs = [pair for like in amounts for pair in pairwise(like)]
    return all(_moves(claim.rest, first, second, figures) for first, second in pairs)


def _multiples_follow(text: str, figures: Sequence[numbers.Quantity]) -> bool:
    """Whether "12 million, roughly three times the 4 million" is so."""
    for first, second in pairwise(figures):
        found = _TIMES.search(text[first.start : second.start])
        if found is None or _unlike(first, second) or not second.value:
            continue
        count = (found["n"] or "two").casefold()
        stated = _COUNTS.get(count) or float(count)
        wide = 0.5 if stated == int(stated) else 0.051
        if abs(first.value / second.value - stated) > wide:
            return False
    return True


def _fractions_follow(text: str, figures: Sequence[numbers.Quantity]) -> bool:
    """Whether "94.80, about a third of the 277.00" is so."""
    for part, whole in pairwise(figures):
        found = _FRACTION.search(text[part.start : whole.start])
        if found is None or part.percent or _unlike(part, whole) or not whole.value:
            continue
        stated = _FRACTIONS[found["part"].casefold().replace("-", " ")]
        wide = HEDGED_FRACTION if found["hedge"] else EXACT_FRACTION
        if abs(part.value / whole.value - stated) > wide:
            return False
    return True


def _shares_of_follow(text: str, figures: Sequence[numbers.Quantity]) -> bool:
    """Whether "518, about 20% below the 647" is so: the percentage is one of the second figure."""
    for first, share, second in zip(figures, figures[1:], figures[2:], strict=False):
        if not share.percent or first.percent or second.percent or _unlike(first, second):
            continue
        if not second.value or _AGAINST.match(text[share.start : second.start]) is None:
            continue
        slack = 100 * (first.tolerance + second.tolerance) / second.value
        part = 100 * abs(first.value - second.value) / second.value
        if abs(part - share.value) > max(share.tolerance, 0.5 if share.hedged else 0) + slack:
            return False
    return True


def _parts_follow(text: str, figures: Sequence[numbers.Quantity]) -> bool:
    """Whether "14 of the 18 total, or about 80%" is so."""
    for part, whole, share in zip(figures, figures[1:], figures[2:], strict=False):
        if part.percent or whole.percent or not share.percent or not whole.value:
            continue
        said = _WHICH_IS.search(text[whole.start : share.start])
        if not said or not _PART.search(text[part.start : whole.start]) or _unlike(part, whole):
            continue
        slack = 100 * (part.tolerance + whole.tolerance) / whole.value if part.rounds else 0.0
        if abs(100 * part.value / whole.value - share.value) > share.tolerance + slack:
            return False
    return True


def _moves(
    text: str,
    first: numbers.Quantity,
    second: numbers.Quantity,
    figures: Sequence[numbers.Quantity],
) -> bool:
    """Whether what is said of the way between two like figures is so, where anything is."""
    before, between = text[: first.start], text[first.start : second.start]
    start = max(before.rfind(";"), before.rfind(". "), before.rfind(":")) + 1
    if (_unlike(first, second) and not first.percent) or polarity.is_change(before):
        return True
    if _FROM.search(before) and _TO.search(between):
        old, new, said = first, second, polarity.last_direction(before[start:])
    elif _FROM.search(between):
        old, new = second, first
        said = polarity.last_direction(between) or polarity.last_direction(before[start:])
    else:
        return True
    one, other = old.value * old.scale, new.value * new.scale
    if _NOT.search(text[start : second.start]) or one == other or not said:
        return True
    if said != ("up" if other > one else "down"):
        return False
    shares = [q for q in figures if q.percent and first.start < q.start < second.start]
    if first.percent or len(shares) != 1 or not one:
        return True
    slack = 100 * (old.tolerance * old.scale + new.tolerance * new.scale) / one
    change = 100 * abs(other - one) / one
    return abs(shares[0].value - change) <= 0.51 * 10.0 ** -shares[0].decimals + slack


def _follows(result: numbers.Quantity, old: numbers.Quantity, new: numbers.Quantity) -> bool:
    """Whether the result is that of the operands, all of them as rounded as they are written."""
    before, after = old.value * old.scale, new.value * new.scale
    slack = old.tolerance * old.scale + new.tolerance * new.scale
    if result.percent:
        share = 100 * abs(after - before) / before if before else 0.0
        return abs(result.value - share) <= result.tolerance + (100 * slack / (before or 1.0))
    wide = result.tolerance * result.scale + slack
    return abs(result.value * result.scale - abs(after - before)) <= wide
