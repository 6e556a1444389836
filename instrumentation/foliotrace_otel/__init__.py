"""OpenTelemetry for LlamaIndex programs: span handler, event handler, set-up, metrics, logs, redaction."""
