"""CPU of one question through the workflow in process, everything on; no question asked twice.

A language model of zero latency answers with five cited sentences, over real filings of about
2,000 chunks. Limits, audit (counted, not written), exact cache writes and runs are on. Baselines in
the same run: an empty one-step workflow, and the stages without the workflow around them.
"""

import argparse
import asyncio
import gc
import tempfile
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import replace
from pathlib import Path

from workflows import Context, Workflow, step
from workflows.events import StartEvent, StopEvent

from bench import corpora
from bench.query_stack import open_query_stack
from bench.record import save
from foliotrace.adapters.local.answer_cache import InMemoryAnswerCache
from foliotrace.model import AnswerMode, CacheState, Deadline, Usage
from foliotrace.ports import Delta, Generation, Prompt
from foliotrace.query.pipeline import answer_question
from foliotrace.query.workflow import Answered, AskQuestion, QueryServices, QueryWorkflow

COMMAND = "python -m bench.query_cost"
CHUNKS = 2000
COLLECTION = "cost"


class Empty(Workflow):
    """The engine alone."""

    @step
    async def only(self, ctx: Context, ev: StartEvent) -> StopEvent:
        return StopEvent(result="done")


class Instant:
    """Answers at once: the first sentence of each passage, cited."""

    ready = True

    model = "instant-1"

    async def generate(self, prompt: Prompt, *, max_tokens: int, deadline: Deadline) -> Generation:
        sentences = []
        for number, block in enumerate(prompt.user.split("PASSAGE [")[1:], 1):
            words = block.split("\n", 1)[1].split()[:20]
            sentences.append(f"{' '.join(words).rstrip('.').replace('[', '(')} [{number}].")
        usage = Usage(prompt_tokens=1500, completion_tokens=120, llm_calls=1)
        return Generation(text=" ".join(sentences), model=self.model, usage=usage)

    async def stream(
        self, prompt: Prompt, *, max_tokens: int, deadline: Deadline
    ) -> AsyncGenerator[Delta, None]:
        done = await self.generate(prompt, max_tokens=max_tokens, deadline=deadline)
        yield Delta(text=done.text)
        yield Delta(done=done)


async def main(folder: Path, count: int) -> None:
    corpora.present("sec10q-dev", "financebench-dev")
    async with open_query_stack(folder) as (at, services):
        chunks = 0
        for pdf in (*corpora.pdfs("sec10q-dev"), *corpora.pdfs("financebench-dev")):
            await corpora.serve_files(at, [pdf], collection=COLLECTION)
            found = await at.library.documents(corpora.TENANT, collection=COLLECTION, limit=1000)
            chunks = sum(document.chunks for document in found)
            if chunks >= CHUNKS:
                break
        services = replace(services, cache=InMemoryAnswerCache(services.clock))
        with_llm = replace(services, generators=(Instant(),))
        figures = {
            "chunks": chunks,
            "questions": count,
            "cpu_ms": {
                "empty_workflow": await spent(_engine, count),
                "stages_with_llm": await spent(_stages(with_llm), count),
                "workflow_with_llm": await spent(_workflow(with_llm), count),
                "workflow_quotes": await spent(_workflow(services), count),
                "workflow_cache_hit": await spent(_workflow(with_llm, again=True), count),
            },
        }
    print(figures)
    save("query_cost", figures, command=COMMAND)


async def spent(ask: Callable[[int], Awaitable[None]], count: int) -> float:
    """CPU milliseconds per call: the best of three rounds, after a warm-up."""
    for number in range(count):
        await ask(number)
    best = float("inf")
    for round_ in range(1, 4):
        gc.collect()
        before = time.process_time()
        for number in range(count):
            await ask(round_ * count + number)
        best = min(best, time.process_time() - before)
    return round(best / count * 1000, 3)


async def _engine(number: int) -> None:
    await Empty(timeout=None).run(number=number)


def _questions(corpus: str) -> list[str]:
    file = f"{corpus}/questions.jsonl"
    if not (corpora.SHARED / file).exists():
        return []
    return [str(row["question"])[:900] for row in corpora.rows(file)]


ASKED = [*_questions("sec10q-dev"), *_questions("financebench-dev")]  # 19 words on average


def _text(number: int) -> str:
    """A real question, made unique by a number at its end."""
    return f"{ASKED[number % len(ASKED)]} ({number})"


def _stages(services: QueryServices) -> Callable[[int], Awaitable[None]]:
    async def ask(number: int) -> None:
        question = AskQuestion(query=_text(number), collection=COLLECTION)
        answer = await answer_question(services, question)
        assert answer.degradation.answer is not AnswerMode.TEMPLATE

    return ask


def _workflow(services: QueryServices, *, again: bool = False) -> Callable[[int], Awaitable[None]]:
    workflow = QueryWorkflow(services)

    async def ask(number: int) -> None:
        text = _text(0 if again else number + 1_000_000)
        answered = await workflow.run(start_event=AskQuestion(query=text, collection=COLLECTION))
        assert isinstance(answered, Answered)
        assert again or answered.answer.cache is CacheState.MISS

    return ask


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, help="keep the library here and use it again")
    parser.add_argument("--count", type=int, default=400)
    told = parser.parse_args()
    if told.folder:
        asyncio.run(main(told.folder, told.count))
    else:
        with tempfile.TemporaryDirectory() as made:
            asyncio.run(main(Path(made), told.count))
