"""Webhooks by HTTP, with the real processes, on both databases."""

import json
import signal
import threading
from collections.abc import Iterator

import httpx
import pytest
import redis

from models.events import stream_key
from tests.conftest import StartSystem
from tests.people.conftest import log_in
from tests.servers import System, wait_until
from tests.webhooks.receiver import Receiver, Reply

WEBHOOKS = "/api/queue/webhooks"


def admin_headers(system: System) -> dict[str, str]:
    secrets = json.loads((system.folder / "secrets.json").read_text())
    return {"X-Admin-Key": secrets["admin_key"]}


@pytest.fixture
def admin(http: httpx.Client, system: System) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=http.base_url, headers=admin_headers(system), timeout=60) as made:
        yield made


def make(admin: httpx.Client, url: str, **fields: object) -> dict[str, object]:
    answer = admin.post(WEBHOOKS, json={"name": "orders", "url": url, **fields})
    assert answer.status_code == 201, answer.text
    made = answer.json()
    assert isinstance(made, dict)
    return made


def put(client: httpx.Client, **fields: object) -> str:
    answer = client.post("/api/queue/message", json={"payload": {"n": 1}, **fields})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


def counts(client: httpx.Client) -> dict[str, int]:
    return dict(client.get("/api/queue/metrics").json())


def test_message_reaches_the_receiver_by_way_of_beat_and_worker(
    system: System, http: httpx.Client, admin: httpx.Client, receiver: Receiver
) -> None:
    made = make(admin, receiver.url, type="order", headers={"X-Tenant": "7"})
    message = put(http, type="order")

    [got] = receiver.wait_for(1)

    assert got.id == message
    assert got.is_signed_by(str(made["secret"]))
    assert got.headers["x-tenant"] == "7"
    wait_until(lambda: counts(http)["acknowledged"] == 1, "it is acknowledged")
    path = f"{WEBHOOKS}/orders/deliveries"
    [noted] = wait_until(lambda: admin.get(path).json()["deliveries"], "it is noted")
    assert noted["message_id"] == message
    assert (noted["status"], noted["attempt"], noted["error"]) == (204, 1, None)
    with redis.Redis.from_url(system.redis_url) as client:
        told = b"".join(
            value
            for _, entry in client.xrange(stream_key("messages"))
            for value in entry.values()
            if message.encode() in value
        )
    assert b"webhook:orders" in told  # who took it
    assert b'"ack"' in told


def test_test_shows_the_answer_and_carries_no_message(
    http: httpx.Client, admin: httpx.Client, receiver: Receiver
) -> None:
    receiver.answer = lambda _: Reply(418, body=b"short and stout")
    made = make(admin, receiver.url, paused=True)
    put(http)

    shown = admin.post(f"{WEBHOOKS}/orders/test").json()

    [got] = receiver.got
    assert got.is_signed_by(str(made["secret"]))
    assert got.json["type"] == "stanchion.test"
    assert got.id == shown["webhook_id"]
    assert (shown["delivered"], shown["status"], shown["answer"]) == (False, 418, "short and stout")
    assert counts(http)["queued"] == 1
    [noted] = admin.get(f"{WEBHOOKS}/orders/deliveries?limit=1").json()["deliveries"]
    assert noted["attempt"] == 0


def test_secret_is_shown_once_and_headers_never(admin: httpx.Client, receiver: Receiver) -> None:
    made = make(admin, receiver.url, paused=True, headers={"Authorization": "Bearer abc"})

    shown = admin.get(f"{WEBHOOKS}/orders").json()
    listed = admin.get(WEBHOOKS).json()

    assert str(made["secret"]).startswith("whsec_")
    assert "secret" not in shown
    assert shown["headers"] == {"Authorization": "***"}
    assert listed == {"webhooks": [shown], "next": None}
    # What was shown can be sent back.
    body = {name: shown[name] for name in ("url", "queue", "paused", "headers")}
    assert admin.put(f"{WEBHOOKS}/orders", json=body).status_code == 200
    admin.post(f"{WEBHOOKS}/orders/test")
    assert receiver.got[0].headers["authorization"] == "Bearer abc"
    assert receiver.got[0].is_signed_by(str(made["secret"]))


