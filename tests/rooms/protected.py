"""A room on a real server, visitors who were let in, and sites of docs/protect-a-site.md."""

import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Self

import httpx

from tests.servers import ROOT, Process, System, free_port, wait_until

ADMIN_KEY = "admin-key-of-the-tests"
PAGE = (ROOT / "docs" / "protect-a-site.md").read_text()
PERSON = {"Accept": "text/html", "Sec-Fetch-Mode": "navigate"}


def example(language: str, containing: str) -> str:
    """Return the one example of a language that holds a word."""
    found = re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    [text] = [each for each in found if containing in each]
    return str(text)


def make_room(system: System, room_id: str, **settings: Any) -> None:
    """Make a room that lets in at once, unless `settings` say otherwise."""
    body = {
        "id": room_id,
        "name": "Concert Ticket Sale",
        "target_url": "http://site.example/checkout",
        "max_active_users": 1_000,
        "admission_rate": 1_000,
        **settings,
    }
    answer = httpx.post(
        f"{system.url}/api/v1/admin/queues", json=body, headers={"X-Admin-Key": ADMIN_KEY}
    )
    assert answer.status_code == 201, answer.text


def change_room(system: System, room_id: str, **settings: Any) -> None:
    """Change settings of a room."""
    answer = httpx.patch(
        f"{system.url}/api/v1/admin/queues/{room_id}",
        json=settings,
        headers={"X-Admin-Key": ADMIN_KEY},
    )
    assert answer.is_success, answer.text


def let_in(system: System, room_id: str) -> dict[str, Any]:
    """Join, wait, and return the answer to who was let in."""
    queue = f"{system.url}/api/v1/queues/{room_id}"
    token = httpx.post(f"{queue}/enqueue").json()["token"]
    shows = {"Authorization": f"Bearer {token}"}

    def admitted() -> dict[str, Any] | None:
        told: dict[str, Any] = httpx.post(f"{queue}/heartbeat", headers=shows).json()
        return told if told.get("session_token") else None

    answer: dict[str, Any] = wait_until(admitted, "a visitor is let in")
    return answer


class Site:
    """A site of the page's examples, started as it is written but for the addresses."""

    def __init__(self, folder: Path, text: str, command: Callable[[int], list[str]]) -> None:
        port = free_port()
        (folder / "site_example.py").write_text(text)
        self.url = f"http://127.0.0.1:{port}"
        self._log = folder / "site.log"
        self._command = command(port)
        self.process: Process

    def __enter__(self) -> Self:
        environ = {"PYTHONPATH": f"{ROOT}:{self._log.parent}", "PYTHONDONTWRITEBYTECODE": "1"}
        self.process = Process(
            [sys.executable, *self._command], log_path=self._log, environ=environ
        )
        answers = lambda: httpx.get(self.url).status_code  # noqa: E731
        wait_until(answers, "the site answers", process=self.process)
        return self

    def __exit__(self, *_exc_info: object) -> None:
        self.process.stop()

    def get(self, path: str, headers: Mapping[str, str] | None = None) -> httpx.Response:
        """Ask for a page as a browser does, without following."""
        return httpx.get(f"{self.url}{path}", headers={**PERSON, **(headers or {})}, timeout=30)
