"""Check digits and structures that tell a sensitive number from one that only looks like it."""

import re
from base64 import b64decode
from ipaddress import ip_address
from typing import Final

_DOUBLED: Final = (0, 2, 4, 6, 8, 1, 3, 5, 7, 9)
"""Twice a digit, and the sum of the digits of that."""

_DIGIT_IBANS: Final = {
    "AE": 23, "AT": 20, "BA": 20, "BE": 16, "CR": 22, "CZ": 24, "DE": 22, "DJ": 27, "DK": 18,
    "EE": 20, "EG": 29, "ES": 24, "FI": 18, "FO": 18, "GL": 18, "HR": 21, "HU": 28, "IL": 23,
    "IS": 26, "LT": 20, "LY": 25, "ME": 22, "MN": 20, "MR": 27, "NO": 15, "PL": 28, "PT": 25,
    "RS": 22, "SD": 18, "SE": 24, "SI": 19, "SK": 24, "SO": 23, "ST": 25, "TL": 23, "TN": 24,
    "VA": 22, "XK": 20, "BI": 27,
}  # fmt: skip
_LETTER_IBANS: Final = {
    "AD": 24, "AL": 28, "AZ": 28, "BG": 22, "BH": 22, "BR": 29, "BY": 28, "CH": 21, "CY": 28,
    "DO": 28, "FK": 18, "FR": 27, "GB": 22, "GE": 22, "GI": 23, "GR": 27, "GT": 28, "HN": 28,
    "IE": 22, "IQ": 23, "IT": 27, "JO": 30, "KW": 30, "KZ": 20, "LB": 28, "LC": 32, "LI": 21,
    "LU": 20,
    "LV": 21, "MC": 27, "MD": 24, "MK": 19, "MT": 31, "MU": 30, "NI": 28, "NL": 18, "OM": 23,
    "PK": 24, "PS": 29, "QA": 29, "RO": 24, "RU": 33, "SA": 24, "SC": 31, "SM": 27, "SV": 28,
    "TR": 26, "UA": 29, "VG": 24, "YE": 30,
}  # fmt: skip
IBAN_LENGTHS: Final = {**_DIGIT_IBANS, **_LETTER_IBANS}
"""Characters of an IBAN by country (ISO 13616 registry)."""

_RANDOM_PART: Final = re.compile(
    r"[A-Za-z]*\d[A-Za-z0-9]*[A-Za-z]|\d{10,}|[A-Za-z]{16,}|[a-z]+[A-Z][a-zA-Z]*|[A-Z]{2,}[a-z]"
)


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
    RuPay, Uzcard, BelCard, Troy and Humo, and of Discover and UnionPay, which share the digit 6
    with Maestro.
    """
    length, two, four = len(digits), int(digits[:2]), int(digits[:4])
    issued = (
        (digits[0] == "4" and length in (13, 16, 19))
        or ((51 <= two <= 55 or 2221 <= four <= 2720) and length == 16)
        or (two in (34, 37) and length == 15)
        or ((two in (50, 56, 57, 58) or digits[0] == "6") and 13 <= length <= 19)
        or ((300 <= four // 10 <= 305 or two in (36, 38, 39)) and 14 <= length <= 19)
        or ((3528 <= four <= 3589 or 2200 <= four <= 2204) and 16 <= length <= 19)
        or ((two in (81, 82) or four in (8600, 9112, 9792, 9860)) and length == 16)
    )
    return issued and passes_luhn(digits)


def is_iban(text: str) -> bool:
    """Whether `text`, spaces apart, has its country's length and check digits (ISO 13616)."""
    bare = text.replace(" ", "").upper()
    country = bare[:2]
    if IBAN_LENGTHS.get(country) != len(bare) or not bare.isascii() or not bare.isalnum():
        return False
    if not (bare[2:4] if country in _LETTER_IBANS else bare[2:]).isdigit():
        return False
    rotated = bare[4:] + bare[:4]
    return int("".join(str(int(char, 36)) for char in rotated)) % 97 == 1


def is_chinese_id(number: str) -> bool:
    """Whether 17 digits are followed by their check character (GB 11643)."""
    weighed = sum(int(digit) * 2 ** (17 - place) for place, digit in enumerate(number[:17]))
    return "10X98765432"[weighed % 11] == number[17].upper()


def is_address(text: str) -> bool:
    """Whether `text` is the IP address of a machine; not this one, no network, no mask."""
    try:
        address = ip_address(text)
    except ValueError:
        return False
    if address.is_loopback or address.is_unspecified or address.is_multicast:
        return False
    if address.version == 6:
        return len(text.replace(":", "")) >= 5 and any(char.isdigit() for char in text)
    octets = address.packed
    if octets[0] in (0, 255) or octets.endswith(bytes(3)):  # a mask, or a browser's version
        return False
    return max(octets) >= 16  # smaller ones are version numbers


_PLACEHOLDER: Final = re.compile(
    r"(?:[*xX\u2022.#_?-]+|\$\{.*|\$\(.*|\$[A-Z][A-Z_\d]*|\{.*|<.*|%\w+%|\[.*"
    r"|(?i:[({]?(?:redacted|filtered|masked|hidden|removed|omitted|encrypted)\b.*"
    r"|(?:your|my|the|an?|some|insert|enter)[-_ ].*|(?:os|process|import\.meta)\.?(?:env|get).*"
    r"|(?:get)?env[.(\[].*|(?:getpass|settings|config|secrets|vault|kms|ssm|op|arn)[.:/(].*))"
)
_REPEATED: Final = re.compile(r"(.)\1{7}")


def is_placeholder(text: str) -> bool:
    """Whether `text` stands for a secret and is none: a mask, a variable, "your-key-here"."""
    return _PLACEHOLDER.fullmatch(text) is not None or _REPEATED.search(text) is not None


def looks_like_a_password(text: str) -> bool:
    """Whether a word in prose is a password: digits and letters or signs, and no measure."""
    if is_placeholder(text) or _MEASURE.fullmatch(text):
        return False
    marks = sum(pattern.search(text) is not None for pattern in _PASSWORD_SIGNS)
    return marks >= 2


_MEASURE: Final = re.compile(
    r"(?i)[\d.]+[-\u2011 ]?[a-z%]+|(?:sha|md|aes|base|utf|rsa|oauth|pbkdf|win|v)-?\d[\w.-]*"
    r"|[^@\s]+@[^@\s]+\.\w+"
    r"|\w+://.*|[\w-]*/[\w/-]*|[a-z]+-\w+"
)
_PASSWORD_SIGNS: Final = tuple(
    map(re.compile, (r"[A-Za-z]", r"\d", r"[!@#$%^&*+=?~]", r"[a-z][A-Z]"))
)


def looks_random(text: str) -> bool:
    """Whether a key's text was drawn and not written: "sk-learn-pipelines" was written."""
    return not is_placeholder(text) and any(
        len(part) >= 6 and _RANDOM_PART.search(part) is not None
        for part in re.split(r"[^A-Za-z0-9]", text)
    )


def is_basic_credential(text: str) -> bool:
    """Whether `text` is Base64 of `user:password`."""
    try:
        plain = b64decode(text + "=" * (-len(text) % 4), validate=True).decode()
    except ValueError:
        return False
    return ":" in plain and plain.isprintable() and not is_placeholder(plain.split(":", 1)[1])
