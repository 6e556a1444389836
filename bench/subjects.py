"""Are questions about what a collection does not hold refused, and its own answered?

One company of a development set is left out at a time; its questions (also in lower case, with
its ticker, misspelt) must be refused (>= .95), those of the others must not (<= .05). Questions
about companies that the filings only mention and about years that they do not cover are ours.
"""

import argparse
import asyncio
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from bench import corpora
from bench.answers import asked
from bench.corpora import TENANT, SearchableLibrary
from bench.query_stack import open_query_stack
from bench.record import save
from foliotrace.ingest.chunk import chunk_pages
from foliotrace.model import Answer, AnswerMode
from foliotrace.ports import DocumentDraft, StoredBlob
from foliotrace.query.workflow import QueryServices

COMMAND = "python -m bench.subjects"
SETTINGS_TRIED = 9  # versions of the rules that were compared; the thresholds were set once


@dataclass(frozen=True)
class Company:
    """How file names begin, how questions call it, and its ticker."""

    files: tuple[str, ...]
    names: tuple[str, ...]
    ticker: str
    misspelt: str


COMPANIES = {
    "sec10q-dev": (
        Company(("AAPL",), ("Apple",), "AAPL", "Aplle"),
        Company(("NVDA",), ("NVIDIA",), "NVDA", "Nvdiia"),
    ),
    "financebench-dev": (
        Company(("AMAZON",), ("Amazon",), "AMZN", "Amazone"),
        Company(("AMCOR",), ("AMCOR", "Amcor"), "AMCR", "Amcro"),
        Company(("BESTBUY",), ("Best Buy",), "BBY", "Bestt Buy"),
        Company(("BOEING",), ("Boeing",), "BA", "Boieng"),
        Company(("FOOTLOCKER",), ("Foot Locker", "Footlocker"), "FL", "Foot Loccker"),
        Company(("NETFLIX",), ("Netflix",), "NFLX", "Netlfix"),
        Company(("PFIZER", "Pfizer"), ("Pfizer",), "PFE", "Pfzier"),
        Company(("ULTABEAUTY",), ("Ulta Beauty",), "ULTA", "Ulat Beauty"),
    ),
}
MENTIONED = (
    *("Samsung", "Google", "Intel", "Microsoft", "Walmart", "Target", "Airbus", "Disney"),
    *("Spotify", "AMD", "Huawei", "Mellanox", "Moderna", "Merck", "Sephora", "Nike"),
)
MENTION_QUESTIONS = (
    "What was {name}'s revenue in 2022?",
    "How much net income did {name} report in 2022?",
    "what was the operating margin of {lower} in 2022",
    "How many employees does {name} have?",
)
ABSENT_PERIODS = (
    "What was {name}'s revenue in 2009?",
    "What was {name}'s net income in fiscal 2031?",
    "How much did {name} spend on research and development in FY2008?",
    "what were {lower}'s total assets at the end of 2011?",
)
GENERAL = (
    "What is the weather in Paris?",
    "Who wrote Hamlet?",
    "What is the capital of France?",
    "How tall is Mount Everest?",
    "Who won the World Cup in 2018?",
    "What was Tesla's revenue in 2023?",
    "what was tesla's revenue in 2023",
    "tesla revenue 2023",
    "How many people live in Berlin?",
    "When was Mozart born?",
)
OWN_EXTRA = (
    "What does the company say about competition?",
    "How many shares were repurchased?",
    "Which risks does the company describe?",
    "What were the total assets at the end of the quarter?",
    "Summarise the liquidity position.",
    "What was the effective tax rate?",
)


async def main(folder: Path) -> None:
    corpora.present(*COMPANIES)
    async with open_query_stack(folder) as (at, services):
        figures = {}
        for corpus in COMPANIES:
            await corpora.serve_files(at, corpora.pdfs(corpus), collection=corpus)
            figures[corpus] = await left_out(at, services, corpus)
        for corpus, other in zip(COMPANIES, reversed(COMPANIES), strict=True):
            foreign = [str(row["question"]) for row in corpora.rows(f"{other}/questions.jsonl")]
            figures[corpus]["questions_of_the_other_set"] = await refused(services, corpus, foreign)
    for corpus, measured in figures.items():
        for name, value in measured.items():
            print(f"{corpus:18} {name:36} {value}")
    save("subjects", {"settings_tried": SETTINGS_TRIED, **figures}, command=COMMAND)


