"""Whether the figures and names of a sentence stand beside the words that they stand beside. Pure.

A sentence that swaps two figures or names has all of its words in the passage. Each of them is
compared by the words around it: where both fit better in the place of the other, they are swapped.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from typing import Final

from foliotrace.query.answer.grounding import polarity
from foliotrace.text_caches import text_cache

WINDOW: Final = 12.0  # words around a figure
SWAPPED: Final = 0.3  # how far the nearness of words must be the reverse
LEAST: Final = 0.001  # with less in common, two places cannot be compared
LINK: Final = 4.0  # words that "and" stands for
OPPOSED: Final = 1.2  # how much better the contrary must fit
OPPOSED_BY: Final = 0.2
SHARED: Final = 2  # words near both, in the sentence and in the passage
STEM: Final = 7  # letters that two forms of a word have in common

_TOKEN: Final = re.compile(
    r"\d+(?:[.,]\d+)*%?|[^\W\d_](?:[\w&'\u2019.-]*\w)?|\n+|[.;:,()\u2013|\t]", re.IGNORECASE
)
_DISTANCE: Final = {
    ",": 1.0, "(": 0.5, ")": 2.0, ";": 5.0, ":": 0.5, "|": 1.0, "\t": 1.0, "\u2013": 1.0,
}  # fmt: skip
_END: Final = 30.0
_LINKS: Final = frozenset({"and", "or", "but", "while", "whereas", "und", "et", "y"})
_PLAIN_WORDS: Final = (
    "a an the any of in on at to by for from with as it its is are was were be been has have had "
    "do does did this that these those their our we he she they his her or and but not no than "
    "then which who whom whose will would may can must should there about around million billion "
    "thousand percent usd eur i.e e.g vs der die das den dem des ein eine und ist le la les un une "
    "des du de et est el los las una y es en l d son fue were"
)
_PLAIN: Final = frozenset(_PLAIN_WORDS.split())
_LONG_LINE: Final = 50
_CONTRARIES: Final = (
    *polarity.OPPOSITES,
    ("easy", "hard"),
    ("first", "last"),
    ("longer", "shorter"),
    ("more", "less"),
    ("more", "fewer"),
    ("larger", "smaller"),
    ("older", "younger"),
    ("inclusive", "exclusive"),
    ("upper", "lower"),
    ("internal", "external"),
    ("left", "right"),
    ("north", "south"),
    ("east", "west"),
    ("buyer", "seller"),
    ("enabled", "disabled"),
    ("enable", "disable"),
    ("true", "false"),
    ("always", "never"),
)
_FIGURE: Final = (
    r"[$\u20ac\u00a3]?(?<![\d.,])(?P<{}>\d+(?:[.,]\d+)*%?)"
    r"(?: (?:thousand|million|billion|percent))?"
)
_MOVES: Final = (
    re.compile(rf"\bfrom {_FIGURE.format('old')}[^.;\d]{{0,40}}\bto {_FIGURE.format('new')}"),
    re.compile(
        rf"{_FIGURE.format('new')}[^.;\d]{{0,40}}\b(?:compared (?:to|with)|from|versus|against) "
        rf"{_FIGURE.format('old')}"
    ),
)
_DATED: Final = re.compile(
    rf"{_FIGURE.format('figure')}(?: [a-z-]+){{0,3}} (?:in|for|of|at)(?: [A-Za-z]+){{0,3}} "
    r"(?P<year>(?:19|20)\d\d)"
)
_SIDES: Final = {
    **{word: sign + pair[0] for pair in _CONTRARIES for word, sign in zip(pair, "+-", strict=True)},
    **dict.fromkeys(("more", "greater", "larger", "bigger"), "+more"),
    **dict.fromkeys(("less", "fewer", "smaller"), "-more"),
}


@dataclass(frozen=True, slots=True)
class Token:
    """A word or number, where it stands, and whether it has a capital inside of a sentence."""

    key: str
    kind: str  # "number", "percent", "year", "name", "word"
    place: float
    side: str = ""  # "+up" and "-up" are contraries, as are "+open" and "-open"


@dataclass(frozen=True)
class Text:
    """The tokens of a text, and the surroundings of each word that is asked for."""

    tokens: tuple[Token, ...]

    @cached_property
    def _surroundings(self) -> dict[int, Mapping[str, float]]:
        return {}

    def around(self, key: str) -> list[Mapping[str, float]]:
        """The words around each place of a word, each with a weight by its distance."""
        return [self.near(i) for i in self.places.get(key, ())]

    @cached_property
    def places(self) -> Mapping[str, Sequence[int]]:
        """Where each key and side stands."""
        found: dict[str, list[int]] = {}
        for i, token in enumerate(self.tokens):
            for name in (token.key, token.side):
                if name:
                    found.setdefault(name, []).append(i)
        return found

    def near(self, at: int) -> Mapping[str, float]:
        """The words around one token."""
        known = self._surroundings.get(at)
        if known is None:
            known = self._surroundings[at] = self._near(at)
        return known

    def _near(self, at: int) -> Mapping[str, float]:
        place = self.tokens[at].place
        found: dict[str, float] = {}
        for steps in (range(at - 1, -1, -1), range(at + 1, len(self.tokens))):
            for i in steps:
                token = self.tokens[i]
                distance = abs(token.place - place)
                if distance > WINDOW:
                    break
                weight = 1.0 / (1.0 + distance)
                if weight > found.get(token.key, 0.0):
                    found[token.key] = weight
        return found


@text_cache(1024)
def read(text: str) -> Text:
    """The tokens of a text; small words only add to distances."""
    tokens: list[Token] = []
    place, start_of_sentence, line = 0.0, True, 0
    for found in _TOKEN.finditer(text):
        word = found.group()
        if word in _DISTANCE:
            place += _DISTANCE[word]
        elif word == ".":
            place, start_of_sentence = place + _END, True
        elif word[0] == "\n":
            wrapped = found.start() - line > _LONG_LINE and len(word) == 1
            place, line = place + (0.5 if wrapped else _END), found.end()
            start_of_sentence = start_of_sentence or not wrapped
        elif word[0].isdigit():
            place += 1.0
            tokens.append(_number(word, place))
            start_of_sentence = False
        else:
            plain = _key(word)
            place += LINK if plain in _LINKS else 1.0
            if plain and plain not in _PLAIN:
                name = word[0].isupper() and not start_of_sentence
                tokens.append(Token(plain, "name" if name else "word", place, _side(word)))
            start_of_sentence = False
    return Text(tuple(tokens))


def _number(word: str, place: float) -> Token:
    digits = word.rstrip("%").replace(",", "")
    key = f"{float(digits):g}" if digits.count(".") < 2 else digits
    year = len(word) == 4 and word.isdigit() and word[:2] in ("19", "20")
    kind = "year" if year else "percent" if word.endswith("%") else "number"
    return Token(f"#{key}", kind, place)


@text_cache(8192)
def _key(word: str) -> str:
    plain = word.casefold().replace("\u2019s", "").replace("'s", "").replace(".", "")
    return plain if plain in _PLAIN or "-" in plain else plain[:STEM]


@text_cache(8192)
def _side(word: str) -> str:
    """Which of two contraries a word is; nothing for most words."""
    way = polarity.direction(word)
    if way is not None:
        return "+up" if way == "up" else "-up"
    return _SIDES.get(word.casefold(), "")


def contrary(claim: str, held: Sequence[str]) -> bool:
    """Whether a word such as "higher" stands where the passages have its contrary."""
    said = read(claim)
    sided = [(i, token) for i, token in enumerate(said.tokens) if token.side]
    if not sided or polarity.denies_anything(claim):
        return False
    texts = [read(text) for text in held]
    for i, token in sided:
        near, other = said.near(i), ("-" if token.side[0] == "+" else "+") + token.side[1:]
        own = _best_side(near, texts, token.side)
        rival = _best_side(near, texts, other)
        if rival > OPPOSED * own + OPPOSED_BY:
            return True
    return False


def _best_side(near: Mapping[str, float], texts: Sequence[Text], side: str) -> float:
    return max(
        (_fit(near, text.near(i)) for text in texts for i in text.places.get(side, ())),
        default=0.0,
    )


def swapped(claim: str, held: Sequence[str]) -> bool:
    """Whether two figures, years or names of the claim fit better in the place of each other."""
    said = read(claim)
    anchors = {token.key: token for token in said.tokens if token.kind != "word"}
    if len(anchors) < 2:
        return False
    moves = _moves(claim)
    around = {
        key: said.around(key)[0] for key in anchors if sum(t.key == key for t in said.tokens) == 1
    }
    for source in held:
        text = read(source)
        keys = {token.key for token in text.tokens}
        places = {key: text.around(key) for key in around if key in keys}
        for one, other in combinations(places, 2):
            if anchors[one].kind != anchors[other].kind:
                continue
            if moves and not moves.isdisjoint({(one, other), (other, one)} & _moves(source)):
                continue  # from the one to the other in both
            if _in_their_years(claim, places, one, other):
                continue
            if _crossed(around, places, one, other):
                return True
    return False


@text_cache(1024)
def _dated(text: str) -> Mapping[str, str]:
    """The year of each "148 million in fiscal 2016", and the figure of each year."""
    pairs = ((m["figure"], m["year"]) for m in _DATED.finditer(text))
    keys = [(_number(figure, 0).key, _number(year, 0).key) for figure, year in pairs]
    return {**dict(keys), **{year: figure for figure, year in keys}}


def _in_their_years(
    claim: str, held: Mapping[str, Sequence[Mapping[str, float]]], one: str, other: str
) -> bool:
    """Whether each of two figures stands nearest to the year of the claim; or years."""
    dated = _dated(claim)
    years = [dated.get(one, ""), dated.get(other, "")]
    if not all(years) or years[0] == years[1]:
        return False
    return all(
        any(near.get(own, 0.0) > near.get(rival, 0.0) for near in held[figure])
        for figure, own, rival in ((one, *years), (other, *reversed(years)))
    )


@text_cache(1024)
def _moves(text: str) -> frozenset[tuple[str, str]]:
    """(old, new) of each "from 8.6 billion to 10.2 billion" and "10.2 compared with 8.6"."""
    found = [(m["old"], m["new"]) for pattern in _MOVES for m in pattern.finditer(text)]
    return frozenset((_number(a, 0).key, _number(b, 0).key) for a, b in found)


def _fit(said: Mapping[str, float], held: Mapping[str, float]) -> float:
    return sum(min(weight, held[key]) for key, weight in said.items() if key in held)


def _crossed(
    said: Mapping[str, Mapping[str, float]],
    held: Mapping[str, Sequence[Mapping[str, float]]],
    one: str,
    other: str,
) -> bool:
    """Whether what stands nearer to one than to the other is held to be nearer to the other."""
    nearer = _nearer(said[one], said[other], {one, other})
    return all(
        _agreement(nearer, _nearer(first, second, {one, other})) < -SWAPPED
        for first in held[one]
        for second in held[other]
    )


def _nearer(
    one: Mapping[str, float], other: Mapping[str, float], both: set[str]
) -> Mapping[str, float]:
    """How much nearer each word stands to one place than to the other."""
    keys = (one.keys() | other.keys()) - both
    return {key: one.get(key, 0.0) - other.get(key, 0.0) for key in keys}


def _agreement(said: Mapping[str, float], held: Mapping[str, float]) -> float:
    """From -1 to 1: whether the words that both have are nearer to the same places."""
    shared = said.keys() & held.keys()
    product = sum(said[key] * held[key] for key in shared)
    sizes = sum(said[key] ** 2 for key in shared) * sum(held[key] ** 2 for key in shared)
    if sizes < LEAST or len(shared) < SHARED:
        return 0.0
    return float(product / sizes**0.5)
