"""`stanchion messages activity` and `anomalies` against a running server."""

import json

import httpx

from tests.messages.test_activity_wire import wait_for_history
from tests.messages.test_commands import Command, command
from tests.messages.test_contract import put, take

__all__ = ["command"]  # the fixture


def test_activity_tells_a_life(command: Command, http: httpx.Client) -> None:
    message_id = put(http, type="a")["id"]
    leased = take(http, consumer_id="anna")
    http.post(
        f"/api/queue/message/{message_id}/nack",
        json={"lock_token": leased["lock_token"], "error": "hot"},
    )
    wait_for_history(http, message_id, 3)

    code, said, _ = command("messages", "activity", message_id)
    _, facts, _ = command("messages", "activity", message_id, "--json")

    lines = said.splitlines()
    assert code == 0
    assert [line.split()[1] for line in lines] == ["enqueued", "leased", "given_back", "queued"]
    assert lines[2].split()[2:3] == ["anna"]
    assert lines[2].endswith('"hot"')
    assert json.loads(facts)["is_complete"]


def test_unknown_message_is_refused_in_a_line(command: Command, http: httpx.Client) -> None:
    assert http
    code, out, said = command("messages", "activity", "msg_0000000000ffffff")

    assert (code, out) == (1, "")
    assert "msg_0000000000ffffff does not exist" in said


def test_anomalies_are_listed_with_advice(command: Command, http: httpx.Client) -> None:
    message_id = put(http, max_attempts=10)["id"]
    for _ in range(5):
        leased = take(http, consumer_id="anna")
        http.post(
            f"/api/queue/message/{message_id}/nack", json={"lock_token": leased["lock_token"]}
        )
    wait_for_history(http, message_id, 11)

    code, said, _ = command("messages", "anomalies")
    _, facts, _ = command("messages", "anomalies", "--json")

    # What other tests did on the same system stands out too.
    lines = said.splitlines()
    first = lines.index(f"poison default anna {message_id}: failed 5 times and is delivered again")
    assert code == 1
    assert lines[first + 1].startswith("  since 20")
    found = {tuple(each["message_ids"]): each for each in json.loads(facts)["anomalies"]}
    assert found[message_id,]["kind"] == "poison"
    assert found[message_id,]["consumer_ids"] == ["anna"]
