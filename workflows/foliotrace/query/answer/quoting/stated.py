"""Whether a quote states what a question asks: its relation, its names and its form. Pure; English.

Sharing words with a question is not answering it. What a question asks *of* something (its
relation: "pay", "production rate") must stand in the sentence itself, in these words or in those of
the lexicon; whom it is about may stand elsewhere in the document. Where the form of the question
wants a number, a reason, a date or a definition, the sentence must have one.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from foliotrace.query.answer.cells.periods import periods_in
from foliotrace.query.answer.quoting.asked import Asked
from foliotrace.query.answer.quoting.values import says_where, says_who
from foliotrace.query.subjects.asked_codes import asked_codes
from foliotrace.query.subjects.asked_names import asked_names

_NUMBER: Final = r"(?<![\w.,-])\(?[$\u20ac\u00a3\u00a5]?\s?\d[\d,]*(?:\.\d+)?"
_WORDED: Final = (
    r"\b(?:one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|no|none|half|zero)\b"
)
_AMOUNT: Final = re.compile(rf"{_NUMBER}|{_WORDED}", re.I)
_MONEY: Final = re.compile(
    r"[$\u20ac\u00a3\u00a5]\s?\d|\d\s*(?:thousand|million|billion|cents|dollars|euros|pounds)\b"
    r"|\t\s*\(?\d",  # a row says its unit above
    re.I,
)
_SHARE: Final = re.compile(r"\d\s?%|\bper ?cent\b|\bhalf\b|\bthirds?\b|\bquarter of\b", re.I)
_DATE: Final = re.compile(
    r"\b(?:19|20)\d\d\b|\b\d{1,2}[./]\d{1,2}[./]\d{2,4}\b|\b\d+ (?:days?|weeks?|months?|years?)\b"
    r"|\b(?:jan|feb|mar|apr|may|june?|july?|aug|sept?|oct|nov|dec)[a-z]*\.? \d{1,2}\b",
    re.I,
)
_REASON: Final = re.compile(
    r"\bdue\b|\bbecause\b|\bdriven\b|\bdrove\b|\bprimarily\b|\bmainly\b|\bmostly\b|\battribut"
    r"|\breflect|\bresult(?:s|ed|ing) (?:of|from|in)\b|\bas a result\b|\bled (?:by|to)\b|\boffset\b"
    r"|\bowing\b|\bcause|\bcontribut|\bimpact(?:ed)? (?:of|by|from)\b|\bsince\b|\bin order to\b",
    re.I,
)
_DEFINES: Final = re.compile(
    r"\b(?:means?|refers? to|reflects?|represents?|includes?|comprises?|consists? of|defines?"
    r"|(?:is|are) (?:an?|the|defined|calculated|determined|measured))\b",
    re.I,
)
_SUPERLATIVE: Final = re.compile(
    r"\b(?:most|least|largest|highest|lowest|biggest|greatest|smallest|fewest|best|worst|primary"
    r"|primarily|principal(?:ly)?|main(?:ly)?|leading|strongest|weakest|top"
    r"|(?:more|less|fewer|higher|lower) than)\b",
    re.I,
)
_FORMS: Final = (
    (re.compile(r"\b(?:what|which) (?:percent\w*|proportion|share)\b", re.I), _SHARE),
    (
        re.compile(r"\bhow much (?:\w+ )*?(?:owes?|pay|paid|spen[dt]|cost|earn|charge)\b", re.I),
        _MONEY,
    ),
    (re.compile(r"\bhow (?:much|many)\b", re.I), _AMOUNT),
    (
        re.compile(
            r"\bwhy\b|\bwhat (?:caused|drove|led to|explains)\b"
            r"|\b(?:contributors?|drivers?) (?:to|of)\b",
            re.I,
        ),
        _REASON,
    ),
    (re.compile(r"(?:^|[.;,] )when\b|\b(?:what|which|on what) (?:date|day|year)\b", re.I), _DATE),
    (
        re.compile(r"\bmeans? by\b|\bdefin(?:e|ition)\b|\bwhat does .{1,60} mean\b", re.I),
        _DEFINES,
    ),
    (
        re.compile(
            r"\b(?:which|what|who)\b.*\b(?:most|least|largest|highest|lowest|biggest|greatest"
            r"|smallest|fewest)\b(?! recent)",
            re.I,
        ),
        _SUPERLATIVE,
    ),
)
_VALUES: Final = (
    (re.compile(r"^\W*who\b(?!\s+(?:are|were)\b)|\b(?:by|to|from|with) whom\b", re.I), says_who),
    (re.compile(r"^\W*where\b", re.I), says_where),
)
_MODEL: Final = re.compile(
    r"\b[A-Z][\w-]+\s(?P<model>(?=[A-Z0-9-]*[A-Z])(?=[A-Z0-9-]*\d)[A-Z0-9]+(?:-[A-Z0-9]+)*)\b"
)
"""A model behind its maker: "Beech A23" is a name, "Apple Q3" a period."""
_VERB: Final = re.compile(
    r"\b[Hh]ow (?:many|much)\b[^?.;]*?\b(?:did|does|do|has|have|had) "
    r"(?:it|they|the (?:company|group|firm)|[A-Z][\w&.-]*(?: [A-Z&][\w&.-]*)*) (?P<verb>[a-z]+)\b"
)
"""The verb behind the subject: "How many planes did Boeing deliver?"."""
_SPENT: Final = frozenset(("spend", "spent"))
_WHICH_ONES: Final = re.compile(r"\b(?:what|which|who) (?:are|were)\b", re.I)
_NAMES_SOME: Final = re.compile(
    r"(?<=[a-z,] )[A-Z][\w&.-]+(?:,? (?:and |of )?[A-Z][\w&.-]+)+|,.*,.*\b(?:and|or)\b|;.*;"
    r"|[\u2022\u25aa\u25e6\u25cf].*[\u2022\u25aa\u25e6\u25cf]",
    re.S,
)
_NAMELESS: Final = re.compile(
    r"\b(?:why|how|when|who|where|did|does|do|has|have|is|are|was)\b", re.I
)
_VALUE_OF: Final = re.compile(r"^\W*(?:what|which)\s+(?:is|was|were|are)\s", re.I)
_TIMES: Final = re.compile(
    r"(?<![\d.,$])(?:19|20)\d\d(?![\d,.]\d)"
    r"|\b(?:jan|feb|mar|apr|may|june?|july?|aug|sept?|oct|nov|dec)[a-z]*\.? \d{1,2}\b"
    r"|\b(?:three|six|nine|twelve|\d+)[ -](?:months?|weeks?|years?)\b",
    re.I,
)
_DAY: Final = re.compile(
    r"\b(jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*\.? (\d{1,2})\b(?![.,]\d)", re.I
)
_TIME: Final = frozenset(
    (  # stems
        "januari", "februari", "march", "april", "may", "june", "juli", "august", "septemb",
        "octob", "novemb", "decemb", "first", "second", "third", "fourth", "q1", "q2", "q3", "q4",
        "end", "ended", "quarter", "half", "earlier", "ago", "year", "fiscal", "fy", "month",
        "date",
    )
)  # fmt: skip
_LIGHT: Final = frozenset(
    (  # stems of words that say nothing of what is asked
        "say", "said", "tell", "told", "get", "got", "go", "went", "let", "make", "made", "do",
        "done", "take", "took", "give", "gave", "come", "came", "happen", "befor", "after", "usual",
        "about", "base", "occur", "versus", "vs", "respect", "total", "figur", "valu",
        "her", "him", "own", "activ", "level", "posit", "mean", "defin", "definit",
    )
)  # fmt: skip
_MOVES: Final = frozenset(
    (
        "increas", "decreas", "declin", "grow", "grew", "growth", "rise", "rose", "fall", "fell",
        "drop", "chang", "improv", "reduc", "reduct", "up", "down", "expens", "cost",
    )
)  # fmt: skip
_ASKS: Final = re.compile(
    r"\W*(?:what|which|who(?:m|se)?|how|why|when|where|did|does|do|has|have|is|are|was|were)\b",
    re.I,
)
_EXCLUDES: Final = re.compile(r"\bexcluding (?:the )?(?:contributions?|impacts?|effects?)\b", re.I)
_YEAR: Final = re.compile(r"(?<![\d.,$])(?:19|20)\d\d(?![\d,.]\d|\d)")
_NUMBERS: Final = re.compile(r"(?<![\w.,])[$(]*\d[\d,.]*")
_WORDS: Final = re.compile(r"[^\W\d_]+")
_SOURCE: Final = re.compile(r",?\s*\baccording to\b[^,?]*", re.I)
_FISCAL: Final = re.compile(r"fy\d{2,4}")
_BESIDE: Final = 6  # words from the first word of a compound to the second, at most
_FEW: Final = 4  # terms of a relation, of which each compound must be whole
KIN: Final = 5  # letters that two endings of one word share at least


@dataclass(frozen=True, slots=True)
class Relation:
    """What a sentence must hold to answer: terms of the relation and of the names, and a form.

    `required` are those terms of the relation that no others make up for: the verb of a count.
    """

    relation: frozenset[str]
    names: frozenset[str]
    forms: tuple[re.Pattern[str], ...]
    compounds: tuple[tuple[str, str], ...] = ()
    years: frozenset[int] = frozenset()
    values: tuple[Callable[[str, str], bool], ...] = ()  # of a question and a text
    question: str = ""
    required: frozenset[str] = frozenset()
    days: frozenset[tuple[str, str]] = frozenset()

    def share(self, held: frozenset[str]) -> float:
        """The share of the relation's terms that `held` has, other endings included."""
        return self._share(self.relation, held)

    def lacks_required(self, held: frozenset[str]) -> bool:
        """Whether `held` has not the verb that a question of a number asks for."""
        return self._share(self.required, held) < 1.0

    def own_share(self, held: frozenset[str], identity: frozenset[str]) -> float:
        """The same of the terms that do not belong to the document's identity, if there are any."""
        return self._share(self.relation - identity or self.relation, held)

    @staticmethod
    def _share(wanted: frozenset[str], held: frozenset[str]) -> float:
        if not wanted:
            return 1.0
        return sum(t in held or _kin(t, held) for t in wanted) / len(wanted)

    def splits_compound(self, text: str, held: frozenset[str], asked: Asked) -> bool:
        """Whether a text has one word of "production rate" without the other beside it."""
        if len(self.relation) > _FEW:
            return False
        words = asked.terms(text)
        for one, other in self.compounds:
            if (one in held or _kin(one, held)) != (other in held or _kin(other, held)):
                return True
            places = [[i for i, word in enumerate(words) if word == t] for t in (one, other)]
            steps = [b - a for a in places[0] for b in places[1]]
            if steps and not any(-1 <= step <= _BESIDE for step in steps):
                return True
        return False

    def of_other_years(self, header: str) -> bool:
        """Whether the header of a row names years, none of them asked for.

        A fiscal year may end in the year after, or be called by the year before.
        """
        named = frozenset(int(found) for found in _YEAR.findall(header))
        near = {year + step for year in self.years for step in (-1, 0, 1)}
        return bool(near) and bool(named) and named.isdisjoint(near)

    def of_other_days(self, text: str) -> bool:
        """Whether a text names days, none of them the one that a question of a number asks for."""
        named = _days(text) if self.days and self.numeric else frozenset[tuple[str, str]]()
        return bool(named) and self.days.isdisjoint(named)

    @property
    def numeric(self) -> bool:
        """Whether the question wants a number: then the names must stand beside it."""
        return any(form in (_AMOUNT, _MONEY, _SHARE) for form in self.forms)

    def fits_form(self, text: str, asked: Asked, *, is_row: bool = False) -> bool:
        """Whether a sentence has what the form of the question wants: a number, a reason ..."""
        if not is_row and _is_bare_row(text):
            return False  # nothing says which of its numbers is meant
        if _AMOUNT in self.forms and _EXCLUDES.search(text):
            return False  # an adjusted figure, which was not asked for
        timeless = _TIMES.sub(" ", text)
        if asked.counted and "\t" not in text and not asked.counts(timeless):
            return False
        if not all(value(self.question, text) for value in self.values):
            return False
        return all(form.search(text if form is _DATE else timeless) for form in self.forms)


