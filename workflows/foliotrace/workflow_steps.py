"""What the workflows of the three journeys share: their steps are looked up once."""

from typing import Any

from workflows import Workflow


class JourneyWorkflow(Workflow):
    """A workflow that caches the engine's own list of its steps.

    The engine inspects the whole object for it, two to eleven times in each run. `_get_steps` is a
    private name of the engine: a contract test checks that the engine still has it, and tests of
    each journey that both results agree. An engine without it never calls this.
    """

    _known_steps: tuple[int, dict[str, Any]] | None = None

    def _get_steps(self) -> dict[str, Any]:
        version = getattr(type(self), "_step_functions_version", 0)
        if self._known_steps is None or self._known_steps[0] != version:
            self._known_steps = (version, dict(super()._get_steps()))
        return self._known_steps[1]
