"""The contract, endpoint by endpoint, against the started system on both databases."""

import re
from datetime import datetime
from typing import Any

import httpx
import pytest

MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
EMAIL: dict[str, Any] = {
    "type": "email_send",
    "payload": {"to": "user@example.com", "subject": "Welcome!"},
    "priority": 5,
}


def put(http: httpx.Client, **fields: Any) -> dict[str, Any]:
    answer = http.post("/api/queue/message", json={"payload": {}, **fields})
    assert answer.status_code == 201, answer.text
    body: dict[str, Any] = answer.json()
    return body


def take(http: httpx.Client, **query: Any) -> dict[str, Any]:
    answer = http.get("/api/queue/message", params={"timeout": 5, **query})
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


def test_enqueue_answers_with_the_message(http: httpx.Client) -> None:
    answer = http.post("/api/queue/message", json=EMAIL)

    assert answer.status_code == 201
    body = answer.json()
    assert re.fullmatch(r"msg_\w+", body.pop("id"))
    assert MOMENT.fullmatch(body.pop("created_at"))
    assert body == {**EMAIL, "status": "queued"}


def test_enqueue_takes_defaults(http: httpx.Client) -> None:
    assert put(http)["type"] is None

    leased = take(http)

    assert (leased["priority"], leased["max_attempts"], leased["type"]) == (0, 3, None)


def test_dequeue_answers_with_the_leased_message(http: httpx.Client) -> None:
    queued = put(http, **EMAIL)

    leased = take(http, type="email_send", timeout=30)

    assert list(leased) == [
        "id",
        "type",
        "payload",
        "priority",
        "status",
        "lock_token",
        "locked_until",
        "attempt_count",
        "max_attempts",
        "created_at",
        "dequeued_at",
    ]
    assert leased["lock_token"].startswith("lt_")
    assert (leased["id"], leased["created_at"]) == (queued["id"], queued["created_at"])
    assert (leased["status"], leased["attempt_count"]) == ("processing", 1)
    assert MOMENT.fullmatch(leased["locked_until"])


def test_payload_is_echoed_to_the_letter(http: httpx.Client) -> None:
    text = '{"z": 1.0e5,  "a": 12345678901234567890123, "u": "\\u00fc\\u0000", "ü": [ ]}'
    body = f'{{"payload": {text}}}'.encode()

    queued = http.post(
        "/api/queue/message", content=body, headers={"Content-Type": "application/json"}
    )
    leased = http.get("/api/queue/message", params={"timeout": 5})

    assert f'"payload":{text}' in queued.text
    assert f'"payload":{text}' in leased.text


def test_dequeue_without_messages_is_not_found(http: httpx.Client) -> None:
    answer = http.get("/api/queue/message", params={"timeout": 0})

    assert answer.status_code == 404
    assert answer.json() == {
        "error": "Not Found",
        "message": "No messages available",
        "code": "NO_MESSAGES",
    }


def test_dequeue_overrides_the_lock_timeout(http: httpx.Client) -> None:
    put(http, ack_timeout_seconds=40)

    leased = take(http, ack_timeout_seconds=100)

    assert seconds_between(leased["dequeued_at"], leased["locked_until"]) == 100


def test_message_brings_its_own_lock_timeout(http: httpx.Client) -> None:
    put(http, ack_timeout_seconds=40)

    leased = take(http)

    assert seconds_between(leased["dequeued_at"], leased["locked_until"]) == 40


def test_ack_answers_and_may_be_repeated(http: httpx.Client) -> None:
    put(http)
    leased = take(http)
    held = {"id": leased["id"], "lock_token": leased["lock_token"]}

    first = http.post("/api/queue/ack", json=held)
    again = http.post("/api/queue/ack", json=held)

    assert first.status_code == again.status_code == 200
    assert first.json() == again.json()
    body = first.json()
    assert MOMENT.fullmatch(body.pop("acknowledged_at"))
    assert body == {"id": leased["id"], "status": "acknowledged"}


def test_ack_with_a_foreign_token_is_a_conflict(http: httpx.Client) -> None:
    put(http)
    leased = take(http)

    answer = http.post("/api/queue/ack", json={"id": leased["id"], "lock_token": "lt_other"})

    assert answer.status_code == 409
    assert answer.json() == {
        "error": "Conflict",
        "message": "Lock token mismatch - message may have been requeued",
        "code": "LOCK_LOST",
    }


