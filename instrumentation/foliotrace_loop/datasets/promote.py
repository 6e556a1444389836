"""Turns a run into a dataset row: anonymised, with a deterministic id.

Documents are named by the hash of their content: their ids belong to one installation.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from foliotrace_detect import Detector
from foliotrace_loop.datasets.placeholders import REDACTED, has_placeholder
from foliotrace_loop.datasets.rows import inputs_hash, row_id
from foliotrace_loop.ports import LoopError
from foliotrace_loop.shapes import Inputs, RecordedContent, RecordedRun, Row, Split

_DETECTOR: Final = Detector(prose=True)


@dataclass(slots=True)
class Anonymizer:
    """Replaces personal data and keys by numbered placeholders: the same value, the same number.

    One anonymiser serves one row, so that a value is still the same in question and reference.
    Names of people and street addresses are not found.
    """

    _numbers: dict[tuple[str, str], int] = field(default_factory=dict)

    def __call__(self, value: Any) -> Any:  # noqa: ANN401 - any JSON value
        """The value with every text in it anonymised, keys of objects included."""
        if isinstance(value, str):
            numbered = REDACTED.sub(lambda match: self._lost(match["kind"]), value)
            return _DETECTOR.replace(numbered, self._placeholder)
        if isinstance(value, Mapping):
            return {self(name): self(each) for name, each in value.items()}
        if isinstance(value, list | tuple):
            return [self(each) for each in value]
        return value

    @property
    def replaced(self) -> int:
        """How many different values were replaced."""
        return len(self._numbers)

    def _lost(self, kind: str) -> str:
        """For a value that the run did not keep: which were the same is not known."""
        return self._placeholder(kind, f"lost {len(self._numbers)}")

    def _placeholder(self, kind: str, value: str) -> str:
        number = self._numbers.setdefault((kind, value), len(self._numbers) + 1)
        return f"<{kind}:{number}>"


@dataclass(frozen=True, slots=True, kw_only=True)
class Promotion:
    """What a person says about the run that becomes a row."""

    dataset: str
    reference_outputs: Mapping[str, Any]
    category: str | None = None
    incident_id: str | None = None
    split: Split = "full"
    evaluators: tuple[str, ...] = ()
    inputs: Inputs | None = None  # instead of those of the run of the same names
    created: str = ""  # a date


def promote(run: RecordedRun, promotion: Promotion) -> Row:
    """The row of a run. Promoted again, it has the same id.

    Raises LoopError if the run holds no question and none is given, without any reference, and for
    a filter that names a person: anonymised, it would find nothing.
    """
    inputs = {**run.outcome.inputs, **(promotion.inputs or {})}
    if not inputs.get("query"):
        raise LoopError(
            f"run {run.outcome.id} holds no question: set runs.keep_content, or give the question"
        )
    if not promotion.reference_outputs:
        raise LoopError("a row needs a reference: the right answer, or that it must be refused")
    anonymize = Anonymizer()
    question = anonymize(_by_content(inputs, run))
    _refuse_personal_filters(question.get("filters", {}))
    metadata = {
        "promoted_from_run": run.outcome.id,
        "trace_id": run.outcome.trace_id,
        "incident_id": promotion.incident_id,
        "category": promotion.category,
        "documents": sorted(_hashes(run)),
        "model": run.outcome.configuration.model,
        "inputs_redacted": run.content is RecordedContent.REDACTED or anonymize.replaced > 0,
    }
    return Row(
        id=row_id(promotion.dataset, run.outcome.id),
        inputs=question,
        reference_outputs=anonymize(promotion.reference_outputs),
        evaluators=promotion.evaluators,
        metadata=anonymize({name: each for name, each in metadata.items() if each}),
        split=promotion.split,
        source_hash=inputs_hash(question),
        created=promotion.created,
    )


def _refuse_personal_filters(filters: Mapping[str, Any]) -> None:
    for name, values in filters.items():
        if any(isinstance(each, str) and has_placeholder(each) for each in values):
            raise LoopError(
                f"the filter {name} holds personal data, which a row does not keep: it cannot be "
                "asked again. Ask the question with another filter, and promote that run"
            )


def _hashes(run: RecordedRun) -> set[str]:
    citations = run.outcome.outputs.get("citations", ())
    return {c["content_hash"] for c in citations if c.get("content_hash")}


def _by_content(inputs: dict[str, Any], run: RecordedRun) -> dict[str, Any]:
    """The inputs with documents named by content hash: ids belong to one installation.

    Raises LoopError for a document whose content is not known.
    """
    filters = dict(inputs.get("filters") or {})
    ids = filters.pop("document_ids", None)
    if ids:
        known = dict(run.outcome.outputs.get("content_hashes", {}))
        unknown = [each for each in ids if each not in known]
        if unknown:
            raise LoopError(f"the content of document {unknown[0]} is not known: it was deleted")
        filters["content_hashes"] = sorted(known[each] for each in ids)
    if filters:
        inputs["filters"] = filters
    else:
        inputs.pop("filters", None)
    return inputs
