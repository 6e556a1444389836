"""A question becomes a cited answer: validate, cache, retrieve, synthesize, ground."""
