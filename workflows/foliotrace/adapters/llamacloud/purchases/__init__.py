"""Billed jobs: each placed once, found again after a lost reply, and charged."""
