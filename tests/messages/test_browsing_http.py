"""Lists, exports and imports over HTTP, as programs and operators use them."""

import csv
import io
import json
import uuid
from typing import Any

import httpx
import pytest

from tests.messages.test_contract import put, take

PAYLOADS = [
    '{"b":1,"a":2.50,"c":1e3}',
    '{ "spaces" : [1,  2] }',
    '{"lines":\n  "é\\u00e9 😀",\r\n  "tab":\t"\\t"}',
    '{"formula":"=1+1","quote":"\\"","comma":",;"}',
    "{}",
]


@pytest.fixture
def kind() -> str:
    """A type of the test's own: the system is shared."""
    return uuid.uuid4().hex


def put_raw(http: httpx.Client, payload: str, **fields: Any) -> str:
    """Put a message in whose payload is sent to the letter; return its id."""
    rest = "".join(f", {json.dumps(name)}: {json.dumps(value)}" for name, value in fields.items())
    body = f'{{"payload": {payload}{rest}}}'
    answer = http.post(
        "/api/queue/message", content=body, headers={"Content-Type": "application/json"}
    )
    assert answer.status_code == httpx.codes.CREATED, answer.text
    return str(answer.json()["id"])


def post(http: httpx.Client, content: str | bytes, kind: str = "x-ndjson") -> httpx.Response:
    subtype = {"csv": "text/csv", "json": "application/json"}.get(kind, "application/x-ndjson")
    return http.post("/api/queue/import", content=content, headers={"Content-Type": subtype})


def test_message_is_shown_without_its_token(http: httpx.Client, kind: str) -> None:
    message_id = put_raw(http, PAYLOADS[0], type=kind, priority=3)
    before = http.get(f"/api/queue/message/{message_id}")
    lease = take(http, type=kind, consumer_id="worker-7")

    held = http.get(f"/api/queue/message/{message_id}")

    assert f'"payload":{PAYLOADS[0]},' in before.text
    assert (before.json()["status"], before.json()["priority"]) == ("queued", 3)
    shown = held.json()
    assert (shown["status"], shown["consumer_id"]) == ("processing", "worker-7")
    assert (shown["locked_until"], shown["attempt_count"]) == (lease["locked_until"], 1)
    assert lease["lock_token"] not in held.text
    listed = http.get("/api/queue/processing/messages", params={"type": kind})
    assert [each["id"] for each in listed.json()["messages"]] == [message_id]
    exported = http.get("/api/queue/processing/messages/export", params={"type": kind})
    assert lease["lock_token"] not in listed.text + exported.text
    for unknown in ("msg_7fffffffffffffff", "msg_1", "x"):
        assert http.get(f"/api/queue/message/{unknown}").json()["code"] == "NOT_FOUND"


def test_list_is_paged_filtered_and_searched(http: httpx.Client, kind: str) -> None:
    ids = [put_raw(http, f'{{"n":"n{number}%"}}', type=kind) for number in range(5)]
    path = "/api/queue/main/messages"

    first = http.get(path, params={"type": kind, "limit": 2}).json()
    second = http.get(path, params={"type": kind, "limit": 2, "cursor": first["cursor"]}).json()
    third = http.get(path, params={"type": kind, "limit": 2, "page": 3}).json()

    seen = [each["id"] for page in (first, second, third) for each in page["messages"]]
    assert seen == ids[::-1]
    assert (first["total"], first["count"], third["page"], third["cursor"]) == (5, 2, 3, None)
    found = http.get(path, params={"type": kind, "search": "N3%", "sortOrder": "asc"}).json()
    assert ([each["id"] for each in found["messages"]], found["total"]) == ([ids[3]], None)
    chosen = http.get(path, params={"ids": f"{ids[0]},{ids[2]}", "order": "asc"}).json()
    assert [each["id"] for each in chosen["messages"]] == [ids[0], ids[2]]
    at = first["messages"][0]["created_at"]
    since = http.get(path, params={"type": kind, "createdAfter": at, "order": "asc"}).json()
    assert ids[4] in [each["id"] for each in since["messages"]]
    tried = http.get(path, params={"type": kind, "minAttempts": 1}).json()
    assert tried["messages"] == []
    in_turn = http.get(path, params={"type": kind, "queue": "default", "sort": "priority"})
    assert [each["id"] for each in in_turn.json()["messages"]] == ids


