"""Redacts answers: personal numbers, dangerous code and remote content. Pure.

No rule but that for code blocks reaches across a blank line, so a stream that is cut at safe places
gives the same text as the whole answer.
"""

import ast
import re
from dataclasses import dataclass
from typing import Final

from foliotrace.settings import RedactionSettings
from foliotrace_detect import Detector, SensitiveKind

SSN: Final = "[SSN REDACTED]"
CARD: Final = "[CARD REDACTED]"
CODE: Final = "[code removed]"

_PLACEHOLDERS: Final = {SensitiveKind.SSN: SSN, SensitiveKind.CARD: CARD}
_DETECTORS: Final = {
    any_sixteen: Detector(_PLACEHOLDERS, prose=True, any_sixteen_digits=any_sixteen)
    for any_sixteen in (False, True)
}
_IN_TEXT: Final = r"(?:[^\]\n]|\n(?!\s*\n))*"  # up to the bracket, within one paragraph
_IN_TARGET: Final = r"(?:[^)\n]|\n(?!\s*\n))*"
_IMAGE: Final = re.compile(
    rf"!\[({_IN_TEXT})\](?:\({_IN_TARGET}\)|\[{_IN_TEXT}\])|<img\b[^>]*>", re.I
)
_LINK: Final = re.compile(rf"\[({_IN_TEXT})\]\(\s*<?(?:[a-z][a-z0-9+.-]*:|//){_IN_TARGET}\)", re.I)
_DEFINITION: Final = re.compile(r"^ {0,3}\[[^\]\n]+\]:[^\n]*$", re.M)
_AUTOLINK: Final = re.compile(r"<((?:https?|ftp)://[^>\s]+)>", re.I)
_TAG: Final = re.compile(
    r"</?(?:script|iframe|object|embed|style|link|meta|form|svg|video|audio|source)\b[^>]*>", re.I
)
_CONTROL: Final = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]"
)
_FENCE: Final = re.compile(r"```[^\n]*\n.*?(?:```|\Z)", re.S)
_SAFE_CUT: Final = re.compile(r"[.!?;:\])]\s+|\n|\Z")
_DENIED: Final = frozenset(
    {"os", "sys", "subprocess", "shutil", "socket", "ctypes", "importlib", "pickle", "requests"}
    | {"urllib", "http", "pathlib", "pty"}
)
_CALLS: Final = frozenset({"eval", "exec", "compile", "__import__", "open", "system", "popen"})


@dataclass(frozen=True, slots=True)
class Redacted:
    """A text that may be sent, and how many personal numbers were removed from it."""

    text: str
    redacted: int


def redact(text: str, rules: RedactionSettings) -> Redacted:
    """The text as it may be sent. Redacting twice changes nothing more."""
    if text.isascii() and not _MAY_MATTER.search(text):
        return Redacted(text, 0)
    clean = _CONTROL.sub("", text)
    if rules.remove_dangerous_code:
        clean = _FENCE.sub(lambda block: CODE if _dangerous(block[0]) else block[0], clean)
    return _without_personal_numbers(_without_remote_content(clean), rules)


_MAY_MATTER: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f<`]|\]\(|!\[|\]:|\d[ ._-]?\d\d[ ._-]?\d\d")
"""ASCII text without any of these cannot change: most answers stop here."""


def _without_personal_numbers(text: str, rules: RedactionSettings) -> Redacted:
    found: list[SensitiveKind] = []

    def placeholder(kind: str, _value: str) -> str:
        found.append(SensitiveKind(kind))
        return _PLACEHOLDERS[SensitiveKind(kind)]

    clean = _DETECTORS[rules.any_sixteen_digits].replace(text, placeholder)
    return Redacted(clean, len(found))


def _without_remote_content(text: str) -> str:
    """Without anything that a viewer would fetch, or an address hidden behind other words."""
    clean = _IMAGE.sub(lambda image: image.group(1) or "", text)
    clean = _DEFINITION.sub("", _LINK.sub(r"\1", clean))
    return _TAG.sub("", _AUTOLINK.sub(r"\1", clean))


def _dangerous(block: str) -> bool:
    """Whether a block imports or calls something that touches the system.

    A block that is not Python is dangerous as soon as it names such a module.
    """
    body = block.split("\n", 1)[1].removesuffix("```")
    try:
        tree = ast.parse(body)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return bool(_DENIED & set(re.findall(r"\w+", body)))
    return any(_touches_system(node) for node in ast.walk(tree))


def _touches_system(node: ast.AST) -> bool:
    if isinstance(node, ast.Import):
        return any(alias.name.split(".")[0] in _DENIED for alias in node.names)
    if isinstance(node, ast.ImportFrom):
        return (node.module or "").split(".")[0] in _DENIED
    if isinstance(node, ast.Call):
        called = node.func
        name = called.id if isinstance(called, ast.Name) else getattr(called, "attr", "")
        return name in _CALLS
    return False


class RedactedStream:
    """Redacts whole sentences as they come; text that may belong to a longer pattern waits."""

    def __init__(self, rules: RedactionSettings) -> None:
        self._rules = rules
        self._waiting = ""
        self.redacted = 0

    def feed(self, text: str) -> str:
        """The redacted text that may be sent now."""
        self._waiting += text
        cut = _safe_cut(self._waiting)
        ready, self._waiting = self._waiting[:cut], self._waiting[cut:]
        return self._redacted(ready)

    def finish(self) -> str:
        """The rest, redacted."""
        ready, self._waiting = self._waiting, ""
        return self._redacted(ready)

    def _redacted(self, text: str) -> str:
        clean = redact(text, self._rules)
        self.redacted += clean.redacted
        return clean.text


def _safe_cut(text: str) -> int:
    """The last position that no pattern can reach across: outside code, brackets and numbers."""
    fence = text.rfind("```") if text.count("```") % 2 else -1
    cut = 0
    for match in _SAFE_CUT.finditer(text, 0, fence if fence >= 0 else len(text)):
        before = text[: match.end()]
        paragraph = before[before.rfind("\n\n", 0, match.start()) + 1 :]
        is_open = any(paragraph.count(a) > paragraph.count(b) for a, b in ("[]", "()", "<>"))
        if is_open or before.count("```") % 2:
            continue
        cut = match.end()
    return cut
