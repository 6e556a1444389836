"""Without an LLM: does each citation open, and is what the documents do not answer refused?

Citations are checked by an engine that did not make them: pypdfium2 reads what stands inside the
boxes. Abstention: SciFact claims asked of the 10-Q filings must be refused (>= .90), the filings'
own questions must not (<= .10). Questions for a figure:
`bench.figures`. The `other_pairs` have no bar; the floor was chosen with them in
view.
"""

import argparse
import asyncio
import csv
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path

from bench import corpora
from bench.boxes import Opened, Opener
from bench.figures import figures as asked_figures
from bench.query_stack import open_query_stack
from bench.record import save
from foliotrace.model import Answer, AnswerMode
from foliotrace.query.workflow import Answered, AskQuestion, QueryServices, QueryWorkflow

COMMAND = "python -m bench.answers"
FILINGS = ("sec10q-dev", "financebench-dev")


async def main(folder: Path) -> None:
    corpora.present("scifact", "financebench-dev", "sec10q-dev")
    async with open_query_stack(folder) as (at, services):
        await corpora.serve_texts(at, corpora.scifact_texts(), collection="scifact")
        for name in FILINGS:
            await corpora.serve_files(at, corpora.pdfs(name), collection=name)
        claims = [str(row["text"]) for row in corpora.rows("scifact/queries.jsonl")]
        rows = {name: corpora.rows(f"{name}/questions.jsonl") for name in FILINGS}
        questions = {name: [str(row["question"]) for row in rows[name]] for name in FILINGS}
        answers = {name: await asked(services, name, questions[name]) for name in FILINGS}
        of_scifact = await asked(services, "scifact", claims)
        figures = {
            "questions_for_a_figure": {n: asked_figures(rows[n], answers[n]) for n in FILINGS},
            "citations": {n: await opened(services, n, answers[n]) for n in FILINGS},
            "quotes_of_scifact": first_quotes(claims, of_scifact),
            "abstention": {
                "scifact_claims_of_sec10q_refused": refused(
                    await asked(services, "sec10q-dev", claims)
                ),
                "sec10q_questions_of_their_own_refused": refused(answers["sec10q-dev"]),
            },
            "other_pairs": {
                "scifact_claims_of_financebench_refused": refused(
                    await asked(services, "financebench-dev", claims)
                ),
                "financebench_questions_of_their_own_refused": refused(answers["financebench-dev"]),
                "sec10q_questions_of_scifact_refused": refused(
                    await asked(services, "scifact", questions["sec10q-dev"])
                ),
                "scifact_claims_of_their_own_refused": refused(of_scifact),
            },
        }
    print(figures)
    save("answers", figures, command=COMMAND, packages=("pypdfium2",))


async def asked(services: QueryServices, collection: str, questions: Iterable[str]) -> list[Answer]:
    """The answers, through the workflow."""
    workflow = QueryWorkflow(services)
    answers = []
    for question in questions:
        event = AskQuestion(query=question[:1000], collection=collection)
        answered = await workflow.run(start_event=event)
        assert isinstance(answered, Answered)
        answers.append(answered.answer)
    return answers


def refused(answers: list[Answer]) -> float:
    """The share of abstentions."""
    count = sum(a.degradation.answer is AnswerMode.ABSTAINED for a in answers)
    return round(count / len(answers), 3)


def first_quotes(claims: list[str], answers: list[Answer]) -> Mapping[str, object]:
    """How often the first quote, or one of three, is of a gold abstract.

    The set has no gold sentences: this is an upper bound of what Q5 asks for.
    """
    relevant: dict[str, set[str]] = {}
    with (corpora.SHARED / "scifact" / "qrels" / "test.tsv").open() as lines:
        for row in csv.DictReader(lines, delimiter="\t"):
            if int(row["score"]) > 0:
                relevant.setdefault(row["query-id"], set()).add(row["corpus-id"])
    ids = [str(row["_id"]) for row in corpora.rows("scifact/queries.jsonl")]
    quoted = [[c.document_name for c in answer.citations] for answer in answers]
    assert len(ids) == len(claims) == len(quoted)
    first = [bool(q) and q[0] in relevant[key] for key, q in zip(ids, quoted, strict=True)]
    any_of = [bool(set(q) & relevant[key]) for key, q in zip(ids, quoted, strict=True)]
    return {
        "claims": len(ids),
        "first_of_a_gold_abstract": round(sum(first) / len(ids), 3),
        "one_of_three_of_a_gold_abstract": round(sum(any_of) / len(ids), 3),
    }


async def opened(
    services: QueryServices, corpus: str, answers: list[Answer]
) -> Mapping[str, object]:
    """How many citations there are, and how many open by the rule of `bench.boxes`."""
    found: list[Opened] = []
    with Opener(corpora.SHARED / corpus / "pdfs") as opener:
        for citation in (c for answer in answers for c in answer.citations):
            page = await services.library.page(
                corpora.TENANT, citation.document_id, citation.anchor.page
            )
            found.append(opener.open(citation, page))
    return {
        "citations": len(found),
        "valid": round(sum(o.valid for o in found) / max(1, len(found)), 4),
        "spelled_in_order": round(sum(o.in_order for o in found) / max(1, len(found)), 4),
        "area_ratio_max": round(max((o.area_ratio for o in found), default=0.0), 3),
        "quote_words_mean": round(sum(o.words for o in found) / max(1, len(found)), 1),
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, help="keep the library here and use it again")
    chosen = parser.parse_args().folder
    if chosen:
        asyncio.run(main(chosen))
    else:
        with tempfile.TemporaryDirectory() as made:
            asyncio.run(main(Path(made)))
