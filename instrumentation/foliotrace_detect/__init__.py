"""Finds cards, IBANs, identity numbers, dates of birth, keys, mail addresses and phone numbers.

One detector for what leaves the service: answers and telemetry. Standard library only; imports
nothing of foliotrace, so every package may use it.
"""

from foliotrace_detect.checks import is_card, is_iban, passes_luhn
from foliotrace_detect.detector import Detector, NameRule, Replacement
from foliotrace_detect.rule import Find, Rule, SensitiveKind

__all__ = [
    "Detector",
    "Find",
    "NameRule",
    "Replacement",
    "Rule",
    "SensitiveKind",
    "is_card",
    "is_iban",
    "passes_luhn",
]
