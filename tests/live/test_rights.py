"""Whose right to listen ends is told so and closed, on each way to listen; who may still, stays."""

import secrets
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import httpx
import jwt
import pytest
from websockets.exceptions import InvalidStatus

from models.clock import now_ms
from models.database import Database
from models.tokens.issuer import Issuer
from tests.live.clients import JsClient, OpenJs, RawClient, raw
from tests.live.conftest import KEY, Live, StartLive
from tests.people.conftest import log_in, token_of

ADMIN = {"X-Admin-Key": "an-admin-key-of-the-tests"}
PASSWORD = "a password of the tests"
LIFETIMES_MS = (2_000, 10_000, 60_000)


@dataclass
class Somebody:
    """A user with a session and a token, and a key; each made for one test."""

    live: Live
    name: str
    session: str
    token: str
    key: str

    def change(self, **changes: Any) -> None:
        self._ask("PATCH", f"users/{self.name}", json=changes)

    def log_out(self) -> None:
        self._ask("POST", "logout", headers={"Cookie": f"session_id={self.session}"})

    def lose_key(self) -> None:
        self._ask("DELETE", f"keys/{self.name}")

    def _ask(self, method: str, path: str, **options: Any) -> None:
        options = {"headers": ADMIN, **options}
        url = f"{self.live.url}/api/v1/auth/{path}"
        httpx.request(method, url, timeout=20, **options).raise_for_status()


@pytest.fixture(scope="module")
def watched(_start: Callable[..., Live]) -> Iterator[Live]:
    """An API that asks its live clients again and again."""
    with ExitStack() as stack:
        yield _start(
            stack,
            SECRET_KEY=KEY,
            ADMIN_KEY=ADMIN["X-Admin-Key"],
            ADMIN_PASSWORD=PASSWORD,
            LIVE_RECHECK_S="0.4",
            LOGINS_PER_MINUTE_MAX="1000",
        )


@pytest.fixture
def somebody(watched: Live) -> Somebody:
    name = f"v{secrets.token_hex(4)}"
    body = {"username": name, "password": PASSWORD, "role": "viewer"}
    with httpx.Client(base_url=watched.url, timeout=20) as client:
        client.post("/api/v1/auth/users", json=body, headers=ADMIN).raise_for_status()
        log_in(client, name, PASSWORD).raise_for_status()
        session, token = client.cookies["session_id"], token_of(client, name, PASSWORD)
        key = {"name": name, "scope": "messages"}
        made = client.post("/api/v1/auth/keys", json=key, headers=ADMIN).raise_for_status()
    return Somebody(watched, name, session, token, made.json()["data"]["key"])


def by_cookie(who: Somebody) -> dict[str, str]:
    return {"Cookie": f"session_id={who.session}"}


def by_token(who: Somebody) -> dict[str, str]:
    return {"Authorization": f"Bearer {who.token}"}


def by_key(who: Somebody) -> dict[str, str]:
    return {"X-API-KEY": who.key}


def disable(who: Somebody) -> None:
    who.change(is_active=False)


def demote(who: Somebody) -> None:
    who.change(role="display")


def change_password(who: Somebody) -> None:
    who.change(password=PASSWORD + " and another")


