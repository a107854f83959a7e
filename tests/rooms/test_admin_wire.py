"""The admin of rooms over HTTP, with the real processes, on both databases."""

import csv
import io
import json
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import redis

from models.database import Database
from models.events import stream_key
from models.rooms import scripts
from models.rooms.rules import Arrival, Place
from models.rooms.statements import samples
from models.secrets import secrets_path
from tests.servers import System, wait_until

QUEUES = "/api/v1/admin/queues"
# As in the contract.
CONCERT: dict[str, Any] = {
    "id": "concert-tickets",
    "name": "Concert Ticket Sale",
    "target_url": "https://example.com/checkout",
    "max_active_users": 1000,
    "max_queue_size": 50000,
    "admission_rate": 10,
    "session_timeout_seconds": 3600,
    "heartbeat_interval_seconds": 10,
    "heartbeat_timeout_seconds": 60,
}


@pytest.fixture
def admin(http: httpx.Client, system: System) -> Iterator[httpx.Client]:
    stored = json.loads(secrets_path(system.folder).read_text())
    headers = {"X-Admin-Key": stored["admin_key"]}
    with httpx.Client(base_url=http.base_url, headers=headers, timeout=20) as made:
        yield made
    with redis.Redis.from_url(system.redis_url) as client:
        client.delete(
            "rooms:ids", *(client.keys("{q:*") or ["none"]), *(client.keys("limit*") or ["none"])
        )


@pytest.fixture
def store(system: System) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(system.redis_url) as client:
        yield client


def make(admin: httpx.Client, **changes: Any) -> dict[str, Any]:
    answer = admin.post(QUEUES, json={**CONCERT, **changes})
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


def refusal(answer: httpx.Response) -> tuple[int, str, dict[str, Any]]:
    body = answer.json()
    assert set(body) == {"error", "request_id"}
    assert set(body["error"]) == {"code", "message", "details"}
    return answer.status_code, body["error"]["code"], body["error"]["details"]


def go_inside(store: redis.Redis, count: int = 1) -> None:
    """Let so many visitors in, by the scripts that visitors' requests run."""
    scripts.run(store, scripts.join("concert-tickets", [Arrival(0)] * count))
    scripts.run(store, scripts.tick("concert-tickets"))
    for number in range(count):
        wait_until(
            lambda number=number: claim(store, number), "the visitor is inside", timeout_s=10
        )


def claim(store: redis.Redis, number: int) -> bool:
    scripts.run(store, scripts.tick("concert-tickets"))
    call = scripts.claim(
        "concert-tickets", Place(0, number), session_id=f"session-{number}", life_ms=60_000
    )
    return scripts.run(store, call).session is not None


def test_create_answers_as_in_the_contract(admin: httpx.Client, store: redis.Redis) -> None:
    made = make(admin)

    assert set(made) == {"id", "name", "status", "created_at"}
    assert (made["id"], made["name"]) == ("concert-tickets", "Concert Ticket Sale")
    assert made["status"] == "active"
    assert made["created_at"].endswith("Z")
    shown = admin.get(f"{QUEUES}/concert-tickets").json()
    assert {name: shown[name] for name in CONCERT} == CONCERT
    defaults = {
        "claim_timeout_seconds": 120,
        "session_renewal": False,
        "public_priority_max": 3,
        "identify_by_ip": False,
        "invite_only": False,
        "fail_mode": "closed",
        "algorithm": "RS256",
        "opens_at": None,
        "draw": False,
        "appearance": {},
    }
    assert {name: shown[name] for name in defaults} == defaults
    told = b"".join(
        value for _, entry in store.xrange(stream_key("rooms")) for value in entry.values()
    )
    assert b"waitingroom.queue.created.v1" in told


def test_update_answers_as_in_the_contract(admin: httpx.Client) -> None:
    make(admin)

    answer = admin.patch(
        f"{QUEUES}/concert-tickets",
        json={"admission_rate": 20, "max_active_users": 2000, "status": "paused"},
    )

    body = answer.json()
    assert answer.status_code == 200
    assert body.pop("updated_at").endswith("Z")
    assert body == {
        "id": "concert-tickets",
        "name": "Concert Ticket Sale",
        "status": "paused",
        "admission_rate": 20,
        "max_active_users": 2000,
    }


def test_stats_answer_as_in_the_contract(admin: httpx.Client, store: redis.Redis) -> None:
    make(admin)
    scripts.run(store, scripts.join("concert-tickets", [Arrival(0)] * 3))
    admin.patch(f"{QUEUES}/concert-tickets", json={"status": "paused"})

    stats = admin.get(f"{QUEUES}/concert-tickets/stats").json()

    contract = {
        *("queue_id", "status", "current_waiting", "current_active", "total_enqueued_today"),
        *("total_admitted_today", "total_expired_today", "avg_wait_time_seconds"),
        *("peak_queue_size", "admission_rate_actual"),
    }
    assert contract <= set(stats)
    assert (stats["queue_id"], stats["status"]) == ("concert-tickets", "paused")
    assert stats["current_waiting"] + stats["current_active"] == 3
    assert stats["total_enqueued_today"] == 3


