"""Parts of the composition root: what lies outside the process, each behind its guard."""
