"""Finds payment cards, social security numbers, IBANs, keys, e-mail addresses and phone numbers.

One detector for what leaves the service: answers and telemetry. Standard library only; imports
nothing of foliotrace, so every package may use it.
"""

from foliotrace_detect.detector import (
    Detector,
    Replacement,
    SensitiveKind,
    is_card,
    is_iban,
    passes_luhn,
)

__all__ = [
    "Detector",
    "Replacement",
    "SensitiveKind",
    "is_card",
    "is_iban",
    "passes_luhn",
]
