"""Evaluators that need no model. Each rates what the row holds a reference for, else nothing."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from jsonschema import Draft202012Validator

from foliotrace_loop.datasets.placeholders import kinds_in, without_placeholders
from foliotrace_loop.ports import Grounding
from foliotrace_loop.shapes import Outcome, Row, Score

LATENCY_MS: Final = 1200.0
COST_USD: Final = Decimal("0.10")
_RECALLED: Final = 0.6  # share of the reference's words that the answer must hold
_WORD: Final = re.compile(r"[^\W\d_]+(?:['\u2019][^\W\d_]+)*")
_NUMBER: Final = re.compile(r"(?<![\w.,])[-+]?\d+(?:[.,]\d+)*")
_GROUPED: Final = re.compile(r"[-+]?\d{1,3}(?:,\d{3})+(?:\.\d+)?")
_NEGATIONS: Final = frozenset({"no", "not", "never", "none", "without", "cannot", "nor", "neither"})
_STOP: Final = frozenset(
    {"a", "an", "and", "are", "as", "at", "be", "by", "for", "from", "has", "have", "in", "is"}
    | {"it", "its", "of", "on", "or", "that", "the", "this", "to", "was", "were", "will", "with"}
)
_SENTENCE: Final = re.compile(r"(?<=[.!?])\s+|\n+")
_MARKER: Final = re.compile(r"\[\d[\d\s,;]*\]")
_Rule = Callable[[Outcome, Row], "tuple[float, str] | None"]


@dataclass(frozen=True, slots=True)
class RuleEvaluator:
    """An evaluator made of a function: (score, comment), or None where it does not apply."""

    key: str
    rate: _Rule
    threshold: float = 1.0

    async def evaluate(self, run: Outcome, row: Row) -> Score:
        """Rate an outcome."""
        rated = self.rate(run, row)
        score, comment = rated if rated is not None else (None, "")
        return Score(key=self.key, score=score, comment=comment, threshold=self.threshold)


@dataclass(frozen=True, slots=True)
class NoHallucination:
    """Whether every sentence of an answer is supported by the quotes that it cites."""

    grounding: Grounding | None
    key: str = "no_hallucination"

    async def evaluate(self, run: Outcome, row: Row) -> Score:
        """The share of supported sentences; an abstention claims nothing."""
        answer = str(run.outputs.get("answer") or "")
        if self.grounding is None:
            return Score(key=self.key, score=None, comment="disabled: nothing checks grounding")
        if not answer or _is_refusal(run):
            return Score(key=self.key, score=None)
        quotes = [str(c.get("quote", "")) for c in run.outputs.get("citations", ())]
        question = str(run.inputs.get("query", ""))
        claims = sentences_of(answer)
        missing = await self.grounding.unsupported(question, "\n".join(claims), quotes)
        comment = f"unsupported: {missing[0]}" if missing else ""
        score = max(0.0, 1 - len(missing) / max(1, len(claims)))
        return Score(key=self.key, score=score, comment=comment, threshold=1.0)


def factual_match(run: Outcome, row: Row) -> tuple[float, str] | None:
    """Whether the answer says what one of the references says: its numbers, negation and words.

    A placeholder of personal data stands for any value of its kind.
    """
    reference = row.reference_outputs.get("answer")
    if not reference:
        return None
    references = [reference] if isinstance(reference, str) else list(reference)
    if _is_refusal(run):
        return 0.0, "refused"
    answer = str(run.outputs.get("answer") or "")
    return max((_says(answer, str(each)) for each in references), key=lambda rated: rated[0])


def _says(answer: str, reference: str) -> tuple[float, str]:
    reference, kinds = without_placeholders(reference)
    if unsaid := sorted(kinds - kinds_in(answer)) if kinds else ():
        return 0.0, f"lacks the {unsaid[0]}"
    if lacking := sorted(numbers_in(reference) - numbers_in(answer)):
        return 0.0, f"lacks {lacking[0]:f}"
    wanted, said = words_in(reference), words_in(answer)
    if wanted & _NEGATIONS and not said & _NEGATIONS:
        return 0.0, "lacks the negation"
    words = wanted - _NEGATIONS
    if not words:
        return 1.0, ""
    share = len(words & said) / len(words)
    if share >= _RECALLED:
        return 1.0, ""
    return 0.0, f"holds {share:.0%} of the reference's words"


def latency_ok(run: Outcome, row: Row) -> tuple[float, str] | None:
    """Whether the answer came in time: `latency_ms` of the row, else 1.2 s."""
    limit = float(row.reference_outputs.get("latency_ms", LATENCY_MS))
    return float(run.elapsed_ms <= limit), f"{run.elapsed_ms:.0f} ms of {limit:.0f}"


def cost_ok(run: Outcome, row: Row) -> tuple[float, str] | None:
    """Whether the answer cost no more than `cost_usd` of the row, else 0.10 USD."""
    limit = Decimal(str(row.reference_outputs.get("cost_usd", COST_USD)))
    return float(run.cost_usd <= limit), f"{run.cost_usd} USD of {limit}"


def tool_call_correct(run: Outcome, row: Row) -> tuple[float, str] | None:
    """The share of expected tool calls that were made, in order, with their arguments."""
    expected = row.reference_outputs.get("tool_calls")
    if expected is None:
        return None
    made = list(run.outputs.get("tool_calls") or ())
    if len(made) > len(expected):
        return 0.0, f"{len(made)} calls, {len(expected)} expected"
    right = sum(_call(a) == _call(b) for a, b in zip(made, expected, strict=False))
    return (right / len(expected) if expected else 1.0), f"{right} of {len(expected)}"


def _call(call: Mapping[str, Any]) -> tuple[object, object]:
    return call.get("name"), call.get("args", call.get("arguments")) or {}


def retrieval_recall(run: Outcome, row: Row) -> tuple[float, str] | None:
    """The share of the expected documents, by content hash, that the answer retrieved or cites."""
    expected = set(row.reference_outputs.get("documents") or ())
    if not expected:
        return None
    found = set(run.outputs.get("documents") or ())
    found |= {c.get("content_hash") for c in run.outputs.get("citations", ())}
    return len(expected & found) / len(expected), f"{len(expected & found)} of {len(expected)}"


def schema_exact(run: Outcome, row: Row) -> tuple[float, str] | None:
    """The share of the reference record's fields that are equal; 0 for a record that breaks it."""
    expected, schema = row.reference_outputs.get("record"), row.reference_outputs.get("schema")
    if expected is None and schema is None:
        return None
    record = run.outputs.get("record")
    if record is None:
        return 0.0, "the answer has no record"
    if schema is not None:
        problem = next(Draft202012Validator(schema).iter_errors(record), None)
        if problem is not None:
            return 0.0, f"breaks the schema at /{'/'.join(map(str, problem.absolute_path))}"
    if expected is None:
        return 1.0, ""
    wanted, got = dict(_leaves(expected)), dict(_leaves(record))
    wrong = [pointer for pointer in {**wanted, **got} if not _same(wanted, got, pointer)]
    total = len({**wanted, **got}) or 1
    return 1 - len(wrong) / total, f"wrong: {', '.join(sorted(wrong)[:5])}" if wrong else ""


