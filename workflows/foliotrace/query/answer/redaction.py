"""The last stage: what an answer may show. Personal numbers, code and remote content. Pure.

No rule reaches over a blank line (code blocks apart), so a stream that is cut at safe places gives
the same text as the whole answer would.
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
class Sanitized:
    """A text that may be shown, and how many personal numbers were taken out of it."""

    text: str
    redacted: int


def sanitize(text: str, rules: RedactionSettings) -> Sanitized:
    """The text as it may be shown. Doing it twice changes nothing more."""
    if text.isascii() and not _MAY_MATTER.search(text):
        return Sanitized(text, 0)
    clean = _CONTROL.sub("", text)
    if rules.remove_dangerous_code:
        clean = _FENCE.sub(lambda block: CODE if _dangerous(block[0]) else block[0], clean)
    return redact(_without_remote_content(clean), rules)


_MAY_MATTER: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f<`]|\]\(|!\[|\]:|\d[ -]?\d\d[ -]?\d\d")
"""No text without one of these can change: most answers stop here."""


def redact(text: str, rules: RedactionSettings) -> Sanitized:
    """The text with social security and card numbers replaced by their placeholders."""
    found: list[SensitiveKind] = []

    def placeholder(kind: SensitiveKind, _value: str) -> str:
        found.append(kind)
        return _PLACEHOLDERS[kind]

    clean = _DETECTORS[rules.any_sixteen_digits].replace(text, placeholder)
    return Sanitized(clean, len(found))


def _without_remote_content(text: str) -> str:
    """Nothing that a viewer would fetch, and no address hidden behind other words."""
    clean = _IMAGE.sub(lambda image: image.group(1) or "", text)
    clean = _DEFINITION.sub("", _LINK.sub(r"\1", clean))
    return _TAG.sub("", _AUTOLINK.sub(r"\1", clean))


def _dangerous(block: str) -> bool:
    """Whether a block imports or calls what touches the system.

    What is not Python is taken out when it so much as names such a thing.
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


class SanitizedStream:
    """Sanitizes whole sentences as they come; what may be part of a longer pattern is held back.

    A pattern never reaches over a blank line, except a code block.
    """

    def __init__(self, rules: RedactionSettings) -> None:
        self._rules = rules
        self._waiting = ""
        self.redacted = 0

    def feed(self, text: str) -> str:
        """What may be shown now."""
        self._waiting += text
        cut = _safe_cut(self._waiting)
        ready, self._waiting = self._waiting[:cut], self._waiting[cut:]
        return self._shown(ready)

    def finish(self) -> str:
        """The rest."""
        ready, self._waiting = self._waiting, ""
        return self._shown(ready)

    def _shown(self, text: str) -> str:
        clean = sanitize(text, self._rules)
        self.redacted += clean.redacted
        return clean.text


def _safe_cut(text: str) -> int:
    """The last place where no pattern can reach across: outside code, brackets and numbers."""
    fence = text.rfind("```") if text.count("```") % 2 else -1
    cut = 0
    for found in _SAFE_CUT.finditer(text, 0, fence if fence >= 0 else len(text)):
        before = text[: found.end()]
        paragraph = before[before.rfind("\n\n", 0, found.start()) + 1 :]
        is_open = any(paragraph.count(a) > paragraph.count(b) for a, b in ("[]", "()", "<>"))
        if is_open or before.count("```") % 2:
            continue
        cut = found.end()
    return cut
