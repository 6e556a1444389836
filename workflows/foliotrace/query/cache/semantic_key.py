"""When two differently worded questions ask the same. Pure; vectors have no say here.

No similarity of vectors is safe: "overdue" and "not overdue" have a cosine of .985 (measured), and
"term" and "terms" of a contract differ by one letter. So the words decide. `canonical_question`
removes only what cannot change the answer: politeness, "the", the present tense of "be", the
spelling of numbers, quarters, contractions and British words, "A of B" for "B's A", a year in front
or at the end, and the operator's own synonyms. Two questions are equivalent when what is left is
equal, in the same order. Everything else (numbers, names, negations, question words, prepositions,
modal verbs, plurals, units) stays, so that it need not be listed.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final, TypeAlias

CanonicalQuestion: TypeAlias = tuple[str, ...]

_TOKEN: Final = re.compile(r"\w+(?:['.,/:_-]\w+)*(?:(?<=s)'(?=\s))?|[^\s\w]")
_PUNCTUATION: Final = frozenset(".,;:!?\"'\u2026\u201c\u201d\u2018")
_HAS_DIGIT: Final = re.compile(r"\d")
_THOUSANDS: Final = re.compile(r"\d{1,3}(?:,\d{3})+(?:\.\d+)?")
_QUARTER: Final = re.compile(r"[qQ][1-4]")
_FISCAL: Final = re.compile(r"[fF][yY]'?(\d{4})")
_TIME: Final = re.compile(r"(?:19|20)\d\d|q[1-4]|\d{4}-\d\d(?:-\d\d)?")

_POSSESSIVE: Final = "'s"
_OF: Final = "of"
_YES_OR_NO: Final = "?"

_EXPANSIONS: Final[Mapping[str, tuple[str, ...]]] = {
    "can't": ("can", "not"),
    "cannot": ("can", "not"),
    "won't": ("will", "not"),
    "shan't": ("shall", "not"),
    "which": ("what",),
    "whom": ("who",),
    "does": ("do",),
    "an": ("a",),
    "during": ("in",),
    "percent": ("%",),
    "versus": ("vs",),
    "litre": ("liter",),
    "litres": ("liters",),
    "metre": ("meter",),
    "metres": ("meters",),
    "colour": ("color",),
    "centre": ("center",),
    "labour": ("labor",),
    "programme": ("program",),
    "licence": ("license",),
}
_BE: Final = frozenset({"is", "are"})
_QUESTION_WORDS: Final = frozenset({"what", "who", "whose", "when", "where", "why", "how"})
_BEFORE_MEANINGFUL_THE: Final = _BE | {"what", "was", "were"}
_BEFORE_SHORT_IS: Final = _QUESTION_WORDS | {"it", "that", "there", "here", "he", "she"}
_NUMBERS: Final = dict(
    zip(
        ("two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven"),
        map(str, range(2, 12)),
        strict=True,
    )
)
_ORDINALS: Final = {"first": "q1", "second": "q2", "third": "q3", "fourth": "q4"}
_MONTH_NAMES: Final = (
    "january february march april may june july august september october november december"
)
_MONTHS: Final = tuple(_MONTH_NAMES.split())
_MONTH_ABBREVIATIONS: Final = {
    **{month: month for month in _MONTHS},
    **{month[:3]: month for month in _MONTHS},
    "sept": "september",
}

_REQUEST: Final = re.compile(
    r"(?:(?:hi|hello) )?(?:please )?(?:(?:"
    r"(?:(?:can|could|would|will) you )?(?:please )?(?:tell|show|give) (?:me|us)"
    r"|(?:i|we) (?:would like|want|need) to know|do you know"
    r"|(?:(?:can|could|would|will) you )?(?:please )?(?:state|name|list)(?= the )"
    r")(?= ))?"
)
_THANKS: Final = (("please",), ("thanks",), ("thank", "you"))

# No part of a noun phrase: they show where "A of B" begins and ends.
_FUNCTION_WORDS: Final = (
    "a the of and or nor but not no in on at by to from for with without within under over above"
    " below between among before after since until than as per via into onto off out about against"
    " i we you he she it they me us him them my your our his her its their this that these those do"
    " did was were be been being have has had will would shall should can could may might must if"
    " whether there vs many much"
)
_NOT_NOUNS: Final = _QUESTION_WORDS | _BE | frozenset(_FUNCTION_WORDS.split())


@dataclass(frozen=True)
class CompiledSynonyms:
    """Groups of words and phrases that mean the same, as the operator configured them."""

    groups: tuple[tuple[str, ...], ...] = ()

    @cached_property
    def _replacements(self) -> dict[CanonicalQuestion, CanonicalQuestion]:
        phrases = [
            [_without_articles(list(_words(phrase))) for phrase in group] for group in self.groups
        ]
        return {phrase: group[0] for group in phrases for phrase in group if phrase}

    @cached_property
    def _longest(self) -> int:
        return max(map(len, self._replacements), default=0)

    def applied(self, words: CanonicalQuestion) -> CanonicalQuestion:
        """The words with each known phrase replaced by the first of its group; the longest wins."""
        if not self._longest:
            return words
        replaced: list[str] = []
        place = 0
        while place < len(words):
            size = next(
                (
                    n
                    for n in range(min(self._longest, len(words) - place), 0, -1)
                    if words[place : place + n] in self._replacements
                ),
                0,
            )
            replaced += (
                self._replacements[words[place : place + size]]
                if size
                else words[place : place + 1]
            )
            place += size or 1
        return tuple(replaced)


NO_SYNONYMS: Final = CompiledSynonyms()


def canonical_question(text: str, synonyms: CompiledSynonyms = NO_SYNONYMS) -> CanonicalQuestion:
    """The question without its wording: equal for questions that have the same answer."""
    words = list(_words(text))
    request = _REQUEST.match(" ".join(words) + " ")
    requested = len(request.group().split()) if request else 0
    words = _without_thanks(words[requested:])
    words = _as_question(words, requested=requested > 0)
    words = _time_at_end(words)
    words = _possessive(words)
    return synonyms.applied(_without_articles(words))


def _without_articles(words: Sequence[str]) -> CanonicalQuestion:
    """Without "the" and "is", unless they change the meaning ("the matter" is not "matter")."""
    kept = []
    for place, word in enumerate(words):
        decides = (
            place < 3 and words[0] in _QUESTION_WORDS and words[place - 1] in _BEFORE_MEANINGFUL_THE
        )
        if word not in _BE and (word != "the" or decides):
            kept.append(word)
    return tuple(kept)


# --- words ---------------------------------------------------------------------------------


def _words(text: str) -> Iterator[str]:
    """The text's words in the form they are compared in; a capital inside a sentence stays."""
    raw = [t for t in _TOKEN.findall(text.replace("\u2019", "'")) if t not in _PUNCTUATION]
    tokens = [part for token in raw for part in _parts(token)]
    place = 0
    while place < len(tokens):
        token = tokens[place]
        low = token.lower()
        after = tokens[place + 1].lower() if place + 1 < len(tokens) else ""
        if low in _ORDINALS and after == "quarter":
            yield _ORDINALS[low]
            place += 2
            continue
        if (low, after) in (("per", "cent"), ("fiscal", "year")):
            yield "%" if low == "per" else "fiscal"
            place += 2
            continue
        before = tokens[place - 1] if place else ""
        yield from _word(token, low, first=not place, neighbours=(before, after))
        place += 1


