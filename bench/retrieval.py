"""Does retrieval find the right abstract, document and page? Through our own parsing and index.

Development sets only (../shared/data/*/SOURCE.md), keyword search only. Goals: SciFact nDCG@10 .695
and not below bm25s; FinanceBench page recall@5 .58, .68 with the right document's filter, chosen by
leaving one company out; sec10q right document .95; long questions no worse than bm25s.
"""

import argparse
import asyncio
import csv
import random
import tempfile
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import log2
from pathlib import Path
from typing import Final

from bench import corpora
from bench.plain_bm25 import PlainBm25
from bench.query_stack import open_query_stack, passages
from bench.record import save
from foliotrace.adapters.local.keyword import query as keyword_query
from foliotrace.adapters.local.keyword import search as keyword_search
from foliotrace.adapters.local.keyword.index import indexed_text
from foliotrace.lexicon import load_lexicon
from foliotrace.model import Filters, Passage
from foliotrace.query.workflow import QueryServices
from foliotrace.settings import MAX_QUERY_CHARACTERS

SETS = ("scifact", "financebench-dev", "sec10q-dev")
COMMAND = "python -m bench.retrieval"
SETTINGS_TRIED: Final = 55  # of fields, weights, pairs and page kinds, on the three sets together
LONG_QUESTIONS = 100
RESAMPLES = 2000


@dataclass(frozen=True)
class Setting:
    """Weights of fields, and the factor for kinds of page that are asked for."""

    body: float
    page: float
    titles: float
    preference: float = 1.33


SHIPPED = Setting(1.0, 2.0, 1.0)
CHOICES = (
    SHIPPED,
    Setting(1.0, 1.0, 0.5),
    Setting(1.0, 1.0, 1.0),
    Setting(1.0, 2.0, 0.5),
    Setting(1.0, 0.0, 0.0),
    Setting(1.0, 2.0, 1.0, preference=1.0),
    Setting(1.0, 2.0, 1.0, preference=1.6),
)


@dataclass(frozen=True)
class Asked:
    """A FinanceBench question: the gold pages, and the documents they are in."""

    id: str
    company: str
    text: str
    gold: frozenset[tuple[str, int]]

    @property
    def documents(self) -> frozenset[str]:
        return frozenset(document for document, _ in self.gold)


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
            "settings_tried": SETTINGS_TRIED,
        }
    for name, measured in figures.items():
        print(name, measured)
    save("retrieval", figures, command=COMMAND, packages=("bm25s",))


async def scifact(services: QueryServices) -> Mapping[str, object]:
    """nDCG@10, recall@5 and MRR@10 over the BEIR test split's 300 claims; long questions."""
    relevant: dict[str, set[str]] = defaultdict(set)
    with (corpora.SHARED / "scifact" / "qrels" / "test.tsv").open() as lines:
        for row in csv.DictReader(lines, delimiter="\t"):
            if int(row["score"]) > 0:
                relevant[row["query-id"]].add(row["corpus-id"])
    texts = {key: (title, text) for key, title, text in corpora.scifact_texts()}
    plain = PlainBm25([(key, f"{title} {text}") for key, (title, text) in texts.items()])
    gains, plain_gains, recalls, ranks = [], [], [], []
    for row in corpora.rows("scifact/queries.jsonl"):
        wanted = relevant[str(row["_id"])]
        names = await _names(services, str(row["text"]), 30)
        gains.append(ndcg(names[:10], wanted))
        plain_gains.append(ndcg(plain.keys(str(row["text"]), 10), wanted))
        recalls.append(len(wanted & set(names[:5])) / len(wanted))
        ranks.append(rank(names[:10], wanted))
    evidence = sorted({key for wanted in relevant.values() for key in wanted})[:LONG_QUESTIONS]
    long = {key: texts[key][1][:MAX_QUERY_CHARACTERS] for key in evidence}
    return {
        "questions": len(gains),
        "ndcg@10": mean(gains),
        "ndcg@10_interval": interval(gains),
        "ndcg@10_bm25s": mean(plain_gains),
        "recall@5": mean(recalls),
        "mrr@10": mean(ranks),
        "abstract_as_question_mrr@10": mean(
            [rank(await _names(services, text, 10), {key}) for key, text in long.items()]
        ),
        "abstract_as_question_mrr@10_bm25s": mean(
            [rank(plain.keys(text, 10), {key}) for key, text in long.items()]
        ),
    }


