"""From passages to an answer: language models in order, then quotes; grounded and redacted."""
