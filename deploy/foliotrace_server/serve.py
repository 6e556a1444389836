"""`foliotrace serve`: runs the application on a socket until SIGINT or SIGTERM."""

import asyncio
import ctypes
import gc
import os
import signal
import socket
import ssl
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from hashlib import sha256
from types import FrameType
from typing import Final
from uuid import uuid4

import structlog
import uvicorn
from starlette.types import ASGIApp
from structlog.typing import EventDict, Processor, WrappedLogger

from foliotrace.adapters.local.files.lease import WriterLease
from foliotrace.adapters.local.files.permissions import private_files
from foliotrace.errors import AuditUnavailable, FoliotraceError, Misconfigured
from foliotrace.ports import AuditEntry
from foliotrace_otel.setup.logging import LogRedaction
from foliotrace_server.app import build_app
from foliotrace_server.compose import compose
from foliotrace_server.engine import Engine
from foliotrace_server.http.connection_limits import ConnectionLimits, limited_protocol
from foliotrace_server.http.http_guard import HttpGuard, is_loopback
from foliotrace_server.http.identity import Authentication
from foliotrace_server.logging import CHECKPOINT, set_up_logging
from foliotrace_server.observing.audit_commands import operator
from foliotrace_server.sections import ServerSettings
from foliotrace_server.settings import Settings

_log = structlog.get_logger(__name__)
_NEW_OBJECTS_PER_COLLECTION: Final = 10_000  # a question leaves about 300 that outlive a moment
_MALLOPT: Final = {  # of glibc's malloc.h: the parameter's number and its value, by its variable
    "MALLOC_ARENA_MAX": (-8, 2),
    "MALLOC_MMAP_THRESHOLD_": (-3, 1_000_000),  # bytes; the keyword index writes in pages of 1 MiB
}


def serve(settings: Settings, reread: Callable[[], Settings] | None = None) -> None:
    """Serve until SIGINT or SIGTERM, then return. `reread` reads the settings again on SIGHUP.

    Raises Misconfigured, Conflict `data_folder_locked`, LibraryUnavailable.
    """
    require_loopback(settings)
    limit_allocator()
    with private_files(), _ignored_hangup():
        _serve(settings, reread or (lambda: settings))


def _serve(settings: Settings, reread: Callable[[], Settings]) -> None:
    lease = WriterLease.acquire(settings.data_dir)
    gc.disable()  # nothing that is allocated during start-up becomes garbage
    try:
        listening = bind(settings)
        url = url_of(listening, tls=settings.server.tls_certificate is not None)
        lease.announce(url)  # it listens: a command that comes now waits for the answer
        with suppress(OSError):  # standard output may be closed
            sys.stdout.write(f"Listening on {url} - API documentation at {url}/docs\n")
            sys.stdout.flush()
        engine = compose(settings, serving=True)
        set_up_logging(settings.log.level, settings.log.format, redact=_redaction(engine))
        app = build_app(engine)
        config = server_config(app, settings.server)
        _log.info("server.starting", url=url, data_dir=str(settings.data_dir))
        server = _Server(config, Reload(settings, reread, engine, app, config), engine)
        with (
            _graceful_signals(server),
            asyncio.Runner(loop_factory=config.get_loop_factory()) as runner,
        ):
            runner.run(server.serve(sockets=[listening]))
    finally:
        gc.enable()
        lease.release()


class Reload:
    """What SIGHUP does: reads keys, log level, prices, lexicon and TLS certificates again.

    All or nothing: settings or files with a mistake are logged, and the ones in use stay.
    """

    def __init__(
        self,
        settings: Settings,
        reread: Callable[[], Settings],
        engine: Engine,
        app: HttpGuard,
        config: uvicorn.Config,
    ) -> None:
        self._settings = settings
        self._reread, self._engine, self._app, self._config = reread, engine, app, config

    def __call__(self) -> None:
        """Reload; nothing that runs is disturbed."""
        before = self._settings
        try:
            now = self._reread()
            check_certificate(now.server)
            self._engine.assembly.reload(now)
        except (FoliotraceError, OSError) as error:
            code = error.error_code if isinstance(error, FoliotraceError) else type(error).__name__
            _log.error("server.reload_failed", code=code, reason=str(error))
            return
        if self._config.ssl is not None and now.server.tls_certificate is not None:
            self._config.ssl.load_cert_chain(now.server.tls_certificate, now.server.tls_key)
        self._app.authentication.reload()
        set_up_logging(now.log.level, now.log.format, redact=_redaction(self._engine))
        followed = {"log": now.log, "budget": before.budget.model_copy(update=_prices_of(now))}
        self._settings = before.model_copy(update=followed)
        waiting = sorted(
            name
            for name in Settings.model_fields
            if getattr(now, name) != getattr(self._settings, name)
        )
        _log.info("server.reloaded", needs_restart=waiting)
        with suppress(RuntimeError):  # no loop: called by a test of the reload alone
            loop = asyncio.get_running_loop()
            self._recording = loop.create_task(
                record_operation(self._engine, "settings.reload", now)
            )


