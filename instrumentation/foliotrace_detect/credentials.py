"""Rules for keys, tokens and passwords: by the issuer's prefix, or by the name before them."""

import re
from collections.abc import Callable, Iterator
from typing import Final

from foliotrace_detect.checks import (
    is_basic_credential,
    is_placeholder,
    looks_like_a_password,
    looks_random,
)
from foliotrace_detect.rule import Find, PatternRule, Rule, SensitiveKind

_KEYS: Final = (
    r"sk|pk|rk|llx|lsv2|ghp|gho|ghu|ghs|ghr|github_pat|glpat|glsa|glc|hf|xox[abprs]|xapp|pypi|npm"
    r"|gsk|xai|pplx|pcsk|nvapi|tvly|whsec|dop_v1|doo_v1|shpat|shpss|shpca|lin_api|ntn|secret|r8|sbp"
    r"|fw|sntrys|sntryu|nfp|PMAK|HRKU|ATATT3x\w*|ATBB\w*|rk|dckr_pat"
    r"|rubygems|NRAK|GOCSPX|pscale_tkn|sq0atp|EAA|jina|voyage|pa|vcp|fo1|figd"
)
_NAMED_KEY: Final = (
    r"(?:api|access|account|auth|private|signing|encryption|shared)[_-]?(?:key|token)"
    r"|(?:secret|session|refresh|bearer|id|csrf|xsrf)[_-]?(?:access[_-]?)?(?:key|token|id)"
    r"|apikey|accountkey|sharedaccesskey|token|secret|session|sid|jwt|sig|signature|credentials?"
)
# Lower case, and each branch begins with its letter: the search skips the rest of a text.
_WORDS_BEFORE_IT: Final = (
    r"passwor[dt]|passwd|passphrase|passcode|pass(?<![a-z]pass)|pwd|pw(?<![a-z]pw)(?![a-z])"
    r"|psk(?<![a-z]psk)|client_?secret|kennwort|mot[ _]de[ _]passe|contrase[ñn]a|senha|has[łl]o"
    r"|wachtwoord|lösenord|adgangskode|salasana|heslo|jelszó|[şs]ifre[ms]?i?|parol[aeni]?|пароль"
    r"|密码|密碼|口令|パスワード|비밀번호"
)
_PAIR_MARKERS: Final = (
    *(
        " -u",
        "-user",
        "--auth",
        " -a ",
        " -p",
        " -P",
        " -w",
        " -W",
        "btoa(",
        "b64enc",
        "-n '",
        '-n "',
    ),
    *(
        "auth=",
        "auth =",
        "BasicAuth",
        "@",
        "ogin:",
        "ogin =",
        "ogin=",
        "reds",
        "redential",
        "/pass",
    ),
    "angsdat",
)
_IS: Final = (
    r"(?: (?:is|was|are|es|ist|lautet|est|è|é|jest|to|be|now|still|changed|reset|set|just|again|:))"
    r"{1,4}"
)
_TOOLS: Final = (
    r"(?:mysql\w*|mariadb\w*|sshpass|mongo\w*|docker|podman|helm|sqlcmd|zip|unzip|7z\w?|redis-cli"
    r"|ldap\w+)"
)
_NO_PASSWORDS: Final = frozenset({"true", "false", "none", "null", "required", "missing", "****"})
_NEITHER: Final = r"(?!<[A-Z]{2,}:)"  # what is redacted is not redacted again


def _is_written_value(text: str) -> bool:
    return re.search(r"[^a-zA-Z().]|[a-z][A-Z]", text) is not None and not is_placeholder(text)


def _is_assigned_value(text: str) -> bool:
    return text.lower() not in _NO_PASSWORDS and not is_placeholder(text)


