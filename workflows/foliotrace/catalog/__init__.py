"""Every stable word of the service, declared once: error codes, reasons, problems of pages.

Each entry holds its value, a message and a hint. Errors name their entry (`errors.py`), the HTTP
edge maps kinds to statuses, and `docs/reference/errors.md` is generated from here. Values are part
of the API: they are added, never changed.
"""

from foliotrace.catalog.codes import ErrorCode, ErrorKind
from foliotrace.catalog.reasons import (
    AnyReason,
    ComposedReason,
    PageProblem,
    Reason,
    ReasonFamily,
)

__all__ = [
    "AnyReason",
    "ComposedReason",
    "ErrorCode",
    "ErrorKind",
    "PageProblem",
    "Reason",
    "ReasonFamily",
]