@pytest.mark.parametrize(
    ("parameters", "field"),
    [
        ({"sort": "id; DROP TABLE message_ready"}, "sort"),
        ({"sort": "payload"}, "sort"),
        ({"sort": "died_at"}, "sort"),
        ({"order": "sideways"}, "order"),
        ({"limit": 0}, "limit"),
        ({"limit": 501}, "limit"),
        ({"page": 1_000}, "page"),
        ({"page": 1, "cursor": "created_at.desc.1"}, "page"),
        ({"cursor": "created_at.desc.1'"}, "cursor"),
        ({"created_after": "yesterday"}, "created_after"),
        ({"created_before": "1795627881.5"}, "created_before"),
        ({"ids": "msg_1"}, "ids"),
        ({"columns": "lock_token"}, "columns"),
    ],
)
def test_what_a_list_does_not_know_is_named(
    http: httpx.Client, parameters: dict[str, Any], field: str
) -> None:
    answer = http.get("/api/queue/main/messages", params=parameters)

    assert answer.status_code == httpx.codes.BAD_REQUEST
    assert list(answer.json()["details"]) == [field]


def test_lists_and_queues_that_are_not_there_are_404(http: httpx.Client) -> None:
    assert http.get("/api/queue/lost/messages").json()["code"] == "route_not_found"
    for path in ("/api/queue/dead/messages", "/api/queue/dead/messages/export"):
        answer = http.get(path, params={"queue": "nobodys"})
        assert (answer.status_code, answer.json()["code"]) == (404, "QUEUE_NOT_FOUND")


@pytest.mark.parametrize("search", ["%", "_", "'", '"', "\\", "\0", "\ufffd", "'; --", "😀"])
def test_search_bears_any_sign(http: httpx.Client, kind: str, search: str) -> None:
    put(http, type=kind)

    answer = http.get("/api/queue/main/messages", params={"type": kind, "search": search})

    assert answer.status_code == httpx.codes.OK
    assert answer.json()["messages"] == [] or search in {'"', "_"}


@pytest.mark.parametrize("format_", ["ndjson", "csv"])
def test_import_of_an_export_gives_the_same_messages(
    http: httpx.Client, kind: str, format_: str
) -> None:
    fields = {"type": f"={kind}", "max_attempts": 7, "ack_timeout_seconds": 45}
    for number, payload in enumerate(PAYLOADS):
        put_raw(http, payload, **fields, priority=number)
    query = {"type": f"={kind}", "format": format_}
    exported = http.get("/api/queue/main/messages/export", params=query)
    asked = {"type": f"={kind}", "queue": "default", "limit": 100, "order": "asc"}
    before = http.get("/api/queue/main/messages", params=asked).json()["messages"]

    imported = post(http, exported.content, format_)

    assert imported.status_code == httpx.codes.CREATED, imported.text
    assert imported.json()["count"] == len(PAYLOADS)
    answer = http.get("/api/queue/main/messages", params=asked)
    after = answer.json()["messages"]
    assert [each["id"] for each in after[:5]] == [each["id"] for each in before]
    same = ("payload", "type", "queue", "priority", "max_attempts", "ack_timeout_seconds")
    assert [[each[name] for name in same] for each in after[5:]] == [
        [each[name] for name in same] for each in before
    ]
    assert [answer.text.count(f'"payload":{payload},') for payload in PAYLOADS] == [2] * 5


@pytest.mark.parametrize("format_", ["ndjson", "csv"])
def test_number_beyond_a_float_comes_back_to_the_letter(
    http: httpx.Client, kind: str, format_: str
) -> None:
    put_raw(http, '{"n": 1e999}', type=kind)
    query = {"type": kind, "format": format_}
    exported = http.get("/api/queue/main/messages/export", params=query)

    imported = post(http, exported.content, format_)

    assert imported.status_code == httpx.codes.CREATED, imported.text
    [new] = imported.json()["messages"]
    assert '"payload":{"n": 1e999}' in http.get(f"/api/queue/message/{new['id']}").text


def test_delayed_messages_are_exported_with_what_is_left_of_the_delay(
    http: httpx.Client, kind: str
) -> None:
    put(http, type=kind, delay_seconds=3_600)

    exported = http.get("/api/queue/delayed/messages/export", params={"type": kind})
    imported = post(http, exported.content)

    line = json.loads(exported.text)
    assert 3_500 < line["delay_seconds"] <= 3_600
    assert imported.json()["messages"][0]["status"] == "delayed"


def test_csv_cells_do_nothing_in_a_spreadsheet(http: httpx.Client) -> None:
    kinds = ["=1+1", "+1", "-1", "@SUM(A1)", "'quoted", "plain"]
    mark = uuid.uuid4().hex
    for kind in kinds:
        put_raw(http, f'{{"mark":"{mark}"}}', type=kind)

    query = {"format": "csv", "search": mark}
    exported = http.get("/api/queue/main/messages/export", params=query)

    rows = list(csv.DictReader(io.StringIO(exported.text, newline="")))
    assert [row["type"] for row in rows] == [f"'{kind}" for kind in kinds[:5]] + ["plain"]
    assert not any(cell[:1] in set("=+-@\t\r") for row in rows for cell in row.values() if cell)
    assert exported.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert 'filename="main.csv"' in exported.headers["Content-Disposition"]


