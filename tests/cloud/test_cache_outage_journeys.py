"""A shared cache that is down stops neither ingestion nor answers; a deletion says it must wait."""

from pathlib import Path

import pytest
from pydantic import SecretStr
from tests.audit.log_reading import audit_records
from tests.cloud.service import FUEL, service
from tests.contracts.redis_server import running_redis
from tests.fakes.wire.faulty_line import faulty_line

from foliotrace.settings import QuerySettings
from foliotrace_server.sections import RedisSettings

pytestmark = pytest.mark.anyio
PRICE = "What does unleaded cost per litre?"


async def test_a_dead_redis_delays_no_document_and_keeps_no_deleted_answer(tmp_path: Path) -> None:
    async with (
        running_redis(tmp_path),
        faulty_line(str(tmp_path / "redis.sock")) as line,
        service(
            tmp_path / "data",
            redis=RedisSettings(url=SecretStr(f"redis://127.0.0.1:{line.port}")),
            query=QuerySettings(cache_ttl_s=60),
        ) as running,
    ):
        assert (await running.put("fuel.txt", FUEL))["status"] == "completed"
        assert "2.31" in (await running.ask(PRICE)).body["answer"]
        assert (await running.ask(PRICE)).body["cache"] == "exact"
        await line.set("refused")
        changed = FUEL.replace("2.31", "2.47")
        assert (await running.put("fuel.txt", changed))["status"] == "completed"
        asked = await running.ask(PRICE)
        assert (asked.level, asked.body["cache"]) == (0, "miss")
        assert "2.47" in asked.body["answer"]
        document = (await running.client.get("/v1/documents")).json()["documents"][0]
        refused = await running.client.delete(f"/v1/documents/{document['id']}")
        assert (refused.status_code, refused.json()["code"]) == (503, "cache_unavailable")
        assert "2.47" in (await running.ask(PRICE)).body["answer"], "nothing was deleted"
        await line.set("healthy")
        assert "2.47" in (await running.ask(PRICE)).body["answer"]
        gone = await running.client.delete(f"/v1/documents/{document['id']}")
        assert gone.status_code == 200
        after = await running.ask(PRICE)
        assert after.body["citations"] == []
    ends = [
        r["event"] for r in audit_records(tmp_path / "data" / "audit") if "delete" in r["event"]
    ]
    assert ends == ["delete_received", "delete_failed", "delete_received", "delete_completed"]
