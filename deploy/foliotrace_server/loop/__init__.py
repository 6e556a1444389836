"""Wires `foliotrace_loop` to this service: its runs, its answers, its settings."""
