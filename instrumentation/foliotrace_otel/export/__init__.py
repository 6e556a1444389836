"""Spans and log events on their way out: queued, redacted, encoded, sent."""
