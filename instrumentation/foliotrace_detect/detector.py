"""Replaces sensitive values in text. The caller chooses the kinds, more rules and replacements.

Names of people are found only where a program lists them (`NameRule`); street addresses are not.
"""

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from typing import Final

from foliotrace_detect.contacts import EMAILS, MACHINES, PHONES
from foliotrace_detect.credentials import SECRETS
from foliotrace_detect.identity_numbers import IdentityNumbers
from foliotrace_detect.named_numbers import BirthDates, NamedIdentityNumbers
from foliotrace_detect.numbers import IDS, CardRule, IbanRule, ssn_rules
from foliotrace_detect.rule import Find, Rule, SensitiveKind

Replacement = Callable[[str, str], str]
"""(kind, value in one spelling: digits only, lower case ...) -> the text to put in its place."""

_FOLDED: Final[dict[int, int]] = {
    **{wide: wide - 0xFEE0 for wide in range(0xFF01, 0xFF5F)},
    **dict.fromkeys((*range(0x2000, 0x200B), 0xA0, 0x202F, 0x205F, 0x3000), ord(" ")),
    **dict.fromkeys((*range(0x2010, 0x2016), 0x2212, 0xAD), ord("-")),
    **dict.fromkeys((0xB7, 0x2022, 0x2219, 0x30FB), ord(".")),
}
"""One character for one: what is found in the folded text stands there in the text itself."""

_HINT: Final = re.compile(
    r"\d[ ._:/()-]{0,2}\d|@|%40|[\[({]at[\])}]|[A-Za-z0-9]{2}[-_.][A-Za-z0-9_-]{8}|://|::|eyJ"
    r"|[Pp]ass|PASS|[Pp]wd|PWD|[Ss]ecret|SECRET|[Tt]oken|TOKEN|[Kk]ey|KEY|[Ss]ig=|[Ss]ession"
    r"|[Bb]asic|[Bb]earer|[Cc]redential|AKIA|ASIA|AIza|sid|&#|&commat|u0040| dot | DOT |%[23]"
    r"|[Pp]sk|PSK|\bpw\b|ennwort|[Cc]ontrase|[Hh]as[lł]o|[Ss]enha|achtw|arol|ifre|eslo|арол|[密口パ비]"
)
"""No rule finds anything in a text without one of these: most telemetry stops here."""

_MADE_ID: Final = re.compile(r"(?:run_|job_|doc_)?[0-9a-f]{12}4[0-9a-f]{3}[89ab][0-9a-f]{15}")
"""A random UUID without dashes, as programs name runs: nothing in it stands alone as a number.

A question's trace holds two new ones, and to look for everything in them took 70 us.
"""


class Detector:
    """Finds values of `kinds`. Holds no state between texts; safe to use from several threads.

    `prose`: the text was written for people, so a number may touch letters and be grouped in any
    way. Otherwise the text may hold hexadecimal ids, and a number must stand alone.
    `any_sixteen_digits`: sixteen digits are a card even without an issuer or a check digit.
    `more`: rules of the program's own; they run first and see every text.
    """

    __slots__ = ("_more", "_prose", "_rules")

    def __init__(
        self,
        kinds: Collection[SensitiveKind] = tuple(SensitiveKind),
        *,
        prose: bool = False,
        any_sixteen_digits: bool = False,
        more: Sequence[Rule] = (),
    ) -> None:
        rules: tuple[Rule, ...] = (
            *SECRETS,
            *EMAILS,
            IbanRule(),
            NamedIdentityNumbers(),
            *IDS,
            IdentityNumbers(),
            BirthDates(),
            # before cards: a card's candidate would swallow the number and its neighbours
            *ssn_rules(prose=prose),
            *MACHINES,
            CardRule(prose, any_sixteen_digits),
            *PHONES,
        )
        self._rules = tuple(rule for rule in rules if rule.kind in kinds)
        self._more = tuple(more)
        self._prose = prose

    def replace(self, text: str, replacement: Replacement) -> str:
        """`text` with what `replacement` returns in place of every find."""
        folded = text if text.isascii() else text.translate(_FOLDED)
        for rule in self._more:
            text, folded = _replaced(rule, text, folded, replacement)
        if not _HINT.search(folded) or (not self._prose and _MADE_ID.fullmatch(folded)):
            return text
        for rule in self._rules:
            text, folded = _replaced(rule, text, folded, replacement)
        return text


def _replaced(rule: Rule, text: str, folded: str, replacement: Replacement) -> tuple[str, str]:
    finds = list(rule.finds(folded))
    if not finds:
        return text, folded
    kept: list[str] = []
    kept_folded: list[str] = []
    at = 0
    for find in finds:
        instead = replacement(rule.kind, find.value)
        kept += (text[at : find.start], instead)
        kept_folded += (folded[at : find.start], instead)
        at = find.end
    return "".join((*kept, text[at:])), "".join((*kept_folded, folded[at:]))


class NameRule:
    """Finds the names of people that the program knows: its users, the parties of its documents.

    A name is two words or more, or one of at least `shortest` letters; it is found in any case.
    """

    kind = SensitiveKind.NAME
    _WORD: Final = re.compile(r"[^\W_]+(?:['\u2019-][^\W_]+)*")

    def __init__(self, names: Iterable[str] = (), *, shortest: int = 4) -> None:
        self._shortest = shortest
        self._by_first: dict[str, frozenset[tuple[str, ...]]] = {}
        self._names = 0
        for name in names:
            self.learn(name)

    def learn(self, name: str, *, most: int | None = None) -> bool:
        """Find `name` from now on; whether it is new. Beyond `most` names, none is added."""
        words = tuple(word.lower() for word in self._WORD.findall(name))
        if len(words) < 2 and not (words and len(words[0]) >= self._shortest):
            return False
        known = self._by_first.get(words[0], frozenset())
        if words in known or (most is not None and self._names >= most):
            return False
        self._by_first[words[0]] = known | {words}
        self._names += 1
        return True

    def finds(self, text: str) -> Iterator[Find]:
        """Known names, the longest first where several begin at one word."""
        if not self._by_first:
            return
        words = list(self._WORD.finditer(text))
        at = 0
        while at < len(words):
            length = self._length(words, at)
            if length:
                start, end = words[at].start(), words[at + length - 1].end()
                yield Find(start, end, " ".join(w[0].lower() for w in words[at : at + length]))
            at += length or 1

    def _length(self, words: Sequence[re.Match[str]], at: int) -> int:
        known = self._by_first.get(words[at][0].lower(), frozenset())
        return max(
            (
                len(name)
                for name in known
                if tuple(w[0].lower() for w in words[at : at + len(name)]) == name
            ),
            default=0,
        )
