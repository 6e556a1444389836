"""A provider's SDK is loaded before the first question where one is set, never where none is."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.fakes.openai import FakeOpenAI, running_fake_openai

WITHOUT = """
import json, sys
from pathlib import Path
from foliotrace_server.compose import compose
from foliotrace_server.settings import Settings
compose(Settings(data_dir=Path(sys.argv[1])))
print(json.dumps(sorted(sys.modules)))
"""

WITH = """
import asyncio, json, sys
from pathlib import Path
from foliotrace.adapters.local.clock import SystemClock
from foliotrace.model import Deadline
from foliotrace.ports import Prompt
from foliotrace_server.compose import compose
from foliotrace_server.sections import LLMSettings
from foliotrace_server.settings import Settings

async def main():
    llm = LLMSettings(
        provider="openai", model="gpt-4o-mini", api_base=sys.argv[2], api_key="sk-fake"
    )
    engine = compose(Settings(data_dir=Path(sys.argv[1]), llm=llm))
    loaded = set(sys.modules)
    generator = engine.query.services.generators[0]
    prompt = Prompt(system="Use it.", user="[1] Fuel costs 2.31.\\nQuestion: Fuel?", version="1")
    deadline = Deadline(SystemClock().monotonic_s() + 20)
    done = await generator.generate(prompt, max_tokens=50, deadline=deadline)
    assert done.text
    print(json.dumps([sorted(loaded), sorted(set(sys.modules) - loaded)]))

asyncio.run(main())
"""

VENDORS = {"openai", "anthropic", "ollama", "tiktoken", "llama_cloud"}


@pytest.fixture
def fake() -> Iterator[FakeOpenAI]:
    with running_fake_openai() as running:
        yield running


def printed(program: str, *arguments: str) -> object:
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_without_an_llm_no_provider_is_loaded(tmp_path: Path) -> None:
    loaded = printed(WITHOUT, str(tmp_path))
    assert isinstance(loaded, list)
    assert not [name for name in loaded if name.partition(".")[0] in VENDORS]
    assert not [
        name for name in loaded if name.startswith(("llama_index.core", "llama_index.llms"))
    ]


def test_with_an_llm_the_first_question_loads_nothing_of_its_provider(
    tmp_path: Path, fake: FakeOpenAI
) -> None:
    answer = printed(WITH, str(tmp_path), fake.url)
    assert isinstance(answer, list)
    before, by_the_first = answer
    assert {"llama_index.llms.openai", "openai.resources.chat.completions"} <= set(before)
    late = [n for n in by_the_first if n.partition(".")[0] in {*VENDORS, "llama_index"}]
    assert late == []
