"""`./run demo --cloud-fake`: LlamaCloud serves, dies in mid-run, and comes back. Needs a checkout.

The cloud is the fake under tests/fakes (no key, no network); everything else is the service.
"""

import asyncio
import logging
import sys
import tempfile
import time
from pathlib import Path

import structlog
from tests.cloud.service import Asked, Service, cloud, llm, service
from tests.fakes.llamacloud import running_fake_llamacloud
from tests.fakes.openai import running_fake_openai

DOCUMENTS = Path(__file__).parents[1] / "examples/documents"
BULLETIN = "larkfield-bulletin-autumn-2026.pdf"
QUESTION = "Who must fly one check circuit with an instructor?"


def say(text: str) -> None:
    print(text, flush=True)


def show(asked: Asked, began_s: float) -> bool:
    """Print one answer; whether its marks agree in all five places."""
    took_ms = (time.perf_counter() - began_s - asked.looked_s) * 1000
    retrieval, answer = asked.path
    why = f"  because {', '.join(asked.reasons)}" if asked.reasons else ""
    whole = asked.marks is not None and asked.marks.complete
    say(f"  level {asked.level}  {retrieval} + {answer}  {took_ms:.0f} ms{why}")
    say(f"    {asked.body['answer'].splitlines()[0][:96]}")
    say(f"    marked alike in body, header, span, metric and audit record: {whole}")
    return whole


async def ask(running: Service) -> tuple[Asked, bool]:
    began_s = time.perf_counter()
    asked = await running.ask(QUESTION)
    return asked, show(asked, began_s)


async def story() -> bool:
    with (
        running_fake_llamacloud() as fake,
        running_fake_openai() as model,
        tempfile.TemporaryDirectory() as folder,
    ):
        given = cloud(fake, parsing="cloud_then_local", index="cloud_then_local")
        async with service(Path(folder), llamacloud=given, llm=llm(model)) as running:
            say("1. LlamaParse reads a document, the managed index and the language model answer")
            done = await running.put(BULLETIN, (DOCUMENTS / BULLETIN).read_bytes())
            page = await running.client.get(f"/v1/documents/{done['document_id']}/pages/1")
            say(f"  page 1 by {page.json()['engine']}; {fake.billing.jobs()} job bought")
            await running.until(("managed", "generated"), QUESTION)
            healthy, first = await ask(running)
            say("2. The cloud dies. Answers go on, marked; after a few tries it is left alone")
            fake.die()
            fallen = [await ask(running) for _ in range(3)]
            text = "The clubhouse opens at nine. Guests sign the book."
            note = await running.put("note.txt", text)
            say(f"  a new document meanwhile: {note['status']}, served from here")
            say("3. The cloud comes back, and the ladder climbs")
            fake.revive()
            await running.until(("managed", "generated"), QUESTION)
            back, last = await ask(running)
            twice = fake.billing.billed_twice()
            say(f"  jobs bought twice: {len(twice)}; credits: {fake.billing.credits}")
            levels = [healthy.level, *(asked.level for asked, _ in fallen), back.level]
            marked = first and last and all(whole for _, whole in fallen)
            return levels == [0, 2, 2, 2, 0] and marked and not twice


def main() -> None:
    logging.disable(logging.CRITICAL)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    went_well = asyncio.run(story())
    say("The story went as told." if went_well else "Something was not as told: see above.")
    sys.exit(0 if went_well else 1)


if __name__ == "__main__":
    main()
