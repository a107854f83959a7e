"""Tickets in this process, on both databases, and an API that a module shares."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from models import migrate
from models.audit import Actor
from models.database import Database
from models.people.tables import user
from models.tickets.acting import Acting
from models.tickets.desks import Desk
from models.tickets.hall_service import HallService
from models.tickets.kiosk import Issued
from models.tickets.moves import Moved
from models.tickets.rules import Branch, Counter, Move, NewTicket, Priority, Staff, Status
from models.tickets.service import TicketService
from models.tickets.turnstile import Entry, Turnstile
from tests.people.conftest import ADMIN_KEY, ADMIN_PASSWORD, SECRET_KEY, token_of
from tests.servers import RedisServer, System

PASSWORD = "a password of the tests"
# A Wednesday, 09:30 in Ho Chi Minh City.
NOW_MS = 1_752_633_000_000
MINUTE_MS = 60_000


def acting(counter_id: int | None = None, *, is_bound: bool = False) -> Acting:
    """Return somebody who acts: a supervisor, or an officer of a counter."""
    staff = Staff(
        user_id=5,
        username="officer01",
        full_name="Nguyễn Văn A",
        counter_id=counter_id,
        is_bound=is_bound,
    )
    return Acting(staff=staff, actor=Actor(kind="test", name="officer01"))


SUPERVISOR = acting()


class House:
    """Tickets with a clock that stands still until a test moves it."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.now_ms = NOW_MS
        self.told: list[Entry] = []
        self.turnstile = Turnstile(database, tell=self.told.append)
        self.service = TicketService(database, self.turnstile)
        self.hall = HallService(database, self.turnstile, timezone="Asia/Ho_Chi_Minh")

    def move_clock(self, minutes: float) -> None:
        self.now_ms += round(minutes * MINUTE_MS)

    def events(self, name: str | None = None) -> list[dict[str, Any]]:
        """Return what displays were told so far, in order."""
        return [
            dict(event.data)
            for entry in self.told
            for event in entry.events
            if name in {None, event.name}
        ]

    async def branch(self, **values: Any) -> Branch:
        row = {"name": f"Hall {len(await self.hall.branches()) + 1}", **values}
        return await self.hall.add_branch(row, SUPERVISOR, now_ms=self.now_ms)

    async def counter(
        self, name: str = "Quầy Tư pháp", *, branch_id: int | None = None, **values: Any
    ) -> Counter:
        return await self.hall.add_counter(
            {"name": name, **values}, SUPERVISOR, branch_id=branch_id, now_ms=self.now_ms
        )

    async def take(
        self, counter_id: int | None, priority: Priority = Priority.NORMAL, **values: Any
    ) -> Issued:
        new = NewTicket(counter_id=counter_id, priority=priority, **values)
        return await self.service.issue(new, now_ms=self.now_ms)

    async def set(self, ticket_id: int, status: Status, **values: Any) -> Moved:
        move = Move(status=status, **values)
        return await self.service.move(ticket_id, move, SUPERVISOR, now_ms=self.now_ms)

    async def next(self, counter_id: int) -> Moved:
        return await self.service.call_next(counter_id, SUPERVISOR, now_ms=self.now_ms)

    async def desk(self, counter_id: int) -> Desk:
        hall = await self.service.hall(now_ms=self.now_ms)
        [desk] = [each for each in hall.desks if each.counter.id == counter_id]
        return desk

    async def line(self, counter_id: int) -> list[int]:
        """Return the numbers that wait at a counter, in the order in which they are called."""
        return [each.number for each in (await self.desk(counter_id)).line]


@pytest.fixture
async def house(database: Database) -> AsyncIterator[House]:
    made = House(database)
    yield made
    await made.turnstile.close()


@pytest.fixture(scope="module")
def running(
    new_database_url: Callable[[], str],
    new_folder: Callable[[str], Path],
    redis_server: RedisServer,
) -> Iterator[System]:
    """An API with wide limits, which a module shares."""
    many = "100000"
    with System(
        new_folder("t"),
        database_url=new_database_url(),
        redis_url=redis_server.url,
        processes=("api",),
        settings={
            "SECRET_KEY": SECRET_KEY,
            "ADMIN_KEY": ADMIN_KEY,
            "ADMIN_PASSWORD": ADMIN_PASSWORD,
            "LOGINS_PER_MINUTE_MAX": many,
            "TICKETS_PER_MINUTE_MAX": many,
            "TICKET_CHANGES_PER_MINUTE_MAX": many,
            "WAITING_LISTS_PER_MINUTE_MAX": many,
        },
    ) as system:
        yield system


def empty_hall(database: Database) -> None:
    """Delete tickets and officers; the keys of tokens, which the API remembers, stay."""
    with database.begin() as connection:
        for table in reversed(migrate.all_tables().sorted_tables):
            if table.name.startswith("ticket") or table.name == "audit_entry":
                connection.execute(table.delete())
        connection.execute(user.delete().where(user.c.username != "admin"))


class Web:
    """The API as a hall sees it: a kiosk, an officer of the first counter, a supervisor."""

    def __init__(self, system: System, database: Database) -> None:
        empty_hall(database)
        self.url = system.url
        self._clients = ExitStack()
        self.anybody = self._clients.enter_context(httpx.Client(base_url=system.url, timeout=20))
        self.admin = self._user("admin", ADMIN_PASSWORD)

    def make_counter(self, name: str = "Quầy Tư pháp", **values: Any) -> int:
        answer = self.admin.post("/app/counters/", json={"name": name, **values})
        assert answer.status_code == 201, answer.text
        return int(answer.json()["id"])

    def officer(self, counter_id: int | None, username: str = "officer01") -> httpx.Client:
        self.admin.post(
            "/api/v1/auth/users",
            json={
                "username": username,
                "password": PASSWORD,
                "role": "officer",
                "full_name": "Nguyễn Văn A",
                "counter_id": counter_id,
            },
        ).raise_for_status()
        return self._user(username, PASSWORD)

    def take(self, counter_id: int, **values: Any) -> dict[str, Any]:
        answer = self.anybody.post("/app/tickets/", json={"counter_id": counter_id, **values})
        assert answer.status_code == 201, answer.text
        body: dict[str, Any] = answer.json()
        return body

    def close(self) -> None:
        self._clients.close()

    def _user(self, username: str, password: str) -> httpx.Client:
        token = token_of(self.anybody, username, password)
        headers = {"Authorization": f"Bearer {token}"}
        return self._clients.enter_context(
            httpx.Client(base_url=self.anybody.base_url, timeout=20, headers=headers)
        )


@pytest.fixture(scope="module")
def running_database(running: System) -> Iterator[Database]:
    """The database of `running`."""
    database = Database(running.database_url, connections_max=4, timeout_s=10)
    yield database
    database.close()


@pytest.fixture
def web(running: System, running_database: Database) -> Iterator[Web]:
    made = Web(running, running_database)
    yield made
    made.close()
