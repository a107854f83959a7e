"""The contract's own lines, pasted into a shell, on both addresses that its examples name."""

import json
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.servers import RedisServer, System, free_port

LINES = {
    "enqueue": """
curl -X POST http://localhost:3001/api/queue/message \\
  -H "Content-Type: application/json" \\
  -d '{
    "type": "email_send",
    "payload": {
      "to": "user@example.com",
      "subject": "Welcome!"
    },
    "priority": 5
  }'
""",
    "dequeue": """
curl "http://localhost:3001/api/queue/message?timeout=30&type=email_send"
""",
    "touch": """
curl -X PUT http://localhost:3001/api/queue/message/msg_abc123/touch \\
  -H "Content-Type: application/json" \\
  -d '{
    "lock_token": "lt_xyz789...",
    "extend_seconds": 30
  }'
""",
    "nack": """
curl -X POST http://localhost:3001/api/queue/message/msg_abc123/nack \\
  -H "Content-Type: application/json" \\
  -d '{
    "lock_token": "lt_xyz789...",
    "error": "Connection timeout"
  }'
""",
    "ack": """
curl -X POST http://localhost:3001/api/queue/ack \\
  -H "Content-Type: application/json" \\
  -d '{
    "id": "msg_abc123...",
    "lock_token": "lt_xyz789..."
  }'
""",
    "batch": """
curl -X POST http://localhost:3001/api/queue/batch \\
  -H "Content-Type: application/json" \\
  -d '{
    "messages": [
      { "type": "email", "payload": { "to": "a@example.com" } },
      { "type": "email", "payload": { "to": "b@example.com" } }
    ]
  }'
""",
    "events": """
curl -N http://localhost:3001/api/queue/events
""",
    "with key": """
curl -H "X-API-KEY: your-secret-key" http://localhost:3001/api/queue/message
""",
}


@pytest.fixture(scope="module")
def ports(
    new_database_url: Callable[[], str],
    new_folder: Callable[[str], Path],
    redis_server: RedisServer,
) -> Iterator[tuple[int, int]]:
    """Two ports of one API, in place of the fixed ones that somebody may hold."""
    ports = free_port(), free_port()
    with System(
        new_folder("c"),
        database_url=new_database_url(),
        redis_url=redis_server.url,
        processes=("api",),
        settings={"BIND": ",".join(f"127.0.0.1:{port}" for port in ports)},
    ):
        yield ports


def paste(line: str, port: int, message_id: str = "", lock_token: str = "") -> Any:
    """Run a line of the contract with the port, id and token of here."""
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed (Debian: curl)")
    script = line.strip().replace(":3001", f":{port}")
    script = re.sub(r"msg_abc123(\.\.\.)?", message_id, script)
    script = re.sub(r"lt_xyz789\.\.\.", lock_token, script).replace("curl ", "curl -sS ", 1)
    done = subprocess.run(["sh", "-c", script], capture_output=True, timeout=40, check=True)
    return json.loads(done.stdout)


def test_lines_of_the_contract_answer_as_written(ports: tuple[int, int]) -> None:
    port, other_port = ports
    queued = paste(LINES["enqueue"], port)
    assert (queued["status"], queued["type"], queued["priority"]) == ("queued", "email_send", 5)
    held = hold(paste(LINES["dequeue"], other_port))
    assert held["message_id"] == queued["id"]
    assert paste(LINES["touch"], port, **held)["id"] == queued["id"]
    assert paste(LINES["nack"], other_port, **held)["status"] == "queued"
    held = hold(paste(LINES["dequeue"], port))
    assert paste(LINES["ack"], port, **held)["status"] == "acknowledged"
    assert paste(LINES["ack"], port, **{**held, "lock_token": "other"})["error"] == "Conflict"
    assert paste(LINES["batch"], port)["count"] == 2
    assert paste(LINES["with key"], port)["payload"] == {"to": "a@example.com"}


def test_line_of_the_events_streams(ports: tuple[int, int]) -> None:
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed (Debian: curl)")
    script = (
        LINES["events"].strip().replace(":3001", f":{ports[0]}").replace("curl", "exec curl -sS")
    )
    with subprocess.Popen(["sh", "-c", script], stdout=subprocess.PIPE, text=True) as curl:
        assert curl.stdout is not None
        seen = [curl.stdout.readline()]
        paste(LINES["enqueue"], ports[1])
        while not seen[-1].startswith("event: enqueue"):
            seen.append(curl.stdout.readline())
        data = [curl.stdout.readline(), curl.stdout.readline()][-1]
        curl.kill()

    assert json.loads(data.removeprefix("data: "))["type"] == "email_send"


def hold(leased: dict[str, Any]) -> dict[str, str]:
    return {"message_id": leased["id"], "lock_token": leased["lock_token"]}
