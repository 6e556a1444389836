"""The write side: one process appends to one stream, and cleans up after those that died."""
