"""`stanchion webhooks`, on both databases."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from api.cli import main
from models.database import Database
from tests.webhooks.conftest import House
from tests.webhooks.receiver import Receiver, Reply

Run = Callable[..., int]


@pytest.fixture
def run(
    database: Database, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Run:
    """Runs a command on the database of the test."""
    assert database is not None
    monkeypatch.setenv("STANCHION_DATABASE_URL", database_url)
    monkeypatch.setenv("STANCHION_DATA", str(tmp_path))
    monkeypatch.setenv("STANCHION_WEBHOOK_NETWORKS", "127.0.0.0/8")
    return lambda *arguments: main(["webhooks", *arguments])


async def test_webhooks_are_listed_paused_and_resumed(
    house: House, receiver: Receiver, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    await house.make(receiver.url, type="order")

    assert await asyncio.to_thread(run, "pause", "hook") == 0
    assert await asyncio.to_thread(run, "list") == 0
    said = capsys.readouterr().out
    assert "default/order" in said
    assert "paused: by somebody" in said
    assert (await house.service.get("hook")).paused
    assert await asyncio.to_thread(run, "resume", "hook", "--json") == 0
    assert json.loads(capsys.readouterr().out)["paused"] is False
    assert await asyncio.to_thread(run, "pause", "other") == 1
    assert "webhook other does not exist" in capsys.readouterr().err


async def test_a_test_shows_the_answer_and_its_exit_code(
    house: House, receiver: Receiver, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    await house.make(receiver.url)

    assert await asyncio.to_thread(run, "test", "hook") == 0
    assert "answered 204" in capsys.readouterr().out
    receiver.answer = lambda _: Reply(500, body=b"broken")
    assert await asyncio.to_thread(run, "test", "hook", "--json") == 1
    assert json.loads(capsys.readouterr().out)["error"] == "answered 500: broken"
    assert len(await house.deliveries()) == 2
