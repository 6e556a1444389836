"""Rate limits and quotas: what each key and tenant may use, and what the next request is told."""

import asyncio
import re
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import ValidationError
from tests.contracts.redis_server import running_redis
from tests.server.small_service import serving, small_engine

from foliotrace.errors import LedgerUnavailable
from foliotrace.model import Principal
from foliotrace_server.engine import Engine
from foliotrace_server.http.quotas import Quotas
from foliotrace_server.keys.api_key import Scope
from foliotrace_server.keys.key_file import KeyFile
from foliotrace_server.sections import LimitSettings, QuotaSettings, RedisSettings

pytestmark = pytest.mark.anyio
ANNA, BERT = Principal(tenant="acme", subject="key:a"), Principal(tenant="acme", subject="key:b")
RIVAL = Principal(tenant="rival", subject="key:c")
ASK = ("POST", "/v1/query")


def limited(folder: Path, **limits: Any) -> Engine:
    engine = small_engine(folder)
    sections = {name: QuotaSettings(**quota) for name, quota in limits.items()}
    engine.settings = engine.settings.model_copy(update={"limits": LimitSettings(**sections)})
    engine.quotas = Quotas.of(engine.settings)
    return engine


def bearer(folder: Path, tenant: str = "default") -> dict[str, str]:
    file = KeyFile(folder)
    key = file.create(tenant=tenant, scopes=frozenset(Scope), now=datetime.now(UTC))[1]
    return {"Authorization": f"Bearer {key}"}


async def test_a_key_that_sends_too_many_requests_is_told_when_to_come_back(tmp_path: Path) -> None:
    first, second = bearer(tmp_path), bearer(tmp_path)
    async with serving(limited(tmp_path, per_key={"requests": "3/minute"})) as client:
        for left in (2, 1, 0):
            answer = await client.get("/v1/jobs", headers=first)
            assert answer.status_code == 200
            assert re.fullmatch(rf'"key-requests";r={left};t=\d+', answer.headers["ratelimit"])
        assert answer.headers["ratelimit-policy"] == '"key-requests";q=3;qu="requests";w=60'
        refused = await client.get("/v1/jobs", headers=first)
        assert (refused.status_code, refused.json()["code"]) == (429, "rate_limited")
        assert 1 <= int(refused.headers["retry-after"]) <= 60
        assert refused.headers["ratelimit"].startswith('"key-requests";r=0;')
        assert (await client.get("/v1/jobs", headers=second)).status_code == 200
        assert (await client.get("/healthz", headers=first)).status_code == 200


async def test_a_window_opens_again_after_the_time_it_names(tmp_path: Path) -> None:
    async with serving(limited(tmp_path, per_key={"requests": "1/1 second"})) as client:
        assert (await client.get("/v1/jobs")).status_code == 200
        refused = await client.get("/v1/jobs")
        assert refused.status_code == 429
        await asyncio.sleep(int(refused.headers["retry-after"]) + 0.05)
        assert (await client.get("/v1/jobs")).status_code == 200


async def test_the_keys_of_a_tenant_share_its_limit(tmp_path: Path) -> None:
    keys = [bearer(tmp_path, "acme"), bearer(tmp_path, "acme"), bearer(tmp_path, "rival")]
    async with serving(limited(tmp_path, per_tenant={"requests": "2/minute"})) as client:
        asked = [await client.get("/v1/jobs", headers=key) for key in (*keys[:2], *keys)]
    assert [each.status_code for each in asked] == [200, 200, 429, 429, 200]


async def test_every_entry_point_counts(tmp_path: Path) -> None:
    start = {"start_event": {"query": "refund"}}
    async with serving(limited(tmp_path, per_key={"requests": "3/minute"})) as client:
        await client.post("/v1/query", json={"query": "refund"})
        await client.post("/workflows/query/run", json=start)
        await client.get("/handlers")
        for method, path in (("GET", "/metrics"), ("GET", "/docs"), ("POST", "/events/x")):
            assert (await client.request(method, path)).status_code == 429, path


