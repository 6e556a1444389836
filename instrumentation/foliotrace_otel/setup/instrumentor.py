"""The entry point of `opentelemetry-instrument`, in this package's own distribution.

It brings `opentelemetry-instrumentation`; the service does not, and never imports
this module.
"""

from collections.abc import Collection
from typing import Any

from opentelemetry.instrumentation.instrumentor import (  # type: ignore[import-not-found] # see above
    BaseInstrumentor,
)
from opentelemetry.sdk.trace import TracerProvider

from foliotrace_otel.setup.configure import Telemetry, configure

_AT_MOST_S = 5.0


class LlamaIndexInstrumentor(BaseInstrumentor):  # type: ignore[misc] # its class is Any here
    """`instrument()` traces every LlamaIndex call; `uninstrument()` takes the handlers off again.

    `instrument` takes the arguments of `configure`; `tracer_provider`, as other instrumentations
    name it, is `provider` there.
    """

    _telemetry: Telemetry | None = None

    def instrumentation_dependencies(self) -> Collection[str]:
        """What must be installed for it to be loaded."""
        return ("llama-index-instrumentation >= 0.4",)

    def _instrument(self, **options: Any) -> None:  # noqa: ANN401 - the base class's signature
        provider = options.pop("tracer_provider", None)
        options.pop("skip_dep_check", None)
        if isinstance(provider, TracerProvider):
            options["provider"] = provider
        self._telemetry = configure(**options)

    def _uninstrument(self, **_: Any) -> None:  # noqa: ANN401 - the base class's signature
        if self._telemetry is not None:
            self._telemetry.shutdown(_AT_MOST_S)
            self._telemetry = None
