"""What a question asks for: the words that matter, and what its form expects. English. Pure."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from foliotrace.query.answer.cells.periods import periods_in
from foliotrace.query.answer.quoting.noise import ASKED
from foliotrace.query.answer.quoting.values import says_count
from foliotrace.query.subjects.asked_names import asked_names
from foliotrace.text_caches import text_cache

Terms = Callable[[str], Sequence[str]]

ABOUT_SHARE: Final = 0.15  # of the weight of a word that only names the document
GENERIC_SHARE: Final = 0.3  # of the weight of a word that many questions have
CAUSE_FACTOR: Final = 1.35
KIND_FACTOR: Final = 1.2
PAIRS_GAIN: Final = 0.3


@dataclass(frozen=True, slots=True)
class _Form:
    """A form of question, and what its answers hold."""

    question: re.Pattern[str]
    answer: re.Pattern[str]
    factor: float = KIND_FACTOR


_MONTH: Final = r"(?:jan|feb|mar|apr|may|june?|july?|aug|sept?|oct|nov|dec)[a-z]*\.?"
_FORMS: Final = (
    _Form(  # why
        re.compile(
            r"\bwhy\b|\bdr(?:ive|ives|ove|iven|ivers?)\b|\bfactors?\b|\breasons?\b|\bcaus(?:e|es|ed)\b"
            r"|\bcontribut|\bled to\b|\bexplains?\b|\bresponsible for\b|\bdue to\b",
            re.I,
        ),
        re.compile(
            r"\bdue\b|\bbecause\b|\bdriven\b|\bdrove\b|\bprimarily\b|\battribut|\breflect"
            r"|\bresult(?:s|ed|ing) (?:of|from|in)\b|\bas a result\b|\bled by\b|\boffset\b"
            r"|\bowing\b|\bcaused\b|\bcontribut|\bmainly\b"
            r"|\bcause(?:s|\(s\))?\b.{0,40}\b(?:is|are|was|were|to be)\b",
            re.I,
        ),
        CAUSE_FACTOR,
    ),
    _Form(  # when
        re.compile(r"\bwhen\b|\b(?:what|which|on what) (?:date|day|year|month)|\bdeadline\b", re.I),
        re.compile(
            rf"\b{_MONTH} \d|\b\d{{1,2}}\.? {_MONTH}|\b(?:19|20)\d\d\b"
            r"|\b\d{1,2}[./-]\d{1,2}[./-]\d{2,4}|\b\d+ (?:days?|weeks?|months?|years?|hours?)\b",
            re.I,
        ),
    ),
    _Form(  # how long
        re.compile(r"\bhow (?:long|often|soon)\b", re.I),
        re.compile(
            r"\b(?:days?|weeks?|months?|years?|hours?|minutes?|annually|daily|weekly|monthly)\b",
            re.I,
        ),
    ),
    _Form(  # who
        re.compile(r"\bwho(?:m|se)?\b", re.I),
        re.compile(r"\b[A-Z][a-z]+ (?:[A-Z]\. )?[A-Z][a-z]+"),
    ),
    _Form(  # how many
        re.compile(r"\bhow (?:many|much)\b|\bwhat (?:percent|percentage|proportion|share)\b", re.I),
        re.compile(r"\d|\b(?:one|two|three|four|five|six|seven|eight|nine|ten|none|no)\b", re.I),
    ),
    _Form(  # what is it
        re.compile(
            r"\bwhat (?:is|are) (?:an? )?[\w-]+(?: [\w-]+)?\?|\bdefin|\bmean(?:s|t)? by\b", re.I
        ),
        re.compile(r"\b(?:is|are) (?:an?|the)\b|\bmeans?\b|\brefers? to\b|\bdefined\b", re.I),
    ),
    _Form(  # which ones
        re.compile(
            r"\b(?:what|which) (?:are|were|\w+s (?:are|were|does|did|do|has|have))\b"
            r"|\blist\b|\bname the\b",
            re.I,
        ),
        re.compile(
            r",.*,.* and |;.*;|[\u2022\u25aa\u25e6\u25cf].*[\u2022\u25aa\u25e6\u25cf]", re.S
        ),
    ),
    _Form(  # whether
        re.compile(
            r"(?:^|[.,?;] )(?:is|are|was|were|has|have|had|does|do|did|can|could|will) "
            r"|\bif any\b|\bwhether\b",
            re.I,
        ),
        re.compile(r"\bno(?:t|ne)?\b(?! limited)|\bany\b|\byes\b", re.I),
        1.1,
    ),
)


_COUNTED: Final = re.compile(
    r"\bhow many\s+(?P<what>[^\W\d_][\w-]*(?:\s[\w-]+){0,3}?)"
    r"\s+(?P<auxiliary>(?:did|does|do|has|have|had|is|are|was|were|can|could|will|would)\b)"
    r"|\bhow many\s+(?P<first>[^\W\d_][\w-]*(?:\s[\w-]+)?)",
    re.I,
)
UNCOUNTED: Final = 0.3
OF_A_QUARTER: Final = 0.75
_QUARTER: Final = re.compile(
    r"(?<!end of the )(?<!end of the fourth )\bquarter\b|\b(?:three[ -]months?|13[ -]weeks?)\b",
    re.I,
)
ROW_OF_REASON: Final = 0.5


@dataclass(frozen=True, slots=True)
class Asked:
    """The weights of a question's words for choosing among sentences, and its form."""

    weights: Mapping[str, float]
    words: frozenset[str]  # that have a weight
    total: float
    answers: tuple[tuple[re.Pattern[str], float], ...]
    allowed_noise: frozenset[str]
    pairs: frozenset[tuple[str, str]]
    terms: Terms
    names_document: bool
    key: frozenset[str] = frozenset()  # what it is about: neither a document's name nor generic
    reason: bool = False
    counted: frozenset[str] = frozenset()
    figure: bool = False  # it names a figure that rows of tables state
    of_year: bool = False

    def form_factor(self, text: str, *, is_row: bool = False) -> float:
        """How much more a sentence counts because it holds what such a question asks for.

        That is: a cause, a date, a list ..., and neighbouring words of the question side by side.
        A row gives no reason, a sentence without a number counts nothing, and what is said of a
        quarter is less likely said of the year.
        """
        factor = ROW_OF_REASON if is_row and self.reason else 1.0
        if self.counted and not is_row and not self.counts(text):
            factor *= UNCOUNTED
        if self.of_year and not is_row and _QUARTER.search(text):
            factor *= OF_A_QUARTER
        if self.pairs:
            beside = self.pairs.intersection(pairwise(self.terms(text)))
            factor += PAIRS_GAIN * len(beside) / len(self.pairs)
        for answer, gain in self.answers:
            if answer.search(text):
                factor *= gain
        return factor

    def counts(self, text: str) -> bool:
        """Whether a number counts what is asked for."""
        return says_count(text, self.counted, self.terms)


