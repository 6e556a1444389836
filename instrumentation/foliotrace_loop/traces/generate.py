"""Synthetic traces: trees of runs with categories, errors and token counts, the same for a seed."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

from foliotrace_loop.traces.identity import order_step

EPOCH: Final = datetime(2026, 1, 5, 8, tzinfo=UTC)
CATEGORIES: Final = ("refunds", "shipping", "invoices", "contracts")
MODEL: Final = "gpt-4o-mini-2024-07-18"
_ERRORS: Final = (
    "RateLimitError: 429 Too Many Requests",
    "APITimeoutError: the model did not answer in time",
    "IndexUnavailable: the vector store refused the connection",
    "ValidationError: the answer does not fit its schema",
)
_WORDS: Final = (
    *("window", "days", "order", "refund", "parcel", "carrier", "total", "unit", "period"),
    *("clause", "party", "notice", "invoice", "amount", "paid", "return", "label", "customs"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceSynthesis:
    """What to generate. `pace_s` is the mean time between two questions."""

    traces: int
    seed: int = 0
    categories: Sequence[str] = CATEGORIES
    error_rate: float = 0.05
    since: datetime = EPOCH
    pace_s: float = 3.0


def generate(what: TraceSynthesis) -> Iterator[dict[str, Any]]:
    """The runs, parents first, one trace after the other; the same ones for the same values."""
    chance = random.Random(what.seed)  # noqa: S311 - reproducible, not secret
    at = what.since
    for number in range(what.traces):
        at += timedelta(seconds=chance.expovariate(1 / what.pace_s))
        yield from _trace(chance, number, chance.choice(what.categories), what.error_rate, at)


def _trace(
    chance: random.Random, number: int, category: str, error_rate: float, start: datetime
) -> Iterator[dict[str, Any]]:
    """A question: retrieval, in some an embedding or a tool, one or two model calls."""
    failing = chance.random() < error_rate
    session, user = f"session-{chance.randrange(200):03d}", f"user-{chance.randrange(50):02d}"
    question = f"{category}: {_text(chance, 8)}?"
    root = _run(chance, None, "query", "chain", start, {"query": question})
    root["tags"] = [category]
    root["extra"] = {
        "metadata": {"category": category, "session_id": session, "user_id": user, "n": number}
    }
    retrieve = _run(chance, root, "retrieve", "retriever", start, {"query": question})
    clock = start + _ms(chance, 5, 30)
    children = [retrieve]
    if chance.random() < 0.5:
        embed = _run(chance, retrieve, "embed", "embedding", start, {"input": question})
        _end(embed, clock, {"dimensions": 384})
        children.append(embed)
    documents = [{"page_content": _text(chance, 30), "metadata": {"page": 1}} for _ in range(3)]
    _end(retrieve, clock, {"documents": documents})
    if chance.random() < 0.3:
        tool = _run(chance, root, "calculator", "tool", clock, {"expression": "14 * 2"})
        clock += _ms(chance, 1, 10)
        _end(tool, clock, {"output": "28"})
        children.append(tool)
    attempts = 2 if chance.random() < 0.2 else 1
    for attempt in range(attempts):
        model = _run(chance, root, "generate", "llm", clock, {"messages": [question]})
        clock += _ms(chance, 200, 1800)
        last = attempt == attempts - 1
        if (failing and last) or not last:
            _end(model, clock, None, chance.choice(_ERRORS))
        else:
            _end(model, clock, _answered(chance))
        model["extra"] = {"metadata": {"ls_model_name": MODEL, "attempt": attempt + 1}}
        children.append(model)
    error = children[-1]["error"]
    _end(root, clock, None if error else {"answer": children[-1]["outputs"]["text"]}, error)
    yield root
    yield from children


def _run(
    chance: random.Random,
    parent: dict[str, Any] | None,
    name: str,
    run_type: str,
    start: datetime,
    inputs: dict[str, Any],
) -> dict[str, Any]:
    id_ = str(UUID(int=chance.getrandbits(128), version=4))
    moment = (start - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
    step = order_step(moment, id_)
    return {
        "id": id_,
        "trace_id": parent["trace_id"] if parent else id_,
        "parent_run_id": parent["id"] if parent else None,
        "dotted_order": f"{parent['dotted_order']}.{step}" if parent else step,
        "name": name,
        "run_type": run_type,
        "start_time": start.isoformat(),
        "inputs": inputs,
    }


def _end(
    run: dict[str, Any], end: datetime, outputs: dict[str, Any] | None, error: str | None = None
) -> None:
    run |= {"end_time": end.isoformat(), "outputs": outputs, "error": error}
    run["status"] = "error" if error else "success"


def _answered(chance: random.Random) -> dict[str, Any]:
    prompt, completion = chance.randrange(300, 2500), chance.randrange(20, 300)
    usage = {
        "input_tokens": prompt,
        "output_tokens": completion,
        "total_tokens": prompt + completion,
        "total_cost": round(prompt * 0.15e-6 + completion * 0.6e-6, 9),
    }
    return {"text": f"{_text(chance, 12)}.", "usage_metadata": usage}


def _text(chance: random.Random, words: int) -> str:
    return " ".join(chance.choice(_WORDS) for _ in range(words))


def _ms(chance: random.Random, low: int, high: int) -> timedelta:
    return timedelta(milliseconds=chance.uniform(low, high))
