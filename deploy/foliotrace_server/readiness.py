"""What each capability is configured for and can do now; for `/readyz` and `doctor`."""

from collections.abc import Mapping

from foliotrace.model import AnswerMode, RetrievalMode
from foliotrace.query.workflow import QueryServices
from foliotrace_server.contract import CapabilityBody


class Readiness:
    """Asks the adapters, without calling anything outside."""

    def __init__(self, query: QueryServices) -> None:
        self._query = query

    def __call__(self) -> Mapping[str, CapabilityBody]:
        """By capability: retrieve and answer."""
        return {"retrieve": self._retrieve(), "answer": self._answer()}

    def _retrieve(self) -> CapabilityBody:
        best = self._query.configured.retrieval[0]
        ready = [path for path in self._query.paths if getattr(path.retriever, "ready", True)]
        reached = ready[0].mode if ready else RetrievalMode.NONE
        level = 0 if reached is best else 2 if ready else 4
        reasons = () if reached is best else (f"{best}_not_ready",)
        return CapabilityBody(configured=best, reachable=reached, level=level, reasons=reasons)

    def _answer(self) -> CapabilityBody:
        mode = AnswerMode.GENERATED if self._query.generators else AnswerMode.EXTRACTIVE
        return CapabilityBody(configured=mode, reachable=mode, level=0, reasons=())
