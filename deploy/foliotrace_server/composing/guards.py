"""One `CircuitGuard` for each service outside: made from settings, shared by the process."""

from foliotrace.ports import Clock
from foliotrace.resilience import BreakerPolicy, RetryPolicy
from foliotrace.resilient import CircuitGuard, GuardPolicy
from foliotrace_server.sections import GuardSettings


class GuardFactory:
    """Makes the dependencies of a process and keeps them, for readiness and metrics."""

    def __init__(self, settings: GuardSettings, *, clock: Clock) -> None:
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
        given = self._settings
        policy = GuardPolicy(
            retry=RetryPolicy(
                attempts=attempts or given.attempts,
                base_s=given.first_wait_s,
                cap_s=given.longest_wait_s,
            ),
            breaker=BreakerPolicy(
                failures=given.breaker_failures,
                rest_s=given.breaker_rest_s,
                cap_s=given.breaker_longest_rest_s,
            ),
            limit_s=limit_s,
            slots=given.calls_at_once,
            has_lower_rung=has_lower_rung,
        )
        guard = CircuitGuard(name, policy, clock=self._clock)
        self.guards[name] = guard
        return guard
