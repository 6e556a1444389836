"""Datasets: JSONL files that live in git, and how a run becomes a row of one."""