def test_ack_of_a_message_never_leased_is_a_conflict(http: httpx.Client) -> None:
    queued = put(http)

    answer = http.post("/api/queue/ack", json={"id": queued["id"], "lock_token": "lt_x"})

    assert (answer.status_code, answer.json()["code"]) == (409, "INVALID_STATE")


@pytest.mark.parametrize("message_id", ["msg_abc123", "msg_7fffffffffffffff", "4711", ""])
def test_ack_of_an_unknown_message_is_not_found(http: httpx.Client, message_id: str) -> None:
    answer = http.post("/api/queue/ack", json={"id": message_id, "lock_token": "lt_x"})

    assert (answer.status_code, answer.json()["code"]) == (404, "NOT_FOUND")


def test_nack_requeues_and_at_last_buries(http: httpx.Client) -> None:
    put(http, max_attempts=2)
    for attempt, status in ((1, "queued"), (2, "dead")):
        leased = take(http)
        answer = http.post(
            f"/api/queue/message/{leased['id']}/nack",
            json={"lock_token": leased["lock_token"], "error": "Connection timeout"},
        )
        assert answer.status_code == 200
        assert answer.json() == {
            "id": leased["id"],
            "status": status,
            "attempt_count": attempt,
            "max_attempts": 2,
        }


def test_touch_moves_the_end_of_the_lease(http: httpx.Client) -> None:
    put(http)
    leased = take(http)

    answer = http.put(
        f"/api/queue/message/{leased['id']}/touch",
        json={"lock_token": leased["lock_token"], "extend_seconds": 300},
    )

    assert answer.status_code == 200
    body = answer.json()
    assert list(body) == ["id", "locked_until"]
    assert 300 <= seconds_between(leased["dequeued_at"], body["locked_until"]) < 330


def test_batch_is_stored_in_order(http: httpx.Client) -> None:
    messages = [{"type": "email", "payload": {"to": f"{name}@example.com"}} for name in "ab"]

    answer = http.post("/api/queue/batch", json={"messages": messages})

    assert answer.status_code == 201
    body = answer.json()
    assert body["count"] == 2
    assert [item["status"] for item in body["messages"]] == ["queued", "queued"]
    taken = [take(http), take(http)]
    assert [one["id"] for one in taken] == [item["id"] for item in body["messages"]]
    assert [one["payload"] for one in taken] == [message["payload"] for message in messages]


def test_batch_obeys_the_priority_of_each_message(http: httpx.Client) -> None:
    messages = [{"payload": {}, "priority": priority} for priority in (1, 9, 5)]
    http.post("/api/queue/batch", json={"messages": messages})

    assert [take(http)["priority"] for _ in range(3)] == [9, 5, 1]


def test_other_spellings_are_understood(http: httpx.Client) -> None:
    body = [{"payload": {}, "maxAttempts": 7, "ackTimeout": 77}]
    assert http.post("/api/queue/batch", json=body).status_code == 201

    leased = take(http, consumerId="me", ackTimeout=88)

    assert leased["max_attempts"] == 7
    assert seconds_between(leased["dequeued_at"], leased["locked_until"]) == 88
    nack = {"lockToken": leased["lock_token"], "errorReason": "no"}
    assert http.post(f"/api/queue/message/{leased['id']}/nack", json=nack).status_code == 200


def test_metrics_and_status_count_every_state(http: httpx.Client) -> None:
    for type_ in ("email_send", "email_send", "image_process", None):
        put(http, **({"type": type_} if type_ else {}))
    leased = take(http, type="email_send")
    done = take(http, type="image_process")
    http.post("/api/queue/ack", json={"id": done["id"], "lock_token": done["lock_token"]})

    metrics = http.get("/api/queue/metrics").json()
    status = http.get("/api/queue/status").json()

    counts = {"queued": 2, "processing": 1, "acknowledged": 1, "dead": 0, "archived": 0}
    assert metrics == {**counts, "total": 4}
    assert status["counts"] == counts
    assert status["by_type"] == {
        "": {"queued": 1, "processing": 0},
        "email_send": {"queued": 1, "processing": 1},
    }
    assert leased["created_at"] <= status["oldest_queued"] <= status["newest_queued"]


def test_status_of_an_empty_queue_has_no_ends(http: httpx.Client) -> None:
    status = http.get("/api/queue/status").json()

    assert (status["oldest_queued"], status["newest_queued"], status["by_type"]) == (None, None, {})


