"""One `CircuitGuard` for each service outside: made from settings, shared by the process."""

from foliotrace.ports import Clock
from foliotrace.resilient import CircuitGuard, GuardPolicy
from foliotrace.settings import ResilienceSettings


class GuardFactory:
    """Makes the dependencies of a process and keeps them, for readiness and metrics."""

    def __init__(self, settings: ResilienceSettings, *, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self.guards: dict[str, CircuitGuard] = {}

    def make(
        self,
        name: str,
        *,
        limit_s: float,
        has_lower_rung: bool = True,
        attempts: int | None = None,
    ) -> CircuitGuard:
        """The guard of service `name`. `limit_s` caps one request, `attempts` those of one call."""
        policy = GuardPolicy.of(
            self._settings, limit_s=limit_s, has_lower_rung=has_lower_rung, attempts=attempts
        )
        guard = CircuitGuard(name, policy, clock=self._clock)
        self.guards[name] = guard
        return guard
