"""Schedules by HTTP and from the terminal, with the real processes, on both databases."""

import json
from datetime import datetime, timedelta
from typing import Any

import httpx
import msgspec
import pytest

from api.messages.bodies import NewMessageBody
from api.messages.bounds import MessageBounds
from api.schedules.bodies import message_body
from tests.messages.test_commands import Command, command
from tests.servers import wait_until

__all__ = ["command"]

SCHEDULES = "/api/queue/schedules"
NEVER = {"starts_at": "2199-01-01T00:00:00Z", "every_seconds": 60}
MESSAGE = {"payload": {"n": 1}, "type": "tick", "priority": 2}


def make(http: httpx.Client, name: str = "s", **fields: object) -> dict[str, Any]:
    answer = http.post(SCHEDULES, json={"name": name, "message": MESSAGE, **fields})
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


def test_message_comes_each_second_by_way_of_beat_and_worker(http: httpx.Client) -> None:
    make(http, everySeconds=1, catch_up="all")

    taken = [http.get("/api/queue/message?timeout=15&type=tick").json() for _ in range(4)]
    http.patch(f"{SCHEDULES}/s", json={"paused": True})

    assert [each["payload"] for each in taken] == [{"n": 1}] * 4
    shown = http.get(f"{SCHEDULES}/s").json()
    metrics = http.get("/api/queue/metrics").json()
    assert metrics["total"] == shown["runs"] >= 4
    ran_ms = datetime.fromisoformat(shown["last_run_at"]) - datetime.fromisoformat(
        shown["created_at"]
    )
    assert ran_ms == timedelta(seconds=shown["runs"])  # each second has its message, and one only


def test_next_moments_are_told_in_the_zone(http: httpx.Client) -> None:
    make(http, cron="30 2 * * *", timezone="Europe/Berlin", starts_at="2027-03-27T00:00:00Z")

    told = http.get(f"{SCHEDULES}/s/next?count=3").json()

    assert [each["local"] for each in told["next"]] == [
        "2027-03-27T02:30:00+01:00",
        "2027-03-28T03:00:00+02:00",
        "2027-03-29T02:30:00+02:00",
    ]
    assert told["next"][1]["at"] == "2027-03-28T01:00:00.000Z"
    assert http.get(f"{SCHEDULES}/s/next?count=101").status_code == 400


def test_schedule_is_made_shown_changed_and_deleted(http: httpx.Client) -> None:
    made = make(http, **NEVER)
    assert http.post(SCHEDULES, json={"name": "s", "message": MESSAGE, **NEVER}).status_code == 409
    assert http.get(f"{SCHEDULES}/s").json() == made
    assert made["message"]["payload"] == {"n": 1}
    assert (made["next_run_at"], made["paused"]) == ("2199-01-01T00:00:00.000Z", False)

    same = http.put(f"{SCHEDULES}/s", json={"message": MESSAGE, **NEVER})
    paused = http.patch(f"{SCHEDULES}/s", json={"paused": True}).json()
    assert (same.status_code, same.json()) == (200, made)
    assert (paused["paused"], paused["next_run_at"]) == (True, None)
    new = http.put(f"{SCHEDULES}/t", json={"message": MESSAGE, "cron": "0 0 * * *"})
    assert new.status_code == 201

    assert http.delete(f"{SCHEDULES}/s").json() == {"name": "s"}
    gone = http.get(f"{SCHEDULES}/s")
    assert (gone.status_code, gone.json()["code"]) == (404, "SCHEDULE_NOT_FOUND")


def test_list_has_pages_and_no_payloads(http: httpx.Client) -> None:
    for name in ("c", "a", "b"):
        make(http, name, **NEVER)

    first = http.get(f"{SCHEDULES}?limit=2").json()
    second = http.get(f"{SCHEDULES}?limit=2&after={first['next']}").json()

    assert [each["name"] for each in first["schedules"] + second["schedules"]] == ["a", "b", "c"]
    assert second["next"] is None
    assert "message" not in first["schedules"][0]