@pytest.mark.parametrize(
    ("show", "end", "told"),
    [
        pytest.param(by_cookie, Somebody.log_out, ("invalid_key", 4401), id="session ended"),
        pytest.param(by_cookie, disable, ("invalid_key", 4401), id="session of a disabled user"),
        pytest.param(by_token, disable, ("invalid_token", 4401), id="token of a disabled user"),
        pytest.param(by_token, change_password, ("invalid_token", 4401), id="password changed"),
        pytest.param(by_token, demote, ("forbidden_role", 4403), id="role that may not"),
        pytest.param(by_key, Somebody.lose_key, ("invalid_key", 4401), id="key revoked"),
    ],
)
def test_who_may_no_longer_listen_is_told_and_put_out(
    somebody: Somebody,
    open_js: OpenJs,
    show: Callable[[Somebody], dict[str, str]],
    end: Callable[[Somebody], None],
    told: tuple[str, int],
) -> None:
    code, close = told
    url, headers = somebody.live.url, show(somebody)
    official = open_js(f"{url}/messages", transports=["websocket"], extraHeaders=headers)
    polling = open_js(f"{url}/messages", transports=["polling"], extraHeaders=headers)
    for client in (official, polling):
        client.next("connect")
    with raw(url, additional_headers={"X-API-KEY": KEY}) as other:
        other.next("connected")
        with raw(url, additional_headers=headers) as plain:
            plain.next("connected")

            end(somebody)

            assert is_put_out(plain, code) == close
        for client in (official, polling):
            assert is_sent_away(client) == code
        [message_id] = somebody.live.enqueue()
        assert other.next("enqueue")["data"]["id"] == message_id


def test_consumer_that_may_no_longer_is_put_out_and_what_it_held_goes_on(
    somebody: Somebody,
) -> None:
    path = f"/api/queue/stream?type={somebody.name}"
    with (
        raw(somebody.live.url, path, additional_headers=by_key(somebody)) as consumer,
        raw(somebody.live.url, path, additional_headers={"X-API-KEY": KEY}) as other,
    ):
        consumer.next("connected")
        other.next("connected")
        other.say("prefetch", {"prefetch": 0})
        other.next("prefetch")
        sent = somebody.live.enqueue(2, type=somebody.name, ack_timeout_seconds=3_600)
        got = next_messages(consumer, 2)

        somebody.lose_key()

        assert is_put_out(consumer, "invalid_key") == 4401
        other.say("prefetch", {"prefetch": 2})
        again = next_messages(other, 2)
    assert [message["id"] for message in got] == [message["id"] for message in again] == sent
    assert {message["attempt_count"] for message in again} == {2}


def next_messages(client: RawClient, count: int) -> list[dict[str, Any]]:
    """Return so many messages of a stream, in however many frames they come."""
    messages: list[dict[str, Any]] = []
    while len(messages) < count:
        messages += client.next("messages")["data"]
    return messages


def test_who_may_only_watch_is_sent_no_messages(somebody: Somebody) -> None:
    with raw(
        somebody.live.url, "/api/queue/stream", additional_headers=by_token(somebody)
    ) as client:
        assert is_put_out(client, "forbidden_role") == 4403


def is_put_out(client: RawClient, code: str) -> int | None:
    """Return the code of the close, once the reason was told."""
    assert client.next("error")["data"]["code"] == code
    return client.closed()


def is_sent_away(client: JsClient) -> str:
    """Return the reason that is told, once the client was told to stay away."""
    name, told = client.next_event("error")
    assert name == "error"
    assert client.next("disconnect") == ["io server disconnect"]
    return str(told["code"])


@pytest.mark.parametrize("way", ["header", "address", "message"])
def test_token_is_taken_wherever_a_client_can_put_it(somebody: Somebody, way: str) -> None:
    path = f"/ws/messages?token={somebody.token}" if way == "address" else "/ws/messages"
    headers = by_token(somebody) if way == "header" else {}
    with raw(somebody.live.url, path, additional_headers=headers) as client:
        if way == "message":
            client.say("auth", {"token": somebody.token})

        assert client.next()["type"] == "connected"


@pytest.mark.parametrize("option", ["auth", "query"])
def test_official_client_shows_its_token(somebody: Somebody, open_js: OpenJs, option: str) -> None:
    client = open_js(f"{somebody.live.url}/messages", **{option: {"token": somebody.token}})

    assert client.next("connect", "connect_error")[0] == "connect"


