"""Clients of all four domains, who note what they were told: one turn after another, at a pace."""

import contextlib
import random
import threading
import time
from dataclasses import dataclass, field
from typing import Any, Final

import httpx

from tests.mail.exim_server import EximServer
from tests.people.conftest import ADMIN_PASSWORD
from tests.rooms.protected import ADMIN_KEY
from tests.rooms.visitors import bearer, new_address

_MESSAGE: Final = {"payload": {"pad": "x" * 100}, "max_attempts": 1_000}
_MAIL_MAX: Final = 20  # messages in Exim's queue; with more, old ones are deleted


class Pace:
    """Lets so many turns of a load begin in a second, whoever asks."""

    def __init__(self) -> None:
        self.per_s: float | None = None  # as many as there are
        self._next_at = 0.0
        self._lock = threading.Lock()

    def wait(self) -> None:
        """Return when it is the caller's turn."""
        with self._lock:
            if self.per_s is None:
                return
            at = max(self._next_at, time.monotonic())
            self._next_at = at + 1 / self.per_s
        time.sleep(max(0.0, at - time.monotonic()))


@dataclass
class Load:
    """One domain's clients; what was answered is in its ledger, what was not is in none."""

    url: str
    is_over: threading.Event = field(default_factory=threading.Event)
    pace: Pace = field(default_factory=Pace)
    turns: int = 0
    errors: list[str] = field(default_factory=list)

    def turn(self, http: httpx.Client) -> bool:
        """Do one thing; say whether it was answered as wished."""
        raise NotImplementedError

    def sign_in(self, http: httpx.Client) -> None:
        """Show who the client is, if it must."""

    def run(self) -> None:
        """Take turns until it is over; a server that is away is waited for."""
        with httpx.Client(base_url=self.url, timeout=15) as http:
            self._until_answered(lambda: self.sign_in(http))
            while not self.is_over.is_set():
                self.pace.wait()
                try:
                    self.turns += self.turn(http)
                except httpx.HTTPError:
                    time.sleep(0.05)  # a polite client pauses

    def _until_answered(self, act: Any) -> None:
        while not self.is_over.is_set():
            with contextlib.suppress(httpx.HTTPError):
                act()
                return
            time.sleep(0.05)


@dataclass
class Producers(Load):
    """Put messages in."""

    stored: list[str] = field(default_factory=list)

    def turn(self, http: httpx.Client) -> bool:
        answer = http.post("/api/queue/message", json=_MESSAGE)
        if answer.status_code != httpx.codes.CREATED:
            return False
        self.stored.append(answer.json()["id"])
        return True


@dataclass
class Consumers(Load):
    """Take messages and acknowledge them."""

    acknowledged: list[tuple[str, str]] = field(default_factory=list)

    def turn(self, http: httpx.Client) -> bool:
        answer = http.get("/api/queue/message?timeout=1&ack_timeout_seconds=5")
        if answer.status_code != httpx.codes.OK:
            return False
        held = {name: answer.json()[name] for name in ("id", "lock_token")}
        if http.post("/api/queue/ack", json=held).status_code != httpx.codes.OK:
            return False
        self.acknowledged.append((held["id"], held["lock_token"]))
        return True


@dataclass
class Hall(Load):
    """A kiosk and an officer: a ticket is printed, called and served."""

    counter_id: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    printed: list[tuple[int, int]] = field(default_factory=list)

    def sign_in(self, http: httpx.Client) -> None:
        http.headers.update(self.headers)

    def turn(self, http: httpx.Client) -> bool:
        taken = http.post("/app/tickets/", json={"counter_id": self.counter_id})
        if taken.status_code != httpx.codes.CREATED:
            return False
        ticket = taken.json()
        self.printed.append((ticket["id"], ticket["number"]))
        path = f"/app/tickets/{ticket['id']}"
        moves = ("called", "serving", "completed")
        return all(http.patch(path, json={"status": each}).is_success for each in moves)


@dataclass
class Visitors(Load):
    """Join a room one after the other; one of them looks now and then where it stands."""

    room: str = "soak"
    tokens: list[str] = field(default_factory=list)
    positions: dict[str, int] = field(default_factory=dict)

    def turn(self, http: httpx.Client) -> bool:
        path = f"/api/v1/queues/{self.room}"
        address = {"X-Forwarded-For": new_address()}
        joined = http.post(f"{path}/enqueue", headers=address)
        if joined.status_code != httpx.codes.CREATED:
            return False
        self.tokens.append(joined.json()["token"])
        self.look(http, random.choice(self.tokens))
        return True

    def look(self, http: httpx.Client, token: str) -> dict[str, Any]:
        """Ask where a visitor stands, and note it if the place got worse."""
        path = f"/api/v1/queues/{self.room}/status"
        answer = http.get(path, headers={**bearer(token), "X-Forwarded-For": new_address()})
        told: dict[str, Any] = answer.json()
        position = told.get("position") if told.get("status") == "waiting" else None
        if position is not None:
            before = self.positions.setdefault(token, position)
            if position > before:
                self.errors.append(f"place {before} became {position}")
            self.positions[token] = position
        return told

    def stay(self, http: httpx.Client) -> None:
        """Have the last who joined show life, which renews a token that ends within minutes."""
        path = f"/api/v1/queues/{self.room}/heartbeat"
        answer = http.post(path, json={}, headers=bearer(self.tokens[-1]))
        if answer.is_success:
            self.tokens[-1] = answer.json()["token"]

    def make(self, room: str, **settings: Any) -> None:
        """Make a room whose visitors may be silent for as long as this takes."""
        body = {
            "id": room,
            "name": "Soak",
            "target_url": "http://127.0.0.1:9/",
            "heartbeat_timeout_seconds": 86_400,
            "max_queue_size": 0,
            **settings,
        }
        answer = httpx.post(
            f"{self.url}/api/v1/admin/queues", json=body, headers={"X-Admin-Key": ADMIN_KEY}
        )
        assert answer.status_code == httpx.codes.CREATED, answer.text


@dataclass
class Letters(Load):
    """Hand messages to Exim, and have old ones deleted through the index."""

    exim: EximServer | None = None
    submitted: list[str] = field(default_factory=list)
    tried: set[str] = field(default_factory=set)
    deleted: set[str] = field(default_factory=set)

    def sign_in(self, http: httpx.Client) -> None:
        login = {"username": "admin", "password": ADMIN_PASSWORD}
        http.post("/api/v1/auth/login", json=login).raise_for_status()

    def turn(self, http: httpx.Client) -> bool:
        assert self.exim is not None
        left = [each for each in self.submitted if each not in self.tried]
        if len(left) < _MAIL_MAX:
            self.submitted.append(self.exim.submit("u@defer.test"))
            return True
        # If no answer comes, nobody knows whether it is gone.
        self.tried.add(left[0])
        answer = http.request("DELETE", "/api/v1/queue", json={"message_id": left[0]})
        if answer.status_code == httpx.codes.NOT_FOUND:
            self.tried.discard(left[0])  # the index has not heard of it yet
            return False
        if answer.is_success:
            self.deleted.add(left[0])
        return True