@pytest.mark.parametrize(
    ("fields", "faults"),
    [
        (
            {"cron": "0 7 * * FRI-MON"},
            {"cron": "Expected day-of-week of 0-7 or SUN-SAT, got 'FRI-MON'"},
        ),
        ({}, {"cron": "Expected one of `cron` and `every_seconds`"}),
        (
            {"cron": "* * * * *", "every_seconds": 1},
            {"cron": "Expected one of `cron` and `every_seconds`"},
        ),
        ({"every_seconds": 0}, {"every_seconds": "Expected `int` >= 1"}),
        (
            {"cron": "* * * * *", "timezone": "Mars"},
            {"timezone": "Expected a name such as Europe/Berlin, got 'Mars'"},
        ),
        ({**NEVER, "message": {"payload": 1}}, {"message.payload": "Expected `object`"}),
        (
            {**NEVER, "message": {"payload": {}, "max_attempts": 5_000}},
            {"message.max_attempts": "Expected `int` <= 1000"},
        ),
    ],
)
def test_wrong_field_is_named(
    http: httpx.Client, fields: dict[str, object], faults: dict[str, str]
) -> None:
    answer = http.post(SCHEDULES, json={"name": "s", "message": MESSAGE, **fields})

    assert answer.status_code == 400, answer.text
    assert answer.json()["details"] == faults


def test_run_puts_the_message_in_now(http: httpx.Client) -> None:
    make(http, paused=True, **NEVER)

    ran = http.post(f"{SCHEDULES}/s/run")

    assert ran.status_code == 201, ran.text
    taken = http.get("/api/queue/message").json()
    assert (taken["id"], taken["payload"]) == (ran.json()["id"], {"n": 1})
    assert http.get(f"{SCHEDULES}/s").json()["runs"] == 0


def test_queue_that_went_away_is_said(http: httpx.Client) -> None:
    http.put("/api/queue/queues/gone", json={})
    make(http, message={"payload": {}, "queue": "gone"}, every_seconds=1)
    make(http, "other", every_seconds=1)
    http.delete("/api/queue/queues/gone?force=true")

    shown = wait_until(
        lambda: (found := http.get(f"{SCHEDULES}/s").json())["failures"] and found, "it failed"
    )

    assert shown["last_error"] == "queue gone does not exist"
    assert http.get("/api/queue/message?timeout=15&type=tick").status_code == 200


def test_commands(command: Command, http: httpx.Client) -> None:
    make(http, "daily", cron="0 7 * * MON-FRI", timezone="Europe/Berlin")

    assert "0 7 * * MON-FRI (Europe/Berlin)" in command("schedules", "list")[1]
    assert "T07:00:00+0" in command("schedules", "show", "daily")[1]
    code, ran, _ = command("schedules", "run", "daily")
    assert (code, ran.strip()) == (0, http.get("/api/queue/message").json()["id"])
    assert "paused" in command("schedules", "pause", "daily")[1]
    assert http.get(f"{SCHEDULES}/daily").json()["paused"] is True
    _, told, _ = command("schedules", "resume", "daily", "--json")
    assert json.loads(told)["paused"] is False
    code, _, said = command("schedules", "show", "nobody")
    assert (code, "SCHEDULE_NOT_FOUND" in said) == (1, True)


def test_message_is_shown_as_it_came() -> None:
    bounds = MessageBounds(
        **{field.name: 1_000_000 for field in MessageBounds.__dataclass_fields__.values()}
    )
    raw = (
        b'{"payload":{"a": 1.50},"type":"t","priority":3,"max_attempts":4,'
        b'"ack_timeout_seconds":5,"queue":"q","delay_seconds":6,'
        b'"dedup_id":"d","dedup_seconds":7,"dedup_replace":true}'
    )
    sent = msgspec.json.decode(raw, type=NewMessageBody)

    assert msgspec.json.encode(message_body(bounds.new_message(sent))) == msgspec.json.encode(sent)
    sent = msgspec.json.decode(b'{"payload":{},"group_key":"g"}', type=NewMessageBody)
    assert message_body(bounds.new_message(sent)) == sent
