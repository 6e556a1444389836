"""The fake's webhooks: saved or inline, signed, filtered, repeated, and sent without polling."""

import hashlib
import hmac
import json
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
from llama_cloud import LlamaCloud, UnprocessableEntityError
from tests.fakes.llamacloud import FakeLlamaCloud, Fault, Pace, running_fake_llamacloud

SECRET = "whsec_test"
FAST = {"tier": "fast", "version": "latest"}


@dataclass
class Inbox:
    """An HTTP server that keeps what it receives and can refuse the first posts."""

    url: str = ""
    refuse: int = 0
    got: list[tuple[dict[str, str], bytes]] = field(default_factory=list)

    def events(self) -> list[str]:
        return [self.event(body)["event_type"] for _, body in self.got]

    @staticmethod
    def event(body: bytes) -> dict[str, Any]:
        read = json.loads(body)
        event: dict[str, Any] = json.loads(read) if isinstance(read, str) else read
        return event

    def wait_for(self, *events: str) -> list[str]:
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline and not set(events) <= set(self.events()):
            time.sleep(0.01)
        return self.events()


@pytest.fixture
def inbox() -> Iterator[Inbox]:
    held = Inbox()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            held.refuse -= 1
            if held.refuse < 0:
                held.got.append((dict(self.headers.items()), body))
            self.send_response(503 if held.refuse >= 0 else 204)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        held.url = f"http://127.0.0.1:{server.server_address[1]}/hook"
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield held
        server.shutdown()
        thread.join()


@pytest.fixture
def fake() -> Iterator[FakeLlamaCloud]:
    with running_fake_llamacloud() as running:
        yield running


@pytest.fixture
def client(fake: FakeLlamaCloud) -> Iterator[LlamaCloud]:
    with LlamaCloud(
        api_key=fake.api_key, base_url=fake.url, max_retries=0, _strict_response_validation=True
    ) as made:
        yield made


def test_a_saved_webhook_is_told_every_state_and_signed(
    client: LlamaCloud, fake: FakeLlamaCloud, inbox: Inbox
) -> None:
    saved = client.webhook_configs.create(
        webhook_url=inbox.url,
        webhook_signing_secret=SECRET,
        webhook_output_format="json",
        webhook_headers={"X-Team": "docs"},
    )
    job = client.parsing.create(
        **FAST,
        file_id=fake.preload("a.txt", b"hello"),
        webhook_configuration_ids=[saved.id],
        user_metadata={"op": "1"},
    )
    assert inbox.wait_for("parse.success") == ["parse.pending", "parse.running", "parse.success"]
    for headers, body in inbox.got:
        signature = hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
        assert headers["LC-Signature"] == f"sha256={signature}"
        assert headers["X-Team"] == "docs"
    data = inbox.event(inbox.got[-1][1])["data"]
    assert (data["job_id"], data["status"]) == (job.id, "COMPLETED")
    assert data["user_metadata"] == {"op": "1"}
    assert client.parsing.get(job.id).job.status == "COMPLETED"
    assert fake.count("GET /api/v2/parse/{job_id}") == 1


def test_an_inline_webhook_chooses_its_events_and_gets_a_string(
    client: LlamaCloud, fake: FakeLlamaCloud, inbox: Inbox
) -> None:
    hook = {"webhook_url": inbox.url, "webhook_events": ["extract.success", "extract.error"]}
    schema: dict[str, Any] = {"type": "object", "properties": {"total": {"type": "number"}}}
    client.extract.create(
        file_input=fake.preload("a.txt", b"Total: 5"),
        configuration={"data_schema": schema},
        webhook_configurations=[hook],  # type: ignore[list-item]
    )
    assert inbox.wait_for("extract.success") == ["extract.success"]
    headers, body = inbox.got[0]
    assert isinstance(json.loads(body), str)
    assert "LC-Signature" not in headers


@pytest.mark.parametrize(
    ("fault", "event"),
    [
        (Fault.job_failed, "parse.error"),
        (Fault.job_cancelled, "parse.cancelled"),
        (Fault.partial(1), "parse.partial_success"),
    ],
    ids=lambda value: value.kind if isinstance(value, Fault) else "",
)
def test_a_bad_end_is_told_too(
    client: LlamaCloud, fake: FakeLlamaCloud, inbox: Inbox, fault: Fault, event: str
) -> None:
    fake.fail("POST /api/v2/parse", fault)
    client.parsing.create(
        **FAST,
        file_id=fake.preload("a.txt", b"hello"),
        webhook_configurations=[{"webhook_url": inbox.url}],
        processing_control={"job_failure_conditions": {"allowed_page_failure_ratio": 1}},
    )
    assert inbox.wait_for(event)[-1] == event


def test_a_refused_delivery_is_repeated(
    client: LlamaCloud, fake: FakeLlamaCloud, inbox: Inbox
) -> None:
    inbox.refuse = 2
    hook = {"webhook_url": inbox.url, "webhook_events": ["parse.success"]}
    client.parsing.create(
        **FAST, file_id=fake.preload("a.txt", b"hello"), webhook_configurations=[hook]
    )
    assert inbox.wait_for("parse.success") == ["parse.success"]
    while not fake.deliveries:
        time.sleep(0.01)
    assert (fake.deliveries[0].attempts, fake.deliveries[0].status) == (3, 204)


def test_a_job_with_a_webhook_takes_its_time_by_the_clock(
    client: LlamaCloud, fake: FakeLlamaCloud, inbox: Inbox
) -> None:
    fake.pace("parse", Pace(seconds=0.3))
    started = time.monotonic()
    client.parsing.create(
        **FAST,
        file_id=fake.preload("a.txt", b"hello"),
        webhook_configurations=[{"webhook_url": inbox.url}],
    )
    inbox.wait_for("parse.success")
    assert time.monotonic() - started >= 0.3


def test_webhook_configurations_are_kept_without_showing_their_secret(client: LlamaCloud) -> None:
    configs = client.webhook_configs
    first = configs.create(webhook_url="http://a.example/hook", webhook_signing_secret=SECRET)
    second = configs.create(webhook_url="http://b.example/hook", webhook_events=["parse.error"])
    assert (first.has_secret, second.has_secret) == (True, False)
    assert SECRET not in configs.with_raw_response.retrieve(first.id).text()
    with pytest.deprecated_call():
        assert [held.id for held in configs.list()] == [second.id, first.id]
    paged = list(configs.list_paginated(page_size=1))
    assert [held.id for held in paged] == [second.id, first.id]
    changed = configs.update(second.id, webhook_url="http://c.example/hook")
    assert (changed.webhook_url, changed.webhook_events) == (
        "http://c.example/hook",
        ["parse.error"],
    )
    with pytest.raises(UnprocessableEntityError):
        configs.update(second.id, webhook_events=[])
    configs.delete(first.id)
    assert [held.id for held in configs.list_paginated()] == [second.id]
