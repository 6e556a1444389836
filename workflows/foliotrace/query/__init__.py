"""A question becomes a cited answer: guard, cache, retrieve, synthesize, sanitize."""
