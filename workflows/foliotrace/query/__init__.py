"""The life of a question: guard, cache, retrieve, synthesize, sanitize; `workflow` wires them."""