async def _names(services: QueryServices, text: str, top_k: int) -> list[str]:
    found = await passages(services, text, collection="scifact", top_k=top_k)
    return list(dict.fromkeys(p.document_name for p in found))


async def financebench(services: QueryServices) -> Mapping[str, object]:
    """Recall of the gold pages in the first 5 passages: unfiltered, and in the right document."""
    ids = await _ids(services, "financebench-dev")
    questions = [
        Asked(
            id=str(row["id"]),
            company=str(row["company"]),
            text=str(row["question"]),
            gold=frozenset((ids[e["doc"]], e["page"] + 1) for e in row["evidence"]),  # type: ignore[attr-defined]
        )
        for row in corpora.rows("financebench-dev/questions.jsonl")
    ]
    by_setting = {}
    for setting in CHOICES:
        _use(setting)
        by_setting[setting] = [await _page_recall(services, asked) for asked in questions]
    _use(SHIPPED)
    shipped = by_setting[SHIPPED]
    free, filtered = [f for f, _ in shipped], [f for _, f in shipped]
    doubled = [await _page_recall(services, q, doubled=True) for q in questions]
    plain, plain_filtered = await _plain_doubled(services, ids, questions)
    found_documents = [
        bool(q.documents & {p.document_id for p in await _five(services, q.text)})
        for q in questions
    ]
    return {
        "questions": len(questions),
        "page_recall@5": mean(free),
        "page_recall@5_interval": interval(free),
        "page_recall@5_right_document_filter": mean(filtered),
        "page_recall@5_right_document_filter_interval": interval(filtered),
        "page_recall@5_company_left_out": left_out(questions, by_setting, 0),
        "page_recall@5_right_document_filter_company_left_out": left_out(questions, by_setting, 1),
        "document_recall@5": mean(found_documents),
        "doubled_page_recall@5": mean([f for f, _ in doubled]),
        "doubled_page_recall@5_bm25s": plain,
        "doubled_page_recall@5_right_document_filter": mean([f for _, f in doubled]),
        "doubled_page_recall@5_right_document_filter_bm25s": plain_filtered,
        "lexicon": await lexicon_effect(services, questions),
    }


def _use(setting: Setting) -> None:
    fields = {"body": setting.body, "page": setting.page, "titles": setting.titles}
    keyword_query.FIELDS.clear()
    keyword_query.FIELDS.update({name: weight for name, weight in fields.items() if weight})
    keyword_search.PAGE_PREFERENCE = setting.preference  # type: ignore[misc] # only here


def left_out(
    questions: Sequence[Asked], by_setting: Mapping[Setting, Sequence[tuple[float, float]]], at: int
) -> float:
    """Recall where each company is asked with the setting that is best for all the others."""
    found = []
    for company in sorted({q.company for q in questions}):
        mine = [n for n, q in enumerate(questions) if q.company == company]
        others = [n for n in range(len(questions)) if n not in mine]
        best = max(CHOICES, key=lambda setting: sum(by_setting[setting][n][at] for n in others))
        found += [by_setting[best][n][at] for n in mine]
    return mean(found)


async def _five(
    services: QueryServices, text: str, right: frozenset[str] | None = None
) -> Sequence[Passage]:
    filters = Filters(document_ids=tuple(sorted(right))) if right else Filters()
    return await passages(services, text, collection="financebench-dev", top_k=5, filters=filters)


async def _page_recall(
    services: QueryServices, asked: Asked, *, doubled: bool = False
) -> tuple[float, float]:
    """(unfiltered, with the right document's filter)."""
    text = f"{asked.text} {asked.text}" if doubled else asked.text
    free = {(p.document_id, p.page) for p in await _five(services, text)}
    inside = {(p.document_id, p.page) for p in await _five(services, text, asked.documents)}
    return len(asked.gold & free) / len(asked.gold), len(asked.gold & inside) / len(asked.gold)