def _parts(token: str) -> Iterator[str]:
    """A token split at its contraction, possessive or hyphens."""
    if _HAS_DIGIT.search(token):
        fiscal = _FISCAL.fullmatch(token)
        if fiscal:
            yield from ("fiscal", fiscal[1])
        else:
            yield token.replace(",", "") if _THOUSANDS.fullmatch(token) else token
        return
    stem, apostrophe, ending = token.rpartition("'")
    if not apostrophe:
        yield from token.split("-") if len(token) > 1 else (token,)
    elif token.lower() in _EXPANSIONS:
        yield token
    elif not ending:
        yield from (stem, _POSSESSIVE)
    elif ending == "s":
        yield from (stem, "is" if stem.lower() in _BEFORE_SHORT_IS else _POSSESSIVE)
    elif ending == "t" and stem.endswith("n"):
        yield from (stem[:-1], "not")
    elif ending in ("re", "ll", "ve"):
        yield from (stem, {"re": "are", "ll": "will", "ve": "have"}[ending])
    else:
        yield token


def _word(token: str, low: str, *, first: bool, neighbours: tuple[str, str]) -> Iterator[str]:
    if _HAS_DIGIT.search(token):
        yield low if _QUARTER.fullmatch(token) else token
    elif low in _MONTH_ABBREVIATIONS and any(_HAS_DIGIT.match(near) for near in neighbours):
        yield _MONTH_ABBREVIATIONS[low]
    elif token != low and not (first and token[1:] == low[1:]) and low != "i":
        yield token  # a name, or an abbreviation: "US" is not "us"
    else:
        yield from _EXPANSIONS.get(low, (_NUMBERS.get(low, low),))


# --- sentences -----------------------------------------------------------------------------


def _without_thanks(words: list[str]) -> list[str]:
    for ending in _THANKS:
        if len(words) > len(ending) and tuple(words[-len(ending) :]) == ending:
            return words[: -len(ending)]
    return words


def _as_question(words: list[str], *, requested: bool) -> list[str]:
    """The words starting with a question word: a request with "what", yes or no with a mark."""
    if not words:
        return words
    if requested and words[0] in ("if", "whether"):
        return [_YES_OR_NO, *words[1:]]
    if words[0] in _BE:
        return [_YES_OR_NO, *words[1:]]
    if requested and words[0] == "the":
        return ["what", *words]
    return words


def _time_at_end(words: list[str]) -> list[str]:
    """Rewrites "In 2023, what was ..." as "what was ... in 2023"."""
    if len(words) < 3 or words[0].lower() != "in":
        return words
    end = 1
    while end < len(words) and (_TIME.fullmatch(words[end]) or words[end] == "fiscal"):
        end += 1
    if end == 1 or end == len(words) or words[end] not in _QUESTION_WORDS:
        return words
    return [*_as_question(words[end:], requested=False), "in", *words[1:end]]


def _possessive(words: list[str]) -> list[str]:
    """Rewrites one "the A of the B" as "B's A"; two would lose whose is whose."""
    marks = [place for place, word in enumerate(words) if word in (_OF, _POSSESSIVE)]
    if len(marks) != 1 or words[marks[0]] == _POSSESSIVE:
        return words
    place = marks[0]
    start = place
    while start and _is_noun(words[start - 1]):
        start -= 1
    first = place + 1 + (place + 1 < len(words) and words[place + 1] == "the")
    end = first
    while end < len(words) and _is_noun(words[end]):
        end += 1
    if start == place or end == first:
        return words
    before = start - (start > 0 and words[start - 1] == "the")
    owner = [*words[place + 1 : end], _POSSESSIVE]
    return [*words[:before], *owner, *words[start:place], *words[end:]]


def _is_noun(word: str) -> bool:
    return word not in _NOT_NOUNS and word[0].isalpha()
