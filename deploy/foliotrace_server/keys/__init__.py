"""API keys: their text, what they allow, and the file that stores their hashes."""
