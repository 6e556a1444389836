"""Rule-based extraction: values beside their labels, and tables with known column headers."""

from foliotrace.adapters.local.rules.extractor import RulesExtractor

__all__ = ["RulesExtractor"]
