"""Rooms over HTTP: a system that runs anyway, rooms of one's own, visitors from everywhere."""

import itertools
import json
import time
import uuid
from collections.abc import Callable
from typing import Any

import httpx

from models.secrets import secrets_path
from tests.servers import System, wait_until

_ADDRESSES = itertools.count(1)


def new_address() -> str:
    """Return an address that no test used yet, so that limits by address begin anew."""
    return f"2001:db8:{next(_ADDRESSES):x}::1"


class Hall:
    """The client of a running system: an admin of rooms, and visitors, each from elsewhere."""

    def __init__(self, system: System) -> None:
        self.system = system
        self.http = httpx.Client(base_url=f"{system.url}/api/v1", timeout=20)
        stored = json.loads(secrets_path(system.folder).read_text())
        self.admin = {"X-Admin-Key": stored["admin_key"]}

    def close(self) -> None:
        """Close the connections."""
        self.http.close()

    def make(self, **settings: Any) -> str:
        """Make a room that admits nobody unless told otherwise; return its id."""
        body = {
            "id": f"room-{uuid.uuid4().hex[:12]}",
            "name": "Concert Ticket Sale",
            "target_url": "https://example.com/checkout",
            "max_active_users": 1000,
            "max_queue_size": 0,
            "admission_rate": 1000,
            "session_timeout_seconds": 3600,
            "heartbeat_interval_seconds": 10,
            "heartbeat_timeout_seconds": 60,
            **settings,
        }
        answer = self.http.post("/admin/queues", json=body, headers=self.admin)
        assert answer.status_code == 201, answer.text
        return str(body["id"])

    def paused(self, **settings: Any) -> str:
        """Make a room that lets people wait; return its id."""
        return self.make(status="paused", **settings)

    def set(self, room: str, **settings: Any) -> None:
        """Change a room."""
        answer = self.http.patch(f"/admin/queues/{room}", json=settings, headers=self.admin)
        assert answer.status_code == 200, answer.text

    def enqueue(
        self, room: str, body: Any = None, *, headers: dict[str, str] | None = None
    ) -> httpx.Response:
        """Join a room from an address of one's own, with an empty body by default."""
        headers = {"X-Forwarded-For": new_address(), **(headers or {})}
        path = f"/queues/{room}/enqueue"
        if body is None:
            return self.http.post(path, headers=headers)
        return self.http.post(path, json=body, headers=headers)

    def join(self, room: str, body: Any = None) -> dict[str, Any]:
        """Take a new place in a room and return the answer."""
        answer = self.enqueue(room, body)
        assert answer.status_code == 201, answer.text
        joined: dict[str, Any] = answer.json()
        return joined

    def status(self, room: str, token: str) -> httpx.Response:
        """Ask where a visitor stands."""
        return self.http.get(f"/queues/{room}/status", headers=bearer(token))

    def beat(self, room: str, token: str, body: Any = None) -> httpx.Response:
        """Show a sign of life."""
        path = f"/queues/{room}/heartbeat"
        return self.http.post(path, json=body or {}, headers=bearer(token))

    def cancel(self, room: str, token: str) -> httpx.Response:
        """Give a place up."""
        return self.http.delete(f"/queues/{room}/position", headers=bearer(token))

    def admitted(self, room: str, token: str) -> dict[str, Any]:
        """Wait until a visitor is let in and return the answer that says so."""

        def ask() -> dict[str, Any] | None:
            found = self.status(room, token)
            assert found.status_code == 200, found.text
            body: dict[str, Any] = found.json()
            return body if body["admitted"] else None

        answer: dict[str, Any] = poll(ask, "the visitor is let in")
        return answer

    def inside(self, **settings: Any) -> tuple[str, dict[str, Any]]:
        """Make a room and go in; return the room and the answer that says so."""
        room = self.make(**settings)
        return room, self.admitted(room, self.join(room)["token"])


def poll(condition: Callable[[], Any], what: str) -> Any:
    """Ask as often as the limits let a visitor ask, until the answer is true; return it."""

    def ask() -> Any:
        if answer := condition():
            return answer
        time.sleep(0.3)
        return None

    return wait_until(ask, what, timeout_s=15)


def bearer(token: str) -> dict[str, str]:
    """Return the header that shows a token."""
    return {"Authorization": f"Bearer {token}"}
