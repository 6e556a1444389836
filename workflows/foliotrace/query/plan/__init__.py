"""What a question needs beyond one search and one call: comparisons, lists, summaries."""
