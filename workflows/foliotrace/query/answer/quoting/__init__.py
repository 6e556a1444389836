"""Quoting: the pieces of a passage that can be quoted, and how well each answers a question."""
