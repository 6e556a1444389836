"""LlamaIndex readers that the settings name read the files whose names end so."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from pydantic import ValidationError
from tests.cloud.service import Service, service, settings_for

from foliotrace.errors import Misconfigured
from foliotrace.settings import IngestSettings
from foliotrace_server.compose import compose
from foliotrace_server.doctor.registry import examine

pytestmark = pytest.mark.anyio

SOURCE = '''
import threading
from llama_index.core.readers.base import BaseReader
from llama_index.core.schema import Document


class Drawing(BaseReader):
    """Blocks, looks at the name, and gives a document for each line."""

    threads, names = [], []

    def load_data(self, file, extra_info=None):
        self.threads.append(threading.current_thread() is threading.main_thread())
        self.names.append(file.name)
        text = file.read_bytes().decode("utf-16")
        if "broken" in text:
            raise ValueError("not a drawing: broken")
        return [Document(text=line, metadata={"page_label": str(n)})
                for n, line in enumerate(text.splitlines(), 1)]


drawing = Drawing()
'''


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    name = f"reading_{abs(hash(tmp_path))}"
    (tmp_path / f"{name}.py").write_text(SOURCE)
    monkeypatch.syspath_prepend(tmp_path)
    return name


def reading(module: str, suffix: str = ".dwg") -> IngestSettings:
    return IngestSettings(parser_processes=1, readers={suffix: f"{module}:drawing"})


@pytest.fixture
async def drawn(tmp_path: Path, module: str) -> AsyncIterator[Service]:
    async with service(tmp_path / "data", ingest=reading(module)) as running:
        yield running


async def test_a_file_is_read_by_the_reader_of_its_ending_and_cited(
    drawn: Service, module: str
) -> None:
    content = "The bracket is made of steel.\nIts bolt is of brass, 12 mm long.".encode("utf-16")
    job = await drawn.put("Bracket.DWG", content)
    assert (job["status"], job["pages_total"]) == ("completed", 2)
    asked = await drawn.ask("How long is the bolt of brass?")
    citation = asked.body["citations"][0]
    assert (citation["document_name"], citation["anchor"]["page"]) == ("Bracket.DWG", 2)
    assert "12 mm" in asked.body["answer"]
    own = __import__(module).drawing
    assert own.names == ["Bracket.DWG"], "it is read once"
    assert set(own.threads) == {False}, "it ran in the event loop's thread"
    other = await drawn.put("plain.txt", "Other files are read as before.")
    assert other["status"] == "completed"


async def test_a_reader_that_fails_or_finds_nothing_fails_the_job_and_says_why(
    drawn: Service,
) -> None:
    broken = await drawn.put("broken.dwg", "broken".encode("utf-16"))
    assert (broken["status"], broken["problem"]) == ("failed", "file_malformed")
    assert "ValueError" in broken["problem_detail"]
    empty = await drawn.put("empty.dwg", "\n".encode("utf-16"))
    assert "found no text" in empty["problem_detail"]


async def test_what_is_no_reader_is_named_by_doctor_and_stops_the_start(
    tmp_path: Path, module: str
) -> None:
    wrong = IngestSettings(readers={".dwg": f"{module}:threading"})
    named = settings_for(tmp_path / "data", ingest=wrong)
    found = {each.area: (each.state, each.said) for each in examine(named)}
    assert found["readers"][0] == "problem"
    with pytest.raises(Misconfigured, match=r"ingest\.readers\.dwg names"):
        compose(named)
    with pytest.raises(ValidationError):
        IngestSettings(readers={"dwg": "m:o"})
