"""Numbers that states give to people: recognised by their shape, a date of birth, check digits.

Shapes without any of these, such as ten plain digits, are found behind a name only (numbers.py).
Sources: the issuing offices' own descriptions, as collected by python-stdnum.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from foliotrace_detect.checks import passes_luhn
from foliotrace_detect.rule import REFERENCE_NAME, Find, SensitiveKind, digits_of, follows

_VERHOEFF_PRODUCT: Final = tuple(
    bytes.fromhex(row)
    for row in (
        "00010203040506070809", "01020304000607080905", "02030400010708090506",
        "03040001020809050607", "04000102030905060708", "05090807060004030201",
        "06050908070100040302", "07060509080201000403", "08070605090302010004",
        "09080706050403020100",
    )
)  # fmt: skip
_VERHOEFF_TURN: Final = tuple(
    bytes.fromhex(row)
    for row in (
        "00010203040506070809", "01050706020803000904", "05080003070906010402",
        "08090106000403050207", "09040503010206080700", "04020806050703090001",
        "02070903080006040105", "07000406090103020508",
    )
)  # fmt: skip
_DNI_LETTERS: Final = "TRWAGMYFPDXBNJZSQVHLCKE"
_PPS_LETTERS: Final = "WABCDEFGHIJKLMNOPQRSTUV"
_HETU_SIGNS: Final = "0123456789ABCDEFHJKLMNPRSTUVWXY"
_TAIWAN_AREAS: Final = "ABCDEFGHJKLMNPQRSTUVXYWZIO"
_NRIC_LETTERS: Final = {
    "S": "JZIHGFEDCBA",
    "T": "GFEDCBAJZIH",
    "F": "XWUTRQPNMLK",
    "G": "RQPNMLKXWUT",
}


def _weighed(digits: str, weights: Sequence[int]) -> int:
    return sum(int(digit) * weight for digit, weight in zip(digits, weights, strict=False))


def _is_day(day: str, month: str) -> bool:
    return 1 <= int(month) <= 12 and 1 <= int(day) <= 31


def _starts_with_day(digits: str) -> bool:
    return _is_day(digits[:2], digits[2:4])


def _has_day_after_year(digits: str) -> bool:
    return _is_day(digits[4:6], digits[2:4])


def _verhoeff(digits: str) -> bool:
    at = 0
    for place, digit in enumerate(reversed(digits)):
        at = _VERHOEFF_PRODUCT[at][_VERHOEFF_TURN[place % 8][int(digit)]]
    return at == 0


def _aadhaar(text: str) -> bool:
    digits = digits_of(text)
    return digits[0] in "23456789" and _verhoeff(digits)


def _ahv(text: str) -> bool:
    return _weighed(digits_of(text), (1, 3) * 6 + (1,)) % 10 == 0


def _belgian(text: str) -> bool:
    digits = digits_of(text)
    return any(97 - int(century + digits[:9]) % 97 == int(digits[9:]) for century in ("", "2"))


def _cnp(digits: str) -> bool:
    check = _weighed(digits, (2, 7, 9, 1, 4, 6, 3, 5, 8, 2, 7, 9)) % 11 % 10
    return _is_day(digits[5:7], digits[3:5]) and check == int(digits[12])


def _cuit(text: str) -> bool:
    digits = digits_of(text)
    check = 11 - _weighed(digits, (5, 4, 3, 2, 7, 6, 5, 4, 3, 2)) % 11
    return int(digits[10]) == {11: 0, 10: 9}.get(check, check)


def _czech(text: str) -> bool:
    digits = digits_of(text)
    month = int(digits[2:4]) % 50 % 20
    day_fits = 1 <= month <= 12 and 1 <= int(digits[4:6]) <= 31
    return day_fits and (len(digits) == 9 or int(digits) % 11 == 0 or int(digits[:9]) % 11 == 10)


def _danish_or_swedish(text: str) -> bool:
    digits = digits_of(text)
    if len(digits) == 12:
        digits = digits[2:]
    danish = _starts_with_day(digits) and not (
        _weighed(digits, (4, 3, 2, 7, 6, 5, 4, 3, 2, 1)) % 11
    )
    return danish or (_has_day_after_year(digits) and passes_luhn(digits))


def _dni(text: str) -> bool:
    bare = "".join(filter(str.isalnum, text)).upper()
    number = bare[:-1].translate(str.maketrans("XYZ", "012"))
    return bare[-1] == _DNI_LETTERS[int(number) % 23]


def _estonian(digits: str) -> bool:
    check = _weighed(digits, (1, 2, 3, 4, 5, 6, 7, 8, 9, 1)) % 11
    if check == 10:
        check = _weighed(digits, (3, 4, 5, 6, 7, 8, 9, 1, 2, 3)) % 11 % 10
    return _is_day(digits[5:7], digits[3:5]) and check == int(digits[10])


def _hetu(text: str) -> bool:
    number = int(text[:6] + text[7:10])
    return _starts_with_day(text) and text[10] == _HETU_SIGNS[number % 31]


def _hong_kong(text: str) -> bool:
    letters, digits = text[:-9], text[-9:-3]
    values = [36] * (2 - len(letters)) + [ord(letter) - 55 for letter in letters]
    total = sum(v * w for v, w in zip(values, (9, 8), strict=True))
    total += _weighed(digits, (7, 6, 5, 4, 3, 2))
    return text[-2] == "0123456789A"[-total % 11]


def _jmbg(digits: str) -> bool:
    rest = 11 - _weighed(digits, (7, 6, 5, 4, 3, 2) * 2) % 11
    return _starts_with_day(digits) and digits[4] in "90" and int(digits[12]) == rest % 11 % 10


def _nir(text: str) -> bool:
    bare = "".join(filter(str.isalnum, text)).upper().replace("2A", "19").replace("2B", "18")
    return bare.isdigit() and 97 - int(bare[:13]) % 97 == int(bare[13:])


def _norwegian(text: str) -> bool:
    digits = digits_of(text)
    first = _weighed(digits, (3, 7, 6, 1, 8, 9, 4, 5, 2, 1)) % 11
    second = _weighed(digits, (5, 4, 3, 2, 7, 6, 5, 4, 3, 2, 1)) % 11
    return _starts_with_day(digits) and first == second == 0


def _nric(text: str) -> bool:
    total = _weighed(text[1:8], (2, 7, 6, 5, 4, 3, 2))
    return text[8] == _NRIC_LETTERS[text[0]][total % 11]


def _pps(text: str) -> bool:
    total = _weighed(text[:7], (8, 7, 6, 5, 4, 3, 2))
    total += 9 * (ord(text[8]) - 64 if len(text) == 9 and text[8] != "W" else 0)
    return text[7] == _PPS_LETTERS[total % 23]


def _rut(text: str) -> bool:
    digits = digits_of(text[:-1])
    total = _weighed(digits[::-1], (2, 3, 4, 5, 6, 7, 2, 3))
    return text[-1].upper() == "0K987654321"[total % 11]


def _snils(text: str) -> bool:
    digits = digits_of(text)
    return _weighed(digits, (9, 8, 7, 6, 5, 4, 3, 2, 1)) % 101 % 100 == int(digits[9:])


def _south_african(digits: str) -> bool:
    return _has_day_after_year(digits) and passes_luhn(digits)


def _taiwanese(text: str) -> bool:
    area = _TAIWAN_AREAS.index(text[0]) + 10
    return (area // 10 + area % 10 * 9 + _weighed(text[1:], (8, 7, 6, 5, 4, 3, 2, 1, 1))) % 10 == 0


def _thai(text: str) -> bool:
    digits = digits_of(text)
    return (11 - _weighed(digits, range(13, 1, -1)) % 11) % 10 == int(digits[12])


def _dated(digits: str) -> bool:
    return _has_day_after_year(digits_of(digits))


def _dated_from_day(text: str) -> bool:
    return _starts_with_day(text)


def _rfc(text: str) -> bool:
    return _has_day_after_year(text[4:10])


def _always(_: str) -> bool:
    return True


Check = Callable[[str], bool]
_FROM_DIGITS: Final[tuple[tuple[str, Check], ...]] = (
    (r"756\.\d{4}\.\d{4}\.\d\d", _ahv),  # Switzerland
    (r"784-\d{4}-\d{7}-\d", _always),  # United Arab Emirates
    (r"\d\d\.\d\d\.\d\d-\d{3}\.\d\d", _belgian),
    (r"\d{3}-\d{3}-\d{3} \d\d", _snils),  # Russia
    (r"\d-\d{4}-\d{5}-\d\d-\d", _thai),
    (r"\d{5}-\d{7}-\d", _always),  # Pakistan
    (r"\d{6}-\d\d-\d{4}", _dated),  # Malaysia
    (r"\d{6}-[1-8]\d{6}", _dated),  # Korea
    (r"(?:20|23|24|27)-\d{8}-\d", _cuit),  # Argentina
    (r"\d{1,2}\.\d{3}\.\d{3}-[\dkK]", _rut),  # Chile
    (r"\d{6}[-+A]\d{3}[\dA-FHJ-NPR-Y]", _hetu),  # Finland
    (r"\d{6}-\d{5}", _dated_from_day),  # Latvia
    (r"(?:\d\d)?\d{6}[-+]\d{4}", _danish_or_swedish),
    (r"\d{6}/\d{3,4}", _czech),
    (r"(?:\d{8}|\d{1,2}\.\d{3}\.\d{3})-?[A-HJ-NP-TV-Z]", _dni),  # Spain
    (r"\d{7}[A-W][A-IW]?", _pps),  # Ireland
    (r"\d{4} \d{4} \d{4}", _aadhaar),  # India
    (r"[12] ?\d\d ?(?:0[1-9]|1[0-2]|[2-9]\d) ?\d[\dAB] ?\d{3} ?\d{3} ?\d\d", _nir),  # France
    (r"\d{6} \d{5}", _norwegian),
    (r"[1-8]\d{12}", _cnp),  # Romania
    (r"\d{10}[01][89]\d", _south_african),
    (r"\d{13}", _jmbg),  # former Yugoslavia
    (r"[1-6]\d{10}", _estonian),  # and Lithuania
    (r"\d{11}", _norwegian),
    (r"\d{9}[VX]", _always),  # Sri Lanka
    (r"[1-9][AC-HJKMNP-RT-Y][AC-HJKMNP-RT-Y\d]\d-[AC-HJKMNP-RT-Y][AC-HJKMNP-RT-Y\d]\d"
     r"-[AC-HJKMNP-RT-Y]{2}\d\d", _always),  # Medicare
)  # fmt: skip
_FROM_LETTERS: Final[tuple[tuple[str, Check], ...]] = (
    (r"[XYZ]-?\d{7}-?[A-HJ-NP-TV-Z]", _dni),  # Spain, foreigners
    (r"[A-HJ-NP-VX-Z][1289]\d{8}", _taiwanese),
    (r"[A-Z]{1,2}\d{6}\([\dA]\)", _hong_kong),
    (r"[STFG]\d{7}[A-Z]", _nric),  # Singapore
    (r"[A-Z]{3}P[A-Z]\d{4}[A-Z]", _always),  # India, of persons
    (r"[A-Z]{4}\d{6}[HM][A-Z]{5}[A-Z\d]\d", _rfc),  # Mexico: CURP
    (r"[A-Z\u00d1&]{4}\d{6}[A-Z\d]{3}", _rfc),  # Mexico: RFC of persons
    (r"[A-Z]{2,5}9{0,3}\d[0156]\d[0-3]\d{2}[A-Z9]{2}[A-Z\d][A-Z]{2}", _always),  # British drivers
    (r"P[A-Z<][A-Z]{3}[A-Z]+<[A-Z<]{10,37}", _always),  # passports, the machine's first line
    (r"[A-Z\d<]{9}\d[A-Z]{3}\d{7}[MFX<]\d{7}[A-Z\d<]{14,16}", _always),  # and its second
)


# Begins with the character itself: the search then skips the rest of the text.
_START: Final = re.compile(
    r"\d(?<![\w.,/+\-]\d)(?<!\d \d)(?=[\dA-Z ./+-]{6})"
    r"|[A-Z](?<![\w.-][A-Z])(?=[A-Z<]{0,4}-?\d{2}|[A-Z<]{5}[A-Z<]*<)"
)
_TAIL: Final = r"(?![\w+-]|[.,/]\d| ?\d)"
_SHAPES: Final = tuple(
    (re.compile(shape + _TAIL), check) for shape, check in (*_FROM_DIGITS, *_FROM_LETTERS)
)
_ANY: Final = re.compile(f"(?:{'|'.join(p.pattern for p, _ in _SHAPES)})")


class IdentityNumbers:
    """Numbers whose shape, date or check digits say by themselves what they are."""

    kind = SensitiveKind.ID

    def finds(self, text: str) -> Iterator[Find]:
        """Finds in order."""
        after = 0
        for start in _START.finditer(text):
            if start.start() < after or follows(REFERENCE_NAME, text, start.start()):
                continue
            if not _ANY.match(text, start.start()):
                continue
            for shape, check in _SHAPES:
                match = shape.match(text, start.start())
                if match is not None and check(match[0]):
                    after = match.end()
                    yield Find(match.start(), after, "".join(filter(str.isalnum, match[0])))
                    break
