"""Who acts on messages, and what the audit log says of it: users by role, keys, named actions."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.people.conftest import SECRET_KEY, token_of
from tests.servers import System


@pytest.fixture
def keyed(running: System) -> Iterator[httpx.Client]:
    """A program with a key."""
    headers = {"X-API-KEY": SECRET_KEY}
    with httpx.Client(base_url=running.url, headers=headers, timeout=20) as client:
        yield client


def put(client: httpx.Client) -> str:
    answer = client.post("/api/queue/message", json={"payload": {"a": "secret"}})
    return str(answer.raise_for_status().json()["id"])


def entries(admin: httpx.Client, target: str) -> list[dict[str, Any]]:
    answer = admin.get("/api/v1/auth/audit", params={"target": target})
    found: list[dict[str, Any]] = answer.raise_for_status().json()["data"]
    return found


def test_what_a_key_does_to_messages_is_in_the_log(
    admin: httpx.Client, keyed: httpx.Client
) -> None:
    message_id = put(keyed)
    path = f"/api/queue/message/{message_id}"

    keyed.put(path, json={"payload": {"a": "new secret"}, "priority": 7}).raise_for_status()
    keyed.delete(path).raise_for_status()
    assert keyed.delete(path).status_code == 404

    deleted, edited = entries(admin, message_id)
    assert (edited["action"], edited["details"]) == (
        "message_edited",
        {"fields": ["payload", "priority"], "queue": "default", "status": "queued"},
    )
    assert (deleted["action"], deleted["details"]) == (
        "message_deleted",
        {"queue": "default", "status": "queued"},
    )
    assert "secret" not in str((edited, deleted))


def test_operators_edit_and_admins_delete_and_change_many(
    admin: httpx.Client, keyed: httpx.Client
) -> None:
    body = {"username": "olga", "password": "good password", "role": "operator"}
    admin.post("/api/v1/auth/users", json=body).raise_for_status()
    headers = {"Authorization": f"Bearer {token_of(admin, 'olga', 'good password')}"}
    message_id = put(keyed)
    path = f"/api/queue/message/{message_id}"

    with httpx.Client(base_url=admin.base_url, headers=headers, timeout=20) as olga:
        edited = olga.put(path, json={"priority": 7})
        refused = [
            olga.delete(path),
            *(
                olga.post(f"/api/queue/{name}", json={"ids": [message_id], "queue": "default"})
                for name in ("move", "messages/delete", "dead/redrive")
            ),
        ]
    gone = admin.delete(path)

    assert edited.status_code == 200
    assert [answer.status_code for answer in refused] == [403] * 4
    assert gone.status_code == 200
    assert [(each["actor"], each["action"]) for each in entries(admin, message_id)] == [
        ("admin", "message_deleted"),
        ("olga", "message_edited"),
    ]


def test_what_changes_many_is_in_the_log_with_the_filter_and_the_count(
    admin: httpx.Client, keyed: httpx.Client
) -> None:
    for name in ("acts", "other"):
        keyed.put(f"/api/queue/queues/{name}", json={}).raise_for_status()
    keyed.post(
        "/api/queue/batch", json=[{"payload": {}, "queue": "acts", "type": "a"}] * 3
    ).raise_for_status()

    def do(path: str, **body: Any) -> None:
        wanted = {"filter": {"queue": "acts", "type": "a"}, **body}
        seen = admin.post(path, json={**wanted, "preview": True}).raise_for_status().json()
        done = admin.post(path, json={**wanted, "confirm": seen["confirm"]})
        assert done.json()["count"] == 3

    do("/api/queue/move", to="dead")
    do("/api/queue/dead/redrive", rate_per_second=2)
    do("/api/queue/messages/delete")

    noted = entries(admin, "acts")
    filters = [each["details"].pop("filter") for each in noted]
    assert [(each["actor"], each["action"], each["details"]) for each in noted] == [
        ("admin", "messages_deleted", {"count": 3}),
        ("admin", "messages_redriven", {"count": 3, "status": "delayed", "rate_per_second": 2.0}),
        ("admin", "messages_moved", {"count": 3, "status": "dead"}),
    ]
    assert [each.pop("status") for each in filters] == [
        ["dead", "delayed", "queued"],
        ["dead"],
        ["delayed", "queued"],
    ]
    assert filters == [{"queue": "acts", "type": "a"}] * 3


def test_what_a_user_does_to_queues_has_names_of_its_own(admin: httpx.Client) -> None:
    path = "/api/queue/queues/named"
    admin.put(path, json={}).raise_for_status()
    admin.patch(path, json={"paused": True}).raise_for_status()
    admin.post(f"{path}/purge").raise_for_status()
    admin.delete(path).raise_for_status()

    assert [each["action"] for each in entries(admin, path)] == [
        *("queue_deleted", "queue_changed", "queue_changed"),
    ]
    assert [each["action"] for each in entries(admin, f"{path}/purge")] == ["queue_purged"]


def test_operators_change_schedules_admins_delete_them_and_both_are_noted(
    admin: httpx.Client,
) -> None:
    body = {"username": "otto", "password": "good password", "role": "operator"}
    admin.post("/api/v1/auth/users", json=body).raise_for_status()
    headers = {"Authorization": f"Bearer {token_of(admin, 'otto', 'good password')}"}
    schedule = {"message": {"payload": {}}, "cron": "0 0 1 1 *"}
    path = "/api/queue/schedules/yearly"
    with httpx.Client(base_url=admin.base_url, headers=headers, timeout=20) as operator:
        answers = [
            operator.put(path, json=schedule),
            operator.post(f"{path}/run"),
            operator.delete(path),
        ]
    answers.append(admin.delete(path))

    assert [answer.status_code for answer in answers] == [201, 201, 403, 200]
    assert [each["action"] for each in entries(admin, path)] == [
        *("schedule_deleted", "schedule_changed"),
    ]
    assert [each["action"] for each in entries(admin, f"{path}/run")] == ["schedule_run"]


def test_viewers_look_and_do_not_put_in(admin: httpx.Client, keyed: httpx.Client) -> None:
    body = {"username": "vera", "password": "good password", "role": "viewer"}
    admin.post("/api/v1/auth/users", json=body).raise_for_status()
    headers = {"Authorization": f"Bearer {token_of(admin, 'vera', 'good password')}"}
    message_id = put(keyed)
    paths = (
        f"/api/queue/message/{message_id}",
        "/api/queue/main/messages",
        "/api/queue/main/messages/export",
    )

    seen = [keyed.get(path) for path in paths]
    with httpx.Client(base_url=keyed.base_url, headers=headers, timeout=20) as viewer:
        seen += [viewer.get(path) for path in paths]
        refused = viewer.post("/api/queue/import", json=[{"payload": {}}])
    with httpx.Client(base_url=keyed.base_url, timeout=20) as stranger:
        unknown = [stranger.get(path).status_code for path in paths]

    assert [answer.status_code for answer in seen] == [200] * 6
    assert (refused.status_code, unknown) == (403, [401] * 3)
