"""Whether a run of digits is a payment card, and whether a text is an IBAN. Pure."""

from typing import Final

_DOUBLED: Final = (0, 2, 4, 6, 8, 1, 3, 5, 7, 9)
"""Twice a digit, and the sum of the digits of that."""

_IBAN_LENGTHS: Final = {
    "AD": 24, "AE": 23, "AT": 20, "BE": 16, "BG": 22, "BR": 29, "CH": 21, "CY": 28, "CZ": 24,
    "DE": 22, "DK": 18, "EE": 20, "ES": 24, "FI": 18, "FR": 27, "GB": 22, "GR": 27, "HR": 21,
    "HU": 28, "IE": 22, "IL": 23, "IS": 26, "IT": 27, "LI": 21, "LT": 20, "LU": 20, "LV": 21,
    "MC": 27, "MT": 31, "NL": 18, "NO": 15, "PL": 28, "PT": 25, "RO": 24, "SA": 24, "SE": 24,
    "SI": 19, "SK": 24, "SM": 27, "TR": 26, "UA": 29,
}  # fmt: skip


def passes_luhn(digits: str) -> bool:
    """Whether `digits` ends with its Luhn check digit (ISO/IEC 7812-1)."""
    total = sum(map(int, digits[::-2]))
    total += sum(_DOUBLED[int(digit)] for digit in digits[-2::-2])
    return total % 10 == 0


def is_card(digits: str) -> bool:
    """Whether 13 to 19 `digits` are a payment card's: an issuer's prefix and length, and Luhn.

    The prefix is needed because one number in ten passes Luhn by chance, order numbers and
    timestamps among them.
    Source: ISO/IEC 7812; ranges of Visa, Mastercard, Maestro, American Express, Diners, JCB, Mir,
    and of Discover, RuPay and UnionPay, which share the digit 6 with Maestro.
    """
    length, two, four = len(digits), int(digits[:2]), int(digits[:4])
    issued = (
        (digits[0] == "4" and length in (13, 16, 19))
        or ((51 <= two <= 55 or 2221 <= four <= 2720) and length == 16)
        or (two in (34, 37) and length == 15)
        or ((two in (50, 56, 57, 58) or digits[0] == "6") and 13 <= length <= 19)
        or ((300 <= four // 10 <= 305 or two in (36, 38, 39)) and 14 <= length <= 19)
        or ((3528 <= four <= 3589 or 2200 <= four <= 2204) and 16 <= length <= 19)
    )
    return issued and passes_luhn(digits)


def is_iban(text: str) -> bool:
    """Whether `text`, spaces apart, has its country's length and check digits (ISO 13616)."""
    bare = text.replace(" ", "")
    if _IBAN_LENGTHS.get(bare[:2]) != len(bare):
        return False
    rotated = bare[4:] + bare[:4]
    return int("".join(str(int(char, 36)) for char in rotated)) % 97 == 1
