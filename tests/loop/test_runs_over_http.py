"""Runs over HTTP: filtered, paged, measured, rated, and readable by their principal or an admin."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.otlp_sink import attributes_of
from tests.server.observed_service import observed
from tests.server.small_service import serving

from foliotrace.settings import RunsSettings
from foliotrace_server.client import AsyncFoliotraceClient, ServerProblem
from foliotrace_server.compose import compose
from foliotrace_server.keys.api_key import Scope
from foliotrace_server.keys.key_file import KeyFile
from foliotrace_server.settings import Settings

pytestmark = pytest.mark.anyio
TEXT = b"Unleaded costs 2.31 EUR per litre. The clerk is ada@example.org, who knows the price."
QUESTION = "What does unleaded cost per litre?"


@asynccontextmanager
async def running(folder: Path, **settings: Any) -> AsyncIterator[AsyncFoliotraceClient]:
    engine = compose(Settings(data_dir=folder, **settings))
    async with serving(engine) as http, AsyncFoliotraceClient(str(http.base_url)) as client:
        upload = await client.upload([("fuel.txt", TEXT)])
        async for _ in client.follow(upload.accepted[0].job.id):
            pass
        yield client


def client_of(client: AsyncFoliotraceClient, key: str) -> AsyncFoliotraceClient:
    return AsyncFoliotraceClient(str(client.http.base_url), api_key=key)


async def test_runs_are_found_by_filter_newest_first_and_page_by_page(tmp_path: Path) -> None:
    async with running(tmp_path) as client:
        ids = []
        for number in range(5):
            answer = await client.ask(
                QUESTION,
                user_id="ada" if number % 2 else "bob",
                session_id=f"s{number}",
                tags=["beta"] if number == 3 else [],
                metadata={"number": number},
            )
            ids.append(answer.run_id)
        first = await client.runs(limit=3)
        rest = await client.runs(limit=3, after=first.next)
        assert [r.id for r in (*first.runs, *rest.runs)] == ids[::-1]
        assert rest.next is None

        async def found(text: str) -> list[int]:
            return [ids.index(r.id) for r in (await client.runs(filter=text)).runs]

        assert await found('eq(user_id, "ada")') == [3, 1]
        assert await found('has(tags, "beta")') == [3]
        assert await found('and(eq(metadata_key, "number"), gte(metadata_value, 3))') == [4, 3]
        assert await found('or(eq(session_id, "s0"), eq(session_id, "s4"))') == [4, 0]
        assert await found("gt(level, 0)") == []
        paged = await client.runs(filter='eq(user_id, "bob")', limit=2)
        assert [ids.index(r.id) for r in paged.runs] == [4, 2]
        after = await client.runs(filter='eq(user_id, "bob")', limit=2, after=paged.next)
        assert [ids.index(r.id) for r in after.runs] == [0]
        assert (await client.runs(until=first.runs[-1].created_at)).runs == rest.runs
        with pytest.raises(ServerProblem) as refused:
            await client.runs(filter="eq(usr, 1)")
        assert "unknown field `usr`" in refused.value.message


async def test_stats_are_exact_without_runs_and_with_three(tmp_path: Path) -> None:
    async with running(tmp_path) as client:
        none = await client.run_stats(window_s=60)
        assert (none.total.runs, none.total.p50_ms, none.windows) == (0, None, ())
        for _ in range(3):
            await client.ask(QUESTION)
        some = await client.run_stats(window_s=3600, since=datetime.now(UTC) - timedelta(days=2))
        elapsed = sorted(r.elapsed_ms for r in (await client.runs()).runs)
        assert (some.total.runs, some.total.error_rate, some.total.cost_per_run_usd) == (3, 0, 0)
        assert (some.total.p50_ms, some.total.p99_ms) == (elapsed[1], elapsed[2])


async def test_feedback_joins_its_run_and_replaces_itself(tmp_path: Path) -> None:
    async with running(tmp_path) as client:
        good, bad = await client.ask(QUESTION), await client.ask(QUESTION, tags=["x"])
        first = await client.feedback(bad.run_id, "user_score", score=1.0)
        again = await client.feedback(bad.run_id, "user_score", score=0.0, comment="wrong")
        assert (again.id, again.created_at) == (first.id, first.created_at)
        await client.feedback(good.run_id, "user_score", score=1.0)
        await client.feedback(good.run_id, "tone", score=0.2, value="rude")
        run = await client.run(bad.run_id)
        assert [(f.key, f.score, f.comment) for f in run.feedback] == [("user_score", 0.0, "wrong")]
        poor = 'and(eq(feedback_key, "user_score"), lte(feedback_score, 0.5))'
        assert [r.id for r in (await client.runs(filter=poor)).runs] == [bad.run_id]
        with pytest.raises(ServerProblem) as unknown:
            await client.feedback("run_nobody", "user_score", score=1.0)
        assert unknown.value.status == 404


async def test_feedback_by_trace_id_is_a_metric_and_a_linked_span(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with observed(tmp_path, monkeypatch) as run:
        await run.ingest()
        asked = (await run.ask()).json()
        sent = await run.client.post(
            "/v1/feedback",
            json={"trace_id": asked["trace_id"], "key": "user_score", "score": 0.25},
        )
        assert (sent.status_code, sent.json()["run_id"]) == (200, asked["run_id"])
        for le, count in (("0.2", 0), ("0.3", 1)):
            name = "foliotrace_feedback_score_bucket"
            assert await run.metric(name, key="user_score", le=le) == count
        spans = run.trace(sent.headers["x-trace-id"], ends_with="POST /v1/feedback")
        rated = next(s for s in spans if s.links)
        assert [link.trace_id.hex() for link in rated.links] == [asked["trace_id"]]
        assert attributes_of(rated)["foliotrace.feedback.score"] == 0.25
        for body in (
            {"key": "k", "score": 1},
            {"run_id": asked["run_id"], "key": "k"},
            {"run_id": asked["run_id"], "key": "k", "score": 1.5},
            {"run_id": asked["run_id"], "key": "no blanks", "score": 1},
        ):
            assert (await run.client.post("/v1/feedback", json=body)).status_code == 400


async def test_a_run_is_readable_by_its_principal_or_an_admin_only(tmp_path: Path) -> None:
    async with running(tmp_path) as client:
        keys, now = KeyFile(tmp_path), datetime.now(UTC)
        made = [
            keys.create(tenant="default", scopes=frozenset(scopes), now=now)[1]
            for scopes in ({Scope.READ}, {Scope.READ}, {Scope.READ, Scope.ADMIN})
        ]
        async with (
            client_of(client, made[0]) as owner,
            client_of(client, made[1]) as other,
            client_of(client, made[2]) as admin,
        ):
            run_id = (await owner.ask(QUESTION)).run_id
            for reader in (owner, admin):
                assert (await reader.run(run_id)).id == run_id
                assert [r.id for r in (await reader.runs()).runs] == [run_id]
                assert (await reader.run_stats()).total.runs == 1
            assert (await other.runs()).runs == ()
            assert (await other.run_stats()).total.runs == 0
            for refused in (other.run(run_id), other.feedback(run_id, "user_score", score=0.0)):
                with pytest.raises(ServerProblem) as caught:
                    await refused
                assert caught.value.status == 404


@pytest.mark.parametrize("kept", ["off", "redacted", "encrypted"])
async def test_a_run_holds_as_much_text_as_the_settings_say(tmp_path: Path, kept: Any) -> None:
    question = "Does ada@example.org know what unleaded costs?"
    async with running(tmp_path, runs=RunsSettings(keep_content=kept)) as client:
        run_id = (await client.ask(question, filters={"name": "fuel.txt"})).run_id
        run = await client.run(run_id)
        page = await client.runs()
        assert [(r.query_text, r.answer_text) for r in page.runs] == [(None, None)]
    expected = {
        "off": ("off", None, None),
        "redacted": ("redacted", "Does [EMAIL REDACTED] know what unleaded costs?", ("fuel.txt",)),
        "encrypted": ("whole", question, ("fuel.txt",)),
    }[kept]
    names = (run.request.filters or {}).get("name")
    assert (run.content, run.query_text, tuple(names) if names else None) == expected
    assert any(c.quote for c in run.citations) == (kept != "off")
    on_disk = b"".join(p.read_bytes() for p in tmp_path.glob("library.db*"))
    assert question.encode() not in on_disk
    if kept == "encrypted":
        (tmp_path / "run-content.key").unlink()
        async with serving(compose(Settings(data_dir=tmp_path))) as http:
            run_body = (await http.get(f"/v1/runs/{run_id}")).json()
            assert (run_body["content"], run_body["query_text"]) == ("unreadable", None)
