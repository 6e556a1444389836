"""The answer cache: exact and semantic keys, look-up and storing."""
