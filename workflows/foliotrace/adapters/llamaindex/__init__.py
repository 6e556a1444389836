"""LlamaIndex behind our ports, and our ports as LlamaIndex."""
