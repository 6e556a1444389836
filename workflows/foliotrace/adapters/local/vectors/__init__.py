"""The vector index: exact search over the embeddings of a collection."""
