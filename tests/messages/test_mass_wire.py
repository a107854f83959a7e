"""Many messages at once over HTTP: previews, confirms, the source program's words, faults."""

from typing import Any

import httpx
import pytest

from models.messages.rules import public_id
from tests.messages.test_contract import put, take

REDRIVE = "/api/queue/dead/redrive"
MOVE = "/api/queue/move"
DELETE = "/api/queue/messages/delete"


def die(http: httpx.Client, **fields: Any) -> str:
    """Put a message in that is dead right away; return its id."""
    put(http, max_attempts=1, **fields)
    leased = take(http)
    body = {"lock_token": leased["lock_token"], "error": "broken"}
    path = f"/api/queue/message/{leased['id']}/nack"
    assert http.post(path, json=body).json()["status"] == "dead"
    return str(leased["id"])


def post(http: httpx.Client, path: str, **body: Any) -> dict[str, Any]:
    answer = http.post(path, json=body)
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.json()
    return told


def counts(http: httpx.Client) -> dict[str, int]:
    return {
        name: n
        for name, n in http.get("/api/queue/metrics").json().items()
        if n and name != "total"
    }


def test_redrive_is_seen_before_it_is_done(http: httpx.Client) -> None:
    made = die(http, type="mail")
    die(http, type="other")
    wanted = {"filter": {"type": "mail"}}

    seen = post(http, REDRIVE, **wanted, preview=True)
    refused = http.post(REDRIVE, json=wanted)
    wrong = http.post(REDRIVE, json={"filter": {}, "confirm": seen["confirm"]})
    done = post(http, REDRIVE, **wanted, confirm=seen["confirm"])
    again = http.post(REDRIVE, json={**wanted, "confirm": seen["confirm"]})

    assert (seen["preview"], seen["count"]) == (True, 1)
    [shown] = seen["sample"]
    assert (shown["id"], shown["status"], shown["last_error"]) == (made, "dead", "broken")
    assert "payload" not in shown
    assert (refused.status_code, list(refused.json()["details"])) == (400, ["confirm"])
    assert (wrong.status_code, wrong.json()["code"]) == (409, "UNCONFIRMED")
    assert done == {"preview": False, "count": 1, "left": 0}
    assert (again.status_code, again.json()["code"]) == (409, "COUNT_CHANGED")
    assert again.json()["details"] == {"seen": "1", "count": "0"}
    assert take(http)["id"] == made
    assert counts(http) == {"processing": 1, "dead": 1}


def test_redrive_goes_on_with_what_is_left(http: httpx.Client) -> None:
    for _ in range(3):
        die(http)
    wanted = {"filter": {}, "limit": 2, "rate_per_second": 0.001}
    seen = post(http, REDRIVE, **wanted, preview=True)

    first = post(http, REDRIVE, **wanted, confirm=seen["confirm"])
    rest = post(http, REDRIVE, **{**wanted, "limit": 9}, confirm=first["confirm"])

    assert (first["count"], first["left"]) == (2, 1)
    assert (rest["count"], rest["left"], "confirm" in rest) == (1, 0, False)
    found = counts(http)
    assert found["delayed"] + found.get("queued", 0) == 3  # the turn of the first one is now
    assert found["delayed"] >= 2


def test_named_messages_need_no_confirm_and_who_is_skipped_is_named(http: httpx.Client) -> None:
    lost, ready = die(http), put(http)["id"]

    seen = post(http, REDRIVE, ids=[lost, ready], preview=True)
    done = post(http, REDRIVE, ids=[lost, lost, ready, public_id(4_711)])

    assert (seen["count"], "confirm" in seen) == (1, False)
    assert done["count"] == 1
    assert done["skipped"] == [
        {"id": ready, "status": "queued"},
        {"id": public_id(4_711), "status": None},
    ]
    assert counts(http) == {"queued": 2}


