"""The metrics registry, and sending it over OTLP."""
