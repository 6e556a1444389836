"""Does retrieval find the right abstract, document and page? Through our own parsing and index.

Development sets only (../shared/data/*/SOURCE.md). Bars: SciFact nDCG@10 .68; FinanceBench page
recall@5 .33 unfiltered, .38 with the right document's filter.
"""

import argparse
import asyncio
import csv
import tempfile
from collections import defaultdict
from collections.abc import Mapping, Sequence
from math import log2
from pathlib import Path

from bench import corpora
from bench.query_stack import open_query_stack, passages
from bench.record import save
from foliotrace.model import Filters
from foliotrace.query.workflow import QueryServices

SETS = ("scifact", "financebench-dev", "sec10q-dev")
COMMAND = "python -m bench.retrieval"


async def main(folder: Path) -> None:
    corpora.present(*SETS)
    async with open_query_stack(folder) as (at, services):
        await corpora.serve_texts(at, corpora.scifact_texts(), collection="scifact")
        for name in SETS[1:]:
            await corpora.serve_files(at, corpora.pdfs(name), collection=name)
        figures = {
            "scifact": await scifact(services),
            "financebench-dev": await financebench(services),
            "sec10q-dev": await sec10q(services),
        }
    for name, measured in figures.items():
        print(name, measured)
    save("retrieval", figures, command=COMMAND)


async def scifact(services: QueryServices) -> Mapping[str, float]:
    """nDCG@10, recall@5 and MRR@10 over the BEIR test split's 300 claims."""
    relevant: dict[str, set[str]] = defaultdict(set)
    with (corpora.SHARED / "scifact" / "qrels" / "test.tsv").open() as lines:
        for row in csv.DictReader(lines, delimiter="\t"):
            if int(row["score"]) > 0:
                relevant[row["query-id"]].add(row["corpus-id"])
    gains, recalls, ranks = [], [], []
    for row in corpora.rows("scifact/queries.jsonl"):
        wanted = relevant[str(row["_id"])]
        found = await passages(services, str(row["text"]), collection="scifact", top_k=30)
        names = list(dict.fromkeys(p.document_name for p in found))[:10]
        gains.append(ndcg(names, wanted))
        recalls.append(len(wanted & set(names[:5])) / len(wanted))
        ranks.append(next((1 / n for n, name in enumerate(names, 1) if name in wanted), 0.0))
    return {
        "questions": len(gains),
        "ndcg@10": mean(gains),
        "recall@5": mean(recalls),
        "mrr@10": mean(ranks),
    }


def ndcg(names: Sequence[str], wanted: set[str]) -> float:
    """Binary gains, as BEIR reckons them."""
    gain = sum(1 / log2(place + 1) for place, name in enumerate(names, 1) if name in wanted)
    best = sum(1 / log2(place + 1) for place in range(1, min(len(wanted), 10) + 1))
    return gain / best


async def financebench(services: QueryServices) -> Mapping[str, float]:
    """Recall of the gold pages in the first 5 passages: unfiltered, and in the right document."""
    ids = await _ids(services, "financebench-dev")
    pages, filtered, documents = [], [], []
    for row in corpora.rows("financebench-dev/questions.jsonl"):
        gold = {(ids[e["doc"]], e["page"] + 1) for e in row["evidence"]}  # type: ignore[attr-defined]
        right = {document for document, _ in gold}
        asked = str(row["question"])
        found = await passages(services, asked, collection="financebench-dev", top_k=5)
        pages.append(len(gold & {(p.document_id, p.page) for p in found}) / len(gold))
        documents.append(bool(right & {p.document_id for p in found}))
        found = await passages(
            services,
            asked,
            collection="financebench-dev",
            top_k=5,
            filters=Filters(document_ids=tuple(right)),
        )
        filtered.append(len(gold & {(p.document_id, p.page) for p in found}) / len(gold))
    return {
        "questions": len(pages),
        "page_recall@5": mean(pages),
        "page_recall@5_right_document_filter": mean(filtered),
        "document_recall@5": mean(documents),
    }


async def sec10q(services: QueryServices) -> Mapping[str, float]:
    """Whether any, and what share, of the gold documents is among the first 5 passages."""
    ids = await _ids(services, "sec10q-dev")
    some, share = [], []
    for row in corpora.rows("sec10q-dev/questions.jsonl"):
        gold = {ids[name] for name in row["docs"] if name in ids}  # type: ignore[attr-defined]
        found = await passages(services, str(row["question"]), collection="sec10q-dev", top_k=5)
        hit = gold & {p.document_id for p in found}
        some.append(bool(hit))
        share.append(len(hit) / min(5, len(gold)))
    return {
        "questions": len(some),
        "right_document@5": mean(some),
        "document_recall@5": mean(share),
    }


async def _ids(services: QueryServices, collection: str) -> dict[str, str]:
    found = await services.library.documents(corpora.TENANT, collection=collection, limit=1000)
    return {document.name: document.id for document in found}


def mean(values: Sequence[float]) -> float:
    """To three places."""
    return round(sum(values) / len(values), 3)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, help="keep the library here and use it again")
    chosen = parser.parse_args().folder
    if chosen:
        asyncio.run(main(chosen))
    else:
        with tempfile.TemporaryDirectory() as made:
            asyncio.run(main(Path(made)))
