"""Checks each sentence of a language model against the passages it cites."""
