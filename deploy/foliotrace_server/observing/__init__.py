"""What a running service tells: spans, metrics, links to traces, audit records."""