_UNQUOTED: Final = rf"(?![\"'\\]){_NEITHER}([^\s\"'&;,<>]{{4,1024}})"
_PASSWORD: Final = re.compile(rf"{_WORDS_BEFORE_IT}|identified by")
_PASSWORD_VALUES: Final[tuple[tuple[re.Pattern[str], Callable[[str], bool]], ...]] = (
    (  # whatever is quoted
        re.compile(
            rf"\\?[\"']?(?:\]?\s*[:=]\s*|(?<=[\"'])\s*,\s*)\\?"
            rf"(?:\"{_NEITHER}([^\"\n\\]{{3,}})|'{_NEITHER}([^'\n\\]{{3,}}))"
        ),
        lambda value: not is_placeholder(value),
    ),
    (re.compile(rf"\s?=\s?{_UNQUOTED}"), _is_assigned_value),
    (re.compile(rf"(?i:{_IS})?\s?:\s?{_UNQUOTED}"), _is_written_value),
    (  # a configuration's <add key="..." value="..."/>
        re.compile(r"[\"']\s[^<>\n]{0,40}?\bvalue\s?=\s?(?:\"([^\"\n]{3,})\"|'([^'\n]{3,})')"),
        lambda value: not is_placeholder(value),
    ),
    (  # in prose, and in configuration that puts a blank or a tag between
        re.compile(
            r"(?: (?:for|of|para|für|pour|del?|do) [^\n:=.,]{1,30}?)?"
            rf"(?:(?i:{_IS})|\s*[:>]\s*|\s+|\s*[-=]>\s*) ?[\"'`]?{_NEITHER}([^\s\"'`<>]{{6,64}}?)"
            r"(?=[.,;:)!?]?(?:[\s\"'`<>]|\Z))"
        ),
        looks_like_a_password,
    ),
)


class NamedPasswords:
    """The value behind a name such as `password`: one search for names, then tries behind it."""

    kind = SensitiveKind.SECRET

    def finds(self, text: str) -> Iterator[Find]:
        """Values that are assigned, quoted, or look like a password in prose."""
        lower = text.lower()
        after = 0
        for name in _PASSWORD.finditer(lower if len(lower) == len(text) else text):
            if name.start() < after:
                continue
            for values, is_valid in _PASSWORD_VALUES:
                value = values.match(text, name.end())
                if value and is_valid(value[value.lastindex or 0]):
                    start, after = value.span(value.lastindex or 0)
                    yield Find(start, after, text[start:after])
                    break


