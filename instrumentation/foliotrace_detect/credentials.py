"""Rules for keys, tokens and passwords: by the issuer's prefix, or by the name before them."""

import re
from typing import Final

from foliotrace_detect.checks import is_basic_credential, looks_random
from foliotrace_detect.rule import PatternRule, SensitiveKind

_KEYS: Final = (
    r"sk|pk|rk|llx|lsv2|ghp|gho|ghu|ghs|ghr|github_pat|glpat|glsa|glc|hf|xox[abprs]|xapp|pypi|npm"
    r"|gsk|xai|pplx|pcsk|nvapi|tvly|whsec|dop_v1|doo_v1|shpat|shpss|shpca|lin_api|ntn|secret|r8|sbp"
    r"|fw|sntrys|dckr_pat|rubygems|NRAK|GOCSPX|pscale_tkn|sq0atp|EAA|jina|voyage|pa|vcp|fo1|figd"
)
_NAMED_KEY: Final = (
    r"(?:api|access|account|auth|private|signing|encryption|shared)[_-]?(?:key|token)"
    r"|(?:secret|session|refresh|bearer|id|csrf|xsrf)[_-]?(?:access[_-]?)?(?:key|token|id)"
    r"|apikey|accountkey|sharedaccesskey|token|secret|session|sid|jwt|sig|signature|credentials?"
)
_PASSWORD_NAME: Final = r"passwor[dt]|passwd|passphrase|passwort|pwd|client_?secret"  # noqa: S105
_PASSWORD_MARKERS: Final = ("ass", "ASS", "wd", "WD", "ecret", "SECRET")
_NO_PASSWORDS: Final = frozenset({"true", "false", "none", "null", "required", "missing", "****"})
_NEITHER: Final = r"(?!<[A-Z]{2,}:)"  # what is redacted is not redacted again

SECRETS: Final = (
    PatternRule(
        SensitiveKind.SECRET,
        re.compile(
            r"-----BEGIN [A-Z ]*PRIVATE KEY(?: BLOCK)?-----"
            r"[\s\S]*?(?:-----END [A-Z ]*PRIVATE KEY(?: BLOCK)?-----|\Z)"
            r"|\beyJ[\w-]{8,}\.[\w-]{8,}(?:\.[\w-]+)?"
            r"|\b(?:AKIA|ASIA)[0-9A-Z]{16}\b|\bAIza[\w-]{30,}|\bya29\.[\w-]{20,}"
            r"|\bSG\.[\w-]{16,}\.[\w-]{16,}|\bhv[sbr]\.[\w-]{20,}|\bdp\.(?:pt|st|ct)\.\w{20,}"
            r"|\bAGE-SECRET-KEY-1[0-9A-Z]{40,}|\bdapi[0-9a-f]{32}(?:-\d)?\b|\b(?:SK|AC)[0-9a-f]{32}\b"
            r"|\bkey-[0-9a-f]{32}\b|\b[0-9a-f]{32}-us\d{1,2}\b|\b\d{8,10}:AA[\w-]{32,}"
            r"|\bsk-(?:ant|proj|svcacct|or)-[\w-]{12,}"
            r"|(?<=hooks\.slack\.com/services/)[\w/]{20,}"
            r"|(?<=/api/webhooks/)\d+/[\w-]{20,}"
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
            ":AA",
            "hooks.slack",
            "webhooks",
            "sk-",
        ),
    ),
    PatternRule(
        SensitiveKind.SECRET,
        re.compile(r"(?<=://)[^/\s:@]{0,64}:[^/\s@]{1,128}(?=@)"),
        markers=("://",),
    ),
    PatternRule(
        SensitiveKind.SECRET,
        re.compile(rf"(?<![A-Za-z0-9])(?:{_KEYS})[-_][A-Za-z0-9_-]{{12,}}"),
        is_valid=looks_random,
        markers=("-", "_"),
    ),
    PatternRule(
        SensitiveKind.SECRET,
        re.compile(r"(?i:\bbasic\s+)([A-Za-z0-9+/]{8,}={0,2})"),
        is_valid=is_basic_credential,
        markers=("asic", "ASIC"),
    ),
    PatternRule(
        SensitiveKind.SECRET,
        re.compile(r"(?i:\b(?:bearer|authorization:\s*\w+)\s+)([A-Za-z0-9._~+/=-]{8,})"),
        is_valid=lambda value: re.search(r"\d|[a-z][A-Z]|[.~+/=]\w", value) is not None,
        markers=("earer", "EARER", "uthorization", "UTHORIZATION"),
    ),
    PatternRule(  # the value of a named password: whatever is quoted or assigned
        SensitiveKind.SECRET,
        re.compile(
            rf"(?i:(?:{_PASSWORD_NAME})\\?[\"']?\s*[:=]\s*\\?)"
            rf"(?:\"{_NEITHER}([^\"\n\\]{{3,}})|'{_NEITHER}([^'\n\\]{{3,}}))"
        ),
        markers=_PASSWORD_MARKERS,
    ),
    PatternRule(
        SensitiveKind.SECRET,
        re.compile(rf"(?i:(?:{_PASSWORD_NAME})\s?=\s?)(?![\"'\\]){_NEITHER}([^\s\"'&;,<>]{{4,}})"),
        is_valid=lambda value: value.lower() not in _NO_PASSWORDS,
        markers=_PASSWORD_MARKERS,
    ),
    PatternRule(
        SensitiveKind.SECRET,
        re.compile(
            rf"(?i:(?:{_PASSWORD_NAME})\s?:\s?)(?![\"'\\]){_NEITHER}([^\s\"'&;,<>]{{4,}})"
            rf"|(?i:--(?:{_PASSWORD_NAME}|{_NAMED_KEY})[ =]){_NEITHER}([^\s\"'&;,<>]{{4,}})"
        ),
        is_valid=lambda value: re.search(r"[^a-zA-Z().]|[a-z][A-Z]", value) is not None,
        markers=(*_PASSWORD_MARKERS, "--"),
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
