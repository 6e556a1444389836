"""`foliotrace serve`: runs the application on a socket until SIGINT or SIGTERM."""

import asyncio
import gc
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Final

import structlog
import uvicorn
from starlette.types import ASGIApp
from structlog.typing import EventDict, WrappedLogger

from foliotrace.adapters.local.files.lease import WriterLease
from foliotrace.adapters.local.files.permissions import private_files
from foliotrace.errors import Misconfigured
from foliotrace_otel.setup.logging import LogRedaction
from foliotrace_server.app import build_app
from foliotrace_server.compose import compose
from foliotrace_server.engine import Engine
from foliotrace_server.http.connection_limits import ConnectionLimits, limited_protocol
from foliotrace_server.http.http_guard import is_loopback
from foliotrace_server.http.identity import Authentication
from foliotrace_server.logging import CHECKPOINT, set_up_logging
from foliotrace_server.sections import ServerSettings
from foliotrace_server.settings import Settings

_log = structlog.get_logger(__name__)
_NEW_OBJECTS_PER_COLLECTION: Final = 10_000  # a question leaves about 300 that outlive a moment


def serve(settings: Settings) -> None:
    """Serve until SIGINT or SIGTERM, then return.

    Raises Misconfigured, Conflict `data_folder_locked`, LibraryUnavailable.
    """
    require_loopback(settings)
    with private_files(), _ignored_hangup():
        _serve(settings)


def _serve(settings: Settings) -> None:
    lease = WriterLease.acquire(settings.data_dir)
    gc.disable()  # nothing that is allocated during start-up becomes garbage
    try:
        listening = bind(settings)
        url = url_of(listening)
        with suppress(OSError):  # standard output may be closed
            sys.stdout.write(f"Listening on {url} - API documentation at {url}/docs\n")
            sys.stdout.flush()
        engine = compose(settings, serving=True)
        _redact_log(settings, engine)
        config = server_config(build_app(engine), settings.server)
        lease.announce(url)
        _log.info("server.starting", url=url, data_dir=str(settings.data_dir))
        server = _Server(config)
        with (
            _graceful_signals(server),
            asyncio.Runner(loop_factory=config.get_loop_factory()) as runner,
        ):
            runner.run(server.serve(sockets=[listening]))
    finally:
        gc.enable()
        lease.release()


def server_config(app: ASGIApp, server: ServerSettings) -> uvicorn.Config:
    """Uvicorn as `foliotrace serve` runs it, with the limits of connections and headers."""
    limits = ConnectionLimits(
        header_bytes=server.max_header_bytes,
        header_s=server.slow_header_s,
        connections=server.max_connections,
    )
    return uvicorn.Config(
        app,
        http=limited_protocol(limits),
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=True,
        timeout_keep_alive=30,
        timeout_graceful_shutdown=max(1, round(server.shutdown_grace_s)),
        proxy_headers=False,
    )


class _Server(uvicorn.Server):
    """Excludes the objects of start-up from garbage collection.

    Modules and services are over 100,000 objects that live until the process ends; scanning them
    took 15 % of a question's CPU, in pauses of a quarter of a second.
    """

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        # in the loop, not in a signal handler: the log's lock may be held by what is interrupted
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, _on_hangup)
        gc.freeze()
        gc.set_threshold(_NEW_OBJECTS_PER_COLLECTION, *gc.get_threshold()[1:])
        gc.enable()


def _on_hangup() -> None:
    _log.warning("server.hangup_ignored", hint="Settings are read at the start; restart to apply.")


@contextmanager
def _ignored_hangup() -> Iterator[None]:
    """Keep the end of a terminal session, or an operator's `kill -HUP`, from killing the server."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGHUP, before)


@contextmanager
def _graceful_signals(server: uvicorn.Server) -> Iterator[None]:
    """Make a graceful stop exit with 0: uvicorn raises the signal again after it has stopped.

    A signal that arrives before the server handles signals itself ends the process at once.
    """

    def on_signal(number: int, frame: FrameType | None) -> None:
        if not server.started:
            raise SystemExit(128 + number)

    before = {each: signal.signal(each, on_signal) for each in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


def _redact_log(settings: Settings, engine: Engine) -> None:
    """Redact the log with the same tokens as spans, so that both can be searched for one value."""
    observability = engine.assembly.observability
    if observability is None:
        return
    redact = LogRedaction(observability.redactor)

    def process(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
        """Redact an event, unless it is a checkpoint: a changed byte would break its signature."""
        return event if event.get("event") == CHECKPOINT else redact(logger, method, event)

    set_up_logging(settings.log.level, settings.log.format, redact=process)


def require_loopback(settings: Settings) -> None:
    """Raise Misconfigured for an address others can reach without a key, unless that is allowed."""
    if is_loopback(settings.server.host) or settings.server.allow_remote:
        return
    if not Authentication.of(settings).required:
        raise Misconfigured(
            f"{settings.server.host} is reachable from other machines, without authentication",
            hint="Make an API key first: `foliotrace keys create`. Behind a proxy that "
            "authenticates, set FOLIOTRACE_SERVER__ALLOW_REMOTE=true instead.",
        )


def bind(settings: Settings) -> socket.socket:
    """A listening socket. Raises Misconfigured if the address is taken or not of this machine."""
    host, port = settings.server.host, settings.server.port
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # IPPROTO_TCP must be named: event loops disable Nagle's delay (40 ms an answer) only then
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # inherited by connections
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
    """The URL of a bound socket, as seen from this machine."""
    host, port = listening.getsockname()[:2]
    loopback = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}  # noqa: S104 - replaced, not bound
    return f"http://{loopback.get(host, f'[{host}]' if ':' in host else host)}:{port}"