def test_messages_move_and_go_in_the_words_of_the_source_program(http: httpx.Client) -> None:
    first, second = put(http, type="a", payload={"n": 1}), put(http)

    moved = post(
        http,
        MOVE,
        messages=[first, {"id": second["id"]}],
        fromQueue="main",
        toQueue="dead",
        errorReason="Manual DLQ",
    )
    [shown] = post(http, REDRIVE, ids=[first["id"]], preview=True)["sample"]
    back = post(http, MOVE, messages=[first], fromQueue="dead", toQueue="main")
    gone = http.post(
        DELETE, params={"queueType": "main"}, json={"messageIds": [first["id"], second["id"]]}
    ).json()

    assert (moved["count"], back["count"], gone["count"]) == (2, 1, 1)
    assert shown["status"] == "dead"
    assert gone["skipped"] == [{"id": second["id"], "status": "dead"}]
    assert counts(http) == {"dead": 1}


def test_messages_are_deleted_by_a_filter(http: httpx.Client) -> None:
    for kind in ("a", "a", "b"):
        put(http, type=kind)
    take(http, type="a")
    wanted = {"filter": {"type": "a"}}

    seen = post(http, DELETE, **wanted, preview=True)
    done = post(http, DELETE, **wanted, confirm=seen["confirm"])

    assert (seen["count"], done["count"]) == (1, 1)
    assert counts(http) == {"queued": 1, "processing": 1}


def test_filter_knows_texts_times_attempts_and_states(http: httpx.Client) -> None:
    lost = die(http, payload={"order": "A-17"})
    ready = put(http, payload={"order": "A-17"}, type="a")
    put(http, payload={"order": "B-4"})

    def ids(**chosen: Any) -> list[str]:
        seen = post(http, DELETE, filter=chosen, preview=True)
        return [each["id"] for each in seen["sample"]]

    assert sorted(ids(search="a-17")) == sorted([lost, ready["id"]])
    assert ids(search="a-17", type="a") == [ready["id"]]
    assert ids(search="broken") == [lost]
    assert ids(min_attempts=1) == [lost]
    assert ids(ids=f"{lost},{ready['id']}", minAttempts=1) == [lost]
    assert ids(group_key="none") == []
    assert ids(status=["dead", "delayed"]) == [lost]
    assert ids(created_before=ready["created_at"], status="dead", type="") == [lost]
    assert lost not in ids(created_after="2999-01-01T00:00:00Z")


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        (REDRIVE, {}, "ids"),
        (REDRIVE, {"ids": [public_id(1)], "filter": {}}, "ids"),
        (REDRIVE, {"ids": []}, "ids"),
        (REDRIVE, {"ids": ["7"]}, "ids[0]"),
        (REDRIVE, {"ids": [public_id(1), 7]}, "ids[1]"),
        (REDRIVE, {"ids": [public_id(1)] * 1_001}, "ids"),
        (REDRIVE, {"filter": {"status": "queued"}, "preview": True}, "filter.status"),
        (REDRIVE, {"filter": {"status": ["dead", "lost"]}}, "filter.status[1]"),
        (REDRIVE, {"filter": {"created_after": "2030-01-01"}}, "filter.created_after"),
        (REDRIVE, {"filter": {"ids": "7"}, "preview": True}, "filter.ids"),
        (REDRIVE, {"filter": {"colour": "red"}, "preview": True}, "filter.colour"),
        (REDRIVE, {"filter": {}, "rate_per_second": 0}, "rate_per_second"),
        (REDRIVE, {"filter": {}, "limit": 0}, "limit"),
        (REDRIVE, {"filter": {}, "rows_per_transaction": 5_001}, "rows_per_transaction"),
        (REDRIVE, {"filter": {}}, "confirm"),
        (MOVE, {"filter": {}, "preview": True}, "queue"),
        (MOVE, {"filter": {}, "to": "processing"}, "to"),
        (MOVE, {"ids": [public_id(1)], "to": "queued", "status": "archived"}, "status"),
        (DELETE, {"filter": {"status": "processing"}, "preview": True}, "filter.status"),
    ],
)
def test_wire_names_what_is_wrong(
    http: httpx.Client, path: str, body: dict[str, Any], field: str
) -> None:
    answer = http.post(path, json=body)

    assert (answer.status_code, list(answer.json()["details"])) == (400, [field]), answer.text


def test_queue_to_go_to_must_be_there(http: httpx.Client) -> None:
    answer = http.post(MOVE, json={"ids": [put(http)["id"]], "queue": "nowhere"})

    assert (answer.status_code, answer.json()["code"]) == (404, "QUEUE_NOT_FOUND")
    assert counts(http) == {"queued": 1}
