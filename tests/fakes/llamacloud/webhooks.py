"""Signed notifications about jobs, sent from the fake's event loop."""

import asyncio
import hashlib
import hmac
import json
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import httpx
from tests.fakes.llamacloud.jobs import Job, now
from tests.fakes.llamacloud.state import iso

EVENTS = {
    "PENDING": "pending",
    "RUNNING": "running",
    "COMPLETED": "success",
    "FAILED": "error",
    "CANCELLED": "cancelled",
}
WITHOUT_RUNNING = frozenset({"extract"})
ATTEMPTS, PAUSE_S, TIMEOUT_S = 3, 0.05, 5.0


@dataclass(frozen=True)
class Delivery:
    """One event sent to one endpoint; `status` 0 means that nobody answered."""

    url: str
    event_type: str
    job_id: str
    attempts: int
    status: int


def sign(secret: str, body: bytes) -> str:
    """The value of `LC-Signature`."""
    return "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def event_of(job: Job, status: str) -> dict[str, Any]:
    """The notification's content."""
    name = EVENTS[status]
    if status == "COMPLETED" and job.behaves("partial"):
        name = "partial_success"
    data = {"job_id": job.id, "project_id": job.project_id, "status": status}
    if job.error:
        data["error_message"] = job.error
    if job.request.get("user_metadata"):
        data["user_metadata"] = job.request["user_metadata"]
    return {
        "event_id": f"evt-{uuid.uuid4()}",
        "event_type": f"{job.product}.{name}",
        "timestamp": iso(now()),
        "data": data,
    }


async def send(settings: dict[str, Any], event: dict[str, Any]) -> Delivery:
    """Post one event until it is accepted, at most three times."""
    text = json.dumps(event)
    body = (text if settings.get("webhook_output_format") == "json" else json.dumps(text)).encode()
    headers = {"Content-Type": "application/json", **(settings.get("webhook_headers") or {})}
    if settings.get("webhook_signing_secret"):
        headers["LC-Signature"] = sign(settings["webhook_signing_secret"], body)
    url, status, attempt = settings["webhook_url"], 0, 0
    async with httpx.AsyncClient(timeout=TIMEOUT_S, trust_env=False) as client:
        while attempt < ATTEMPTS:
            attempt += 1
            try:
                status = (await client.post(url, content=body, headers=headers)).status_code
            except httpx.HTTPError:
                status = 0
            if 200 <= status < 300:
                break
            await asyncio.sleep(PAUSE_S)
    return Delivery(url, event["event_type"], event["data"]["job_id"], attempt, status)


class Notifier:
    """Watches one job and tells its endpoints, in order. The job moves on without being polled."""

    def __init__(
        self, job: Job, endpoints: list[dict[str, Any]], *, done: Callable[[Delivery], None]
    ) -> None:
        self._job = job
        self._endpoints = endpoints
        self._done = done
        self._loop = asyncio.get_running_loop()
        self._queue: asyncio.Queue[str] = asyncio.Queue()
        self._queue.put_nowait("PENDING")
        job.on_change.append(self._changed)

    def _changed(self, job: Job) -> None:
        self._loop.call_soon_threadsafe(self._queue.put_nowait, job.status)

    async def run(self, after_s: float) -> None:
        """Send every event until the job has ended."""
        driving = asyncio.ensure_future(self._drive(after_s))
        status = ""
        while status not in ("COMPLETED", "FAILED", "CANCELLED"):
            status = await self._queue.get()
            if status == "RUNNING" and self._job.product in WITHOUT_RUNNING:
                continue
            event = event_of(self._job, status)
            for settings in self._endpoints:
                wanted = settings.get("webhook_events")
                if wanted is None or event["event_type"] in wanted:
                    self._done(await send(settings, event))
        await driving

    async def _drive(self, after_s: float) -> None:
        await asyncio.sleep(after_s)
        await asyncio.to_thread(self._job.finish)
