"""The embedded defaults: no key, no server, no network."""
