"""Readers run in a worker process: each turns one family of files into pages."""