def test_rotation_lets_the_old_secret_sign_along(admin: httpx.Client, receiver: Receiver) -> None:
    old = str(make(admin, receiver.url, paused=True)["secret"])

    rotated = admin.post(f"{WEBHOOKS}/orders/rotate").json()

    new = rotated["secret"]
    assert rotated["old_secret_until"]
    admin.post(f"{WEBHOOKS}/orders/test")
    assert receiver.got[0].is_signed_by(old)
    assert receiver.got[0].is_signed_by(new)
    last = admin.post(f"{WEBHOOKS}/orders/rotate", json={"overlapSeconds": 0}).json()
    admin.post(f"{WEBHOOKS}/orders/test")
    assert last["old_secret_until"] is None
    assert receiver.got[1].is_signed_by(last["secret"])
    assert not receiver.got[1].is_signed_by(new)


def test_secret_may_be_brought_along(admin: httpx.Client, receiver: Receiver) -> None:
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

    assert make(admin, receiver.url, paused=True, secret=secret)["secret"] == secret

    answer = admin.put(f"{WEBHOOKS}/orders", json={"url": receiver.url, "secret": "whsec_x"})
    assert answer.status_code == 400
    assert list(answer.json()["details"]) == ["secret"]


def test_webhooks_are_made_set_changed_and_deleted(admin: httpx.Client, receiver: Receiver) -> None:
    made = admin.put(f"{WEBHOOKS}/orders", json={"url": receiver.url, "timeoutSeconds": 3})
    assert made.status_code == 201
    assert made.json()["secret"]
    again = admin.put(f"{WEBHOOKS}/orders", json={"url": receiver.url, "concurrency": 2})
    assert again.status_code == 200
    assert (again.json()["timeout_seconds"], again.json()["concurrency"]) == (10, 2)
    patched = admin.patch(
        f"{WEBHOOKS}/orders", json={"type": "order", "concurrency": None, "backoffSeconds": 9}
    ).json()
    assert (patched["type"], patched["concurrency"], patched["backoff_seconds"]) == ("order", 4, 9)
    taken = admin.post(WEBHOOKS, json={"name": "orders", "url": receiver.url})
    assert (taken.status_code, taken.json()["code"]) == (409, "WEBHOOK_EXISTS")
    assert admin.delete(f"{WEBHOOKS}/orders").json() == {"name": "orders"}
    for answer in (
        admin.get(f"{WEBHOOKS}/orders"),
        admin.patch(f"{WEBHOOKS}/orders", json={}),
        admin.delete(f"{WEBHOOKS}/orders"),
        admin.post(f"{WEBHOOKS}/orders/rotate"),
        admin.post(f"{WEBHOOKS}/orders/test"),
        admin.get(f"{WEBHOOKS}/orders/deliveries"),
    ):
        assert (answer.status_code, answer.json()["code"]) == (404, "WEBHOOK_NOT_FOUND")
    actions = [
        (entry["action"], entry["target"])
        for entry in admin.get("/api/v1/auth/audit").json()["data"]
    ]
    assert actions[:4] == [
        ("webhook_deleted", "orders"),
        ("webhook_changed", "orders"),
        ("webhook_changed", "orders"),
        ("webhook_created", "orders"),
    ]


def test_list_is_paged(admin: httpx.Client, receiver: Receiver) -> None:
    for name in ("a", "b", "c"):
        admin.put(f"{WEBHOOKS}/{name}", json={"url": receiver.url, "paused": True})

    first = admin.get(WEBHOOKS, params={"limit": 2}).json()
    second = admin.get(WEBHOOKS, params={"limit": 2, "after": first["next"]}).json()

    assert [each["name"] for each in first["webhooks"]] == ["a", "b"]
    assert [each["name"] for each in second["webhooks"]] == ["c"]
    assert second["next"] is None


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"url": "http://169.254.169.254/latest/meta-data"}, "url"),
        ({"url": "http://10.0.0.1/"}, "url"),
        ({"url": "ftp://example.com/"}, "url"),
        ({"headers": {"Host": "inner"}}, "headers.Host"),
        ({"headers": {"X": "a\r\nb"}}, "headers.X"),
        ({"headers": {"X": "***"}}, "headers.X"),
        ({"timeout_seconds": 31}, "timeout_seconds"),
        ({"concurrency": 0}, "concurrency"),
        ({"name": "a b"}, "name"),
        ({"secret": "abc"}, "secret"),
        ({"unknown": 1}, "unknown"),
    ],
)
def test_what_is_wrong_is_named(admin: httpx.Client, fields: dict[str, object], named: str) -> None:
    body = {"name": "orders", "url": "https://example.com/hook", "paused": True} | fields

    answer = admin.post(WEBHOOKS, json=body)

    assert answer.status_code == 400
    assert list(answer.json()["details"]) == [named]
    assert admin.get(WEBHOOKS).json()["webhooks"] == []


