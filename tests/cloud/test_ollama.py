"""The real Ollama class against a stand-in on a socket: what a default installation does."""

from decimal import Decimal
from pathlib import Path

import pytest
from tests.cloud.service import FUEL, service
from tests.fakes.ollama import running_fake_ollama

from foliotrace_server.sections import LLMSettings

pytestmark = pytest.mark.anyio
SAID = "Unleaded costs 2.31 EUR per litre at the pump [1]."


async def test_three_settings_are_enough_for_a_generated_answer_that_costs_nothing(
    tmp_path: Path,
) -> None:
    with running_fake_ollama(SAID) as ollama:
        llm = LLMSettings(provider="ollama", model="llama3.2", api_base=ollama.url)
        async with service(tmp_path, llm=llm) as running:
            await running.put("fuel.txt", FUEL)
            asked = await running.ask("What does unleaded cost?")
    assert asked.path == ("keyword", "generated")
    assert asked.level == 0
    assert "2.31" in asked.body["answer"]
    assert Decimal(str(asked.body["usage"]["cost_usd"])) == 0
    assert [path for path, _ in ollama.asked] == ["/api/chat"]
