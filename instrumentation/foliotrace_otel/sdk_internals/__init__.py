"""All that leans on private names of the OpenTelemetry SDK, and what happens when one is gone.

pyproject.toml pins the SDK's minor version and tests/otel/test_sdk_internals.py holds every
name, so that an upgrade fails there. Where a name is missing all the same, `fall_back` logs one
warning and the SDK's own, slower path is taken: spans still arrive.
"""

import logging
from contextvars import ContextVar
from functools import cache
from typing import Final

from opentelemetry import context as otel_context
from opentelemetry.context import Context
from opentelemetry.trace import INVALID_SPAN, set_span_in_context

_log = logging.getLogger(__name__)

# The key under which a context holds the current span. It is private, but what the public function
# stores in an empty context is that one entry. Known, a look-up skips two calls per span.
SPAN_KEY: Final = next(iter(set_span_in_context(INVALID_SPAN, Context())))

# Set by the SDK around its own exports, so that instrumentations stay out of them. Without the name
# nothing is suppressed: no LlamaIndex call runs inside an export.
SUPPRESS_KEY: Final[str] = getattr(
    otel_context, "_SUPPRESS_INSTRUMENTATION_KEY", "suppress_instrumentation"
)


def _variable_of_contexts() -> ContextVar[Context]:
    token = otel_context.attach(Context())
    otel_context.detach(token)
    return token.var


# Where OTel keeps the current context. Its own functions go through two more calls, for each span.
CURRENT_CONTEXT: Final = _variable_of_contexts()


@cache
def fall_back(part: str) -> None:
    """Say once per process that the SDK's own path is taken for `part`."""
    _log.warning("telemetry.sdk_changed", extra={"part": part})