async def left_out(
    at: SearchableLibrary, services: QueryServices, corpus: str
) -> dict[str, tuple[int, int]]:
    """(refused, asked) for each kind of question, over collections that lack one company."""
    counts: dict[str, list[bool]] = {}
    rows = corpora.rows(f"{corpus}/questions.jsonl")

    async def count(kind: str, collection: str, questions: Iterable[str]) -> None:
        questions = list(questions)
        answers = await asked(services, collection, questions)
        for question, answer in zip(questions, answers, strict=True):
            no = answer.degradation.answer is AnswerMode.ABSTAINED
            counts.setdefault(kind, []).append(no)
            if no == kind.startswith("own"):
                print(f"{kind} | {collection} | {question[:150]} | {answer.text[:90]!r}")

    everything = [str(row["question"]) for row in rows]
    await count("own", corpus, everything)
    await count("own_lower_case", corpus, (q.lower() for q in everything))
    await count("own_general", corpus, OWN_EXTRA)
    for company in COMPANIES[corpus]:
        collection = f"{corpus}-without-{company.ticker}"
        await copy(at, corpus, collection, lambda name, c=company: not _is_of(name, c))
        mine = [str(r["question"]) for r in rows if _names(str(r["question"]), company)]
        await count("left_out", collection, mine)
        await count("left_out_lower_case", collection, (q.lower() for q in mine))
        await count("left_out_ticker", collection, _with(mine, company, company.ticker))
        await count("left_out_misspelt", collection, _with(mine, company, company.misspelt))
        await count("own_ticker", corpus, _with(mine, company, company.ticker))
        await count("own_misspelt", corpus, _with(mine, company, company.misspelt))
        await count("period", corpus, _asked(ABSENT_PERIODS, (company.names[0],)))
    await count("mentioned", corpus, _asked(MENTION_QUESTIONS, MENTIONED))
    await count("general", corpus, GENERAL)
    return {kind: (sum(refusals), len(refusals)) for kind, refusals in counts.items()}


async def refused(
    services: QueryServices, collection: str, questions: Iterable[str]
) -> tuple[int, int]:
    answers: list[Answer] = await asked(services, collection, questions)
    return sum(a.degradation.answer is AnswerMode.ABSTAINED for a in answers), len(answers)


def _asked(templates: Iterable[str], names: Iterable[str]) -> list[str]:
    names = list(names)
    return [t.format(name=n, lower=n.lower()) for t in templates for n in names]


def _is_of(file: str, company: Company) -> bool:
    return any(part in file for part in company.files)


def _names(question: str, company: Company) -> bool:
    return any(name in question for name in company.names)


def _with(questions: Iterable[str], company: Company, other: str) -> list[str]:
    changed = []
    for question in questions:
        for name in company.names:
            question = question.replace(name, other)
        changed.append(question)
    return changed


async def copy(
    at: SearchableLibrary, corpus: str, collection: str, wanted: Callable[[str], bool]
) -> None:
    """Serve the parsed documents of `corpus` whose names are `wanted` as another collection."""
    library = at.library
    if not await library.documents(TENANT, collection=collection, limit=1):
        for source in await library.documents(TENANT, collection=corpus, limit=1000):
            if not wanted(source.name):
                continue
            blob = StoredBlob(
                content_hash=source.content_hash,
                size_bytes=source.size_bytes,
                media_type=source.media_type,
            )
            draft = DocumentDraft(collection=collection, name=source.name, blob=blob)
            document = (await library.register(TENANT, draft)).document
            revision = source.content_hash[:32]
            await library.begin(
                TENANT, document.id, revision=revision, pages_total=source.pages_total
            )
            pages = await library.pages(TENANT, source.id, range(1, source.pages_total + 1))
            chunks = chunk_pages(pages, document_id=document.id, revision=revision, first_ordinal=0)
            await library.add_window(TENANT, document.id, revision=revision, pages=pages)
            await library.add_chunks(TENANT, document.id, revision=revision, chunks=chunks)
            await library.publish(TENANT, document.id, revision=revision, identity=source.identity)
    await at.index.catch_up()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, help="keep the library here and use it again")
    chosen = parser.parse_args().folder
    if chosen:
        asyncio.run(main(chosen))
    else:
        with tempfile.TemporaryDirectory() as made:
            asyncio.run(main(Path(made)))