def is_question(text: str) -> bool:
    """Whether a text asks; a claim or a few keywords do not."""
    return "?" in text or _ASKS.match(text) is not None


def relation_of(question: str, asked: Asked, answered: frozenset[str] = frozenset()) -> Relation:
    """What a question asks, and of whom. `answered` are terms that figures answer already."""
    question = _SOURCE.sub(" ", question)
    named = frozenset(
        t
        for name in asked_names(question)
        if name.capitalised or name.possessive or question.find(name.text) > 0 < _upper(name.text)
        for t in asked.terms(" ".join(name.words))
    )
    written = [m["model"] for m in _MODEL.finditer(question)] + [
        c.text for c in asked_codes(question)
    ]
    named |= frozenset(asked.terms(" ".join(written)))
    periods = periods_in(question)
    timeless = frozenset(asked.terms(periods.rest))
    key = frozenset(
        t
        for t in asked.key
        if t in timeless - answered
        and t not in _TIME | _LIGHT
        and not _FISCAL.fullmatch(t)
        and not t.isdigit()
    )
    forms = dict.fromkeys(a for q, a in _FORMS if q.search(question))
    if (
        asked.figure
        and _REASON not in forms
        and (_VALUE_OF.search(question) or not _NAMELESS.search(question))
    ):
        forms[_AMOUNT] = None
    elif _WHICH_ONES.search(question):
        forms[_NAMES_SOME] = None
    relation = key - named
    if _MONEY in forms and relation - _SPENT:
        relation -= _SPENT  # an amount says that it was spent
    compounds = tuple(
        pair
        for pair in asked.pairs.intersection(pairwise(asked.terms(question)))
        if relation.issuperset(pair)
        and _MOVES.isdisjoint(pair)
        and _stand_together(*pair, question)  # last: each pair compiles a pattern of its own
    )
    years = frozenset(
        [d.year for d in periods.dates] + [q.year for q in periods.quarters] + [*periods.years]
    )
    values = tuple(value for asks, value in _VALUES if asks.search(question))
    verb = _VERB.search(question)
    required = frozenset(asked.terms(verb["verb"])) & relation if verb else frozenset[str]()
    return Relation(
        relation=relation,
        names=named & key,
        forms=tuple(forms),
        compounds=compounds,
        years=years,
        values=values,
        question=question,
        required=required,
        days=_days(question),
    )


def _days(text: str) -> frozenset[tuple[str, str]]:
    """The days that a text names, as month and day: headers of columns write years apart."""
    return frozenset((m[:3].casefold(), day) for m, day in _DAY.findall(text))


def _stand_together(one: str, other: str, question: str) -> bool:
    """Whether two stems stand beside each other in a question, no stop word between them."""
    pattern = rf"\b{re.escape(one[:4])}[\w-]*[ ]{re.escape(other[:4])}"
    return re.search(pattern, question, re.I) is not None


def _is_bare_row(text: str) -> bool:
    """Whether a text is a row of a table that was read as prose: numbers behind a label."""
    numbers = _NUMBERS.findall(text)
    return len(numbers) > 2 and 2 * len(numbers) >= len(_WORDS.findall(text))


def _upper(text: str) -> int:
    return int(text[:1].isupper())


def _kin(term: str, held: frozenset[str]) -> bool:
    return len(term) >= KIN and any(
        (other.startswith(term) or term.startswith(other)) and abs(len(other) - len(term)) <= 3
        for other in held
        if len(other) >= KIN
    )
