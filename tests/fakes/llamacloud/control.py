"""The control API under `/_fake`, for a fake that was started by hand. It needs no key."""

import threading
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from tests.fakes.llamacloud.jobs import Pace
from tests.fakes.wire import Fault

if TYPE_CHECKING:
    from tests.fakes.llamacloud.cloud import FakeLlamaCloud


def routes(cloud: "FakeLlamaCloud") -> list[Route]:
    """Billing, requests, faults, pace, death and a fresh start."""

    async def billing(_request: Request) -> Response:
        bill = cloud.billing
        charges = [
            asdict(c) | {"at": c.at.isoformat(), "void": c.job_id in bill.void}
            for c in bill.charges
        ]
        twice = bill.billed_twice()
        shown = {"credits": bill.credits, "jobs": bill.jobs(), "billed_twice": twice}
        return JSONResponse(shown | {"charges": charges})

    async def requests(_request: Request) -> Response:
        log = cloud.requests
        seen = [
            {"endpoint": r.endpoint, "status": r.status, "fault": r.fault, "seconds": r.seconds}
            for r in log.records
        ]
        return JSONResponse(
            {"counts": log.counts(), "by_key": log.counts_by_key(), "requests": seen}
        )

    async def plan_fault(request: Request) -> Response:
        asked: dict[str, Any] = await request.json()
        try:
            fault = Fault.named(asked.pop("fault"), **asked.pop("arguments", {}))
            cloud.fail(asked.pop("endpoint"), fault, **asked)
        except (KeyError, TypeError, ValueError) as error:
            return JSONResponse({"detail": str(error)}, 422)
        return JSONResponse({"planned": asdict(fault)})

    async def recover(_request: Request) -> Response:
        cloud.recover()
        return Response(status_code=204)

    async def pace(request: Request) -> Response:
        asked = await request.json()
        cloud.pace(asked.pop("product"), Pace(**asked))
        return Response(status_code=204)

    async def die(request: Request) -> Response:
        asked = await request.json()
        threading.Thread(target=_die_for, args=(cloud, float(asked["for_s"])), daemon=True).start()
        return Response(status_code=202)

    async def forget(_request: Request) -> Response:
        cloud.forget()
        return Response(status_code=204)

    return [
        Route("/_fake/billing", billing, methods=["GET"]),
        Route("/_fake/requests", requests, methods=["GET"]),
        Route("/_fake/faults", plan_fault, methods=["POST"]),
        Route("/_fake/faults", recover, methods=["DELETE"]),
        Route("/_fake/pace", pace, methods=["POST"]),
        Route("/_fake/die", die, methods=["POST"]),
        Route("/_fake/reset", forget, methods=["POST"]),
    ]


def _die_for(cloud: "FakeLlamaCloud", seconds: float) -> None:
    pause = threading.Event()
    pause.wait(0.05)
    cloud.die()
    pause.wait(seconds)
    cloud.revive()
