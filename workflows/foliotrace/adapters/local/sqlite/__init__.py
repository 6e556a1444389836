"""The library, its jobs and runs, the budget ledger and the stale answers, each in SQLite."""