def test_session_is_ended_as_in_the_contract(admin: httpx.Client, store: redis.Redis) -> None:
    make(admin)
    go_inside(store, 2)
    path = f"{QUEUES}/concert-tickets/sessions"
    listed = admin.get(path, params={"limit": 1}).json()

    answer = admin.request(
        "DELETE", "/api/v1/admin/sessions/session-1", json={"reason": "abuse_detected"}
    )
    again = admin.delete("/api/v1/admin/sessions/session-1")
    plain = admin.delete("/api/v1/admin/sessions/session-0")

    assert (listed["total"], listed["next"], len(listed["sessions"])) == (2, 1, 1)
    assert answer.status_code == 200
    body = answer.json()
    assert body.pop("terminated_at").endswith("Z")
    assert body == {
        "session_id": "session-1",
        "status": "terminated",
        "reason": "abuse_detected",
    }
    assert refusal(again)[:2] == (404, "NOT_FOUND")
    assert plain.json()["reason"] == "terminated"
    assert admin.get(path).json()["sessions"] == []
    entries = admin.get("/api/v1/auth/audit").json()
    assert "session_terminated" in json.dumps(entries)


def test_refusals_are_those_of_the_contract(admin: httpx.Client, http: httpx.Client) -> None:
    make(admin)

    assert refusal(admin.post(QUEUES, json=CONCERT))[:2] == (409, "CONFLICT")
    for path in ("", "/stats", "/history", "/sessions"):
        assert refusal(admin.get(f"{QUEUES}/none{path}"))[:2] == (404, "NOT_FOUND")
    assert refusal(admin.patch(f"{QUEUES}/none", json={}))[:2] == (404, "NOT_FOUND")
    assert refusal(admin.delete(f"{QUEUES}/none"))[:2] == (404, "NOT_FOUND")
    assert refusal(http.post(QUEUES, json=CONCERT))[:2] == (403, "FORBIDDEN")
    wrong = {"X-Admin-Key": "wrong"}
    assert refusal(http.get(QUEUES, headers=wrong))[:2] == (403, "FORBIDDEN")
    assert refusal(admin.put(QUEUES, json={}))[:2] == (405, "METHOD_NOT_ALLOWED")


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"id": "mở bán"}, "id"),
        ({"target_url": "javascript:alert(1)"}, "target_url"),
        ({"target_url": "//example.com"}, "target_url"),
        ({"heartbeat_timeout_seconds": 1}, "heartbeat_timeout_seconds"),
        ({"heartbeat_timeout_seconds": 10}, "heartbeat_interval_seconds"),
        ({"session_timeout_seconds": 0}, "session_timeout_seconds"),
        ({"claim_timeout_seconds": 0}, "claim_timeout_seconds"),
        ({"public_priority_max": 4}, "public_priority_max"),
        ({"admission_rate": -1}, "admission_rate"),
        ({"max_active_users": "many"}, "max_active_users"),
        ({"session_renewal": True, "session_cap_seconds": 60}, "session_cap_seconds"),
        ({"fail_mode": "open"}, "fail_open_until"),
        ({"fail_mode": "ajar"}, "fail_mode"),
        ({"algorithm": "none"}, "algorithm"),
        ({"opens_at": "tomorrow"}, "opens_at"),
        ({"draw": True}, "draw"),
        ({"status": "open"}, "status"),
        ({"appearance": {"colours": {"accent": "red"}}}, "appearance.colours.accent"),
        ({"appearance": {"script": "x"}}, "appearance.script"),
        ({"colour": 1}, "colour"),
    ],
)
def test_wrong_field_is_named(admin: httpx.Client, changes: dict[str, Any], field: str) -> None:
    new = {**CONCERT, **changes}
    status, code, details = refusal(admin.post(QUEUES, json=new))

    assert (status, code, list(details)) == (400, "INVALID_REQUEST", [field])
    assert "regex" not in details[field]


def test_smallest_values_and_every_setting_are_taken(admin: httpx.Client) -> None:
    look = {
        "title": "Sale",
        "colours": {"accent": "#1A2b3c"},
        "languages": {"vi": {"title": "Giảm giá", "text": "Xin chờ"}},
    }
    given = {
        "max_active_users": 1,
        "admission_rate": 0.5,
        "session_timeout_seconds": 1,
        "heartbeat_interval_seconds": 1,
        "heartbeat_timeout_seconds": 2,
        "claim_timeout_seconds": 1,
        "session_renewal": True,
        "session_cap_seconds": 10,
        "public_priority_max": 0,
        "identify_by_ip": True,
        "fail_mode": "open",
        "fail_open_until": "2030-01-01T00:00:00.000Z",
        "algorithm": "ES256",
        "opens_at": "2029-12-31T23:59:59.000Z",
        "draw": True,
        "appearance": look,
    }
    make(admin)

    changed = admin.patch(f"{QUEUES}/concert-tickets", json=given).json()
    shown = admin.get(f"{QUEUES}/concert-tickets").json()
    null = dict.fromkeys(given)
    default = admin.patch(f"{QUEUES}/concert-tickets", json=null).json()

    assert {name: changed[name] for name in given} == given
    assert {name: shown[name] for name in given} == given
    assert (default["max_active_users"], default["opens_at"]) == (1000, None)
    assert default["appearance"] == {}


