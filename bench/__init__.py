"""Benchmarks. Each prints ratios against a baseline run beside it and records its figures."""
