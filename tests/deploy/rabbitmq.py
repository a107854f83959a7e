"""A RabbitMQ node of a test's own: on free ports of loopback, in its own folder, as no root."""

import os
import pwd
import subprocess
from pathlib import Path
from typing import Self

from kombu import Connection

from tests.servers import Process, free_port, wait_until

# Debian's own command insists on its user and its folders; this is what it calls.
_PROGRAM = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
_USER = "rabbitmq"


class RabbitmqServer:
    """A node that starts with nothing and keeps its queues from one start to the next."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._user = _USER if os.geteuid() == 0 else None
        self._port, epmd_port = free_port(), free_port()
        self.url = f"amqp://guest:guest@127.0.0.1:{self._port}//"
        self._epmd: Process
        self.process: Process
        self._environ = {
            "PATH": f"{os.environ['PATH']}:/usr/sbin:/usr/bin:/bin",
            "HOME": str(folder),  # where its cookie lies
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "ERL_EPMD_PORT": str(epmd_port),
            "RABBITMQ_CONFIG_FILE": f"{folder}/none",
            "RABBITMQ_CONF_ENV_FILE": "/dev/null",
            "RABBITMQ_DIST_PORT": str(free_port()),
            "RABBITMQ_ENABLED_PLUGINS_FILE": f"{folder}/plugins",
            "RABBITMQ_LOGS": "-",
            "RABBITMQ_LOG_BASE": f"{folder}/log.d",
            "RABBITMQ_MNESIA_BASE": f"{folder}/data",
            "RABBITMQ_NODENAME": f"test{self._port}@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(self._port),
            "RABBITMQ_PID_FILE": f"{folder}/pid",
        }

    @staticmethod
    def is_installed() -> bool:
        """Say whether Debian's package is there, and who may run it."""
        return _PROGRAM.exists() and (os.geteuid() != 0 or _has_user())

    def start(self) -> None:
        """Start it, after a `stop` or `kill` on the same data and address; takes some 7 s."""
        self.process = self._run(str(_PROGRAM), "log")
        wait_until(self.answers, "rabbitmq answers", process=self.process, timeout_s=60)

    def answers(self) -> bool:
        """Say whether it takes connections."""
        with Connection(self.url, connect_timeout=2) as connection:
            connection.ensure_connection(max_retries=1, timeout=2)
        return True

    def control(self, *arguments: str) -> None:
        """Run one command of rabbitmqctl on the node."""
        entry = pwd.getpwnam(self._user) if self._user else None
        identity = {"user": entry.pw_uid, "group": entry.pw_gid} if entry else {}
        subprocess.run(
            [
                f"{_PROGRAM.parent}/rabbitmqctl",
                "-n",
                self._environ["RABBITMQ_NODENAME"],
                *arguments,
            ],
            env=self._environ,
            cwd=self._folder,
            check=True,
            capture_output=True,
            **identity,  # type: ignore[call-overload]
        )

    def url_of(self, user: str, password: str) -> str:
        """Return the address for a user."""
        return f"amqp://{user}:{password}@127.0.0.1:{self._port}//"

    def __enter__(self) -> Self:
        if self._user:
            entry = pwd.getpwnam(self._user)
            os.chown(self._folder, entry.pw_uid, entry.pw_gid)
        # Else the node starts one that outlives it.
        self._epmd = self._run("epmd", "epmd.log")
        self.start()
        return self

    def __exit__(self, *_exc_info: object) -> None:
        self.process.kill()
        self._epmd.kill()

    def _run(self, program: str, log: str) -> Process:
        return Process(
            [program], log_path=self._folder / log, environ=self._environ, user=self._user
        )


def _has_user() -> bool:
    return _USER in {entry.pw_name for entry in pwd.getpwall()}
