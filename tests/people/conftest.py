"""People in this process, on both databases, and processes that a module shares."""

import itertools
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import httpx
import pytest

from models.audit import Actor
from models.database import Database
from models.people.rules import InvalidCredentialsError, LoginPolicy, NewUser, Role, User
from models.people.service import PeopleService
from tests.servers import RedisServer, System

ADMIN_PASSWORD = "correct horse"
ADMIN_KEY = "admin-key-of-the-tests"
SECRET_KEY = "secret-key-of-the-tests"


class House:
    """A service with a clock that stands still until a test moves it."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.now_ms = 1_000_000_000_000
        self.policy = LoginPolicy(
            user_failures_max=3, address_failures_max=5, lock_ms=1_000, lock_ms_max=4_000
        )
        self.asked_for_password = 0
        self.service = PeopleService(
            database, policy=self.policy, first_password=self._first_password
        )
        self._numbers = itertools.count()

    def _first_password(self) -> str:
        self.asked_for_password += 1
        return ADMIN_PASSWORD

    async def add(
        self, username: str = "lan", password: str = "good password", role: Role = Role.OFFICER
    ) -> User:
        new = NewUser(username=username, password=password, role=role)
        return await self.service.add_user(new, COMMAND, now_ms=self.now_ms)

    async def log_in(self, username: str, password: str, *, address: str = "192.0.2.1") -> User:
        actor = Actor(kind="none", name=username, address=address)
        return await self.service.log_in(actor, password, now_ms=self.now_ms)

    async def fail(self, username: str, address: str = "192.0.2.1") -> None:
        with pytest.raises(InvalidCredentialsError):
            await self.log_in(username, "wrong", address=address)

    async def open_session(self, username: str, password: str, replaces: str | None = None) -> str:
        actor = Actor(kind="none", name=username, address="192.0.2.1")
        opened = await self.service.open_session(
            actor, password, replaces=replaces, now_ms=self.now_ms
        )
        return opened.token

    async def user_of(self, session: str) -> User | None:
        return await self.service.user_of_session(session, now_ms=self.now_ms)


COMMAND = Actor(kind="command", name="tester")


@pytest.fixture
async def house(database: Database) -> AsyncIterator[House]:
    made = House(database)
    yield made
    made.service.close()


@pytest.fixture(scope="module")
def running(
    new_database_url: Callable[[], str],
    new_folder: Callable[[str], Path],
    redis_server: RedisServer,
) -> Iterator[System]:
    """An API with every kind of credential, whose users a module shares."""
    with System(
        new_folder("k"),
        database_url=new_database_url(),
        redis_url=redis_server.url,
        processes=("api",),
        settings={
            "SECRET_KEY": SECRET_KEY,
            "ADMIN_KEY": ADMIN_KEY,
            "ADMIN_PASSWORD": ADMIN_PASSWORD,
            "LOGINS_PER_MINUTE_MAX": "100000",
            "LOGIN_ADDRESS_FAILURES_MAX": "100000",
        },
    ) as system:
        yield system


@pytest.fixture(scope="module")
def running_database(running: System) -> Iterator[Database]:
    """The database of `running`."""
    database = Database(running.database_url, connections_max=4, timeout_s=10)
    yield database
    database.close()


@pytest.fixture
def client(running: System) -> Iterator[httpx.Client]:
    """A client of `running` without any credential."""
    with httpx.Client(base_url=running.url, timeout=20) as made:
        yield made


@pytest.fixture
def admin(client: httpx.Client) -> httpx.Client:
    """The same client, logged in as admin."""
    log_in(client, "admin", ADMIN_PASSWORD).raise_for_status()
    return client


def log_in(client: httpx.Client, username: str, password: str) -> httpx.Response:
    return client.post("/api/v1/auth/login", json={"username": username, "password": password})


def token_of(client: httpx.Client, username: str, password: str) -> str:
    answer = client.post("/app/auths/login", data={"username": username, "password": password})
    return str(answer.raise_for_status().json()["access_token"])
