"""Rules for e-mail addresses, phone numbers and the addresses of machines."""

import re
from collections.abc import Iterator
from typing import Final

from foliotrace_detect.checks import is_address
from foliotrace_detect.rule import (
    REFERENCE_NAME,
    Find,
    PatternRule,
    Rule,
    SensitiveKind,
    digits_of,
)

_LABEL: Final = r"[\w-]{1,63}"
_DOMAIN: Final = rf"{_LABEL}(?:\.{_LABEL})*\.(?:xn--[\w-]{{2,59}}|[^\W\d_]{{2,24}})"
_DOT: Final = r"(?:\.|\s?[\[({]dot[\])}]\s?)"
_FILE: Final = re.compile(
    r"\.(?:png|jpe?g|gif|svg|webp|css|js|ico|pdf|py|service|socket|timer|target|mount|slice)$", re.I
)
"""What stands behind the at sign of a file (`logo@2x.png`) or of a systemd unit."""
_REMOTE: Final = re.compile(r"(?:git|hg|svn)(?:@|%40)", re.I)
_PLAIN_WORDS: Final = (
    r"(?:com|org|net|edu|gov|info|biz|eu|de|fr|es|it|nl|uk|ch|at|pl|jp|in|br|io)\b"
)
_SIGNS: Final = r"!#$&'*/=?^`{|}~"  # allowed before the at sign; elsewhere they part fields
EMAILS: Final = (
    PatternRule(
        SensitiveKind.EMAIL,
        re.compile(rf"(?<=<)[\w.+%{_SIGNS}-]{{1,64}}@{_DOMAIN}(?=>)"),
        str.lower,
        markers=("@",),
    ),
    PatternRule(
        SensitiveKind.EMAIL,
        re.compile(
            rf"(?:(?<![\w%])[\w+%.-][\w.+%'-]{{0,63}}|\"[^\"\n@]{{1,64}}\")"
            r"(?:@|%40|&#(?:64|x40);|&commat;|\\u0040)"
            rf"(?:{_DOMAIN}|\[[\da-fA-F.:]{{6,45}}\])"
        ),
        str.lower,
        is_valid=lambda value: _FILE.search(value) is None and _REMOTE.match(value) is None,
        markers=("@", "%40", "&#", "&commat", "u0040"),
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
    PatternRule(  # spelled out: "jane at example dot com", "jane.doe @ example.com"
        SensitiveKind.EMAIL,
        re.compile(
            rf"(?<!\w)[\w+][\w.+-]{{0,63}} (?:"
            rf"at {_LABEL}(?: dot {_LABEL}){{0,3}} dot {_PLAIN_WORDS}"
            rf"|@ {_LABEL}(?:\.{_LABEL}){{0,3}}\.{_PLAIN_WORDS})",
            re.I,
        ),
        str.lower,
        markers=(" dot ", " DOT ", " @ "),
    ),
)

MACHINES: Final = (
    PatternRule(
        SensitiveKind.MAC,
        re.compile(
            r"(?<![A-Za-z0-9_:-])(?:[0-9A-Fa-f]{2}:(?:[0-9A-Fa-f]{2}:){4}[0-9A-Fa-f]{2}"
            r"|[0-9A-Fa-f]{2}-(?:[0-9A-Fa-f]{2}-){4}[0-9A-Fa-f]{2}"
            r"|[0-9A-Fa-f]{4}\.[0-9A-Fa-f]{4}\.[0-9A-Fa-f]{4})(?![\w:-])"
        ),
        lambda text: "".join(filter(str.isalnum, text)).lower(),
        is_valid=lambda value: not value.isdigit(),
    ),
    PatternRule(
        SensitiveKind.IP,
        re.compile(
            r"(?<![A-Za-z0-9_.-])(?!(?:10|192\.168|172\.\d\d)[\d.]+:\d)"
            r"(?:\d{1,3}\.){3}\d{1,3}(?![A-Za-z0-9_-]|\.\d|/(?:[12]?\d|3[01])(?!\d))"
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

_CALL: Final = re.compile(
    r"(?i:(?<![a-z])(?:(?:tel|telephone|telefon|téléphone|tél|telefax|phone(?:[_ ]?number)?|mobile?"
    r"|mobil|handy|cell|fax|call|whatsapp|ring|sms|portable|teléfono|telefono|telefone"
    r"|móvil|movil|celular|cellulare|telemóvel|telefoon|mobiel|puhelin|cep|тел|телефон|моб"
    r"|reach (?:me|us|her|him)|ruf|mobilfunk|durchwahl|telefono|cellulaire|cellphone|whats[- ]?app)"
    r"(?:[ _-]?(?:nummer|number|num|nr|no|numéro|número|numero))?|msisdn|viber|signal|telegram)"
    r"[\s:.=#\"'>]{1,4}(?:(?:no\.?|nr\.?|me (?:at|on)|at|on|is) )?"
    r"|(?:电话|電話|手机|手機|携帯|전화|휴대폰|연락처|هاتف|טלפון)(?:号码|番号|번호)?[\s:は]{0,3})\+?\(?\Z"
)
"""A word that makes a phone number of the digits behind it."""
_COUNTRY: Final = (
    r"(?:1|7|2(?:[07]|[1-689]\d)|3(?:[0-469]|[578]\d)|4(?:[013-9]|2\d)|5(?:[1-8]|[09]\d)"
    r"|6(?:[0-6]|[789]\d)|8(?:[1246]|[0578]\d)|9(?:[0-58]|[679]\d))"
)
"""Calling codes (ITU-T E.164)."""
_GAP: Final = r"(?:\(0\) ?| ?[(/] ?|\)[ -]?| - |[ .-])?"
_CALLED: Final = re.compile(r"\d[\d ()./-]{5,20}\d(?![A-Za-z0-9_-]|\.\d)")
_LONGEST_CALL: Final = 32
_DATE: Final = re.compile(r"\d{4}-\d\d-\d\d|\d\d?[./]\d\d?[./](?:\d\d){1,2}$")


class _CalledNumber:
    """A number in any spelling behind a word such as `Tel`: found by its digits, the rarer part."""

    kind = SensitiveKind.PHONE

    def finds(self, text: str) -> Iterator[Find]:
        """Numbers with such a word before them; the plus sign is part of them."""
        for match in _CALLED.finditer(text):
            if not 7 <= len(digits_of(match[0])) <= 15 or _DATE.search(match[0]):
                continue
            if _CALL.search(text[max(0, match.start() - _LONGEST_CALL) : match.start()]):
                start = match.start() - (text[match.start() - 1] in "+(")
                yield Find(start, match.end(), text[start : match.end()])


PHONES: Final[tuple[Rule, ...]] = (
    PatternRule(
        SensitiveKind.PHONE,
        re.compile(
            r"(?:(?<![A-Za-z0-9\u00c0-\u024f_.+-])|(?<=%2B))(?:"
            rf"(?:\+ ?|(?<=%2B)){_COUNTRY}{_GAP}(?:\d{_GAP}){{6,13}}\d"
            rf"|(?:00|\(00\) ?){_COUNTRY}[ .()/-]{_GAP}(?:\d{_GAP}){{6,11}}\d(?! ?\d)"
            r"|(?:1[ .-])?(?:\([2-9]\d{2}\) ?|[2-9]\d{2}[ .-])[2-9]\d{2}[ .-]\d{4}"
            r"|\(0\d{1,4}\) ?\d{3,4}[ -]?\d{3,5}|\([1-9]\d\) ?9?\d{4}-\d{4}"
            r"|0[1-9]\d{0,3}\(\d{2,4}\)\d{4}"
            r"|8[ -](?:\(\d{3}\)|\d{3})[ -]\d{3}-\d\d-\d\d"
            r"|0[1-9]\d{1,4}[/ ]\d{3,8}-\d{1,5}"
            r"|0[1-9]\d{0,3}[ -]\d{2,3} \d\d \d\d|0[1-9]\d?-\d{3} \d{3} \d\d|06[ -]\d{8}"
            r"|0[1-9]\d{2} \d\d \d\d \d\d|0[1-9] \d{4} \d{4}"
            r"|0[1-9](?:([ .-])\d\d)(?:\1\d\d){3}"
            r"|0[1-9]\d{0,2}-\d{2,4}-\d{4}"
            r"|0[1-9]\d{1,3} \d{3,4} \d{3,4}|0[1-9]\d{3} \d{6}|0[1-9]\d{1,3}[/ -]\d{6,8}"
            r")(?:;ext=\d{1,7}| ?(?:ext\.?|x|extension|poste|Durchwahl) ?\d{1,6})?"
            r"(?![A-Za-z0-9_-]|\.\d)"
        ),
        digits_of,
        lambda digits: 8 <= len(digits) <= 22,
        whole=True,
        not_after=REFERENCE_NAME,
    ),
    _CalledNumber(),
)
