"""Schema-guided extraction by rules: labels beside values, tables with known headers."""

from foliotrace.adapters.local.rules.extractor import RulesExtractor

__all__ = ["RulesExtractor"]