def _prices_of(settings: Settings) -> dict[str, object]:
    return {"prices": settings.budget.prices}


def check_certificate(server: ServerSettings) -> None:
    """Raise Misconfigured if the TLS files cannot be used together."""
    if server.tls_certificate is None:
        return
    try:
        ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(
            server.tls_certificate, server.tls_key
        )
    except OSError as error:  # also ssl.SSLError
        raise Misconfigured(
            f"server.tls_certificate cannot be used: {error.strerror or type(error).__name__}",
            hint="Name PEM files of a certificate and of its own key.",
        ) from error


def server_config(app: ASGIApp, server: ServerSettings) -> uvicorn.Config:
    """Uvicorn as `foliotrace serve` runs it, with the limits of connections and headers.

    Raises Misconfigured.
    """
    check_certificate(server)
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
        ssl_certfile=server.tls_certificate,
        ssl_keyfile=server.tls_key,
    )


class _Server(uvicorn.Server):
    """Excludes the objects of start-up from garbage collection.

    Modules and services are over 100,000 objects that live until the process ends; scanning them
    took 15 % of a question's CPU, in pauses of a quarter of a second.
    """

    def __init__(
        self, config: uvicorn.Config, on_hangup: Callable[[], None], engine: Engine
    ) -> None:
        super().__init__(config)
        self._on_hangup = on_hangup
        self._engine = engine

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        # in the loop, not in a signal handler: the log's lock may be held by what is interrupted
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, self._on_hangup)
        await record_operation(self._engine, "service.start", self._engine.settings)
        gc.freeze()
        gc.set_threshold(_NEW_OBJECTS_PER_COLLECTION, *gc.get_threshold()[1:])
        gc.enable()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await record_operation(self._engine, "service.stop", self._engine.settings)
        await super().shutdown(sockets)


async def record_operation(engine: Engine, action: str, settings: Settings) -> None:
    """Write an audit record of what was done to the service, with the hash of its settings."""
    used = sha256(settings.model_dump_json().encode()).hexdigest()[:16]
    entry = AuditEntry(
        event="admin_completed",
        run_id=f"op_{uuid4().hex}",
        tenant="",
        user_id=operator(),
        success=True,
        action=f"{action} settings:{used}",
    )
    try:
        await engine.assembly.ingest.audit.append(entry)
    except AuditUnavailable as error:
        _log.error("audit.operation_not_recorded", action=action, code=error.error_code)


def limit_allocator() -> None:
    """Have glibc return freed memory; what its environment variables say stays.

    By default each of many threads gets an arena, and all of them keep the fragments of what the
    keyword index writes: 60 to 100 MB and growing. Other C libraries have no such parameters.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    for variable, (parameter, value) in _MALLOPT.items():
        if mallopt is not None and variable not in os.environ:  # noqa: TID251 - glibc's own, no setting
            mallopt(parameter, value)


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


def _redaction(engine: Engine) -> Processor | None:
    """Redacts the log with the tokens of spans, so that both can be searched for one value."""
    observability = engine.assembly.observability
    if observability is None:
        return None
    redact = LogRedaction(observability.redactor)

    def process(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
        """Redact an event, unless it is a checkpoint: a changed byte would break its signature."""
        return event if event.get("event") == CHECKPOINT else redact(logger, method, event)

    return process


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


def url_of(listening: socket.socket, *, tls: bool = False) -> str:
    """The URL of a bound socket, as seen from this machine."""
    host, port = listening.getsockname()[:2]
    loopback = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}  # noqa: S104 - replaced, not bound
    scheme = "https" if tls else "http"
    return f"{scheme}://{loopback.get(host, f'[{host}]' if ':' in host else host)}:{port}"
