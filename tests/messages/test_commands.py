"""`stanchion tail` and `stanchion messages`, as processes of their own against a running server."""

import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from api.cli import main
from tests.conftest import StartSystem
from tests.messages.test_contract import put, take
from tests.servers import ROOT, System

# Commands ask over HTTP.
pytestmark = pytest.mark.on_sqlite

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def command(
    system: System,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Command:
    """Runs a command with the settings of `system`; `given` goes to its standard input."""
    monkeypatch.setenv("STANCHION_DATA", str(tmp_path))
    monkeypatch.setenv("STANCHION_BIND", system.url.removeprefix("http://"))

    def run(*arguments: str, given: str = "") -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "stdin", io.StringIO(given))
        try:
            code: Any = main(arguments)
        except SystemExit as end:
            code = end.code
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


def test_message_is_put_in(command: Command, http: httpx.Client) -> None:
    _, out, _ = command("messages", "put", '{"a": 1}', "--type", "t", "--priority", "4")
    _, piped, _ = command("messages", "put", "-", "--json", given='{"b": 2}')

    first, second = take(http), take(http)
    assert (first["id"], first["payload"], first["type"]) == (out.strip(), {"a": 1}, "t")
    assert (second["id"], second["payload"]) == (json.loads(piped)["id"], {"b": 2})
    assert first["priority"] == 4


def test_message_is_put_into_a_queue_for_later(command: Command, http: httpx.Client) -> None:
    http.put("/api/queue/queues/mail", json={}).raise_for_status()
    put(http)

    command("messages", "put", "{}", "--queue", "mail", "--delay", "600")

    _, facts, _ = command("messages", "stats", "--queue", "mail", "--json")
    told = json.loads(facts)["counts"]
    assert (told["queued"], told["delayed"]) == (0, 1)


def test_stats_count(command: Command, http: httpx.Client) -> None:
    for kind in ("mail", "mail", None):
        put(http, **({"type": kind} if kind else {}))
    take(http, type="mail")

    code, table, _ = command("messages", "stats")
    _, facts, _ = command("messages", "stats", "--json")

    assert code == 0
    assert [line.split() for line in table.splitlines()[:2]] == [
        ["queued", "2"],
        ["processing", "1"],
    ]
    assert "mail: 1 queued, 1 processing" in table
    told = json.loads(facts)
    assert told["counts"]["queued"] == 2
    assert told["by_type"]["mail"] == {"queued": 1, "processing": 1}
    assert told["oldest_queued"].endswith("Z")


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("messages", "put", "[1]"), 2, "PAYLOAD: is not a JSON object"),
        (("messages", "put", "{"), 2, "PAYLOAD: is not JSON"),
        (("messages", "put", "{}", "--priority", "10"), 1, "priority"),
        (("messages", "stats", "--url", "http://127.0.0.1:1"), 1, "Connection refused"),
        (("messages", "stats", "--url", "localhost:8080"), 2, "URL: must begin with http://"),
        (("messages", "list", "main", "--url", "x"), 2, "URL: must begin with http://"),
        (("messages", "stats", "--key-file", "/nowhere"), 2, "KEY_FILE"),
    ],
)
def test_what_goes_wrong_is_said_in_a_line(
    command: Command, http: httpx.Client, arguments: tuple[str, ...], code: int, said: str
) -> None:
    assert http
    ended, out, told = command(*arguments)

    assert (ended, out) == (code, "")
    assert said in told
    assert len(told.splitlines()) == 1


def test_who_shows_no_key_is_told_how(command: Command, start_system: StartSystem) -> None:
    guarded = start_system("api", SECRET_KEY="the key of this test")

    code, _, told = command("messages", "stats", "--url", guarded.url)

    assert code == 1
    assert "(401 invalid_key); name a key by --key-file" in told


def test_tail_prints_what_happens_until_it_is_stopped(system: System, http: httpx.Client) -> None:
    start = put(http)["id"]
    with httpx.stream(
        "GET", f"{system.url}/api/queue/events", headers={"Last-Event-ID": "0-0.0"}
    ) as kept:
        offset = next(line[4:] for line in kept.iter_lines() if line.startswith("id: "))
    command = [sys.executable, "-m", "api.cli", "tail", "--json", "--since", offset]
    command += ["--event", "enqueue", "--url", system.url]
    with subprocess.Popen(
        command,
        cwd=ROOT,
        env=dict(os.environ),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as tail:
        assert tail.stdout is not None
        assert tail.stderr is not None
        assert tail.stderr.readline().startswith("connected; waits")
        ids = [put(http)["id"] for _ in range(3)]
        found: list[str] = []
        for line in tail.stdout:
            event = json.loads(line)
            assert event["name"] == "enqueue"
            found.append(event["data"]["id"])
            if found[-1] == ids[-1]:
                break
        tail.terminate()

    assert start not in found[-3:]
    assert found[-3:] == ids
