"""OpenTelemetry for LlamaIndex programs: spans, events, metrics, logs, redaction."""
