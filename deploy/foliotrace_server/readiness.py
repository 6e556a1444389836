"""What each capability is configured for and can do now; for `/readyz` and `doctor`."""

from collections.abc import Mapping
from itertools import takewhile

from foliotrace.catalog import ReasonFamily
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
        ready = [path for path in self._query.paths if path.retriever.ready]
        reached = ready[0].mode if ready else RetrievalMode.NONE
        level = 0 if reached is best else 2 if ready else 4
        reasons = () if reached is best else (ReasonFamily.NOT_READY.of(best),)
        return CapabilityBody(configured=best, reachable=reached, level=level, reasons=reasons)

    def _answer(self) -> CapabilityBody:
        """The first LLM that may be asked; quotes when none may."""
        generators = self._query.generators
        if not generators:
            quotes = AnswerMode.EXTRACTIVE
            return CapabilityBody(configured=quotes, reachable=quotes, level=0, reasons=())
        down = list(takewhile(lambda generator: not generator.ready, generators))
        all_down = len(down) == len(generators)
        return CapabilityBody(
            configured=AnswerMode.GENERATED,
            reachable=AnswerMode.EXTRACTIVE if all_down else AnswerMode.GENERATED,
            level=2 if all_down else min(1, len(down)),
            reasons=tuple(
                ReasonFamily.NOT_READY.of(f"llm_{place}") for place in range(1, len(down) + 1)
            ),
        )
