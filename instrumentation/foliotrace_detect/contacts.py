"""Rules for e-mail addresses, phone numbers and the addresses of machines."""

import re
from typing import Final

from foliotrace_detect.checks import is_address
from foliotrace_detect.rule import PatternRule, SensitiveKind, digits_of

_LABEL: Final = r"[\w-]{1,63}"
_DOMAIN: Final = rf"{_LABEL}(?:\.{_LABEL})*\.(?:xn--[\w-]{{2,59}}|[^\W\d_]{{2,24}})"
_DOT: Final = r"(?:\.|\s?[\[({]dot[\])}]\s?)"
_FILE: Final = re.compile(r"\.(?:png|jpe?g|gif|svg|webp|css|js|ico|pdf|py)$", re.I)
EMAILS: Final = (
    PatternRule(
        SensitiveKind.EMAIL,
        re.compile(
            rf"(?:(?<![\w%])[\w+%.-][\w.+%'-]{{0,63}}|\"[^\"\n@]{{1,64}}\")(?:@|%40)"
            rf"(?:{_DOMAIN}|\[[\da-fA-F.:]{{6,45}}\])"
        ),
        str.lower,
        is_valid=lambda value: _FILE.search(value) is None,
        markers=("@", "%40"),
    ),
    PatternRule(
        SensitiveKind.EMAIL,
        re.compile(
            rf"(?<!\w)[\w+][\w.+-]{{0,63}}\s?[\[({{]at[\])}}]\s?{_LABEL}(?:{_DOT}{_LABEL}){{1,5}}",
            re.I,
        ),
        str.lower,
        markers=tuple(opening + at for opening in "[({" for at in ("at", "AT")),
    ),
)

MACHINES: Final = (
    PatternRule(
        SensitiveKind.MAC,
        re.compile(
            r"(?<![\w:-])(?:[0-9A-Fa-f]{2}:(?:[0-9A-Fa-f]{2}:){4}[0-9A-Fa-f]{2}"
            r"|[0-9A-Fa-f]{2}-(?:[0-9A-Fa-f]{2}-){4}[0-9A-Fa-f]{2}"
            r"|[0-9A-Fa-f]{4}\.[0-9A-Fa-f]{4}\.[0-9A-Fa-f]{4})(?![\w:-])"
        ),
        lambda text: "".join(filter(str.isalnum, text)).lower(),
        is_valid=lambda value: not value.isdigit(),
    ),
    PatternRule(
        SensitiveKind.IP,
        re.compile(
            r"(?<![\w.-])(?!(?:10|192\.168|172\.\d\d)[\d.]+:\d)"
            r"(?:\d{1,3}\.){3}\d{1,3}(?![\w-]|\.\d)"
        ),
        is_valid=is_address,
    ),
    PatternRule(
        SensitiveKind.IP,
        re.compile(r"(?<![\w:.])(?:[0-9A-Fa-f]{0,4}:){2,7}[0-9A-Fa-f]{0,4}(?![\w:])"),
        str.lower,
        is_valid=is_address,
    ),
)

_CALL: Final = (
    r"(?i:(?<![a-z])(?:tel|telephone|telefon|téléphone|tél|telefax|phone(?:[_ ]?number)?|mobile?"
    r"|mobil|handy|cell|fax|call|whatsapp|ring|sms)[\s:.=#\"'>]{1,4}(?:(?:no\.?|nr\.?|me at|at) )?)"
)
_DATE: Final = re.compile(r"\d{4}-\d\d-\d\d|\d\d?[./]\d\d?[./](?:\d\d){1,2}$")
PHONES: Final = (
    PatternRule(
        SensitiveKind.PHONE,
        re.compile(
            r"(?<![\w.+-])(?:"
            r"(?:\+|00(?=[1-9]\d{0,2}[ .()-]))[1-9]\d{0,2}[ .()-]{0,2}(?:\d[ .()-]{0,2}){6,13}\d"
            r"|(?:1[ .-])?(?:\([2-9]\d{2}\) ?|[2-9]\d{2}[ .-])[2-9]\d{2}[ .-]\d{4}"
            r"|0[1-9](?:([ .-])\d\d)(?:\1\d\d){3}"
            r"|0[1-9]\d{0,2}-\d{2,4}-\d{4}"
            r"|0[1-9]\d{1,3} \d{3,4} \d{3,4}|0[1-9]\d{3} \d{6}|0[1-9]\d{1,3}[/ -]\d{6,8}"
            r")(?![\w-]|\.\d)"
        ),
        digits_of,
        lambda digits: 8 <= len(digits) <= 16,
        whole=True,
    ),
    PatternRule(
        SensitiveKind.PHONE,
        re.compile(rf"{_CALL}(\+?\(?\d[\d ()./-]{{5,20}}\d)(?![\w-]|\.\d)"),
        str,
        lambda text: 7 <= len(digits_of(text)) <= 15 and not _DATE.search(text),
        markers=(
            "el",
            "EL",
            "él",
            "hone",
            "HONE",
            "ob",
            "OB",
            "andy",
            "fax",
            "Fax",
            "FAX",
            "all",
            "CALL",
            "hats",
            "ing",
            "RING",
            "sms",
            "SMS",
        ),
    ),
)
