"""gunicorn with a worker of ours: uvicorn's server, which drains before it stops.

At SIGTERM the application is told first, so long polls answer, event streams end and sockets
close; then uvicorn shuts down and the application's own shutdown runs, whatever is still open.
docs/adr says why this and not gunicorn's native ASGI worker.
"""

import asyncio
import gc
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from types import FrameType
from typing import Any, Final, NoReturn

from gunicorn.app.base import BaseApplication
from gunicorn.arbiter import Arbiter
from gunicorn.glogging import Logger
from gunicorn.sock import close_sockets
from gunicorn.util import import_app
from gunicorn.workers.base import Worker as GunicornWorker
from uvicorn import Config, Server
from uvicorn_worker import UvicornWorker

from api.http.protocol import PatientProtocol
from api.live.wire import Wire
from models.settings import Settings

# The largest that STANCHION_SOCKET_MESSAGE_BYTES_MAX may be.
_WEBSOCKET_MESSAGE_BYTES_MAX: Final = 65_536
# A peer that vanished without a word is noticed after idle + interval * count seconds.
_KEEPALIVE: Final = {"IDLE": 30, "INTVL": 10, "CNT": 3}
# How many new objects start a collection; Python's own 700 costs a service under load 5 %.
_GARBAGE_THRESHOLDS: Final = (10_000, 20, 50)


def serve(settings: Settings, *, bind: tuple[str, ...], workers: int, stop_timeout_s: int) -> None:
    """Serve `api.asgi:app` on `bind` until a signal says stop; exits the process.

    After `stop_timeout_s` whatever still runs is killed. Logging must be set up; with more than
    one worker PROMETHEUS_MULTIPROC_DIR must be set.
    """
    options = gunicorn_options(settings, bind=bind, workers=workers, stop_timeout_s=stop_timeout_s)
    try:
        _Application(options).run()
    except SystemExit as ended:  # of the master, and of each worker, which is forked within
        _leave(ended.code)


def _leave(code: object) -> NoReturn:
    """End the process; Python would take half a second to take everything apart, for nobody."""
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code if isinstance(code, int) else bool(code))


def gunicorn_options(
    settings: Settings, *, bind: tuple[str, ...], workers: int, stop_timeout_s: int
) -> dict[str, object]:
    """Return what differs from gunicorn's defaults."""
    return {
        "bind": list(bind),
        "workers": workers,
        "worker_class": Worker,
        "logger_class": _Log,
        "child_exit": _forget_metrics if workers > 1 else lambda _server, _worker: None,
        "backlog": 2048,
        "timeout": 30,
        "graceful_timeout": stop_timeout_s,
        "keepalive": settings.keep_alive_s,
        "worker_connections": settings.connections_max,
        # Its socket would lie in the home folder, the same for every instance.
        "control_socket_disable": True,
        # The middleware reads forwarding headers, by STANCHION_TRUSTED_PROXIES.
        "forwarded_allow_ips": "",
    }


class _Application(BaseApplication):
    """gunicorn without its command line, its configuration file and its variables."""

    def __init__(self, options: dict[str, object]) -> None:
        self._options = options
        super().__init__()

    def load_config(self) -> None:
        for name, value in self._options.items():
            self.cfg.set(name, value)

    def load(self) -> Any:
        return import_app("api.asgi:app")

    def run(self) -> None:
        _Arbiter(self).run()


class _Arbiter(Arbiter):
    """gunicorn's master, which leaves with its last worker and not 200 ms later."""

    LISTENERS: list[Any]

    def stop(self, graceful: bool = True) -> None:  # noqa: FBT001, FBT002  # gunicorn's own
        """Let the workers stop, for as long as they may take, then kill what is left."""
        close_sockets(self.LISTENERS, unlink=True)
        self.LISTENERS = []
        self.kill_workers(signal.SIGTERM if graceful else signal.SIGQUIT)
        deadline_s = time.monotonic() + self.cfg.graceful_timeout
        while self.WORKERS and (left_s := deadline_s - time.monotonic()) > 0:
            # The end of a worker is a signal too; being told again changes nothing.
            self.wait_for_signals(timeout=left_s)
            self.reap_workers()
        self.kill_workers(signal.SIGKILL)
        self.reap_workers()


class _Log(Logger):
    """gunicorn's words, in the form of everybody else's."""

    def setup(self, cfg: Any) -> None:
        self.cfg = cfg
        self._access_log_enabled = False
        for logger in (self.error_log, self.access_log):
            logger.handlers.clear()
            logger.propagate = True


