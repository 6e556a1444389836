"""Configuration from the environment, tracing and logging set up in one call."""
