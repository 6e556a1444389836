"""Questions about the parts of a whole: a part's share, the parts above a share, the largest part.

Pure. English; which words name parts ("segment", "region") is the lexicon's business.
"""

import re
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

_SHARE: Final = r"(?:percentages?|percent|proportion|share|fraction|portion|%)"
_VERB: Final = (
    r"(?:did|does|do|was|were|is|are|has|have|had|came|comes?|stems?|stemmed|derives?|derived"
    r"|ma[dk]e|accrued|resulted)"
)
_SHARE_FORMS: Final = (
    re.compile(
        rf"\b(?:what|which)\s+(?:approximate\s+)?{_SHARE}\s+of\s+(?P<whole>.+?)\s+{_VERB}\s+(?P<part>.+)",
        re.I | re.S,
    ),
    re.compile(rf"\bhow\s+much\s+of\s+(?P<whole>.+?)\s+{_VERB}\s+(?P<part>.+)", re.I | re.S),
    re.compile(
        rf"(?P<part>.+?)\s+(?:as|in)\s+an?\s+{_SHARE}\s+of\s+(?P<whole>.+)", re.I | re.S
    ),
    re.compile(
        r"\b(?:what|which)\s+(?:is|was|were|are)\s+(?P<part>.+?)(?:['\u2019]s?)?\s+(?:percentage\s+)?"
        r"(?:share|contribution)\s+(?:of|in|to)\s+(?P<whole>.+)",
        re.I | re.S,
    ),
)  # fmt: skip
_THRESHOLD: Final = re.compile(
    r"^(?P<part>.+?)\b(?P<than>more\s+than|over|above|exceed\w*|at\s+least|less\s+than|under|below)\s+"
    r"(?P<number>\d+(?:\.\d+)?|half|one\s+half|a\s+third|a\s+quarter)\s*(?:%|percent|per\s+cent)?\s+"
    r"of\s+(?P<whole>.+)",
    re.I | re.S,
)
_WORDED: Final = {
    "half": Decimal(50),
    "one half": Decimal(50),
    "a third": Decimal(100) / 3,
    "a quarter": Decimal(25),
}
_LESS: Final = re.compile(r"less|under|below", re.I)
_ASKS_WHICH: Final = re.compile(r"\b(?:which|what|who(?:se)?|where)\b", re.I)
_MOST: Final = re.compile(
    r"\b(?:high(?:est)?(?:[\s-]selling)?|largest|most|biggest|greatest|best|top|strongest|fastest|leading)\b",
    re.I,
)
_LEAST: Final = re.compile(r"\b(?:lowest|least|smallest|weakest|worst|slowest|fewest)\b", re.I)
_NOT_RANKED: Final = re.compile(
    r"\bmost\s+(?:recent|likely|important|significant|relevant|notable)\w*|\bat\s+(?:most|least)\b"
    r"|\b(?:top|bottom)[\s-]line\b|\bhigh(?!est)|\blost\s+the\s+(?:least|most)\b",
    re.I,
)
_FELL: Final = re.compile(
    r"\b(?:drop\w*|declin\w*|decreas\w*|f[ae]ll\w*|reduc\w*|shr[aiu]nk\w*)\b", re.I
)
_GREW: Final = re.compile(r"\b(?:gr[eo]w\w*|increas\w*|gain\w*|r[io]se\w*|rising|fastest)\b", re.I)
_RELATIVE: Final = re.compile(r"%|\bpercent\w*|\brate\b|\bfast(?:est)?\b|\brelative\b", re.I)
_OPTIONS: Final = re.compile(
    r"\b(?:among|between|of|:|,)\s*(?P<list>(?:the\s+)?[\w&\s-]+?(?:,\s*[\w&\s-]+?)*,?\s+(?:and|or)\s+[\w&\s-]+?)"
    r"\s*(?:,|\?|$)",
    re.I,
)


@dataclass(frozen=True, slots=True)
class AskedShare:
    """The share of `part` in `whole`; with `than`, whether it is above (below: `less`) that."""

    part: str
    whole: str
    than: Decimal | None = None  # percent
    less: bool = False


@dataclass(frozen=True, slots=True)
class AskedRank:
    """Which part has the most, or the least, of a figure or of its change.

    `change` is 1 where growth is ranked, -1 where decline is, 0 for the figure itself.
    """

    least: bool
    change: int = 0
    relative: bool = False


def asked_share(part: str) -> AskedShare | None:
    """The share that a part of a question asks for, if it does."""
    found = _THRESHOLD.match(part)
    if found is not None:
        number = found["number"].lower()
        than = _WORDED.get(" ".join(number.split()))
        return AskedShare(
            found["part"],
            found["whole"],
            Decimal(number) if than is None else than,
            _LESS.search(found["than"]) is not None,
        )
    for form in _SHARE_FORMS:
        if found := form.search(part):
            return AskedShare(found["part"], found["whole"])
    return None


def asked_rank(part: str) -> AskedRank | None:
    """Whether a part of a question asks which one has the most or the least."""
    rest = _NOT_RANKED.sub(" ", part)
    least = any(each.group().islower() for each in _LEAST.finditer(rest))
    most = any(each.group().islower() for each in _MOST.finditer(rest))  # not of "Best Buy"
    if not (least or most) or not _ASKS_WHICH.search(part):
        return None
    fell, grew = _FELL.search(part), _GREW.search(part)
    return AskedRank(least, -1 if fell else 1 if grew else 0, _RELATIVE.search(part) is not None)


def options_in(part: str) -> tuple[str, ...]:
    """What a question offers to choose from: "among operations, investing and financing"."""
    for found in _OPTIONS.finditer(part):
        options = [o.strip() for o in re.split(r",|\b(?:and|or)\b", found["list"]) if o.strip()]
        if len(options) > 1:
            return tuple(options)
    return ()