class Worker(UvicornWorker):
    """One process of the API: httptools, uvloop, WebSockets with pings, no access log."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        # Read by the constructor, before which nothing of the configuration is known.
        cfg = args[5]
        self.CONFIG_KWARGS = {
            "loop": "uvloop",
            "http": PatientProtocol,
            "ws": Wire,
            # It doubles the memory of a connection and the CPU of a delivery.
            "ws_per_message_deflate": False,
            "ws_max_size": _WEBSOCKET_MESSAGE_BYTES_MAX,
            "ws_ping_interval": 20.0,
            "ws_ping_timeout": 20.0,
            "lifespan": "on",
            "access_log": False,
            "server_header": False,
            "proxy_headers": False,
            "limit_concurrency": cfg.worker_connections,
            # A second is left for the application's shutdown before gunicorn kills.
            "timeout_graceful_shutdown": max(1, cfg.graceful_timeout - 1),
            "timeout_notify": 1,
        }
        super().__init__(*args, **kwargs)
        log = logging.getLogger("uvicorn.error")
        log.propagate = True
        log.setLevel(logging.WARNING)  # gunicorn tells of starts and stops already

    def init_process(self) -> None:
        """Run the worker; returns when it has stopped."""
        for listener in self.sockets:
            _notice_vanished_peers(listener.sock)
        super().init_process()

    async def callback_notify(self) -> None:
        """Tell gunicorn that the loop turns; without gunicorn stop, or the port stays taken."""
        self.notify()
        if os.getppid() != self.ppid:
            os.kill(os.getpid(), signal.SIGTERM)

    async def _serve(self) -> None:
        self.config.app = self.wsgi
        server = _DrainingServer(self.config, self.wsgi.drain)
        # gunicorn says SIGQUIT for a quick stop; draining is quick.
        asyncio.get_running_loop().add_signal_handler(
            signal.SIGQUIT, server.handle_exit, signal.SIGQUIT, None
        )
        # Python's sockets beneath gunicorn's, which complain when closed twice.
        await server.serve(sockets=[listener.sock for listener in self.sockets])
        if not server.started:
            raise SystemExit(Arbiter.WORKER_BOOT_ERROR)


class _DrainingServer(Server):
    """uvicorn's server that tells the application before it closes connections."""

    def __init__(self, config: Config, drain: Callable[[], None]) -> None:
        super().__init__(config)
        self._drain = drain

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        # What is here now stays: no collection shall look at it again.
        gc.collect()
        gc.freeze()
        gc.set_threshold(*_GARBAGE_THRESHOLDS)
        self._loop = asyncio.get_running_loop()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002  # a handler
        """Begin to stop; runs inside a signal, so the work is left to the loop."""
        if self.started and not self.should_exit:
            # The next tick, up to 100 ms later, sees should_exit: this comes first.
            self._loop.call_soon_threadsafe(self._let_go)
        self.should_exit = True

    def _let_go(self) -> None:
        """Tell connections first: whoever is answered now hears that it was the last answer."""
        for connection in list(self.server_state.connections):
            if isinstance(connection, PatientProtocol):
                connection.shutdown()
        self._drain()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop; who connected before the listeners closed is served."""
        for listener in sockets or []:
            await self._accept_all(listener)
        for server in self.servers:
            server.close()
        # Whom the loop took in by itself in this turn is made known in the next.
        await asyncio.sleep(0)
        await super().shutdown(sockets)

    async def _accept_all(self, listener: socket.socket) -> None:
        """Take in who waits at a listener; the kernel would reset them when it closes."""
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:  # BlockingIOError: there are no more
                return
            connection.settimeout(0)
            await self._loop.connect_accepted_socket(self._new_protocol, connection)

    def _new_protocol(self) -> PatientProtocol:
        return PatientProtocol(self.config, self.server_state, self.lifespan.state)

    async def on_tick(self, counter: int) -> bool:
        """Do uvicorn's round, ten a second, and once a second look for requests that stall."""
        if counter % 10 == 0:
            PatientProtocol.close_stalled(asyncio.get_running_loop().time())
        return await super().on_tick(counter)


def _notice_vanished_peers(listener: socket.socket) -> None:
    """Let the kernel probe silent connections; accepted ones inherit it from the listener."""
    if listener.family not in (socket.AF_INET, socket.AF_INET6):
        return
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _KEEPALIVE.items():
        option = getattr(socket, f"TCP_KEEP{name}", None)
        if option is not None:
            listener.setsockopt(socket.IPPROTO_TCP, option, value)


def _forget_metrics(_server: Arbiter, worker: GunicornWorker) -> None:
    """Drop the gauges of a worker that is gone; counters stay."""
    # The import decides by PROMETHEUS_MULTIPROC_DIR where values live, so it comes late.
    from prometheus_client import multiprocess  # noqa: PLC0415

    multiprocess.mark_process_dead(worker.pid)  # type: ignore[no-untyped-call]  # has no types
