"""No object of the process holds text of a document after its deletion, nor after its replacement.

The service is a process of its own, since the client that asks holds the word as well.
"""

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from tests.fakes.openai import FakeOpenAI, running_fake_openai
from tests.free_ports import free_port

import foliotrace

ROOT = Path(__file__).parent.parent.parent
WORD = "quoxblimtor"
TEXT = f"""# Annual report of {WORD} Inc. for 2023

{WORD} Inc. sells refund policies. Net sales of {WORD} were $41 million in fiscal 2023, because
{WORD} won customers in March 2023. It has not paid a dividend.

| {WORD} (in millions) | 2023 | 2022 |
|---|---|---|
| Net sales of {WORD} | 41 | 37 |
| Operating income of {WORD} | 9 | 8 |
"""
QUESTIONS = (
    "What were the net sales in fiscal 2023?",
    "Did operating income grow in 2023?",
    "Why did net sales grow?",
    "What is the operating margin in 2023?",
    "Was a dividend paid?",
)


class Searched:
    """The running service and what its memory holds."""

    def __init__(self, folder: Path, client: httpx.Client) -> None:
        self.folder = folder
        self.client = client

    def put(self, text: str) -> str:
        """Ingest the text as one file; the document's id."""
        sent = self.client.post("/v1/documents", files={"file": ("report.md", text.encode())})
        accepted = sent.json()["accepted"][0]
        self.wait(accepted["job"]["id"])
        return str(accepted["document"]["id"])

    def wait(self, job_id: str) -> None:
        with self.client.stream("GET", f"/v1/jobs/{job_id}/events") as events:
            for _ in events.iter_lines():
                pass

    def extract(self, document_id: str) -> str:
        """Extract a record from the document; the record."""
        schema = {"type": "object", "properties": {"company": {"type": "string"}}}
        asked = {"document_id": document_id, "schema": schema}
        job_id = self.client.post("/v1/extractions", json=asked).json()["id"]
        self.wait(job_id)
        return self.client.get(f"/v1/extractions/{job_id}").text

    def ask_everything(self) -> list[str]:
        return [
            self.client.post("/v1/query", json={"query": question}).text for question in QUESTIONS
        ]

    def holders(self) -> list[str]:
        """One line for each object of the service that refers to the word."""
        (self.folder / "search").touch()
        end_s = time.monotonic() + 30
        while not (self.folder / "found").exists():
            assert time.monotonic() < end_s, "the service did not search"
            time.sleep(0.02)
        lines = (self.folder / "found").read_text().splitlines()
        (self.folder / "found").unlink()
        return lines

    def until_gone(self) -> list[str]:
        """What is left once two compactions had time to begin."""
        left = self.holders()
        for _ in range(20):
            if not left:
                break
            time.sleep(0.25)
            left = self.holders()
        return left


@contextmanager
def searched(folder: Path, **settings: str) -> Iterator[Searched]:
    port = free_port()
    env = {"PATH": os.defpath, "HOME": str(folder), "PYTHONPATH": str(ROOT), **settings}
    env["FOLIOTRACE_QUERY__CACHE_TTL_S"] = "300"
    command = [sys.executable, "-m", "tests.server.serving_with_heap_search", str(folder)]
    process = subprocess.Popen([*command, str(port), WORD[::-1]], env=env, cwd=folder)
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
            end_s = time.monotonic() + 60
            while True:
                assert time.monotonic() < end_s, "the service is not ready"
                try:
                    if client.get("/readyz").status_code == 200:
                        break
                except httpx.TransportError:
                    time.sleep(0.05)
            yield Searched(folder, client)
    finally:
        process.terminate()
        process.wait(30)


def with_model(model: FakeOpenAI) -> dict[str, str]:
    return {
        "FOLIOTRACE_LLM__PROVIDER": "openai",
        "FOLIOTRACE_LLM__MODEL": "gpt-4o-mini",
        "FOLIOTRACE_LLM__API_BASE": model.url,
        "OPENAI_API_KEY": "sk-fake",
    }


@pytest.mark.parametrize("generated", [False, True])
def test_no_object_holds_the_text_of_a_deleted_document(tmp_path: Path, generated: bool) -> None:
    with (
        running_fake_openai() as model,
        searched(tmp_path, **(with_model(model) if generated else {})) as s,
    ):
        document_id = s.put(TEXT)
        assert any(WORD in answer for answer in s.ask_everything())
        assert "company" in s.extract(document_id)
        assert s.holders()  # the search finds what is there
        assert s.client.delete(f"/v1/documents/{document_id}").status_code == 200
        assert s.until_gone() == []


def test_no_object_holds_the_text_of_an_earlier_revision(tmp_path: Path) -> None:
    with searched(tmp_path) as s:
        document_id = s.put(TEXT)
        assert any(WORD in answer for answer in s.ask_everything())
        assert s.put(TEXT.replace(WORD, "Acme")) == document_id
        assert s.until_gone() == []


def test_every_function_cache_of_the_journeys_is_emptied_by_a_deletion() -> None:
    core = Path(foliotrace.__file__).parent
    rooms = ("query", "ingest", "extract", "schema_fields", "adapters/local/rules")
    found = {
        f"{path.relative_to(core)}:{line}"
        for room in rooms
        for path in (core / room).rglob("*.py")
        for line in path.read_text().splitlines()
        if re.search(r"@(functools\.)?(lru_)?cache\b|lru_cache\(", line)
    }
    assert found == {
        "query/services.py:@lru_cache(maxsize=4)",  # synonyms of the lexicon
        "query/answer/quoting/passage_terms.py:        self._header_terms = lru_cache("
        "maxsize=_MAX_HEADERS)(self._terms)",  # cleared with its object
    }
