"""Durable jobs: submitted, ended with a reason, repaired at the start."""
