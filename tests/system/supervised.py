"""One `stanchion up`, as a test starts, asks and stops it."""

import contextlib
import os
import signal
import sys
from pathlib import Path

import httpx

from tests.processes import children_of, wait_until_ended
from tests.servers import ROOT, Process, free_port, wait_until

PROGRAMS = ("redis", "api", "worker", "beat", "flower")


class Up:
    """One `stanchion up` on a data folder and ports of its own."""

    def __init__(self, folder: Path, **settings: str) -> None:
        self.data = folder / "d"
        self.bind, self.flower = (f"127.0.0.1:{free_port()}" for _ in range(2))
        given = {
            "BIND": self.bind,
            "FLOWER_BIND": self.flower,
            "DATA": str(self.data),
            "TIMEZONE": "UTC",
            "EXIM": "off",  # whatever this machine has is no business of a test
            **settings,
        }
        self.environ = {
            **{name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ},
            "PYTHONPATH": str(ROOT),
            **{f"STANCHION_{name}": value for name, value in given.items()},
        }
        self._folder = folder
        self.process: Process

    def start(self, log: str = "log") -> Process:
        self.process = Process(
            [sys.executable, "-m", "api.cli", "up"],
            log_path=self._folder / log,
            environ=self.environ,
        )
        return self.process

    def start_ready(self, log: str = "log") -> Process:
        self.start(log)
        # Six programs start at once, on a machine that has other things to do.
        wait_until(self.all_run, "everything runs", process=self.process, timeout_s=90)
        wait_until(self.is_healthy, "the API answers", process=self.process, timeout_s=60)
        return self.process

    def stop_clean(self, number: signal.Signals) -> None:
        """Stop it with a signal, and see that nothing is left of it."""
        everybody = self.descendants()
        assert self.process.stop(number) == 0
        wait_until_ended(everybody)
        assert "killed" not in self.process.log()
        assert not (self.data / "redis.sock").exists()

    def is_healthy(self) -> bool:
        return httpx.get(f"http://{self.bind}/health").status_code == 200

    def all_run(self) -> bool:
        return set(self.children()) == set(PROGRAMS)

    def children(self) -> dict[str, int]:
        """Return the process id of each program by its name."""
        named = {}
        for pid in children_of(self.process.pid):
            with contextlib.suppress(OSError):
                words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
                # Redis says itself where it listens, in place of its arguments.
                named[words[4].decode() if b"api.cli" in words else "redis"] = pid
        return named

    def descendants(self) -> list[int]:
        children = children_of(self.process.pid)
        return children + [pid for child in children for pid in children_of(child)]

    def run(self, *arguments: str) -> tuple[int, str]:
        """Run another command with the same settings; return its exit code and what it said."""
        path = self._folder / "command.log"
        path.unlink(missing_ok=True)
        process = Process(
            [sys.executable, "-m", "api.cli", *arguments], log_path=path, environ=self.environ
        )
        return process.wait(30), process.log()
