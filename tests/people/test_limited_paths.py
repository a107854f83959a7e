"""For whom a limit counts, and what every answer of its path says."""

from collections.abc import AsyncIterator
from typing import Any

import falcon.asgi
import httpx
import pytest
from prometheus_client import CollectorRegistry

from api.auth.access import Access, make_access
from api.auth.callers import ACCESS
from api.auth.limits import By, Limits, Row
from api.http import errors
from api.http.metrics import RequestMetrics
from api.http.middleware import Entrance
from models.clock import now_ms
from models.database import Database
from models.limits.limiter import Limiter
from models.people.rules import NewUser, Role, Scope
from models.redis import connect_async
from models.secrets import Secrets
from models.settings import load_settings
from tests.people.conftest import ADMIN_KEY, ADMIN_PASSWORD, COMMAND
from tests.servers import RedisServer

HEADERS = ("X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset")
ROWS = tuple(
    Row(name=by.value, setting="logins_per_minute_max", paths=(f"/{by.value}",), by=by) for by in By
)
EXEMPT = Row(
    name="exempt", setting="logins_per_minute_max", paths=("/exempt",), exempt=(Scope.MESSAGES,)
)


class _Ok:
    async def on_get(self, _req: object, resp: falcon.asgi.Response) -> None:
        resp.text = "seen"


@pytest.fixture
async def access(database: Database, redis_server: RedisServer) -> AsyncIterator[Access]:
    settings = load_settings({"STANCHION_REDIS_URL": redis_server.url, "STANCHION_SECRET_KEY": "s"})
    async with connect_async(redis_server.url) as client:
        secrets = Secrets(admin_password=ADMIN_PASSWORD, admin_key=ADMIN_KEY)
        made = make_access(settings, secrets, database, client, now_ms=now_ms)
        yield made
        made.people.close()


@pytest.fixture
async def http(
    access: Access, redis_server: RedisServer, redis_client: Any
) -> AsyncIterator[httpx.AsyncClient]:
    """An application of four limited paths, each with two requests a minute."""
    assert redis_client.dbsize() == 0
    settings = load_settings({"STANCHION_LOGINS_PER_MINUTE_MAX": "2"})
    async with connect_async(redis_server.url) as client:
        limiter = Limiter(client, clock=now_ms, subjects_max=100)
        limits = Limits(
            settings, limiter, access.callers, access.keys, now_ms=now_ms, table=(*ROWS, EXEMPT)
        )
        entrance = Entrance(RequestMetrics(CollectorRegistry()))
        app: Any = falcon.asgi.App(middleware=[entrance, limits])
        errors.add_handlers(app)
        for row in (*ROWS, EXEMPT):
            app.add_route(row.paths[0], _Ok())
        transport = httpx.ASGITransport(app, client=("192.0.2.1", 1))
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as made:
            yield made


async def statuses(http: httpx.AsyncClient, path: str, *shown: dict[str, str]) -> list[int]:
    answers = [await http.get(path, headers=headers) for headers in shown]
    for answer in answers:
        assert all(name in answer.headers for name in HEADERS)
        assert answer.headers["X-RateLimit-Limit"] == "2"
    return [answer.status_code for answer in answers]


@pytest.mark.parametrize(
    ("path", "one", "other"),
    [
        ("/token", {"Authorization": "Bearer one"}, {"Authorization": "Bearer other"}),
        ("/key", {"X-API-KEY": "one"}, {"X-API-KEY": "other"}),
        ("/key", {"X-Admin-Key": "one"}, {"X-Admin-Key": "other"}),
    ],
)
async def test_who_shows_something_else_counts_apart(
    http: httpx.AsyncClient, path: str, one: dict[str, str], other: dict[str, str]
) -> None:
    assert await statuses(http, path, one, one, one, other) == [200, 200, 429, 200]


async def test_who_shows_nothing_counts_by_address(http: httpx.AsyncClient) -> None:
    for by in By:
        assert await statuses(http, f"/{by.value}", {}, {}, {}) == [200, 200, 429]


async def test_a_user_counts_whatever_session_or_token_it_shows(
    http: httpx.AsyncClient, access: Access
) -> None:
    headers: list[list[dict[str, str]]] = []
    for name in ("lan", "hoa"):
        new = NewUser(username=name, password="good password", role=Role.OFFICER)
        user = await access.people.add_user(new, COMMAND, now_ms=now_ms())
        claims = {"sub": str(user.id), "ver": user.version}
        tokens = [await access.issuer.issue(ACCESS, claims, life_ms=60_000) for _ in range(3)]
        headers.append([{"Authorization": f"Bearer {token}"} for token in tokens])
    lan, hoa = headers

    assert await statuses(http, "/user", *lan, hoa[0]) == [200, 200, 429, 200]


async def test_who_shows_a_key_of_the_right_scope_is_not_counted(
    http: httpx.AsyncClient, access: Access
) -> None:
    _, secret = await access.people.add_key("bench", Scope.MESSAGES, COMMAND, now_ms=now_ms())

    answers = [await http.get("/exempt", headers={"X-API-KEY": secret}) for _ in range(5)]

    assert {answer.status_code for answer in answers} == {200}
    assert not any(name in answer.headers for answer in answers for name in HEADERS)
