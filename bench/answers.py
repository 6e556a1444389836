"""Without an LLM: does each citation open, and is what the documents do not answer refused?

Citations are checked by an engine that did not make them: pypdfium2 reads what stands inside the
boxes. Abstention: SciFact claims asked of the 10-Q filings must be refused (>= .90), the filings'
own questions must not (<= .10). The `other_pairs` have no bar; the floor was chosen with them in
view.
"""

import argparse
import asyncio
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path

from bench import corpora
from bench.boxes import Opened, Opener
from bench.query_stack import open_query_stack
from bench.record import save
from foliotrace.model import Answer, AnswerMode
from foliotrace.query.workflow import Answered, AskQuestion, QueryServices, QueryWorkflow

COMMAND = "python -m bench.answers"


async def main(folder: Path) -> None:
    corpora.present("scifact", "financebench-dev", "sec10q-dev")
    async with open_query_stack(folder) as (at, services):
        await corpora.serve_texts(at, corpora.scifact_texts(), collection="scifact")
        for name in ("sec10q-dev", "financebench-dev"):
            await corpora.serve_files(at, corpora.pdfs(name), collection=name)
        claims = [str(row["text"]) for row in corpora.rows("scifact/queries.jsonl")]
        sec10q = [str(row["question"]) for row in corpora.rows("sec10q-dev/questions.jsonl")]
        finance = [str(row["question"]) for row in corpora.rows("financebench-dev/questions.jsonl")]
        answers = await asked(services, "sec10q-dev", sec10q)
        figures = {
            "citations": {
                "sec10q-dev": await opened(services, "sec10q-dev", answers),
                "financebench-dev": await opened(
                    services, "financebench-dev", await asked(services, "financebench-dev", finance)
                ),
            },
            "abstention": {
                "scifact_claims_of_sec10q_refused": refused(
                    await asked(services, "sec10q-dev", claims)
                ),
                "sec10q_questions_of_their_own_refused": refused(answers),
            },
            "other_pairs": {
                "scifact_claims_of_financebench_refused": refused(
                    await asked(services, "financebench-dev", claims)
                ),
                "financebench_questions_of_their_own_refused": refused(
                    await asked(services, "financebench-dev", finance)
                ),
                "sec10q_questions_of_scifact_refused": refused(
                    await asked(services, "scifact", sec10q)
                ),
                "scifact_claims_of_their_own_refused": refused(
                    await asked(services, "scifact", claims)
                ),
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