@pytest.mark.parametrize("name", ["a%00b", "%C3%A4", "x" * 300, "-a", "a%0A"])
def test_names_that_cannot_be_are_not_found_and_not_made(
    admin: httpx.Client, receiver: Receiver, name: str
) -> None:
    path = f"{WEBHOOKS}/{name}"

    assert admin.get(path).status_code == 404
    assert admin.get(f"{path}/deliveries").status_code == 404
    assert admin.delete(path).status_code == 404
    assert admin.put(path, json={"url": receiver.url}).status_code in {400, 404}
    assert admin.get(WEBHOOKS, params={"after": "a\0"}).status_code == 400
    assert admin.post(WEBHOOKS, json={"name": "a\n", "url": receiver.url}).status_code == 400


def test_queue_must_be_there(admin: httpx.Client, receiver: Receiver) -> None:
    for answer in (
        admin.post(WEBHOOKS, json={"name": "a", "url": receiver.url, "queue": "mial"}),
        admin.put(f"{WEBHOOKS}/a", json={"url": receiver.url, "queue": "mial"}),
    ):
        assert (answer.status_code, answer.json()["code"]) == (404, "QUEUE_NOT_FOUND")


def test_operators_look_and_admins_change(
    http: httpx.Client, admin: httpx.Client, receiver: Receiver
) -> None:
    make(admin, receiver.url, paused=True)
    user = {"username": "op", "password": "a good password", "role": "operator"}
    assert admin.post("/api/v1/auth/users", json=user).status_code == 201
    log_in(http, "op", "a good password").raise_for_status()

    assert http.get(WEBHOOKS).status_code == 200
    assert http.get(f"{WEBHOOKS}/orders/deliveries").status_code == 200
    assert http.patch(f"{WEBHOOKS}/orders", json={"paused": False}).status_code == 403
    assert http.post(f"{WEBHOOKS}/orders/test").status_code == 403
    assert receiver.got == []


@pytest.mark.slow
def test_stop_waits_for_no_test(start_system: StartSystem, receiver: Receiver) -> None:
    system = start_system("api", WEBHOOK_NETWORKS="127.0.0.0/8")
    over = threading.Event()

    def answer(_got: object) -> Reply:
        system.running["api"].send_signal(signal.SIGTERM)
        over.wait(120)
        return Reply()

    receiver.answer = answer
    with httpx.Client(base_url=system.url, headers=admin_headers(system), timeout=60) as admin:
        make(admin, receiver.url, timeout_seconds=30, paused=True)

        refused = admin.post(f"{WEBHOOKS}/orders/test")

        assert refused.status_code == 503
        assert system.running["api"].wait(15) == 0
    over.set()


@pytest.mark.slow
def test_worker_that_is_told_to_stop_finishes_what_is_under_way(
    start_system: StartSystem, receiver: Receiver
) -> None:
    system = start_system(WEBHOOK_NETWORKS="127.0.0.0/8")
    stops = threading.Event()

    def answer(_got: object) -> Reply:
        system.running["worker"].send_signal(signal.SIGTERM)
        wait_until(lambda: "Warm shutdown" in system.running["worker"].log(), "it stops")
        stops.set()
        return Reply()

    receiver.answer = answer
    with httpx.Client(base_url=system.url, headers=admin_headers(system), timeout=60) as admin:
        for _ in range(3):
            put(admin)
        make(admin, receiver.url, concurrency=1)
        assert stops.wait(60)

        assert system.running["worker"].wait(30) == 0

        assert len(receiver.got) == 1
        now = counts(admin)
        assert (now["acknowledged"], now["queued"], now["processing"]) == (1, 2, 0)


@pytest.mark.slow
def test_killed_worker_loses_nothing(start_system: StartSystem, receiver: Receiver) -> None:
    system = start_system(WEBHOOK_NETWORKS="127.0.0.0/8")

    def answer(_got: object) -> Reply:
        receiver.answer = lambda _: Reply()
        system.running["worker"].kill()  # before it hears the answer
        return Reply()

    receiver.answer = answer
    with httpx.Client(base_url=system.url, headers=admin_headers(system), timeout=60) as admin:
        make(admin, receiver.url, timeout_seconds=1)
        message = put(admin)
        receiver.wait_for(1)
        system.start("worker", name="successor")

        first, second = receiver.wait_for(2)

        assert first.id == second.id == message
        assert first.body == second.body
        wait_until(lambda: counts(admin)["acknowledged"] == 1, "it is acknowledged")
