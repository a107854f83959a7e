"""A hall for the pages of tickets: counters, officers who log in, and people who take numbers."""

from typing import Any

import httpx
from playwright.sync_api import Page, expect

from tests.people.conftest import ADMIN_PASSWORD, token_of

PASSWORD = "a password of the tests"


class BrowserHall:
    """What happens around a page, by HTTP as an admin."""

    def __init__(self, url: str) -> None:
        self._anybody = httpx.Client(base_url=url, timeout=30)
        token = token_of(self._anybody, "admin", ADMIN_PASSWORD)
        self.admin = httpx.Client(
            base_url=url, timeout=30, headers={"Authorization": f"Bearer {token}"}
        )

    def counter(self, name: str, **values: Any) -> int:
        answer = self.admin.post("/app/counters/", json={"name": name, **values})
        assert answer.status_code == 201, answer.text
        return int(answer.json()["id"])

    def procedure(self, name: str, *counter_ids: int) -> int:
        answer = self.admin.post(
            "/app/procedures/", json={"name": name, "counter_ids": list(counter_ids)}
        )
        assert answer.status_code == 201, answer.text
        return int(answer.json()["id"])

    def officer(self, username: str, counter_id: int | None, role: str = "officer") -> None:
        self.admin.post(
            "/api/v1/auth/users",
            json={
                "username": username,
                "password": PASSWORD,
                "role": role,
                "full_name": "Nguyễn Văn A",
                "counter_id": counter_id,
            },
        ).raise_for_status()

    def take(self, counter_id: int, **values: Any) -> dict[str, Any]:
        answer = self._anybody.post("/app/tickets/", json={"counter_id": counter_id, **values})
        assert answer.status_code == 201, answer.text
        body: dict[str, Any] = answer.json()
        return body

    def status(self, ticket: dict[str, Any]) -> str:
        return str(self.admin.get(f"/app/tickets/{ticket['id']}").json()["status"])

    def move(self, ticket: dict[str, Any], status: str) -> None:
        path = f"/app/tickets/{ticket['id']}"
        self.admin.patch(path, json={"status": status}).raise_for_status()

    def call_next(self, counter_id: int) -> None:
        self.admin.post(f"/app/counters/{counter_id}/call-next").raise_for_status()

    def serve_who_is_called(self, counter_id: int) -> None:
        for each in self.admin.get(f"/app/counters/{counter_id}").json()["present"]:
            if each["status"] == "called":
                self.move({"id": each["ticket_id"]}, "serving")

    def close(self) -> None:
        self._anybody.close()
        self.admin.close()


def log_in(page: Page, username: str, password: str = PASSWORD) -> None:
    """Fill in the form of the log-in page in whatever language it is."""
    expect(page.locator("#show")).to_be_visible()
    page.locator("#username").fill(username)
    page.locator("#password").fill(password)
    page.keyboard.press("Enter")
