"""Rooms for the visitors' page, and a site behind them."""

import re
from http.server import BaseHTTPRequestHandler
from typing import Any

import httpx
from playwright.sync_api import Page, expect

from tests.rooms.protected import ADMIN_KEY, change_room, make_room
from tests.servers import System


class Shop(BaseHTTPRequestHandler):
    """A site that says which address it was asked for."""

    def do_GET(self) -> None:
        body = f"<!doctype html><title>Shop</title><p>{self.path}</p>".encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_told: object) -> None:
        pass


class Rooms:
    """Makes rooms of the hall; each test has its own."""

    def __init__(self, hall: System, shop: str, name: str) -> None:
        self.hall = hall
        self.id = re.sub(r"\W+", "-", name)[:60].strip("-")
        self._shop = shop

    def make(self, **settings: Any) -> None:
        """Make the room; nobody is let in unless `settings` say so."""
        still = {"admission_rate": 0.001, "max_active_users": 1}
        make_room(self.hall, self.id, target_url=f"{self._shop}/checkout", **{**still, **settings})

    def change(self, **settings: Any) -> None:
        """Change settings."""
        change_room(self.hall, self.id, **settings)

    def code(self) -> str:
        """Make an invitation for one."""
        address = f"{self.hall.url}/api/v1/admin/queues/{self.id}/codes"
        answer = httpx.post(address, json={}, headers={"X-Admin-Key": ADMIN_KEY})
        return str(answer.json()["codes"][0]["code"])

    def join(self, count: int = 1) -> list[str]:
        """Let others join, and return their tokens."""
        answers = [httpx.post(f"{self.queue}/enqueue") for _ in range(count)]
        return [answer.json()["token"] for answer in answers]

    def leave(self, token: str) -> None:
        """Let somebody leave."""
        shown = {"Authorization": f"Bearer {token}"}
        assert httpx.delete(f"{self.queue}/position", headers=shown).is_success

    def waiting(self) -> int:
        """Return how many wait."""
        address = f"{self.hall.url}/api/v1/admin/queues/{self.id}/stats"
        answer = httpx.get(address, headers={"X-Admin-Key": ADMIN_KEY})
        return int(answer.json()["current_waiting"])

    @property
    def queue(self) -> str:
        return f"{self.hall.url}/api/v1/queues/{self.id}"

    @property
    def path(self) -> str:
        return f"/wait/{self.id}"


def headline(page: Page) -> Any:
    """Return what is expected of the one line that says it all."""
    return expect(page.locator("#headline"))