@pytest.mark.parametrize(
    ("body", "details"),
    [
        ({}, {"payload": "Required"}),
        ({"payload": "text"}, {"payload": "Expected `object`"}),
        ({"payload": [1]}, {"payload": "Expected `object`"}),
        ({"payload": None}, {"payload": "Expected `object`"}),
        ({"payload": {}, "priority": 10}, {"priority": "Expected `int` <= 9"}),
        ({"payload": {}, "priority": -1}, {"priority": "Expected `int` >= 0"}),
        ({"payload": {}, "priority": "5"}, {"priority": "Expected `int`, got `str`"}),
        ({"payload": {}, "max_attempts": 0}, {"max_attempts": "Expected `int` >= 1"}),
        ({"payload": {}, "max_attempts": 5000}, {"max_attempts": "Expected `int` <= 1000"}),
        ({"payload": {}, "ack_timeout_seconds": 0}, {"ack_timeout_seconds": "Expected `int` >= 1"}),
        (
            {"payload": {}, "ack_timeout_seconds": 50_000},
            {"ack_timeout_seconds": "Expected `int` <= 43200"},
        ),
        ({"payload": {}, "type": ""}, {"type": "Expected `str` of length >= 1"}),
        ({"payload": {}, "prority": 1}, {"prority": "Unknown field"}),
        ({"priority": 11, "typo": 1}, None),
        ([], {"body": "Expected `object`, got `array`"}),
        ("text", {"body": "Expected `object`, got `str`"}),
    ],
)
def test_enqueue_names_every_wrong_field(
    http: httpx.Client, body: Any, details: dict[str, str] | None
) -> None:
    answer = http.post("/api/queue/message", json=body)

    assert answer.status_code == 400, answer.text
    assert answer.json()["error"] == "Validation failed"
    if details is None:
        assert set(answer.json()["details"]) == {"priority", "typo", "payload"}
    else:
        assert answer.json()["details"] == details
    assert http.get("/api/queue/metrics").json()["total"] == 0


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"{", "not JSON"),
        (b"", "Required"),
        (b'{"payload": {"a": "\x00"}}', "not JSON"),
        (b'{"payload": ' + b'{"a":' * 50_000 + b"1" + b"}" * 50_001, "nested too deeply"),
        (b'{"payload": {}, "type": "\\ud800"}', "not JSON"),
    ],
)
def test_broken_json_is_refused(http: httpx.Client, content: bytes, reason: str) -> None:
    answer = http.post(
        "/api/queue/message", content=content, headers={"Content-Type": "application/json"}
    )

    assert answer.status_code == 400, answer.text
    assert reason in answer.json()["details"]["body"]


def test_a_word_that_is_none_of_those_taken_is_told_them(http: httpx.Client) -> None:
    answer = http.get("/api/queue/main/messages/export", params={"format": "xml"})

    assert answer.status_code == 400, answer.text
    assert answer.json()["details"] == {"format": "Expected `ndjson` or `csv`, got 'xml'"}


@pytest.mark.parametrize(
    ("messages", "field"),
    [
        ([], "messages"),
        ([{"payload": {}}] * 1001, "messages"),
        ([{"payload": {}}, {"payload": 5}], "messages[1].payload"),
        ([{"payload": {}}, {"payload": {}, "priority": 99}], "messages[1].priority"),
        ([{"payload": {}}, 7], "messages[1]"),
        ("x", "messages"),
    ],
)
def test_bad_batch_stores_nothing(http: httpx.Client, messages: Any, field: str) -> None:
    answer = http.post("/api/queue/batch", json={"messages": messages})

    assert answer.status_code == 400, answer.text
    assert list(answer.json()["details"]) == [field]
    assert http.get("/api/queue/metrics").json()["total"] == 0


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("timeout=soon", "timeout"),
        ("timeout=-1", "timeout"),
        ("timeout=61", "timeout"),
        ("timeout=1&timeout=2", "timeout"),
        ("ack_timeout_seconds=0", "ack_timeout_seconds"),
        ("ack_timeout_seconds=43201", "ack_timeout_seconds"),
        ("typ=email", "typ"),
        ("type=", "type"),
        ("type=%00", "type"),
    ],
)
def test_dequeue_names_the_wrong_parameter(http: httpx.Client, query: str, field: str) -> None:
    answer = http.get(f"/api/queue/message?{query}")

    assert answer.status_code == 400, answer.text
    assert list(answer.json()["details"]) == [field]


@pytest.mark.parametrize("path", ["message", "batch", "import", "ack"])
def test_parameter_beside_a_body_is_refused_and_nothing_is_stored(
    http: httpx.Client, path: str
) -> None:
    before = http.get("/api/queue/metrics").json()["total"]

    answer = http.post(f"/api/queue/{path}?queue=mail", json={"payload": {}})

    assert answer.status_code == httpx.codes.BAD_REQUEST, answer.text
    assert answer.json()["details"] == {"queue": "Unknown field"}
    assert http.get("/api/queue/metrics").json()["total"] == before


