"""The managed index with another engine's chunks against the local index, on the 10-Qs.

The service, over the stand-in for LlamaCloud, ingests the filings of sec10q-dev. Its managed index
holds chunks whose text is another parser's: lines joined, some words run together, so that little
of it stands on our pages. Each question is asked through the managed index and with `path=local`,
without a language model. An answer counts as right if it cites a document of the gold answer and,
where the gold answer has figures, quotes one of them. Goals: right within 2 points of local; no
abstention at level 0 where local answers.
"""

import argparse
import asyncio
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path

from tests.cloud.service import Asked, Service, cloud, service
from tests.fakes.llamacloud import running_fake_llamacloud

from bench import corpora
from bench.record import save
from foliotrace.settings import IngestSettings, QuerySettings

COMMAND = "python -m bench.managed_index"
CORPUS = "sec10q-dev"
CHARS = [400, 1500]
PATIENT_S = 60.0  # the stand-in compares every chunk, in Python
_FIGURE = re.compile(r"\d[\d,]*\.?\d*")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--chars", type=int, nargs="+", default=CHARS, help="sizes of chunks; 0: our own text"
    )
    parser.add_argument("--questions", type=int, default=None, help="the first N; default all")
    options = parser.parse_args()
    corpora.present(CORPUS)
    figures = {
        f"chunks_of_{chars}_characters": asyncio.run(measured(chars, options.questions))
        for chars in options.chars
    }
    print(figures)
    if (options.chars, options.questions) == (CHARS, None):
        save("managed_index", figures, command=COMMAND)


async def measured(chars: int, questions: int | None) -> Mapping[str, object]:
    """Both paths over every question, on chunks of this many characters."""
    rows = corpora.rows(f"{CORPUS}/questions.jsonl")[:questions]
    with tempfile.TemporaryDirectory() as folder, running_fake_llamacloud() as fake:
        fake.other_engine_chars = chars or None
        given = {
            "llamacloud": cloud(fake, index="cloud_then_local"),
            "query": QuerySettings(
                deadline_s=2 * PATIENT_S, retrieval_deadline_s=PATIENT_S, cache_ttl_s=0
            ),
            "ingest": IngestSettings(parser_processes=2),
        }
        async with service(Path(folder), **given) as running:
            for pdf in corpora.pdfs(CORPUS):
                job = await running.put(pdf.name, pdf.read_bytes())
                assert job["status"] == "completed", job
            await _until_managed(running)
            pairs = [await _both(running, str(row["question"])) for row in rows]
    right = [
        (_is_right(managed, row), _is_right(local, row))
        for (managed, local), row in zip(pairs, rows, strict=True)
    ]
    silent = [
        managed.level == 0 and _abstains(managed) and not _abstains(local)
        for managed, local in pairs
    ]
    return {
        "questions": len(rows),
        "answered_by_the_managed_index": sum(m.path[0] == "managed" for m, _ in pairs),
        "answered_locally_after_the_managed_index_missed": sum(
            "managed_index_missed" in m.reasons for m, _ in pairs
        ),
        "right_managed": round(sum(m for m, _ in right) / len(rows), 3),
        "right_local": round(sum(local for _, local in right) / len(rows), 3),
        "abstained_managed": sum(_abstains(m) for m, _ in pairs),
        "abstained_local": sum(_abstains(local) for _, local in pairs),
        "abstained_at_level_0_where_local_answers": sum(silent),
    }


async def _until_managed(running: Service) -> None:
    async with asyncio.timeout(600):
        while True:
            asked = await running.ask("What is the revenue?", bypass_cache=True)
            if asked.path[0] == "managed" or "managed_index_missed" in asked.reasons:
                return
            await asyncio.sleep(1)


async def _both(running: Service, question: str) -> tuple[Asked, Asked]:
    managed = await running.ask(question, bypass_cache=True)
    local = await running.ask(question, bypass_cache=True, path="local")
    return managed, local


def _abstains(asked: Asked) -> bool:
    return asked.path[1] == "abstained"


def _is_right(asked: Asked, row: Mapping[str, object]) -> bool:
    """Whether it cites a gold document and, if the gold answer has figures, holds one of them."""
    named = row["docs"]
    assert isinstance(named, list)
    cited = {each["document_name"] for each in asked.body["citations"]}
    gold = _figures(str(row["answer"])) - _figures(str(row["question"]))
    said = _figures(asked.body["answer"])
    return bool(cited & set(named)) and (not gold or bool(gold & said))


def _figures(text: str) -> set[str]:
    """Numbers of three digits and more, or with a decimal point, that are not years."""
    found = {each.strip(".,").replace(",", "") for each in _FIGURE.findall(text)}
    return {
        each
        for each in found
        if (len(each) >= 3 or "." in each) and not re.fullmatch(r"(19|20)\d\d", each)
    }


if __name__ == "__main__":
    main()
