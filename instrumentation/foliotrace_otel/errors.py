"""What can go wrong in setting up telemetry; nothing here is raised while a request runs."""

from typing import ClassVar


class TelemetryError(Exception):
    """Root of every error this package raises.

    `code` never changes once released; `hint` says what to do next.
    """

    code: ClassVar[str] = "telemetry_error"
    hint: ClassVar[str] = "See the message."


class TelemetrySettingInvalid(TelemetryError):
    """An `OTEL_*` or `LANGSMITH_*` variable, or an argument of `configure`, cannot be used."""

    code = "telemetry_setting_invalid"
    hint = "Correct the named variable; docs/reference/telemetry.md lists them with their forms."
