"""PostgreSQL as Debian ships it, on data of a test's own."""

import contextlib
import os
import pwd
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar, Self

import psycopg

from tests.processes import children_of, wait_until_ended
from tests.servers import Process, wait_until


class PostgresqlServer:
    """A PostgreSQL cluster on a unix socket that forgets with a crash.

    It refuses root, so as root it runs as somebody else.
    """

    SETTINGS: ClassVar = (
        *("shared_buffers=32MB", "fsync=off", "synchronous_commit=off"),
        *("full_page_writes=off", "autovacuum=off"),
    )

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._user = _unprivileged_user() if os.geteuid() == 0 else None
        self._process: Process

    @staticmethod
    def program(name: str) -> str | None:
        """Return the path of one of its programs, None when it is not installed."""
        installed = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), reverse=True)
        return shutil.which(name) or next((str(path) for path in installed), None)

    def url(self, name: str) -> str:
        """Return the address of a database."""
        return f"postgresql://stanchion@/{name}?host={self.folder}"

    def create_database(self, name: str, template: str = "template1") -> str:
        """Create a database as a copy of another, some 15 ms, and return its address."""
        self.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}" STRATEGY file_copy')
        return self.url(name)

    def execute(self, statement: str) -> None:
        """Run one statement outside of a transaction."""
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(statement)

    def __enter__(self) -> Self:
        self._create_cluster()
        self.start()
        return self

    def start(self) -> None:
        """Start it, after a `kill` on the same data and address."""
        settings = ("listen_addresses=", "max_connections=120", *self.SETTINGS)
        self._process = Process(
            [
                str(self.program("postgres")),
                *("-D", f"{self.folder}/data", "-k", str(self.folder)),
                *(part for setting in settings for part in ("-c", setting)),
            ],
            log_path=self.folder / "log",
            user=self._user,
        )
        wait_until(
            lambda: self.execute("SELECT 1") or True, "postgresql answers", process=self._process
        )

    @property
    def pid(self) -> int:
        """Return the id of the process that all others descend from."""
        return self._process.pid

    def kill(self) -> None:
        """End all of its processes at once, as a crash would."""
        everybody = self._send_everybody(signal.SIGKILL)
        self._process.wait()
        wait_until_ended(everybody)

    @contextlib.contextmanager
    def frozen(self) -> Iterator[None]:
        """Keep it from running, without ending it."""
        self._send_everybody(signal.SIGSTOP)
        try:
            yield
        finally:
            self._send_everybody(signal.SIGCONT)

    def _send_everybody(self, number: signal.Signals) -> list[int]:
        everybody = [self.pid, *children_of(self.pid)]
        for pid in everybody:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
        return everybody

    def stop(self) -> None:
        """End it; nothing is listening afterwards."""
        self._process.stop(signal.SIGINT)  # its "fast": it does not wait for clients

    def __exit__(self, *_exc_info: object) -> None:
        self.stop()

    def _create_cluster(self) -> None:
        identity: dict[str, Any] = {}
        if self._user:
            entry = pwd.getpwnam(self._user)
            identity = {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
            os.chown(self.folder, entry.pw_uid, entry.pw_gid)
        subprocess.run(
            [
                str(self.program("initdb")),
                *("-D", f"{self.folder}/data", "-U", "stanchion", "--auth=trust", "--no-sync"),
                *("--encoding=UTF8", "--locale=C.UTF-8", "--no-instructions"),
            ],
            check=True,
            stdout=subprocess.DEVNULL,
            cwd=self.folder,
            env={"PATH": os.environ["PATH"], "HOME": str(self.folder)},
            **identity,
        )


class DurablePostgresqlServer(PostgresqlServer):
    """PostgreSQL as it is installed: it waits for the disk, and vacuums."""

    SETTINGS: ClassVar = ()


def _unprivileged_user() -> str:
    names = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in names else "nobody"
