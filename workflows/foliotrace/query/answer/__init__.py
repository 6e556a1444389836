"""Make an answer of passages: language models in order, then quotes; ground and redact it."""