def asked_for(
    question: str,
    weights: Mapping[str, float],
    *,
    generic: frozenset[str],
    headers: frozenset[str],
    written: frozenset[str],
    terms: Terms,
    instead: Sequence[tuple[frozenset[str], Sequence[frozenset[str]]]] = (),
    figure: bool = False,
) -> Asked:
    """What the question asks for.

    Of its words, `headers` are those of its documents' identities, `generic` those that many
    questions have, `written` those of any passage: a name that none of them writes is a ticker.

    A word that only names the document, or that many questions have, counts for little, unless
    there is no other.
    """
    names = (n for n in asked_names(question) if n.capitalised or n.possessive)
    named = frozenset(t for name in names for t in terms(" ".join(name.words)))
    about = frozenset(
        t
        for t in weights
        if (t in headers and (t in named or t[:1].isdigit())) or (t in named and t not in written)
    )
    shares = {
        t: w * (ABOUT_SHARE if t in about else GENERIC_SHARE if t in generic else 1.0)
        for t, w in weights.items()
    }
    if all(t in about or t in generic for t in weights):
        shares = dict(weights)
    allowed = frozenset(
        kind for kind, words in _asked_noise(terms).items() if not words.isdisjoint(weights)
    )
    answers = tuple((f.answer, f.factor) for f in _FORMS if f.question.search(question))
    counts = _COUNTED.search(question)
    counted = _counted(counts, terms) - about if counts else frozenset()
    for phrase, items in instead:
        if not phrase.isdisjoint(counted):
            counted = counted.union(*items)  # "shops" are counted as "stores"
    little = about | generic
    pairs = frozenset(p for p in pairwise(weights) if p[0] not in little and p[1] not in little)
    return Asked(
        shares,
        frozenset(shares),
        sum(shares.values()),
        answers,
        allowed,
        pairs,
        terms,
        bool(about),
        frozenset(weights) - little,
        _FORMS[0].question.search(question) is not None,
        counted,
        figure,
        _asks_for_year(question),
    )


def _counted(found: "re.Match[str]", terms: Terms) -> frozenset[str]:
    """The terms of the thing that is counted: in "total flight hours did" that is hours."""
    what = found["what"]
    if what is None:
        return frozenset(terms(found["first"]))
    heads = (terms(word) for word in reversed(re.split(r" (?:of|in|at|on|for) ", what)[0].split()))
    return next((frozenset(head) for head in heads if head), frozenset())


def _asks_for_year(question: str) -> bool:
    periods = periods_in(question)
    return bool(periods.years) and not (periods.quarters or periods.dates or 3 in periods.months)


@text_cache(8)
def _asked_noise(terms: Terms) -> Mapping[str, frozenset[str]]:
    return {kind: frozenset(terms(words)) for kind, words in ASKED.items()}
