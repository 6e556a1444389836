"""What generated text must not carry out: personal numbers, dangerous code, remote content. Pure.

Quotes are verbatim by promise and are not touched; this is for the words of a model.
"""

import ast
import re
from dataclasses import dataclass
from typing import Final

SSN: Final = "[SSN REDACTED]"
CARD: Final = "[CARD REDACTED]"
CODE: Final = "[code removed]"

_SSN = re.compile(r"\b(?!000|666|9\d\d)\d{3}[- ](?!00)\d{2}[- ](?!0000)\d{4}\b")
_CARD = re.compile(r"\b\d(?:[ -]?\d){12,18}\b")
_FENCE = re.compile(r"```[^\n`]*\n(.*?)(?:```|\Z)", re.DOTALL)
_IMAGE = re.compile(r"!\[([^\]\n]*)\]\([^)\n]*\)")
_LINK = re.compile(r"\[([^\]\n]*)\]\(\s*(?:https?:)?//[^)\n]*\)")
_TAG = re.compile(r"<\s*/?\s*(?:script|iframe|img|object|embed|link|style|form)\b[^>]*>", re.I)
_DANGEROUS: Final = frozenset({"os", "sys", "subprocess", "shutil", "socket", "ctypes", "pty"})
_DANGEROUS_CALLS: Final = frozenset({"eval", "exec", "compile", "__import__", "open"})


@dataclass(frozen=True, slots=True, kw_only=True)
class SanitizePolicy:
    """What is taken out of generated text. `any_16_digits` takes every such number for a card."""

    redact_numbers: bool = True
    remove_dangerous_code: bool = True
    neutralise_links: bool = True
    any_16_digits: bool = False


def sanitize(text: str, policy: SanitizePolicy) -> str:
    """`text` without what `policy` takes out, each replaced by a placeholder that says so."""
    if policy.remove_dangerous_code:
        text = _FENCE.sub(lambda m: CODE if _is_dangerous(m.group(1)) else m.group(0), text)
    if policy.neutralise_links:
        text = _TAG.sub("", _LINK.sub(r"\1", _IMAGE.sub(r"\1", text)))
    if policy.redact_numbers:
        text = _CARD.sub(lambda m: CARD if _is_card(m.group(0), policy) else m.group(0), text)
        text = _SSN.sub(SSN, text)
    return text


def _is_card(found: str, policy: SanitizePolicy) -> bool:
    digits = [int(c) for c in found if c.isdigit()]
    if policy.any_16_digits and len(digits) == 16:
        return True
    doubled = [d if i % 2 == 0 else d * 2 - 9 * (d > 4) for i, d in enumerate(reversed(digits))]
    return sum(doubled) % 10 == 0


def _is_dangerous(code: str) -> bool:
    """Whether a fenced block imports or calls what reaches the machine."""
    try:
        tree = ast.parse(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return any(
            re.search(rf"^\s*(?:import|from)\s+.*\b{name}\b", code, re.MULTILINE)
            for name in _DANGEROUS
        )
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or ""]
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            if node.func.id in _DANGEROUS_CALLS:
                return True
            continue
        else:
            continue
        if any(name.split(".")[0] in _DANGEROUS for name in names):
            return True
    return False
