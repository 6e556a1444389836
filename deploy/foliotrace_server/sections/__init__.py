"""The sections that only a server has: the process, secrets, and what observes it.

The other sections are the core's: `foliotrace.settings`.
"""

from foliotrace_server.sections.auth import (
    AuthSettings,
    OidcSettings,
    ProxyAuthSettings,
    is_private,
    is_safe_url,
)
from foliotrace_server.sections.models import EmbeddingSettings, LlamaCloudSection, LLMSettings
from foliotrace_server.sections.observing import AuditLogSettings, LogSettings, TracingSettings
from foliotrace_server.sections.process import (
    LimitSettings,
    QuotaSettings,
    RedisSettings,
    ServerSettings,
)

__all__ = [
    "AuditLogSettings",
    "AuthSettings",
    "EmbeddingSettings",
    "LLMSettings",
    "LimitSettings",
    "LlamaCloudSection",
    "LogSettings",
    "OidcSettings",
    "ProxyAuthSettings",
    "QuotaSettings",
    "RedisSettings",
    "ServerSettings",
    "TracingSettings",
    "is_private",
    "is_safe_url",
]
