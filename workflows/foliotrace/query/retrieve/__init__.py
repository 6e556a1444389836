"""Find passages: the configured retrieval paths in order, hedging, fusion, document routing."""
