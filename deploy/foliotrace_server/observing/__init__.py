"""Telemetry of the running service: spans, metrics, trace links and the audit log."""
