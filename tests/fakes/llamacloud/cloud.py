"""The fake LlamaCloud: its state, its rules and its Python handle."""

import asyncio
import hashlib
import hmac
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

from tests.fakes.llamacloud.app import build_app, label_of
from tests.fakes.llamacloud.index_api import begin_sync
from tests.fakes.llamacloud.jobs import Billing, Charge, Job, Pace, now
from tests.fakes.llamacloud.routing import ENDPOINTS, Call
from tests.fakes.llamacloud.state import (
    DEFAULT_PROJECT,
    OTHER_PROJECT,
    Configuration,
    Refused,
    State,
    StoredFile,
    expiry,
    iso,
    new_id,
    own,
)
from tests.fakes.llamacloud.webhooks import Delivery, Notifier
from tests.fakes.wire import Fault, FaultPlan, Gate, Planned, RequestLog, SocketServer

API_KEY = "llx-fake"
SIGNING = b"presigned by the fake"
WEBHOOK_AFTER_S = 0.05
PRESIGNED_S = 3600
PRESETS = {
    f"cfg-PARSE_{tier.upper()}": tier
    for tier in ("fast", "cost_effective", "agentic", "agentic_plus")
}


class FakeLlamaCloud:
    """One fake service on one port. Any key that starts with `llx-fake` is accepted."""

    api_key = API_KEY

    def __init__(self, *, port: int = 0, pace: Pace | None = None) -> None:
        self.state = State()
        self.requests = RequestLog()
        self.deliveries: list[Delivery] = []
        self.broken: list[str] = []
        self.unique_id_replaces = False
        self.other_engine_chars: int | None = None  # chunks of this size, of another parser's text
        self.failed_pages_have_text = False  # a failed page still carries raw text
        self.skips: set[str] = set()  # names of files that a sync leaves out silently
        self.listing_lag_s = 0.0  # how long after it was accepted a job is listed
        self.moment: Callable[[], datetime] = now  # what the lag is measured with
        self.projects = (DEFAULT_PROJECT, OTHER_PROJECT)
        self._default_pace = pace or Pace()
        self._limits: dict[str, tuple[int, float, deque[float]]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._faults = FaultPlan(frozenset(endpoint.name for endpoint in ENDPOINTS))
        app = build_app(self)
        gate = Gate(
            app,
            plan=self._faults,
            log=self.requests,
            label=label_of(app),
            reset=lambda client: self._server.reset(client),
            error_body=lambda _status, detail: {"detail": detail},
        )
        self._server = SocketServer(gate, port=port)

    # The handle of a test.

    @property
    def url(self) -> str:
        """What `base_url` of the SDK is set to."""
        return self._server.url

    @property
    def billing(self) -> Billing:
        """What was billed."""
        return self.state.billing

    @property
    def connections(self) -> int:
        """TCP connections accepted so far."""
        return self._server.connections

    def fail(self, endpoint: str, fault: Fault, **when: Any) -> Planned:
        """Plan a fault; `when` as in `FaultPlan.add`."""
        return self._faults.add(endpoint, fault, **when)

    def recover(self) -> None:
        """Drop every planned fault and every rate limit."""
        self._faults.clear()
        self._limits.clear()

    def limit(self, endpoint: str, *, requests: int, per_s: float) -> None:
        """Answer 429 with Retry-After beyond `requests` in any `per_s` seconds."""
        if endpoint not in self._faults.endpoints:
            raise ValueError(f"no endpoint is called {endpoint!r}")
        self._limits[endpoint] = (requests, per_s, deque())

    def pace(self, product: str, pace: Pace) -> None:
        """How long `parse`, `extract`, `sync`, `classify` or `split` jobs take from now on."""
        self.state.paces[product] = pace

    def count(
        self, endpoint: str = "*", *, key: str | None = None, status: int | None = None
    ) -> int:
        """Requests received; `endpoint` may hold wildcards."""
        return self.requests.count(endpoint, key=key, status=status)

    def start_serving(self) -> None:
        """Listen."""
        self._server.start()

    def die(self) -> None:
        """Close the port and reset every connection; the state stays."""
        self._server.die()

    def revive(self) -> None:
        """Listen on the same port again."""
        self._server.start()

    def stop(self) -> None:
        """Stop for good."""
        self._server.stop()

    def preload(self, name: str, content: bytes, *, project_id: str = DEFAULT_PROJECT) -> str:
        """Put a file there without a request; returns its id."""
        kept = StoredFile(new_id("dfl"), project_id, name, content, "user_data")
        self.state.files[kept.id] = kept
        return kept.id

    def expire_file(self, file_id: str) -> None:
        """The file's retention ends now."""
        self.state.files[file_id].expires_at = expiry(-1)

    def forget(self) -> None:
        """Start over with no state, no log and no fault."""
        self.state = State()
        self.requests.clear()
        self.deliveries.clear()
        self.broken.clear()
        self.recover()

    # What the endpoints ask.

    def pace_of(self, product: str) -> Pace:
        """The pace of a product's next job."""
        return self.state.paces.get(product, self._default_pace)

    def source_changed(self, call: Call, directory_id: str) -> None:
        """Sync the indexes that follow the directory."""
        for index in self.state.indexes.values():
            follows = index.sync_frequency == "on_source_change"
            if follows and index.source_directory_id == directory_id and not index.syncing:
                begin_sync(call, index)

    def throttle(self, endpoint: str) -> None:
        """Raises `Refused` with 429 when the endpoint's limit is used up."""
        if endpoint not in self._limits:
            return
        requests, per_s, stamps = self._limits[endpoint]
        present = time.monotonic()
        while stamps and stamps[0] <= present - per_s:
            stamps.popleft()
        if len(stamps) >= requests:
            raise Refused(429, "Rate limit exceeded", retry_after=stamps[0] + per_s - present)
        stamps.append(present)

    def start(self, job: Job, request: dict[str, Any]) -> None:
        """Register a job and the webhooks that its request names."""
        self.state.jobs[job.id] = job
        job.on_change.append(self._void)
        endpoints = [e for e in request.get("webhook_configurations") or () if e.get("webhook_url")]
        for saved_id in request.get("webhook_configuration_ids") or ():
            saved = own(self.state.webhooks, saved_id, job.project_id, "Webhook configuration")
            endpoints.append(saved.settings)
        if endpoints:
            notifier = Notifier(job, endpoints, done=self.deliveries.append)
            task = asyncio.ensure_future(notifier.run(job.pace.seconds or WEBHOOK_AFTER_S))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def _void(self, job: Job) -> None:
        if job.status in ("FAILED", "CANCELLED"):
            self.state.billing.void.add(job.id)

    def bill(self, charge: Charge) -> None:
        """Enter a charge; a job has one, its last."""
        charges = self.state.billing.charges
        for index, entered in enumerate(charges):
            if entered.job_id == charge.job_id:
                charges[index] = charge
                return
        charges.append(charge)

    async def poll(self, job: Job) -> None:
        """A status read, its work off the event loop."""
        await asyncio.to_thread(job.poll)

    def cancel(self, job: Job) -> None:
        """Cancel a job. Raises `Refused` when it has ended."""
        if job.terminal:
            raise Refused(409, f"Job {job.id} is already {job.status}")
        job.cancel()

    def delete_job(self, job: Job, *, force: bool = False) -> None:
        """Forget a job. Raises `Refused` while it runs."""
        if not job.terminal and not force:
            raise Refused(409, f"Job {job.id} is still {job.status}; cancel it first")
        del self.state.jobs[job.id]

    def selected_jobs(self, call: Call, product: str) -> list[Job]:
        """The project's jobs that pass the query's filters, newest first."""
        ids, status = call.many.get("job_ids"), call.one("status")
        after, before = (
            call.moment("created_at_on_or_after"),
            call.moment("created_at_on_or_before"),
        )
        listed_until = self.moment() - timedelta(seconds=self.listing_lag_s)
        found = [
            job
            for job in self.state.jobs.values()
            if (job.product, job.project_id) == (product, call.project_id)
            and (not self.listing_lag_s or job.created_at <= listed_until)
            and (not ids or job.id in ids)
            and status in (None, job.status)
            and (after is None or job.created_at >= after)
            and (before is None or job.created_at <= before)
        ]
        return found[::-1]

    def configuration(self, saved_id: str, product: str, project_id: str) -> dict[str, Any]:
        """A saved configuration's parameters. Raises `Refused`."""
        if product == "parse_v2" and saved_id in PRESETS:
            return {"product_type": product, "tier": PRESETS[saved_id], "version": "latest"}
        saved: Configuration = own(self.state.configurations, saved_id, project_id, "Configuration")
        if saved.parameters["product_type"] != product:
            raise Refused(400, f"Configuration {saved_id} is not for {product}")
        return saved.parameters

    def presign(self, base_url: str, what: str, seconds: int | None = None) -> dict[str, Any]:
        """A URL that needs no key and gives `what` until it expires."""
        ends = expiry(seconds or PRESIGNED_S)
        stamp = str(ends.timestamp())
        signature = self.presign_signature(what, stamp)
        url = f"{base_url}/presigned/{what}?expires={stamp}&signature={signature}"
        return {"url": url, "expires_at": iso(ends)}

    @staticmethod
    def presign_signature(what: str, stamp: str) -> str:
        """What proves that the fake made the URL."""
        return hmac.new(SIGNING, f"{what}|{stamp}".encode(), hashlib.sha256).hexdigest()


@contextmanager
def running_fake_llamacloud(*, port: int = 0, pace: Pace | None = None) -> Iterator[FakeLlamaCloud]:
    """A fake LlamaCloud on a free port for the length of the block.

    Fails at the end if the fake itself answered something that the SDK's models do not allow.
    """
    fake = FakeLlamaCloud(port=port, pace=pace)
    fake.start_serving()
    try:
        yield fake
    finally:
        fake.stop()
    assert not fake.broken, fake.broken
