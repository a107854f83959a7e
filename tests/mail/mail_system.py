"""The processes of the product on one machine, with an Exim to look after, over HTTP."""

import contextlib
from collections.abc import Iterator
from typing import Any

import httpx
from sqlalchemy import func, select, update

from models.database import Database
from models.mail.tables import host as host_table
from models.mail.tables import sample as sample_table
from tests.mail.exim_server import EximServer, Sink
from tests.servers import System, wait_until

PASSWORD = "correct horse"


class MailSystem:
    """The processes of the product on one machine, with an Exim to look after."""

    def __init__(self, system: System, exim: EximServer, sink: Sink) -> None:
        self.sink = sink
        self.system = system
        self.exim = exim
        self.http = httpx.Client(base_url=system.url, timeout=20)
        login = {"username": "admin", "password": PASSWORD}
        self.http.post("/api/v1/auth/login", json=login).raise_for_status()

    @contextlib.contextmanager
    def as_user(self, role: str) -> Iterator[httpx.Client]:
        """Open a client that is logged in as a user of a role."""
        name = {"username": role, "password": PASSWORD}
        self.http.post("/api/v1/auth/users", json={**name, "role": role})
        with httpx.Client(base_url=self.system.url, timeout=20) as client:
            client.post("/api/v1/auth/login", json=name).raise_for_status()
            yield client

    def listed(self, **query: Any) -> dict[str, Any]:
        answer = self.http.get("/api/v1/queue", params=query)
        assert answer.status_code == 200, answer.text
        body = answer.json()
        assert body["success"] is True
        return dict(body)

    def ids(self, **query: Any) -> list[str]:
        return [each["id"] for each in self.listed(**query)["data"]["messages"]]

    def is_alive(self) -> bool:
        """Say whether the one host shows life."""
        [host] = self.http.get("/api/v1/queue/hosts").json()["data"]["hosts"]
        return bool(host["alive"])

    def let_be_silent(self) -> None:
        """Let the one host have been silent for long."""
        database = Database(self.system.database_url, connections_max=4, timeout_s=10)
        with database.begin() as connection:
            connection.execute(update(host_table).values(seen_at_ms=1))
        database.close()
        assert not self.is_alive()

    def let_samples_lie_apart(self, *, minutes: int) -> None:
        """Let the first of the kept samples be that much older."""
        database = Database(self.system.database_url, connections_max=4, timeout_s=10)
        at_ms = sample_table.c.at_ms
        first = select(func.min(at_ms)).scalar_subquery()
        with database.begin() as connection:
            older = update(sample_table).where(at_ms == first)
            connection.execute(older.values(at_ms=at_ms - minutes * 60_000))
        database.close()

    def wait_for(self, *message_ids: str) -> None:
        """Wait until the list has these messages and no others."""
        wait_until(lambda: set(self.ids(per_page=100)) == set(message_ids), "the list is current")