def test_list_has_pages(admin: httpx.Client) -> None:
    for number in range(3):
        make(admin, id=f"room-{number}")

    first = admin.get(QUEUES, params={"limit": 2}).json()
    second = admin.get(QUEUES, params={"limit": 2, "after": first["next"]}).json()

    assert [each["id"] for each in first["queues"]] == ["room-0", "room-1"]
    assert [each["id"] for each in second["queues"]] == ["room-2"]
    assert second["next"] is None


def test_deleted_room_can_be_made_again(admin: httpx.Client, store: redis.Redis) -> None:
    make(admin)
    go_inside(store)

    gone = admin.delete(f"{QUEUES}/concert-tickets").json()
    make(admin)

    assert (gone["id"], gone["status"]) == ("concert-tickets", "deleted")
    stats = admin.get(f"{QUEUES}/concert-tickets/stats").json()
    assert (stats["current_active"], stats["total_enqueued_today"]) == (0, 0)


def test_history_is_sampled_and_comes_as_a_table_too(
    admin: httpx.Client, store: redis.Redis, system_database: Database
) -> None:
    make(admin)
    scripts.run(store, scripts.join("concert-tickets", [Arrival(0)] * 5))
    path = f"{QUEUES}/concert-tickets/history"

    def sampled() -> bool:  # asked of the database: the wire has a limit
        with system_database.begin() as connection:
            return samples.since(connection, "concert-tickets", since_ms=0)[0].joined == 5

    wait_until(sampled, "beat and a worker sample the room", timeout_s=60)
    history = admin.get(path, params={"step": 3600}).json()
    table = admin.get(path, params={"step": 3600, "format": "csv"})

    assert history["step_seconds"] == 3600
    assert sum(point["enqueued"] for point in history["points"]) == 5
    rows = list(csv.DictReader(io.StringIO(table.text)))
    assert table.headers["content-type"].startswith("text/csv")
    assert [int(row["enqueued"]) for row in rows] == [
        point["enqueued"] for point in history["points"]
    ]
    for params in ({"step": 61}, {"since": "now"}, {"step": 60, "since": "2020-01-01T00:00:00Z"}):
        assert refusal(admin.get(path, params=params))[:2] == (400, "INVALID_REQUEST")


def test_metrics_tell_of_rooms(admin: httpx.Client, http: httpx.Client, store: redis.Redis) -> None:
    make(admin, status="paused")
    scripts.run(store, scripts.join("concert-tickets", [Arrival(0)] * 4))

    text = http.get("/metrics").text

    assert 'stanchion_rooms_waiting{room="concert-tickets"} 4.0' in text
    assert 'stanchion_rooms_joined_total{room="concert-tickets"} 4.0' in text
    assert 'stanchion_rooms_left_total{reason="expired",room="concert-tickets"} 0.0' in text


def test_limit_is_told_by_key(admin: httpx.Client) -> None:
    answer = admin.get(QUEUES)

    assert int(answer.headers["x-ratelimit-remaining"]) >= 0
    assert int(answer.headers["x-ratelimit-remaining"]) < int(answer.headers["x-ratelimit-limit"])
    assert 0 <= int(answer.headers["x-ratelimit-reset"]) - time.time() <= 61


def test_users_and_keys_get_as_far_as_the_table_says(
    admin: httpx.Client, http: httpx.Client
) -> None:
    keys = "/api/v1/auth/keys"
    made = {
        scope: admin.post(keys, json={"name": f"key-{scope}", "scope": scope}).json()
        for scope in ("rooms", "messages")
    }
    secret = {scope: find_secret(body) for scope, body in made.items()}

    try:
        for header in ("X-API-KEY", "X-Admin-Key"):
            assert http.get(QUEUES, headers={header: secret["rooms"]}).status_code == 200
            assert http.get(QUEUES, headers={header: secret["messages"]}).status_code in {401, 403}
        users = http.get("/api/v1/auth/users", headers={"X-Admin-Key": secret["rooms"]})
        assert users.status_code == 403
    finally:
        # Where a key exists, messages are no longer open to all: others share the system.
        for scope in made:
            admin.delete(f"{keys}/key-{scope}").raise_for_status()


def find_secret(body: dict[str, Any]) -> str:
    data = body.get("data", body)
    return str(data.get("key") or data["secret"])