async def _plain_doubled(
    services: QueryServices, ids: Mapping[str, str], questions: Sequence[Asked]
) -> tuple[float, float]:
    """What bm25s finds for doubled questions in the same chunks with their documents' headers."""
    texts: dict[str, list[tuple[str, str]]] = {}
    for document_id in ids.values():
        (label,) = await services.library.labels(corpora.TENANT, [document_id])
        chunks = await services.library.document_chunks(corpora.TENANT, document_id, limit=9999)
        texts[document_id] = [
            (f"{document_id} {chunk.page}", indexed_text(label.header, chunk)) for chunk in chunks
        ]
    everything = PlainBm25([text for document in texts.values() for text in document])
    free, inside = [], []
    for asked in questions:
        text, gold = f"{asked.text} {asked.text}", {f"{d} {page}" for d, page in asked.gold}
        right = PlainBm25([text for document in asked.documents for text in texts[document]])
        free.append(len(gold & set(everything.keys(text, 5))) / len(gold))
        inside.append(len(gold & set(right.keys(text, 5))) / len(gold))
    return mean(free), mean(inside)


async def lexicon_effect(
    services: QueryServices, questions: Sequence[Asked]
) -> Mapping[str, Mapping[str, Sequence[str]]]:
    """For each entry: the questions that find more (`gains`) or less (`loses`) gold because of it.

    Each entry is taken out in turn; entries that change no question are left out.
    """
    index, whole = services.vocabulary, load_lexicon()
    before = {q.id: await _page_recall(services, q) for q in questions}
    effect = {}
    for kind in ("page", "metric", "synonyms", "instructions"):
        for entry in getattr(whole, kind):
            rest = tuple(other for other in getattr(whole, kind) if other is not entry)
            index.use_lexicon(whole.model_copy(update={kind: rest}))  # type: ignore[attr-defined]
            after = {q.id: await _page_recall(services, q) for q in questions}
            gains = [i for i in before if sum(after[i]) < sum(before[i])]
            loses = [i for i in before if sum(after[i]) > sum(before[i])]
            if gains or loses:
                name = getattr(entry, "name", None) or getattr(entry, "ask", [entry])[0]
                effect[f"{kind}: {name}"] = {"gains": gains, "loses": loses}
    index.use_lexicon(whole)  # type: ignore[attr-defined]
    return effect


async def sec10q(services: QueryServices) -> Mapping[str, object]:
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
        "right_document@5_interval": interval(some),
        "document_recall@5": mean(share),
    }


async def _ids(services: QueryServices, collection: str) -> dict[str, str]:
    found = await services.library.documents(corpora.TENANT, collection=collection, limit=1000)
    return {document.name: document.id for document in found}


def ndcg(names: Sequence[str], wanted: set[str]) -> float:
    """Binary gains, as BEIR reckons them."""
    gain = sum(1 / log2(place + 1) for place, name in enumerate(names, 1) if name in wanted)
    best = sum(1 / log2(place + 1) for place in range(1, min(len(wanted), 10) + 1))
    return gain / best


def rank(names: Sequence[str], wanted: set[str]) -> float:
    """The reciprocal rank of the first that is wanted."""
    return next((1 / place for place, name in enumerate(names, 1) if name in wanted), 0.0)


def mean(values: Sequence[float]) -> float:
    """To three places."""
    return round(sum(values) / len(values), 3)


def interval(values: Sequence[float]) -> tuple[float, float]:
    """95 % bootstrap interval of the mean, over questions; the same each time."""
    draw = random.Random(7)
    means = sorted(mean(draw.choices(values, k=len(values))) for _ in range(RESAMPLES))
    return means[int(RESAMPLES * 0.025)], means[int(RESAMPLES * 0.975)]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, help="keep the library here and use it again")
    chosen = parser.parse_args().folder
    if chosen:
        asyncio.run(main(chosen))
    else:
        with tempfile.TemporaryDirectory() as made:
            asyncio.run(main(Path(made)))
