"""Rules for cards, IBANs, social security and identity numbers: shapes, names and check digits."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate
from typing import Final

from foliotrace_detect.checks import IBAN_LENGTHS, is_card, is_chinese_id, is_iban
from foliotrace_detect.rule import Find, PatternRule, SensitiveKind, digits_of


class IbanRule:
    """An IBAN in any case, grouped by blanks, dots or dashes, whatever stands behind it."""

    kind = SensitiveKind.IBAN
    _START: Final = re.compile(r"(?<![A-Za-z0-9])[A-Za-z]{2}\d{2}(?=[ .-]?[A-Za-z0-9])")
    _BODY: Final = re.compile(r"(?:[ .-]?[A-Za-z0-9])+")

    def finds(self, text: str) -> Iterator[Find]:
        """IBANs whose check digits are right."""
        for start in self._START.finditer(text):
            length = IBAN_LENGTHS.get(start[0][:2].upper())
            body = self._BODY.match(text, start.end(), start.start() + 70)
            if length is None or body is None:
                continue
            run = text[start.start() : body.end()]
            counts = list(accumulate(int(char.isalnum()) for char in run))
            if counts[-1] < length:
                continue
            end = counts.index(length) + 1
            value = "".join(filter(str.isalnum, run[:end])).upper()
            if not run[end : end + 1].isalnum() and is_iban(value):
                yield Find(start.start(), start.start() + end, value)


@dataclass(frozen=True, slots=True)
class CardRule:
    """A payment card, also one with its expiry directly behind it.

    `prose`: it may touch letters and be grouped in any way. Otherwise its groups are those that
    are printed on cards.
    """

    prose: bool
    any_sixteen: bool
    kind: SensitiveKind = SensitiveKind.CARD

    def finds(self, text: str) -> Iterator[Find]:
        """Cards: the longest run of groups that is one."""
        start = _CARD_IN_PROSE if self.prose else _CARD_ALONE
        after = 0
        for run in start.finditer(text):
            if run.start() < after:
                continue
            groups = _groups(run[0])
            for last in range(len(groups), 0, -1):
                end = run.start() + groups[last - 1][1]
                parts = [run[0][begin:to] for begin, to in groups[:last]]
                number = "".join(parts)
                if self._is_card(number, tuple(map(len, parts))) and (
                    last < len(groups) or _AFTER_CARD.match(text, end)
                ):
                    yield Find(run.start(), end, number)
                    after = end
                    break

        if "\n" in text:
            yield from self._stacked(text)

    def _stacked(self, text: str) -> Iterator[Find]:
        """A card's groups below each other, where a word near them says that it is one."""
        for run in _CARD_STACKED.finditer(text):
            number = digits_of(run[0])
            near = text[max(0, run.start() - _NEAR_A_CARD) : run.end() + _NEAR_A_CARD]
            if is_card(number) and _CARD_WORD.search(near):
                yield Find(*run.span(), number)

    def _is_card(self, number: str, groups: tuple[int, ...]) -> bool:
        if not 13 <= len(number) <= 19:
            return False
        printed = self.prose or len(groups) in (1, len(number)) or groups in _PRINTED
        return printed and (is_card(number) or (self.any_sixteen and len(number) == 16))


def _groups(run: str) -> list[tuple[int, int]]:
    """Where the first groups stand: those set apart by blanks and dashes, or in one way."""
    gaps = list(_GAPS.finditer(run))
    starts = [0]
    ends = []
    for gap in gaps:
        ends.append(gap.start())
        if gap[0] != gaps[0][0] and not {gap[0], gaps[0][0]} <= _BLANK_OR_DASH:
            return list(zip(starts, ends, strict=True))
        starts.append(gap.end())
    return list(zip(starts, [*ends, len(run)], strict=True))


