"""`foliotrace serve`: the application on a socket, until it is told to stop."""

import asyncio
import gc
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final

import structlog
import uvicorn
from structlog.typing import EventDict, WrappedLogger

from foliotrace.adapters.local.files.lease import WriterLease
from foliotrace.errors import Misconfigured
from foliotrace_otel.setup.logging import LogRedaction
from foliotrace_server.app import build_app
from foliotrace_server.compose import compose
from foliotrace_server.engine import Engine
from foliotrace_server.http_guard import is_loopback
from foliotrace_server.logging import set_up_logging
from foliotrace_server.observing.audit import CHECKPOINT
from foliotrace_server.settings import Settings

_log = structlog.get_logger(__name__)
_NEW_OBJECTS_PER_COLLECTION: Final = 10_000  # a question makes about 300 that outlive a moment


def serve(settings: Settings) -> None:
    """Serve until SIGINT or SIGTERM, then return.

    Raises Misconfigured, Conflict `data_folder_locked`, LibraryUnavailable.
    """
    refuse_open_door(settings)
    lease = WriterLease.acquire(settings.data_dir)
    gc.disable()  # starting makes what stays: there is nothing to find yet
    try:
        listening = bind(settings)
        url = url_of(listening)
        engine = compose(settings, serving=True)
        _redact_the_log(settings, engine)
        config = uvicorn.Config(
            build_app(engine),
            log_config=None,
            access_log=False,
            server_header=False,
            date_header=True,
            timeout_keep_alive=30,
            timeout_graceful_shutdown=max(1, round(settings.server.shutdown_grace_s)),
            h11_max_incomplete_event_size=64 * 1024,
            proxy_headers=False,
        )
        lease.announce(url)
        _log.info("server.starting", url=url, data_dir=str(settings.data_dir))
        server = _Server(config)
        with (
            _ending_well(server),
            asyncio.Runner(loop_factory=config.get_loop_factory()) as runner,
        ):
            runner.run(server.serve(sockets=[listening]))
    finally:
        gc.enable()
        lease.release()


class _Server(uvicorn.Server):
    """Keeps the garbage collector off what was there when the service was ready.

    Modules and services are 100,000 objects and more that never die: walking them took 15 % of a
    question's CPU, in pauses of a quarter of a second.
    """

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        gc.freeze()
        gc.set_threshold(_NEW_OBJECTS_PER_COLLECTION, *gc.get_threshold()[1:])
        gc.enable()


@contextmanager
def _ending_well(server: uvicorn.Server) -> Iterator[None]:
    """A signal that stopped the server has done its work: uvicorn raises it again behind that.

    One that comes before the server listens to signals ends the process at once.
    """

    def heard(number: int, frame: FrameType | None) -> None:
        if not server.started:
            raise SystemExit(128 + number)

    before = {each: signal.signal(each, heard) for each in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


def _redact_the_log(settings: Settings, engine: Engine) -> None:
    """With the tokens that spans carry, so that a log line and a span can be brought together."""
    observing = engine.parts.observing
    if observing is not None:
        redact = LogRedaction(observing.redactor)

        def process(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
            """A signed line must stay as it was signed; it holds nothing but the log's state."""
            return event if event.get("event") == CHECKPOINT else redact(logger, method, event)

        set_up_logging(settings.log.level, settings.log.format, redact=process)


def refuse_open_door(settings: Settings) -> None:
    """Raise Misconfigured for an address that others can reach, unless that is wanted."""
    if not is_loopback(settings.server.host) and not settings.server.allow_remote:
        raise Misconfigured(
            f"{settings.server.host} can be reached by others and nobody is asked for a key",
            hint="Set FOLIOTRACE_SERVER__ALLOW_REMOTE=true behind a proxy that authenticates.",
        )


def bind(settings: Settings) -> socket.socket:
    """A listening socket. Raises Misconfigured when the address is taken or not ours."""
    host, port = settings.server.host, settings.server.port
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # named TCP: event loops switch Nagle's delay off for such sockets only, 40 ms an answer
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # accepted ones inherit it
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
        listening.listen(512)
    except OSError as error:
        listening.close()
        raise Misconfigured(
            f"cannot bind {host}:{port}: {error.strerror}", hint="Choose another --port."
        ) from error
    return listening


def url_of(listening: socket.socket) -> str:
    """Where to reach a bound socket from this machine."""
    host, port = listening.getsockname()[:2]
    shown = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)  # noqa: S104 - shown, not bound
    return f"http://{shown}:{port}"
