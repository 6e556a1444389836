"""foliotrace's core: the life of a question, a file and a schema.

No HTTP, no OTel SDK, no environment.
"""

__version__ = "0.1.0"
