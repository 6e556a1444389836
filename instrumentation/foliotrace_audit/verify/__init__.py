"""The read side: whether the log is what its writers wrote, and what proves it."""
