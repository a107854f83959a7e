"""The receiver that docs/messages-webhooks.md shows, run as it stands."""

import os
import re
import signal
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from models.webhooks.parcels import Parcel
from models.webhooks.rules import Health, SigningSecrets, Webhook, WebhookSettings
from models.webhooks.sending import Sender
from models.webhooks.signing import new_secret
from tests.servers import ROOT, Process, free_port, wait_until
from tests.webhooks.conftest import LOOPBACK

SECRET = new_secret()


@pytest.fixture
def port(tmp_path: Path) -> Iterator[int]:
    """Where the receiver of the page listens."""
    page = (ROOT / "docs" / "messages-webhooks.md").read_text()
    [program] = re.findall(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    (tmp_path / "hook.py").write_text(program)
    number = free_port()
    process = Process(
        [sys.executable, "hook.py", str(number)],
        log_path=tmp_path / "log",
        environ={**os.environ, "WEBHOOK_SECRET": SECRET},
    )
    try:
        wait_until(lambda: _listens(number), "it listens", process=process)
        yield number
    finally:
        process.stop(signal.SIGKILL)


def _listens(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


def send(port: int, secret: str, *, age_s: int = 0, webhook_id: str = "msg_1") -> int | None:
    webhook = Webhook(
        name="hook",
        settings=WebhookSettings(url=f"http://127.0.0.1:{port}/", timeout_s=30),
        secrets=SigningSecrets(secret=secret),
        health=Health(),
        paused=False,
        paused_reason=None,
        created_at_ms=0,
        updated_at_ms=0,
        version=1,
    )
    parcel = Parcel(webhook_id=webhook_id, attempt=1, body=b'{"data": {"number": 7}}')
    with Sender(webhook, LOOPBACK) as sender:
        return sender.send(parcel, now_ms=int((time.time() - age_s) * 1000)).status


def test_receiver_of_the_page_takes_what_is_genuine_once(port: int, tmp_path: Path) -> None:
    assert send(port, SECRET) == 204
    assert send(port, SECRET) == 204
    assert send(port, new_secret(), webhook_id="msg_2") == 401
    assert send(port, SECRET, age_s=600, webhook_id="msg_3") == 401

    assert (tmp_path / "log").read_text().count("got {'number': 7}") == 1
