"""The keyword (BM25) index on tantivy."""
