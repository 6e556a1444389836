"""Limits that are fixed: part of the API or of the design, not of a deployment."""

from typing import Final

MAX_QUERY_CHARACTERS: Final = 1000
MAX_TOP_K: Final = 50
MAX_FILTER_DOCUMENTS: Final = 200
MAX_FILTER_FIELDS: Final = 16
MAX_FILTER_VALUES: Final = 64
MAX_HISTORY: Final = 10  # earlier questions that a question may bring
MAX_TAGS: Final = 16
MAX_METADATA_FIELDS: Final = 32
MAX_VALUE_CHARACTERS: Final = 256
MAX_QUOTES: Final = 3
"""Quoted passages in an answer without a language model."""

RETRY_AFTER_S: Final = 30.0
"""What an answer without passages advises when no dependency says better."""

INSPECT_DEADLINE_S: Final = 120.0
"""Time for counting the pages of a file."""

SHORT_CHARACTERS: Final = 20_000
"""Text that is cut and packed on the event loop: another thread costs more than a millisecond."""

PARSE_PART_PAGES: Final = 50
"""Pages that one parser process reads in one request."""

PARSE_PART_DEADLINE_S: Final = 60.0
PARSE_PAGE_DEADLINE_S: Final = 20.0
"""Time for such a part, and for a single page of a part that failed."""

WORKER_MEMORY_BYTES: Final = 3 << 30
WORKER_CPU_S: Final = 120
WORKER_REQUESTS: Final = 1000
WORKER_IDLE_S: Final = 60.0
"""Limits of one parser process: address space, CPU time of one request, requests until it is
replaced (which bounds memory leaks), and time without work until it is stopped."""

EXTRACT_PARSE_DEADLINE_S: Final = 600.0
"""Time for parsing a window of pages that extraction needs and the library does not hold."""

EXTRACTION_DEADLINE_S: Final = 180.0
"""Time for one call of one extractor."""

EXTRACTION_WINDOW_PAGES: Final = 20
"""Pages that are extracted, and saved, together."""

EXTRACTION_OTHERS: Final = 12
"""Documents of the collection whose first page tells extraction how dates are written there."""

MAX_UNWINDOWED_PAGES: Final = 500
"""A longer document is not sent to an extractor that takes only whole documents."""

INDEX_SYNC_DEADLINE_S: Final = 3600.0
"""Time for bringing the managed index up to date once."""

MODEL_CALL_S: Final = 20.0
"""Time for one call of a language or embedding model, unless its settings say otherwise."""

MAX_EXTRACTION_TOKENS: Final = 4096
"""Longest completion of a language model that extracts."""
