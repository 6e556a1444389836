"""Every stable word that the sources can tell stands on docs/reference/errors.md, explained."""

import importlib
import pkgutil
import re
from pathlib import Path

import pytest
from tests.server.small_service import serving, small_engine

import foliotrace
import foliotrace_server
from foliotrace.errors import FoliotraceError
from foliotrace_server.told_words import Vocabulary, vocabulary
from foliotrace_server.word_notes import PAGE_PROBLEMS

PAGE = Path(__file__).parents[2] / "docs/reference/errors.md"
WORDS = re.compile(r"^\| `([^`]+)` \|(?: `([^`]+)` \|)?", re.MULTILINE)

HANDED_ON = {
    # a dependency's reason or an error's code, told further by whoever caught it
    "foliotrace/jobs.py: replace(problem)": "describe_error(error)",
    "foliotrace/ingest/workflow.py: fail(problem)": "describe_error(error)",
    "foliotrace/query/answer/synthesize.py: add(reason_of(error))": "the generator's own",
    "foliotrace/query/answer/synthesize.py: GeneratorFailed(reason_of(error))": "the same",
    "foliotrace/resilient/guard.py: CallRetried(getattr(error, 'error_code', None))": "the same",
    "foliotrace/query/workflow.py: AnswerReset(str(reason))": "the failed generator's own",
    "foliotrace_server/host/durable_host.py: _end(handler.error)": "what the store was told",
    "foliotrace/adapters/local/page_codec.py: ParsedPage(problem)": "read back from the library",
    "foliotrace/adapters/local/readers/parser.py: refusal(code)": "a reader's own, one of HINTS",
    # tables that the vocabulary reads as such
    "foliotrace/adapters/local/sqlite/database.py: LibraryUnavailable(reason)": "CAUSES",
    "foliotrace_server/host/upstream_errors.py: Problem(code)": "TOLD",
    "foliotrace/adapters/llamacloud/failures.py: CloudFailure(problem)": "CloudProblem",
}


def documented() -> set[str]:
    """What stands in the first two cells of a row: a word, or a class and its code."""
    return {cell for row in WORDS.findall(PAGE.read_text()) for cell in row}


@pytest.fixture(scope="module")
def found() -> Vocabulary:
    return vocabulary()


def test_every_word_of_the_sources_is_on_the_page(found: Vocabulary) -> None:
    words = {*found.codes, *found.reasons, *found.page_problems}
    assert len(words) > 100
    assert words - documented() == set()
    assert set(found.page_problems) == set(PAGE_PROBLEMS)


def test_what_cannot_be_followed_in_the_sources_only_hands_on(found: Vocabulary) -> None:
    assert set(found.unfollowed) == set(HANDED_ON)


def test_every_word_says_what_happened() -> None:
    rows = [line for line in PAGE.read_text().splitlines() if line.startswith("| `")]
    silent = [row for row in rows if not any(len(cell.split()) > 2 for cell in row.split("|"))]
    assert silent == []


def test_every_class_of_errors_is_on_the_page_with_its_code() -> None:
    for package in (foliotrace, foliotrace_server):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if not module.name.endswith(("__main__", ".llamactl")) and ".redis" not in module.name:
                importlib.import_module(module.name)
    kinds = [FoliotraceError]
    for kind in kinds:
        kinds += [k for k in kind.__subclasses__() if k.__module__.startswith("foliotrace")]
    assert len(kinds) > 30
    assert {kind.code for kind in kinds} - documented() == {FoliotraceError.code}


@pytest.mark.anyio
async def test_what_a_service_answers_to_nonsense_is_on_the_page(tmp_path: Path) -> None:
    async with serving(small_engine(tmp_path)) as client:
        answers = [
            await client.get("/nowhere"),
            await client.put("/v1/query"),
            await client.post("/v1/query", content=b"{"),
            await client.post("/v1/documents", content=b""),
            await client.post("/v1/documents", files={"file": ("..", b"x")}),
            await client.post("/v1/documents", files={"file": ("big.txt", b"x" * 100_001)}),
            await client.get("/v1/documents/doc_none"),
            await client.get("/v1/jobs/job_none"),
            await client.get("/v1/runs/run_none"),
            await client.get("/results/none"),
            await client.post("/workflows/none/run", json={}),
            await client.get("/v1/documents", headers={"host": "elsewhere.test"}),
            await client.post("/v1/query", json={}, headers={"origin": "https://else.test"}),
        ]
    assert [a.request.url for a in answers if "code" not in a.json()] == []
    codes = {answer.json()["code"] for answer in answers}
    assert len(codes) >= 9
    assert codes - documented() == set()
