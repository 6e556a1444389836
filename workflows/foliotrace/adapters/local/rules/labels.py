"""How well a label on a page fits a name in a schema. Pure."""

from functools import lru_cache

from foliotrace.schema_fields.plan import tokens

_SAME = {
    "no": "number",
    "nr": "number",
    "num": "number",
    "numero": "number",
    "nummer": "number",
    "amt": "amount",
    "qty": "quantity",
    "tel": "phone",
    "telephone": "phone",
    "mail": "email",
    "addr": "address",
    "desc": "description",
    "ref": "reference",
}
_EMPTY = frozenset(("the", "of", "a", "an", "and", "for", "in", "de", "der", "die", "das", "s"))
# a further word beside one of these makes another thing of it: "date", "delivery date"
# fmt: off
_VAGUE = frozenset((
    "date", "total", "number", "name", "amount", "id", "code", "type", "price", "value",
    "address", "time", "status", "reference", "quantity", "rate", "year", "sum",
))
# fmt: on
_TYPO_RATIO = 0.88
LABEL_WORDS = 7


@lru_cache(maxsize=8192)
def words(text: str) -> tuple[str, ...]:
    """A label's words in one spelling, without articles, figures and what stands in brackets."""
    bare = text.partition("(")[0] or text
    found = [_SAME.get(word, word) for word in tokens(bare)]
    telling = tuple(word for word in found if word not in _EMPTY and not word.isdecimal())
    return telling or tuple(found)


@lru_cache(maxsize=65536)
def likeness(wanted: str, label: str) -> float:
    """0..1: the same words; the same in another order; a slip of the pen; more or fewer words."""
    one, other = words(wanted), words(label)
    if not one or not other or len(other) > LABEL_WORDS:
        return 0.0
    if one == other:
        return 1.0
    if set(one) == set(other):
        return 0.95
    joined, told = "".join(one), "".join(other)
    if joined == told:
        return 0.97
    if min(len(joined), len(told)) >= 5:
        ratio = same_letters(joined, told)
        if ratio >= _TYPO_RATIO:
            return 0.9 * ratio
    return _overlap(set(one), set(other))


def same_letters(one: str, other: str) -> float:
    """0..1: the share of both words' letters that stand in the same order in both.

    Twice their longest common subsequence over their lengths.
    Source: Hyyro, "Bit-parallel LCS-length computation revisited", 2004.
    """
    places: dict[str, int] = {}
    for place, letter in enumerate(one):
        places[letter] = places.get(letter, 0) | 1 << place
    everywhere = unmatched = (1 << len(one)) - 1
    for letter in other:
        matched = unmatched & places.get(letter, 0)
        unmatched = (unmatched + matched) | (unmatched - matched)
    common = len(one) - (unmatched & everywhere).bit_count()
    return 2 * common / (len(one) + len(other))


def _overlap(wanted: set[str], label: set[str]) -> float:
    """One says all that the other says, and more."""
    if wanted < label:
        if wanted <= _VAGUE:
            return 0.4
        return {1: 0.72, 2: 0.55}.get(len(label - wanted), 0.0)
    if label < wanted:
        missing = len(wanted - label)
        if len(label) >= 2:
            return {1: 0.72, 2: 0.5}.get(missing, 0.0)
        return 0.6 if missing == 1 and not label <= _VAGUE else 0.0
    return 0.0


def best_likeness(labels: tuple[str, ...], label: str) -> float:
    """The likeness to the best of several names."""
    return max((likeness(name, label) for name in labels), default=0.0)


def is_vague(label: str) -> bool:
    """Whether a label says little alone, as "date" does."""
    return set(words(label)) <= _VAGUE


def means_number(labels: tuple[str, ...]) -> bool:
    """Whether a name promises an identifier: such a value holds a digit."""
    return any({"number", "id", "code", "reference"} & set(words(label)) for label in labels)
