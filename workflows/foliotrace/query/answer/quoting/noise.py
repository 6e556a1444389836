"""Sentences that share words with many questions and answer hardly any. Pure; English.

Declarations of officers, disclaimers, references to other places, titles, tables of contents. Each
counts for little unless the question asks about just that.
"""

import re
from dataclasses import dataclass
from typing import Final

_MIN_LETTERS: Final = 12
_CAPITAL_SHARE: Final = 0.6
_TITLE_WORDS: Final = 14
_ENDS: Final = (".", "!", "?", ";", ":", ",", '."', ".\u201d", ".)", "\u3002", "\uff01", "\uff1f")


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of noise: what it counts for, and words of questions that ask about it."""

    name: str
    factor: float
    pattern: str = ""
    asked: str = ""


KINDS: Final = (
    Kind(
        "declaration",
        0.25,
        r"\bI, [A-Z][\w.]+.{0,60}\bcertify|\bfairly presents?, in all\b"
        r"|registrant's (?:other certifying|internal control)|\bpursuant to the requirements of"
        r"|disclosure controls and procedures|internal control over financial reporting"
        r"|\bduly (?:caused|authorized)\b.{0,40}\bsign|(?:By|Name): .{0,80}\bTitle: ",
        "certify certification control controls signature signed officer officers",
    ),
    Kind(
        "disclaimer",
        0.3,
        r"forward.looking statement|Securities Litigation Reform|factors that might cause"
        r"|(?:undertakes?|assumes?) no (?:duty|obligation)|actual results (?:to|could|may) differ"
        r"|all rights reserved|without notice|no warrant(?:y|ies)",
        "forward looking disclaimer warranty rights",
    ),
    Kind(
        "cover",
        0.3,
        r"indicate by check\s?mark|exact name of registrant|commission file number"
        r"|\(mark one\)|rule 12b-2 of the",
        "check mark shell filer",
    ),
    Kind(
        "reference",
        0.4,
        r"^\W*source: |^\W*https?://\S+\W*$"
        r"|^\W*(?:\d{1,2}\W+)?(?:(?:(?:also )?(?:see|refer to)|please (?:see|refer))\b"
        r"|Note \d+, \W)"
        r"|should be read (?:in conjunction|together)"
        r"|\b(?:is|are|was|were|be|been) (?:further |more fully |also )?(?:described|discussed|"
        r"set forth|included|contained|presented|provided|found) (?:\w+ ){0,5}?"
        r"(?:under|in|at|on) (?:the )?"
        r"(?:heading|caption|Part|Item|Note|Section|Exhibit|Appendix|page)"
        r"|under the (?:heading|caption)|in greater detail|incorporated (?:herein )?by reference"
        r"|^\W*\d+\.\d+\*?\s.{0,200}(?:dated as of|filed herewith|XBRL)"
        r"|(?:more|further|additional) (?:information|details?|discussion)\b.{0,60}"
        r"\b(?:see|refer|Note|Item)|accompanying notes|integral part of these",
        "",
    ),
    Kind(
        "announcement",
        0.4,
        r"\bfollowing (?:is|are|tables?|discussion|summar\w+|chart)\b.{0,80}"
        r"\b(?:show|present|set|summar|provide|of|list|reconcil)|(?:table|chart|figure)s? below"
        r"|:\s*\Z|\b(?:is|are|was|were) as follows\b",
        "",
    ),
    Kind(
        "contents",
        0.2,
        r"\|[^|\n]*\b(?:Form|Report|Page)\b[^|\n]*\|\s*\d{1,4}\s*$"
        r"|^\W*(?:in )?(?:thousands|millions|billions)\b|\.{4,}|(?:\. ){4,}"
        r"|^\W*(?:Item|Part|Note|Chapter|Section|Appendix|Exhibit)\b[^\n]{0,120}"
        r"\s\d{1,4}\s*$",
        "exhibit exhibits contents",
    ),
    Kind(
        "footnote",
        0.6,
        r"^\W*\(\d{1,2}\)\s+(?:Other|Includes?|Represents?|Excludes?|Amounts?|Adjust\w*)\b",
    ),
    Kind("title", 0.3),
    Kind(
        "hypothetical",
        0.6,
        asked="risk risks uncertainty uncertainties threat threats exposure policy hedge hedging",
    ),
    Kind("fragment", 0.6),
)
_HYPOTHETICAL: Final = re.compile(
    r"\b(?:may|could|might)\b(?! \d)|\bcan be no (?:assurance|guarantee)|\bno assurance\b", re.I
)
"""What may happen; "In May 2022" is none of that. Not looked for where another kind was found."""
NEVER_STATE: Final = frozenset(
    ("declaration", "cover", "reference", "contents", "footnote", "title", "fragment")
)
"""Kinds that state nothing that a question asks for."""
FACTORS: Final = {kind.name: kind.factor for kind in KINDS}
ASKED: Final = {kind.name: kind.asked for kind in KINDS if kind.asked}
_PATTERNS: Final = re.compile(
    "|".join(f"(?P<{kind.name}>{kind.pattern})" for kind in KINDS if kind.pattern), re.I | re.M
)
_NEEDED: Final = (
    "certify", "fairly present", "registrant", "pursuant to", "disclosure controls",
    "internal control", "duly ", "title: ", "forward", "litigation reform", "factors that might",
    "no duty", "no obligation", "actual results", "all rights", "without notice", "no warrant",
    "indicate by check", "exact name of", "commission file", "(mark one)", "rule 12b", "see",
    "refer", "note", "should be read", "heading", "caption", "part", "item", "section", "exhibit",
    "appendix", "page", "chapter", "in greater detail", "dated as of", "filed herewith", "xbrl",
    "following", "follows", "below", ":", "source", "|", "thousands", "millions", "billions",
    "....", ". . . . ", "(",
)  # fmt: skip
"""Each pattern needs one of these, which are looked for thirty times faster than all patterns."""


def noise_in(text: str, *, is_heading: bool = False, is_row: bool = False) -> str:
    """The name of the kind of noise that a sentence, row or heading is; "" for none."""
    lower = text.casefold()
    found = _PATTERNS.search(text) if any(part in lower for part in _NEEDED) else None
    if found is not None and (not is_row or found.lastgroup == "contents"):
        return found.lastgroup or ""
    if is_row:
        return ""
    if is_heading or _is_title(text):
        return "title"
    whole = text.rstrip()
    if _HYPOTHETICAL.search(whole):
        return "hypothetical"
    if whole.endswith(_ENDS) or any(map(str.isdigit, whole)):
        return ""
    return "fragment"


def _is_title(text: str) -> bool:
    """Capitals throughout, or a few capitalised words without the end of a sentence."""
    letters = sum(map(str.isalpha, text))
    if letters >= _MIN_LETTERS and sum(map(str.isupper, text)) > _CAPITAL_SHARE * letters:
        return True
    words = [word for word in text.split() if len(word) > 3 and word[0].isalpha()]
    if text.rstrip().endswith(_ENDS) or not words or len(text.split()) > _TITLE_WORDS:
        return False
    return all(word[0].isupper() for word in words) and not any(map(str.isdigit, text))