@pytest.mark.parametrize(
    ("content", "kind", "fields"),
    [
        ('{"payload":{}}\n\n{"payload":[]}\n', "x-ndjson", ["line 3: payload"]),
        ('{"payload":{},"priority":10}', "x-ndjson", ["line 1: priority"]),
        ('{"payload":{}}\n{"payload":{}', "x-ndjson", ["line 2: body"]),
        ('{"payload":{},"prio":1}\n{}', "x-ndjson", ["line 1: prio", "line 2: payload"]),
        ('{"payload":{},"payload_text":"{}"}', "x-ndjson", ["line 1: payload_text"]),
        ('{"payload_text":"[1]"}', "x-ndjson", ["line 1: payload"]),
        ('[{"payload":{}},{"payload":{},"max_attempts":0}]', "json", ["messages[1].max_attempts"]),
        ('[{"payload":{}},7]', "json", ["messages[1].body"]),
        ("[{]", "json", ["body"]),
        ("", "json", ["body"]),
        ("payload,priority\n{},1\n[],1\n{},x\n", "csv", ["line 3: payload", "line 4: priority"]),
        ('payload,lock_token\n"{}",1\n', "csv", ["line 1: lock_token"]),
        ("payload,type\n{}\n", "csv", ["line 2: body"]),
        ('payload\n"{},""priority"":9"\n', "csv", ["line 2: payload"]),
    ],
)
def test_wrong_line_is_named_and_nothing_is_stored(
    http: httpx.Client, content: str, kind: str, fields: list[str]
) -> None:
    before = http.get("/api/queue/metrics").json()["total"]

    answer = post(http, content, kind)

    assert answer.status_code == httpx.codes.BAD_REQUEST, answer.text
    assert list(answer.json()["details"]) == fields
    assert http.get("/api/queue/metrics").json()["total"] == before


def test_import_understands_other_spellings_and_names_its_limit(
    http: httpx.Client, kind: str
) -> None:
    line = {"payload": {"a": 1}, "type": kind, "maxAttempts": 4, "ackTimeout": 9}

    assert post(http, json.dumps(line)).status_code == httpx.codes.CREATED
    assert post(http, json.dumps([line]), "json").status_code == httpx.codes.CREATED
    too_many = post(http, '{"payload":{}}\n' * 1_001)

    listed = http.get("/api/queue/main/messages", params={"type": kind}).json()["messages"]
    assert [(each["max_attempts"], each["ack_timeout_seconds"]) for each in listed] == [(4, 9)] * 2
    assert too_many.status_code == httpx.codes.REQUEST_ENTITY_TOO_LARGE
    assert "BATCH_MESSAGES_MAX" in too_many.json()["message"]
    assert "1000" in too_many.json()["message"]
    unknown = post(http, '{"payload":{},"queue":"nobodys"}')
    assert (unknown.status_code, unknown.json()["code"]) == (404, "QUEUE_NOT_FOUND")


def test_export_of_many_comes_in_pieces_and_is_whole(http: httpx.Client, kind: str) -> None:
    items = [{"payload": {"n": number}, "type": kind} for number in range(1_000)]
    for half in (items[:600], items[600:]):
        http.post("/api/queue/batch", json={"messages": half}).raise_for_status()

    with http.stream("GET", "/api/queue/main/messages/export", params={"type": kind}) as answer:
        chunks = list(answer.iter_raw())

    lines = [json.loads(line) for line in b"".join(chunks).splitlines()]
    assert [line["payload"]["n"] for line in lines] == list(range(1_000))
    assert answer.headers["Transfer-Encoding"] == "chunked"
    assert len(chunks) > 1


def test_import_repeated_with_its_key_is_stored_once(http: httpx.Client, kind: str) -> None:
    line = json.dumps({"payload": {}, "type": kind, "dedup_id": kind})
    headers = {"Content-Type": "application/x-ndjson", "Idempotency-Key": kind}

    first, second = (
        http.post("/api/queue/import", content=line, headers=headers) for _ in range(2)
    )
    third = post(http, line)

    assert first.json()["messages"][0]["id"] == second.json()["messages"][0]["id"]
    assert third.json()["messages"][0]["duplicate"] is True
    listed = http.get("/api/queue/main/messages", params={"type": kind}).json()
    assert listed["total"] == 1


def test_form_of_another_site_cannot_import(http: httpx.Client) -> None:
    answer = http.post(
        "/api/queue/import", content='{"payload":{}}', headers={"Content-Type": "text/plain"}
    )

    assert answer.status_code == httpx.codes.BAD_REQUEST
    said = answer.json()["details"].pop("Content-Type")
    assert said == "Expected one of application/json, application/x-ndjson, text/csv"
