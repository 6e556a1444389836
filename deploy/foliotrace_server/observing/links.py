"""Where a trace can be looked at: addresses made from the templates in the settings."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from uuid import UUID

from foliotrace_server.settings import TelemetrySettings


@dataclass(frozen=True, slots=True)
class Links:
    """Templates by the name of what they open."""

    templates: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of_settings(cls, settings: TelemetrySettings) -> "Links":
        """Those that are set."""
        named = {"jaeger": settings.jaeger_url, "langsmith": settings.langsmith_url}
        return cls({name: template for name, template in named.items() if template})

    def of(self, trace_id: str | None) -> dict[str, str]:
        """The addresses of a trace (32 hex digits); none for an answer that was not traced."""
        if trace_id is None:
            return {}
        as_uuid = str(UUID(trace_id))
        return {
            name: template.replace("{trace_id}", trace_id).replace("{trace_uuid}", as_uuid)
            for name, template in self.templates.items()
        }
