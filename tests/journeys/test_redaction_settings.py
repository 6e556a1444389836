"""The redaction settings reach answers and the redactor of spans and logs, one test a side."""

from pathlib import Path

import pytest
from tests.cloud.service import service

from foliotrace.settings import QuerySettings, RedactionSettings

pytestmark = pytest.mark.anyio
ORDER = "The order number of the runway lamp is 1234567890123456."
QUESTION = "What is the order number of the runway lamp?"


@pytest.mark.parametrize("any_sixteen", [False, True])
async def test_any_sixteen_digits_are_redacted_where_that_is_set(
    tmp_path: Path, any_sixteen: bool
) -> None:
    redaction = RedactionSettings(any_sixteen_digits=any_sixteen)
    query = QuerySettings(cache_ttl_s=0, redaction=redaction)
    async with service(tmp_path, query=query) as running:
        await running.put("order.txt", ORDER)
        answer = (await running.ask(QUESTION)).body["answer"]
        observability = running.engine.assembly.observability
        assert observability is not None
        redacted = observability.redactor.redact(ORDER)
    assert ("1234567890123456" in answer) is not any_sixteen
    assert ("[CARD REDACTED]" in answer) is any_sixteen
    assert ("1234567890123456" in redacted) is not any_sixteen