async def test_uploads_stop_when_the_pages_of_the_day_are_used(tmp_path: Path) -> None:
    async with serving(limited(tmp_path, per_tenant={"pages": "3/day"})) as client:
        files = {"file": ("four.txt", b"one\ftwo\fthree\ffour")}
        job = (await client.post("/v1/documents", files=files)).json()["accepted"][0]["job"]["id"]
        async with client.stream("GET", f"/v1/jobs/{job}/events") as stream:
            async for _ in stream.aiter_lines():
                pass
        refused = await _until_refused(client)
        assert refused.json()["code"] == "quota_used_up"
        assert int(refused.headers["retry-after"]) > 3600
        asked = await client.post("/v1/query", json={"query": "one"})
        assert asked.status_code == 200  # questions use no pages


async def _until_refused(client: httpx.AsyncClient) -> httpx.Response:
    for _ in range(100):
        answer = await client.post("/v1/documents", files={"file": ("b.txt", b"more")})
        if answer.status_code == 429:
            return answer
    raise AssertionError("never refused")


async def test_tokens_and_money_of_a_key_are_counted_when_its_run_ends() -> None:
    quotas = Quotas(QuotaSettings(tokens="100/day", usd="0.50/day"), QuotaSettings())
    await quotas.add(ANNA, tokens=60, usd=Decimal("0.10"))
    assert (await quotas.admit(ANNA, *ASK)).refusal is None
    await quotas.add(ANNA, tokens=60)  # the run that exceeds it is not cut off
    refusal = (await quotas.admit(ANNA, *ASK)).refusal
    assert refusal is not None
    assert refusal.error_code == "quota_used_up"
    assert (await quotas.admit(ANNA, "GET", "/v1/documents")).refusal is None
    assert (await quotas.admit(BERT, *ASK)).refusal is None
    await quotas.add(BERT, usd=Decimal("0.50"))
    for path in ("/v1/query", "/v1/extractions", "/v1/documents", "/workflows/query/run-nowait"):
        assert (await quotas.admit(BERT, "POST", path)).refusal is not None, path


async def test_a_tenants_money_is_what_the_ledger_says_also_after_a_restart() -> None:
    async def spent(tenant: str) -> Decimal:
        if tenant == "broken":
            raise LedgerUnavailable
        return Decimal("2.00") if tenant == "acme" else Decimal(0)

    quotas = Quotas(QuotaSettings(), QuotaSettings(usd="2.00/day"), spent_today=spent)
    assert (await quotas.admit(ANNA, *ASK)).refusal is not None
    assert (await quotas.admit(RIVAL, *ASK)).refusal is None
    assert (await quotas.admit(Principal(tenant="broken"), *ASK)).refusal is None


async def test_processes_share_their_counters_on_redis(tmp_path: Path) -> None:
    async with running_redis(tmp_path):
        redis = RedisSettings.model_validate({"url": f"unix://{tmp_path}/redis.sock"})
        two = [
            Quotas(QuotaSettings(requests="2/minute"), QuotaSettings(), redis=redis)
            for _ in range(2)
        ]
        seen = [(await two[i % 2].admit(ANNA, *ASK)).refusal is None for i in range(3)]
        for each in two:
            await each.close()
    assert seen == [True, True, False]


async def test_without_its_redis_a_process_counts_by_itself(tmp_path: Path) -> None:
    redis = RedisSettings.model_validate({"url": "redis://127.0.0.1:9/0"})
    quotas = Quotas(QuotaSettings(requests="1/minute"), QuotaSettings(), redis=redis)
    assert (await quotas.admit(ANNA, *ASK)).refusal is None
    assert (await quotas.admit(ANNA, *ASK)).refusal is not None


@pytest.mark.parametrize("text", ["many", "5", "0/minute", "5/fortnight", "1.5/minute"])
def test_a_limit_that_cannot_be_read_stops_the_start(text: str) -> None:
    with pytest.raises(ValidationError):
        QuotaSettings(requests=text)