SECRETS: Final[tuple[Rule, ...]] = (
    PatternRule(
        SensitiveKind.SECRET,
        re.compile(
            r"-----BEGIN [A-Z ]*PRIVATE KEY(?: BLOCK)?-----"
            r"[\s\S]*?(?:-----END [A-Z ]*PRIVATE KEY(?: BLOCK)?-----|\Z)"
            r"|\beyJ[\w-]{8,}\.[\w-]{8,}(?:\.[\w-]+)?"
            r"|\b(?:AKIA|ASIA)[0-9A-Z]{16}\b|\bAIza[\w-]{30,}|\bya29\.[\w-]{20,}"
            r"|\bSG\.[\w-]{16,}\.[\w-]{16,}|\bhv[sbr]\.[\w-]{20,}|\bdp\.(?:pt|st|ct)\.\w{20,}"
            r"|\bAGE-SECRET-KEY-1[0-9A-Z]{40,}|\bdapi[0-9a-f]{32}(?:-\d)?\b|\b(?:SK|AC)[0-9a-f]{32}\b"
            r"|\bkey-[0-9a-f]{32}\b|\b[0-9a-f]{32}-us\d{1,2}\b|(?<!\d)\d{8,10}:AA[\w-]{32,}"
            r"|\bsk-(?:ant|proj|svcacct|or)-[\w-]{12,}"
            r"|\b\w{14}\.atlasv1\.[\w-]{40,}|\bLTAI\w{12,}|\bAKID\w{13,}|\bsl\.[\w-]{40,}"
            r"|\b[\w-]{11,}:APA91b[\w-]{60,}|\b1//0[\w-]{30,}|\bEAA\w{30,}|\bA{10,}[\w%-]{40,}"
            r"|(?<=hooks\.slack\.com/services/)[\w/]{20,}"
            r"|(?<=/api/webhooks/)\d+/[\w-]{20,}",
            re.ASCII,
        ),
        markers=(
            "PRIVATE KEY",
            "eyJ",
            "AKIA",
            "ASIA",
            "AIza",
            "ya29.",
            "SG.",
            "hv",
            "dp.",
            "AGE-",
            "dapi",
            "SK",
            "AC",
            "key-",
            "-us",
            "LTAI",
            "AKID",
            ":APA",
            "1//0",
            "EAA",
            "AAAAAAAAAA",
            ":AA",
            "hooks.slack",
            "webhooks",
            "sk-",
        ),
    ),
    PatternRule(
        SensitiveKind.SECRET,
        re.compile(r"(?<=://)[^/\s:@]{0,64}:[^/\s@]{1,128}(?=@)"),
        is_valid=lambda value: not is_placeholder(value.partition(":")[2]),
        markers=("://",),
    ),
    PatternRule(
        SensitiveKind.SECRET,
        re.compile(rf"(?<![A-Za-z0-9])(?:{_KEYS})[-_][A-Za-z0-9_-]{{12,}}(?:=[0-9A-F]{{8}}\b)?"),
        is_valid=looks_random,
        markers=("-", "_"),
    ),
    PatternRule(
        SensitiveKind.SECRET,
        re.compile(r"(?i:\bbasic\s+|\bauth\\?\"\s*:\s*\\?\")([A-Za-z0-9+/]{8,}={0,2})"),
        is_valid=is_basic_credential,
        markers=("asic", "ASIC", "auth"),
    ),
    PatternRule(
        SensitiveKind.SECRET,
        re.compile(
            r"(?i:\b(?:bearer|authorization\\?[\"']?\s*[:=,]\s*[a-z]?\\?[\"']?\w+)\s+)"
            r"([A-Za-z0-9._~+/=-]{8,})"
        ),
        is_valid=lambda value: (
            re.search(r"\d|[a-z][A-Z]|[.~+/=]\w", value) is not None and not is_placeholder(value)
        ),
        markers=("earer", "EARER", "uthorization", "UTHORIZATION"),
    ),
    PatternRule(  # three parts of a bot's token (Discord)
        SensitiveKind.SECRET,
        re.compile(r"[MNO](?<![\w-][MNO])[\w-]{23,27}\.[\w-]{6}\.[\w-]{27,40}(?![\w.-])"),
    ),
    NamedPasswords(),
    PatternRule(
        SensitiveKind.SECRET,
        re.compile(
            rf"(?i:--(?:{_WORDS_BEFORE_IT}|{_NAMED_KEY})[ =]){_NEITHER}([^\s\"'&;,<>]{{4,}})"
        ),
        is_valid=_is_written_value,
        markers=("--",),
    ),
    PatternRule(  # user and password in one word or one pair
        SensitiveKind.SECRET,
        re.compile(
            r"(?:\s(?:-u|--user|--proxy-user|--auth|-a)[ =]?|\bbtoa\(|b64encode\(b?|-n )[\"']?"
            r"[\w.@+-]{1,64}:([^\s\"':@/][^\s\"':]{3,})"
            r"|\b(?:(?i:auth)\s?=\s?|(?:BasicAuth|HTTPBasicAuth|BasicAuthentication))\("
            r"\s*[\"'][^\"'\n]{1,64}[\"'],\s*[\"']([^\"'\n]{4,})[\"']"
            r"|(?<=[:\s])[\w-]{1,30}/([^\s/@:\"']{4,64})(?=@(?://)?[\w.-]+[:/]\w)"
            r"|(?i:\b(?:login|logins?|creds?|credentials?|user(?:name)?/pass\w*|zugangsdaten)\s?[:=]\s?)"
            r"[\w.@-]{1,40}\s?[/:|]\s?([^\s\"'/|]{6,})"
            rf"|\b{_TOOLS}\b[^\n|;]{{0,120}}?\s-[pPawW](?:\s?)[\"']?([^\s\"'-][^\s\"']{{5,}})"
        ),
        is_valid=looks_like_a_password,
        markers=_PAIR_MARKERS,
    ),
    PatternRule(
        SensitiveKind.SECRET,
        re.compile(
            rf"(?i:(?<![a-z<])(?:{_NAMED_KEY})\\?[\"']?\s*[:=]\s*\\?[\"']?)"
            rf"{_NEITHER}([\w.~+/=%$!*#-]{{8,}})"
        ),
        is_valid=lambda value: (
            (re.search(r"\d", value) is not None and re.search(r"[A-Za-z]", value) is not None)
            or looks_random(value)
        ),
        markers=(
            "key",
            "Key",
            "KEY",
            "oken",
            "TOKEN",
            "ecret",
            "SECRET",
            "ession",
            "SESSION",
            "sid",
            "SID",
            "sig",
            "Sig",
            "SIG",
            "jwt",
            "JWT",
            "redential",
            "CREDENTIAL",
        ),
    ),
)
