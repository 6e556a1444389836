"""Answers given again: exact and semantic keys, lookup and storing."""
