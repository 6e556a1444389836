"""Every answer says in body and header whether it was kept."""

from pathlib import Path

import pytest
from tests.cloud.service import FUEL, service

from foliotrace_server.settings import QuerySettings

pytestmark = pytest.mark.anyio


async def test_the_header_says_miss_exact_and_bypass(tmp_path: Path) -> None:
    question = {"query": "What does unleaded cost per litre?"}
    async with service(tmp_path, query=QuerySettings(cache_ttl_s=60)) as running:
        await running.put("fuel.txt", FUEL)
        told = []
        for more in ({}, {}, {"bypass_cache": True}):
            sent = await running.client.post("/v1/query", json={**question, **more})
            told.append((sent.headers["x-cache"], sent.json()["cache"]))
    assert told == [("miss", "miss"), ("exact", "exact"), ("bypass", "bypass")]