_PRINTED: Final = {
    (4, 4, 4, 4), (4, 6, 5), (4, 6, 4), (4, 4, 4, 4, 3), (4, 4, 4, 2), (4, 4, 4, 3), (4, 4, 5),
    (6, 13), (8, 8), (4, 4, 4, 1), (4, 12), (6, 10), (4, 4, 8),
}  # fmt: skip
_CARD_GAP: Final = r"(?:%2[0BD]| - |&nbsp;|[ ._+/-])"
_GAPS: Final = re.compile(_CARD_GAP)
_BLANK_OR_DASH: Final = frozenset({" ", "-"})
_CARD_IN_PROSE: Final = re.compile(r"(?<![\d.,-])\d(?:[ ._-]?\d){12,26}(?!\d)")
_NAMED: Final = "".join(
    rf"|(?<=(?i:{name})[-.]\d)" for name in ("card", "visa", "amex", "karte", "pan", "nr", "no")
)
_CARD_ALONE: Final = re.compile(  # begins with a digit: the search then skips what is none
    rf"\d(?:(?<![A-Za-z0-9.+-]\d)(?<![A-Z]\d \d)(?<![A-Z]\d\d \d)|(?<=%B\d){_NAMED})"
    rf"(?:\d{{3}}|(?: \d){{3}}(?= \d \d))(?:{_CARD_GAP}?\d){{9,22}}(?![A-Za-z0-9])"
)
_CARD_STACKED: Final = re.compile(
    r"(?<!\d)(?:\d{4}(?: *\r?\n *\d{4}){3}|\d{8} *\r?\n *\d{8})(?!\d)"
)
_CARD_WORD: Final = re.compile(
    r"(?i:card|karte|carte|tarjeta|cart[aã]|visa|master|amex|slip|valid thru|\bpan\b|カード|卡)"
)
_NEAR_A_CARD: Final = 60
_AFTER_CARD: Final = re.compile(r"(?![A-Za-z0-9-]|[.,]\d)|(?=[A-Za-z])")

_SSN_FORM: Final = (
    r"(?:(?!000|666|9\d\d)\d{3}([-. ])(?!00)\d\d\1(?!0000)\d{4}"
    r"|9\d\d([- ])(?:5\d|6[0-5]|7\d|8[0-8]|9[0-24-9])\2\d{4})"
)
_SSN_NAME: Final = (
    r"(?i:(?:\b|_|(?-i:(?<=[a-z])(?=SSN|Ssn)))(?:ssn|itin|social[ -]?security"
    r"(?:[ -]?(?:number|no\.?|nr\.?))?|tax[ -]?id)"
    r"(?:(?:\s(?:is|no\.?|number|nr\.?))?[\s\"':=#>]{1,4}))"
)
IDS: Final = (
    PatternRule(
        SensitiveKind.ID,
        re.compile(
            r"(?<![A-Za-z0-9])[1-9]\d{5}(?:19|20)\d{2}[01]\d[0-3]\d{4}[\dXx](?![A-Za-z0-9])"
        ),
        str.upper,
        is_valid=is_chinese_id,
    ),
    PatternRule(
        SensitiveKind.ID,
        re.compile(
            r"(?<![A-Za-z0-9.-])(?:\d{3}\.\d{3}\.\d{3}-\d\d"
            r"|[A-CEGHJ-PR-TW-Z]{2} \d\d \d\d \d\d [A-D]"
            r"|[A-Z]{6}\d\d[A-EHLMPRST]\d\d[A-Z]\d{3}[A-Z])(?![A-Za-z0-9-]|\.\d)"
        ),
        lambda text: "".join(filter(str.isalnum, text)),
    ),
)


def ssn_rules(*, prose: bool) -> tuple[PatternRule, ...]:
    """American social security and taxpayer numbers, separated or behind their name."""
    edge = r"[\d-]" if prose else r"[\w-]"
    whole = re.compile(rf"(?<!{edge}){_SSN_FORM}(?!{edge})")
    named = re.compile(rf"{_SSN_NAME}(\d{{9}})(?!\d)")
    return (
        PatternRule(SensitiveKind.SSN, whole, digits_of, whole=True),
        PatternRule(
            SensitiveKind.SSN,
            named,
            markers=("ssn", "SSN", "ssn", "Ssn", "itin", "ITIN", "ocial", "OCIAL", "ax", "AX"),
        ),
    )
