"""Two mail hosts of one house: the second reaches the broker over TCP, and knows nothing else.

Each has an Exim, spool, logs and sink of its own; everything is on loopback.
"""

import os
import re
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import redis

from tests.mail.exim_server import EximServer, Sink
from tests.mail.mail_system import MailSystem
from tests.servers import ROOT, Process, RedisServer, free_port, wait_until

PASSWORD_OF_HOST = "a-password-of-mx2"
PAGE = (ROOT / "docs" / "mail-host.md").read_text()


def rights_of_page(host: str, password: str) -> list[str]:
    """Return the words by which the page lets a host use the broker."""
    [block] = re.findall(r"^```sh\nredis-cli (ACL SETUSER .*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    block = block.replace("\\\n", " ")
    return shlex.split(block.replace("mx2", host).replace("PASSWORD", password))


class RemoteHost:
    """A mail host elsewhere: an Exim, and `stanchion mail-watch` with the broker's address only."""

    def __init__(
        self, name: str, folder: Path, exim: EximServer, sink: Sink, broker_url: str
    ) -> None:
        self.name = name
        self.exim = exim
        self.sink = sink
        self.folder = folder
        self.data = folder / "data"
        self._broker_url = broker_url
        self.process: Process

    @property
    def environ(self) -> Mapping[str, str]:
        """Return all that it is told of the house."""
        return {
            **{name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ},
            "PYTHONPATH": str(ROOT),
            "HOME": str(self.folder),
            "STANCHION_BROKER_URL": self._broker_url,
            "STANCHION_EXIM": " ".join(self.exim.command),
            "STANCHION_DATA": str(self.data),
        }

    def start(self) -> None:
        """Run the one command that adds the host."""
        self.process = Process(
            [sys.executable, "-m", "api.cli", "mail-watch", "--host", self.name],
            log_path=self.folder / "mail-watch.log",
            environ=self.environ,
        )

    def stop(self) -> int:
        """End it as an operator does, and return the exit code."""
        return self.process.stop()


class HostPair(MailSystem):
    """A house with its own mail host `mx1`, and `mx2` elsewhere."""

    other: RemoteHost

    def hosts(self) -> dict[str, Any]:
        """Return the hosts that are known, by name."""
        answer = self.http.get("/api/v1/queue/hosts").json()
        return {each["name"]: each for each in answer["data"]["hosts"]}

    def wait_alive(self, *names: str) -> None:
        """Wait until these hosts show life and have told all that they have."""
        for name in names:
            wait_until(
                lambda name=name: self.hosts()[name]["alive"] and self.hosts()[name]["complete"],  # type: ignore[misc]
                f"{name} lives",
                process=self.other.process if name == self.other.name else None,
            )

    def pairs(self, **query: Any) -> set[tuple[str, str]]:
        """Return host and id of what a list has."""
        messages = self.listed(per_page=100, **query)["data"]["messages"]
        return {(each["host"], each["id"]) for each in messages}


def open_tcp(server: RedisServer) -> int:
    """Let a Redis of tests listen on a port of loopback too, and return that."""
    port = free_port()
    server.configure("bind", "127.0.0.1")
    server.configure("port", str(port))
    return port


def admit(server: RedisServer, host: str) -> None:
    """Make a user of the broker for a mail host, as the page says."""
    with redis.Redis.from_url(server.url) as client:
        client.execute_command(*rights_of_page(host, PASSWORD_OF_HOST))
