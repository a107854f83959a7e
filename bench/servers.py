"""Servers to measure: on data of their own, and as durable as they come.

Built on those of the tests, which forget with a crash; here each waits for the disk.
"""

import contextlib
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx

from models import migrate
from tests.servers import ROOT, Process, RedisServer, System, free_port, wait_until


@contextlib.contextmanager
def service(
    folder: Path, database_url: str, redis_url: str, settings: Mapping[str, str]
) -> Iterator[System]:
    """Run the API on an empty database, as `stanchion api` does."""
    folder.mkdir()
    migrate.upgrade(database_url)
    with System(
        folder,
        database_url=database_url,
        redis_url=redis_url,
        processes=("api",),
        settings=settings,
    ) as system:
        yield system


@contextlib.contextmanager
def relay(
    folder: Path, redis_url: str, settings: Mapping[str, str]
) -> Iterator[tuple[Process, int]]:
    """Run a relay on an empty database, as `stanchion relay` does; yield it and its port."""
    folder.mkdir()
    database_url, port = f"sqlite:///{folder}/stanchion.db", free_port()
    migrate.upgrade(database_url)
    with System(
        folder,
        database_url=database_url,
        redis_url=redis_url,
        processes=(),
        settings={"RELAY_BIND": f"127.0.0.1:{port}", **settings},
    ) as system:
        process = system.start("relay")
        wait_until(lambda: _answers(port), "the relay answers", process=process)
        yield process, port


@contextlib.contextmanager
def asgi(
    folder: Path, application: str, settings: Mapping[str, str]
) -> Iterator[tuple[Process, int]]:
    """Run another ASGI application in the server's own worker class; yield it and its port."""
    port = free_port()
    command = [
        *(sys.executable, "-m", "gunicorn", "-k", "api.server.Worker", "--no-control-socket"),
        *("--bind", f"127.0.0.1:{port}", "--keep-alive", "75", "--worker-connections", "20000"),
        application,
    ]
    environ = {
        "PATH": "/usr/bin:/bin",
        "PYTHONPATH": str(ROOT),
        **{f"STANCHION_{name}": value for name, value in settings.items()},
    }
    process = Process(command, log_path=folder / "asgi.log", environ=environ)
    try:
        wait_until(lambda: _answers(port), f"{application} answers", process=process)
        yield process, port
    finally:
        process.stop()


def port_of(system: System) -> int:
    """Return the port a system's API listens on."""
    return int(system.url.rpartition(":")[2])


def _answers(port: int) -> Any:
    return httpx.get(f"http://127.0.0.1:{port}/").status_code


__all__ = ["RedisServer", "asgi", "port_of", "relay", "service"]