@pytest.mark.parametrize(
    "content",
    [
        b'{"priority": 99, "payload": {',
        b'{"priority": 99, "payload": {}, "type": "\xff"}',
        b'{"priority": 99, "payload": ' + b'{"a":' * 50_000 + b"1" + b"}" * 50_001,
        b'{"payload": {}, "max_attempts": 1e400}',
        b'{"payload": {}, "max_attempts": 1.5}',
    ],
)
def test_text_that_is_broken_behind_a_wrong_field_is_refused(
    http: httpx.Client, content: bytes
) -> None:
    answer = http.post(
        "/api/queue/message", content=content, headers={"Content-Type": "application/json"}
    )

    assert answer.status_code == 400, answer.text
    assert answer.json()["details"]


def test_large_bad_batch_is_refused_in_a_few_words(http: httpx.Client) -> None:
    for messages in ([0] * 300_000, [{"payload": 1}] * 1_000, [{}] * 1_000):
        answer = http.post("/api/queue/batch", json={"messages": messages})
        assert answer.status_code == 400
        assert 1 <= len(answer.json()["details"]) <= 20


@pytest.mark.parametrize("token", ["a\0b", "a\nb", "x" * 65])
def test_token_that_never_was_is_refused(http: httpx.Client, token: str) -> None:
    answer = http.post("/api/queue/ack", json={"id": "msg_0000000000000001", "lock_token": token})

    assert answer.status_code == 400
    assert list(answer.json()["details"]) == ["lock_token"]


def test_two_slashes_lead_nowhere(http: httpx.Client) -> None:
    for path in ("//api/queue/metrics", "///metrics", "/api//queue/metrics", "//health"):
        assert http.get(f"{http.base_url}{path}").status_code == 404


def test_payload_that_is_not_utf8_is_refused(http: httpx.Client) -> None:
    answer = http.post(
        "/api/queue/message",
        content=b'{"payload": {"a": "\xff"}}',
        headers={"Content-Type": "application/json"},
    )

    assert answer.status_code == 400
    assert answer.json()["details"] == {"payload": "Expected UTF-8"}


def test_body_over_the_limit_is_refused_by_size(http: httpx.Client) -> None:
    answer = http.post("/api/queue/message", json={"payload": {"a": "x" * 1_100_000}})

    assert answer.status_code == 413
    assert answer.json()["error"] == "Payload Too Large"


def test_chunked_body_over_the_limit_is_refused_while_it_comes(http: httpx.Client) -> None:
    chunks = (b"x" * 65_536 for _ in range(40))

    answer = http.post(
        "/api/queue/message", content=chunks, headers={"Content-Type": "application/json"}
    )

    assert answer.status_code == 413


def test_chunked_body_within_the_limit_is_read(http: httpx.Client) -> None:
    chunks = iter([b'{"payload"', b': {"a": 1}}'])

    answer = http.post(
        "/api/queue/message", content=chunks, headers={"Content-Type": "application/json"}
    )

    assert answer.status_code == 201


def test_unknown_path_answers_in_the_form_of_messages(http: httpx.Client) -> None:
    answer = http.get("/api/queue/nothing")

    assert answer.status_code == 404
    assert answer.json()["error"] == "Not Found"


def test_wrong_method_says_which_are_allowed(http: httpx.Client) -> None:
    answer = http.delete("/api/queue/ack")

    assert answer.status_code == 405
    assert "POST" in answer.headers["Allow"]
    assert answer.json()["error"] == "Method Not Allowed"


def test_health_is_open_and_in_the_contracts_form(http: httpx.Client) -> None:
    answer = http.get("/health")

    assert answer.status_code == 200
    assert answer.json()["status"] == "ok"
    assert MOMENT.fullmatch(answer.json()["timestamp"])


def test_request_id_is_kept_or_made(http: httpx.Client) -> None:
    kept = http.get("/health", headers={"X-Request-ID": "abc-123"})
    made = http.get("/health", headers={"X-Request-ID": "no good\tid"})

    assert kept.headers["X-Request-ID"] == "abc-123"
    assert re.fullmatch(r"[0-9a-f]{16}", made.headers["X-Request-ID"])


def seconds_between(start: str, end: str) -> float:
    return (datetime.fromisoformat(end) - datetime.fromisoformat(start)).total_seconds()