def _same(wanted: Mapping[str, Any], got: Mapping[str, Any], pointer: str) -> bool:
    absent = object()
    left, right = wanted.get(pointer, absent), got.get(pointer, absent)
    return (type(left) is type(right) and left == right) or _numbers_equal(left, right)


def _numbers_equal(left: object, right: object) -> bool:
    return (
        isinstance(left, int | float)
        and isinstance(right, int | float)
        and not isinstance(left, bool)
        and not isinstance(right, bool)
        and left == right
    )


def _leaves(value: object, pointer: str = "") -> Iterable[tuple[str, Any]]:
    """(JSON pointer, value) of everything that is no container; empty containers included."""
    if isinstance(value, Mapping) and value:
        for name, each in value.items():
            yield from _leaves(each, f"{pointer}/{name}")
    elif isinstance(value, list | tuple) and value:
        for number, each in enumerate(value):
            yield from _leaves(each, f"{pointer}/{number}")
    else:
        yield pointer, value


def refusal_correct(run: Outcome, row: Row) -> tuple[float, str] | None:
    """Whether the target refused exactly if it should."""
    expected = row.reference_outputs.get("refused")
    if expected is None and not row.reference_outputs.get("answer"):
        return None
    refused = _is_refusal(run)
    return float(refused is bool(expected)), "refused" if refused else "answered"


def degradation_marked(run: Outcome, row: Row) -> tuple[float, str] | None:
    """Whether a degraded answer says why, and is no lower than the row's `degradation_level`."""
    mark = run.outputs.get("degradation")
    if not isinstance(mark, Mapping):
        return None
    level, reasons = int(mark.get("level", 0)), mark.get("reasons") or ()
    most = int(row.reference_outputs.get("degradation_level", 4))
    if level > most:
        return 0.0, f"level {level}, at most {most} expected"
    return float(level == 0 or bool(reasons)), f"level {level}"


def _is_refusal(run: Outcome) -> bool:
    return run.error is not None or run.outputs.get("answer_mode") in ("abstained", "template")


def numbers_in(text: str) -> set[Decimal]:
    """The numbers of a text, without grouping commas: 1,000 and 1000.0 are one number."""
    found = set()
    for match in _NUMBER.findall(_MARKER.sub("", text)):
        bare = match.replace(",", "") if _GROUPED.fullmatch(match) else match.replace(",", ".")
        try:
            found.add(Decimal(bare).normalize())
        except InvalidOperation:  # 1.2.3: a version, compared by its parts
            found |= {Decimal(part) for part in re.split(r"[.,]", bare) if part.isdecimal()}
    return found


def words_in(text: str) -> set[str]:
    """The words of a text in lower case, without the commonest; a final s is ignored."""
    words = {word.lower() for word in _WORD.findall(text)} - _STOP
    return {word[:-1] if len(word) > 3 and word.endswith("s") else word for word in words}


def sentences_of(text: str) -> list[str]:
    """The sentences and lines of an answer that claim something; a table's header does not."""
    parts = [_MARKER.sub("", part).strip() for part in _SENTENCE.split(text)]
    following = [*parts[1:], ""]
    return [
        part
        for part, after in zip(parts, following, strict=True)
        if numbers_in(part) or (words_in(part) and not _is_header(part, after))
    ]


def _is_header(line: str, after: str) -> bool:
    """Whether a line without numbers names the columns of the row of figures below it."""
    sentence_ends = (".", "!", "?", ":", "\u201d", '"')
    return bool(numbers_in(after)) and not line.endswith(sentence_ends) and not after.endswith(".")


RULES: Final = (
    RuleEvaluator("factual_match", factual_match),
    RuleEvaluator("latency_ok", latency_ok),
    RuleEvaluator("cost_ok", cost_ok),
    RuleEvaluator("tool_call_correct", tool_call_correct),
    RuleEvaluator("retrieval_recall", retrieval_recall),
    RuleEvaluator("schema_exact", schema_exact),
    RuleEvaluator("refusal_correct", refusal_correct),
    RuleEvaluator("degradation_marked", degradation_marked),
)