def test_cookie_of_a_foreign_page_lets_nobody_in(somebody: Somebody) -> None:
    origin = {"origin": "https://elsewhere.example"}
    with (
        pytest.raises(InvalidStatus) as refusal,
        raw(somebody.live.url, additional_headers=by_cookie(somebody), **origin),
    ):
        pass

    assert refusal.value.response.status_code == 403


@pytest.fixture
async def issuer(watched: Live) -> AsyncIterator[Issuer]:
    """Signs tokens as the API does."""
    database = Database(watched.system.database_url, connections_max=4, timeout_s=10)
    yield Issuer(database, clock=now_ms)
    database.close()


async def test_token_that_expires_ends_what_it_opened(somebody: Somebody, issuer: Issuer) -> None:
    said = jwt.decode(somebody.token, options={"verify_signature": False})
    claims = {"sub": said["sub"], "ver": said["ver"]}
    for life_ms in LIFETIMES_MS:  # a slow machine may need the next one to get in at all
        token = await issuer.issue("access", claims, life_ms=life_ms)
        with raw(somebody.live.url, f"/ws/messages?token={token}") as client:
            if client.next("connected", "error")["type"] == "connected":
                assert is_put_out(client, "expired_token") == 4401
                return
    pytest.fail("nobody was let in")


def test_who_gets_another_role_comes_back_as_that(somebody: Somebody, open_js: OpenJs) -> None:
    url, headers = somebody.live.url, by_token(somebody)
    official = open_js(f"{url}/messages", transports=["websocket"], extraHeaders=headers)
    official.next("connect")
    with raw(url, additional_headers=headers) as plain:
        plain.next("connected")

        somebody.change(role="operator")

        assert is_put_out(plain, "changed_caller") == 1012
    assert official.next("disconnect") == ["transport close"]
    official.next("connect")
    with raw(url, additional_headers=headers) as plain:
        plain.next("connected")


def test_stream_that_shows_words_of_consumers_ends_with_the_key(somebody: Somebody) -> None:
    with follow(somebody.live, by_key(somebody)) as mine, follow(somebody.live, {}) as open_to_all:
        for lines in (mine, open_to_all):
            assert "event: metrics" in lines

        somebody.lose_key()

        assert list(mine)  # to its proper end
        [message_id] = somebody.live.enqueue()
        assert next(line for line in open_to_all if message_id in line)


class follow:  # noqa: N801  # reads as what it does
    """Lines of a stream of Server-Sent Events."""

    def __init__(self, live: Live, headers: dict[str, str]) -> None:
        url = f"{live.url}/api/queue/events"
        self._stream = httpx.stream("GET", url, headers=headers, timeout=30)

    def __enter__(self) -> Iterator[str]:
        return self._stream.__enter__().iter_lines()

    def __exit__(self, *exc_info: object) -> None:
        self._stream.__exit__(*exc_info)


def test_first_key_puts_out_who_needed_none(start_live: StartLive, open_js: OpenJs) -> None:
    live = start_live(ADMIN_KEY=ADMIN["X-Admin-Key"], LIVE_RECHECK_S="0.4")
    official = open_js(f"{live.url}/messages")
    official.next("connect")
    with raw(live.url) as plain, follow(live, {}) as lines:
        plain.next("connected")
        assert "event: metrics" in lines

        body = {"name": "first", "scope": "rooms"}
        made = httpx.post(f"{live.url}/api/v1/auth/keys", json=body, headers=ADMIN, timeout=20)

        assert made.is_success
        assert is_put_out(plain, "invalid_key") == 4401
        assert is_sent_away(official) == "invalid_key"
        assert list(lines)


def test_who_is_in_no_namespace_any_more_is_cut_off(keyed: Live) -> None:
    with raw(keyed.url, f"/socket.io/?EIO=4&transport=websocket&token={KEY}") as client:
        client.connection.send("40/messages,")
        while not str(client.connection.recv(timeout=20)).startswith("40/messages,"):
            pass

        client.connection.send("41/messages,")

        assert client.closed() == 4408
