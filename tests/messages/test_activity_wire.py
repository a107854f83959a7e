"""The history over HTTP, on the started system: beat ticks, a worker writes, the API answers."""

from typing import Any

import httpx
import pytest

from tests.messages.test_contract import put, take
from tests.servers import wait_until


def settle(http: httpx.Client, leased: dict[str, Any]) -> None:
    held = {"id": leased["id"], "lock_token": leased["lock_token"]}
    assert http.post("/api/queue/ack", json=held).status_code == 200


def wait_for_history(http: httpx.Client, message_id: str, count: int) -> None:
    """Wait until so many lines of a message are written down."""

    def is_written() -> bool:
        told = http.get(f"/api/queue/message/{message_id}/activity").json()["activity"]
        return sum(line["source"] == "history" for line in told) >= count

    wait_until(is_written, "the history is written")


def test_life_of_a_message_is_written_down_by_the_worker(http: httpx.Client) -> None:
    message_id = put(http, type="a", priority=4)["id"]
    leased = take(http, consumer_id="anna-of-wire")
    lost = http.post(
        f"/api/queue/message/{message_id}/nack",
        json={"lock_token": leased["lock_token"], "error": "hot"},
    )
    assert lost.status_code == 200
    leased = take(http, consumer_id="berta-of-wire")
    before = http.get(f"/api/queue/message/{message_id}/activity").json()
    settle(http, leased)
    wait_for_history(http, message_id, 5)

    life = http.get(f"/api/queue/message/{message_id}/activity").json()
    lines = http.get(
        "/api/queue/activity", params={"id": message_id, "consumerId": "berta-of-wire"}
    ).json()
    found = http.get("/api/queue/consumers").json()

    assert [line["event"] for line in life["activity"]] == [
        *("enqueued", "leased", "given_back", "leased", "acknowledged")
    ]
    assert life["activity"][2]["error"] == "hot"
    assert life["activity"][0]["detail"] == {"priority": 4}
    assert (life["state"], life["is_complete"], life["next"]) == ("acknowledged", True, None)
    assert (before["state"], before["place"]["consumer_id"]) == ("processing", "berta-of-wire")
    assert before["activity"][-1]["event"] == "leased"
    assert [line["event"] for line in lines["activity"]] == ["acknowledged", "leased"]
    assert lines["activity"][0]["queue"] == "default"
    named = {one["consumer_id"]: one for one in found["consumers"]}
    assert (named["berta-of-wire"]["acknowledged"], named["anna-of-wire"]["given_back"]) == (1, 1)
    assert named["berta-of-wire"]["by_type"][0]["type"] == "a"


@pytest.mark.parametrize(
    ("path", "status", "field"),
    [
        ("/api/queue/activity?limit=0", 400, "limit"),
        ("/api/queue/activity?cursor=x", 400, "cursor"),
        ("/api/queue/activity?since=yesterday", 400, "since"),
        ("/api/queue/activity?since=2026", 400, "since"),
        ("/api/queue/activity?message_id=7", 400, "message_id"),
        ("/api/queue/consumers?since=2020-01-01T00:00:00Z", 400, "since"),
        ("/api/queue/message/msg_00000000000fffff/activity", 404, "msg_00000000000fffff"),
    ],
)
def test_refusals_name_what_is_wrong(
    http: httpx.Client, path: str, status: int, field: str
) -> None:
    answer = http.get(path)

    assert answer.status_code == status
    assert field in answer.text
