"""How far the score of an answer's first quote can be trusted, without a language model.

Questions of three development sets are asked of their own documents, where the first quote is
right if it stands in a gold abstract (SciFact) or on a gold page (FinanceBench), and of the
others', where every quote is wrong. Questions answered by a figure, and refused ones, are left out.
The curve from scores to confidence is fitted (isotonic regression) on questions with an even hash;
the table shows those with an odd one. `--fit` prints the curve that
`foliotrace.query.answer.quoting.confidence` holds.
"""

import argparse
import asyncio
import csv
import tempfile
from collections.abc import Iterable, Sequence
from itertools import pairwise
from pathlib import Path
from zlib import crc32

from bench import corpora
from bench.answers import FILINGS, asked
from bench.query_stack import open_query_stack
from bench.record import save
from foliotrace.model import Answer
from foliotrace.query.answer.quoting import confidence
from foliotrace.query.workflow import QueryServices

COMMAND = "python -m bench.confidence"
SETS = ("scifact", *FILINGS)
BINS = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 1.01)
MIN_IN_STEP = 12  # pairs; smaller steps of the curve are chance
Pair = tuple[str, float, bool]
"""A question, the score of its first quote, and whether that is right."""


async def main(folder: Path, *, fit: bool) -> None:
    corpora.present(*SETS)
    async with open_query_stack(folder) as (at, services):
        await corpora.serve_texts(at, corpora.scifact_texts(), collection="scifact")
        for name in FILINGS:
            await corpora.serve_files(at, corpora.pdfs(name), collection=name)
        if fit:
            confidence.CURVE = ((0.0, 0.0), (9.0, 9.0))  # type: ignore[misc] # raw scores
        found = await pairs(services)
    if fit:
        seen = [(score, right) for question, score, right in found if _is_even(question)]
        print("CURVE: Final = (")
        for score, share in curve(seen):
            print(f"    ({score:.3f}, {share:.3f}),")
        print(")")
        return
    unseen = [(score, right) for question, score, right in found if not _is_even(question)]
    figures = {
        "pairs": len(found),
        "pairs_not_fitted_on": len(unseen),
        "brier_score": round(sum((s - r) ** 2 for s, r in unseen) / len(unseen), 3),
        "calibration_error": calibration_error(unseen),
        "reliability": {
            f"{low:.1f} to {min(high, 1):.1f}": row
            for low, high in pairwise(BINS)
            if (row := reliability(unseen, low, high))
        },
    }
    print(figures)
    save("confidence", figures, command=COMMAND)


async def pairs(services: QueryServices) -> list[Pair]:
    """Every question with a quoted answer, asked of its own documents and of others'."""
    claims = {str(row["_id"]): str(row["text"]) for row in corpora.rows("scifact/queries.jsonl")}
    filings = {name: corpora.rows(f"{name}/questions.jsonl") for name in FILINGS}
    found: list[Pair] = []
    for key, answer in zip(claims, await asked(services, "scifact", claims.values()), strict=True):
        found += _pair(claims[key], answer, {(name, 1) for name in _gold_abstracts()[key]})
    pages = filings["financebench-dev"]
    questions = [str(row["question"]) for row in pages]
    for row, answer in zip(pages, await asked(services, FILINGS[1], questions), strict=True):
        gold = {(e["doc"], e["page"] + 1) for e in row["evidence"]}  # type: ignore[attr-defined]
        found += _pair(str(row["question"]), answer, gold)
    foreign = [(FILINGS[1], list(claims.values())[::6]), ("scifact", questions)]
    foreign += [("scifact", [str(row["question"]) for row in filings["sec10q-dev"]])]
    for collection, others in foreign:
        for question, answer in zip(others, await asked(services, collection, others), strict=True):
            found += _pair(question, answer, set())
    return found


def _pair(question: str, answer: Answer, gold: set[tuple[str, int]]) -> Iterable[Pair]:
    if answer.citations and answer.citations[0].figure is None:
        first = answer.citations[0]
        right = (first.document_name, first.anchor.page) in gold
        yield question, first.score, right


def _gold_abstracts() -> dict[str, set[str]]:
    relevant: dict[str, set[str]] = {}
    with (corpora.SHARED / "scifact" / "qrels" / "test.tsv").open() as lines:
        for row in csv.DictReader(lines, delimiter="\t"):
            if int(row["score"]) > 0:
                relevant.setdefault(row["query-id"], set()).add(row["corpus-id"])
    return relevant


def _is_even(question: str) -> bool:
    return crc32(question.encode()) % 2 == 0


def curve(pairs: Sequence[tuple[float, bool]]) -> list[tuple[float, float]]:
    """Mean score and share of right ones (add-one) of each step of the isotonic fit, in order.

    Pool adjacent violators; steps of fewer than `MIN_IN_STEP` pairs join the step before.
    """
    steps: list[tuple[float, float, int]] = []  # sums of scores and of right ones, count
    for score, right in sorted(pairs):
        steps.append((score, float(right), 1))
        while len(steps) > 1 and (
            steps[-2][2] < MIN_IN_STEP or steps[-2][1] / steps[-2][2] >= steps[-1][1] / steps[-1][2]
        ):
            last, before = steps.pop(), steps.pop()
            steps.append((before[0] + last[0], before[1] + last[1], before[2] + last[2]))
    if len(steps) > 1 and steps[-1][2] < MIN_IN_STEP:
        last, before = steps.pop(), steps.pop()
        steps.append((before[0] + last[0], before[1] + last[1], before[2] + last[2]))
    points = [(scores / count, (right + 1) / (count + 2)) for scores, right, count in steps]
    return [(0.0, 0.0), *points]


def reliability(
    pairs: Sequence[tuple[float, bool]], low: float, high: float
) -> dict[str, float | int]:
    """How many answers have a confidence in [low, high), its mean, and the share of right ones."""
    inside = [(score, right) for score, right in pairs if low <= score < high]
    if not inside:
        return {}
    return {
        "answers": len(inside),
        "confidence": round(sum(score for score, _ in inside) / len(inside), 3),
        "right": round(sum(right for _, right in inside) / len(inside), 3),
    }


def calibration_error(pairs: Sequence[tuple[float, bool]]) -> float:
    """The mean distance between confidence and share of right ones over the bins, by size."""
    rows = [reliability(pairs, low, high) for low, high in pairwise(BINS)]
    gaps = [row["answers"] * abs(row["confidence"] - row["right"]) for row in rows if row]
    return round(sum(gaps) / len(pairs), 3)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, help="keep the library here and use it again")
    parser.add_argument("--fit", action="store_true", help="print the curve, and save nothing")
    options = parser.parse_args()
    if options.folder:
        asyncio.run(main(options.folder, fit=options.fit))
    else:
        with tempfile.TemporaryDirectory() as made:
            asyncio.run(main(Path(made), fit=options.fit))
