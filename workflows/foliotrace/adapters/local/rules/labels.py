"""Similarity of a label on a page to a name in a schema. Pure."""

from foliotrace.adapters.local.rules.business_words import ADDRESS, ORGANISATION, PHONE
from foliotrace.schema_fields.plan import tokens
from foliotrace.text_caches import text_cache

_SYNONYMS = {
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
_STOP_WORDS = frozenset(
    ("the", "of", "a", "an", "and", "for", "in", "de", "der", "die", "das", "s")
)
# one more word changes what these mean: "date" and "delivery date" are different fields
# fmt: off
_VAGUE = frozenset((
    "date", "total", "number", "name", "amount", "id", "code", "type", "price", "value",
    "address", "time", "status", "reference", "quantity", "rate", "year", "sum",
))
# fmt: on
_TYPO_RATIO = 0.88
LABEL_WORDS = 9


@text_cache(8192)
def words(text: str) -> tuple[str, ...]:
    """A label's words, with synonyms replaced, without stop words, numbers and bracketed text."""
    bare = text.partition("(")[0] or text
    found = [_SYNONYMS.get(word, word) for word in tokens(bare)]
    significant = tuple(w for w in found if w not in _STOP_WORDS and not w.isdecimal())
    return significant or tuple(found)


@text_cache(65536)
def likeness(wanted: str, label: str) -> float:
    """0 to 1: equal words, reordered words, a misspelling, or a few words more or less."""
    one, other = words(wanted), words(label)
    if not one or not other or len(other) > LABEL_WORDS:
        return 0.0
    if _numbers(wanted) and _numbers(label) and _numbers(wanted) != _numbers(label):
        return 0.0  # "column 1" and "column 2"
    if one == other:
        return 1.0
    if set(one) == set(other):
        return 0.95
    letters, other_letters = "".join(one), "".join(other)
    if letters == other_letters:
        return 0.97
    if min(len(letters), len(other_letters)) >= 5:
        ratio = same_letters(letters, other_letters)
        if ratio >= _TYPO_RATIO:
            return 0.9 * ratio
    return _overlap(set(one), set(other))


def _numbers(text: str) -> list[str]:
    return [word for word in tokens(text) if word.isdecimal()]


def same_letters(one: str, other: str) -> float:
    """0 to 1: the share of the letters of both words that occur in the same order in both.

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
    """The likeness of two labels of which one holds all the words of the other."""
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
    """The likeness to the most similar of several names."""
    return max((likeness(name, label) for name in labels), default=0.0)


def is_vague(label: str) -> bool:
    """Whether a label needs another word to say what it is, as "date" does."""
    return set(words(label)) <= _VAGUE


def has_its_letters(labels: tuple[str, ...], value: str) -> bool:
    """Whether a phone number has a digit, and an address or an organisation letters."""
    asked = {word for name in labels for word in tokens(name)}
    if asked & PHONE:
        return any(c.isdigit() for c in value)
    return not asked & (ADDRESS | ORGANISATION) or sum(c.isalpha() for c in value) >= 3


def means_number(labels: tuple[str, ...]) -> bool:
    """Whether a name asks for an identifier, whose value must contain a digit."""
    return any({"number", "id", "code", "reference"} & set(words(label)) for label in labels)
