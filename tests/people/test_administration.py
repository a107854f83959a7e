"""What admins and their users send, the strange things too, and what the audit log says of it."""

from typing import Any

import httpx
import pytest

from tests.people.conftest import ADMIN_PASSWORD, token_of

ID_MAX = 2**63 - 1


def new_user(admin: httpx.Client, username: str, **facts: Any) -> httpx.Response:
    body = {"username": username, "password": "good password", "role": "operator", **facts}
    return admin.post("/api/v1/auth/users", json=body)


def entries(admin: httpx.Client, target: str) -> list[tuple[str, dict[str, Any]]]:
    answer = admin.get("/api/v1/auth/audit", params={"target": target, "limit": 20})
    return [(each["action"], each["details"]) for each in answer.raise_for_status().json()["data"]]


@pytest.mark.parametrize("path", ["/api/v1/auth/login", "/app/auths/login"])
def test_a_name_that_no_database_stores_is_nobodys(client: httpx.Client, path: str) -> None:
    answer = client.post(path, json={"username": "a\0b", "password": "x"})

    assert answer.status_code == 401


def test_a_form_may_hold_letters_of_every_language(client: httpx.Client) -> None:
    body = f"username=admin&password={ADMIN_PASSWORD}&hall=Đà Nẵng".encode()
    headers = {"Content-Type": "application/x-www-form-urlencoded"}

    answer = client.post("/app/auths/login", content=body, headers=headers)

    assert answer.status_code == 200


def test_facts_out_of_bounds_are_named(admin: httpx.Client) -> None:
    assert new_user(admin, "kim", counter_id=ID_MAX).status_code == 201
    answers = [
        new_user(admin, "lee", counter_id=ID_MAX + 1),
        new_user(admin, "lee", counter_id=0),
        new_user(admin, "lee", full_name="a\0b"),
        admin.patch("/api/v1/auth/users/kim", json={"full_name": "x" * 256}),
        admin.patch("/api/v1/auth/users/kim", json={"full_name": "a\0b"}),
        admin.patch("/api/v1/auth/users/kim", json={"counter_id": ID_MAX + 1}),
        admin.get("/api/v1/auth/audit", params={"before_id": ID_MAX + 1}),
        admin.get("/api/v1/auth/audit?target=a%00b"),
        admin.get("/api/v1/auth/audit", params={"since": "yesterday"}),
        admin.get("/api/v1/auth/audit", params={"until": "2026-01-01T00:00:00"}),
    ]

    assert [answer.status_code for answer in answers] == [400] * len(answers)
    assert admin.patch("/api/v1/auth/users/a%00b", json={}).status_code == 404
    assert admin.delete("/api/v1/auth/keys/a%00b").status_code == 404


def test_a_change_is_made_whole_or_not_at_all(admin: httpx.Client) -> None:
    new_user(admin, "ann")

    answer = admin.patch("/api/v1/auth/users/ann", json={"role": "admin", "password": "x"})

    assert answer.status_code == 400
    users = admin.get("/api/v1/auth/users").json()["data"]
    assert {each["username"]: each["role"] for each in users}["ann"] == "operator"
    assert entries(admin, "ann") == [("user_created", {"role": "operator"})]


def test_an_officer_may_lose_the_counter(admin: httpx.Client) -> None:
    new_user(admin, "may", counter_id=3)

    changed = admin.patch("/api/v1/auth/users/may", json={"counter_id": None})

    assert changed.json()["data"]["counter_id"] is None
    assert entries(admin, "may")[0] == ("user_changed", {"counter_id": None})


def test_the_log_says_what_happened_and_no_more(admin: httpx.Client) -> None:
    new_user(admin, "duy")
    for change in ({"is_active": False}, {"full_name": "Duy"}, {}):
        assert admin.patch("/api/v1/auth/users/duy", json=change).status_code == 200

    assert [action for action, _ in entries(admin, "duy")] == [
        *("user_changed", "user_disabled", "user_created"),
    ]


def test_what_a_user_does_with_messages_is_in_the_log(admin: httpx.Client) -> None:
    new_user(admin, "opal")
    token = token_of(admin, "opal", "good password")
    path = "/api/queue/message"
    with httpx.Client(
        base_url=admin.base_url, headers={"Authorization": f"Bearer {token}"}, timeout=30
    ) as opal:
        assert opal.post(path, json={"type": "seen", "payload": {}}).status_code == 201
        assert opal.post(path, json={"type": "seen"}).status_code == 400
        assert opal.get("/api/queue/status").status_code == 200

    answer = admin.get("/api/v1/auth/audit", params={"target": path})

    [noted] = [each for each in answer.json()["data"] if each["actor"] == "opal"]
    assert (noted["action"], noted["details"]) == ("messages_changed", {"method": "POST"})


def test_the_log_as_a_table_is_shown_and_never_run(admin: httpx.Client) -> None:
    user = {"username": "tabled", "password": "a password of the tests", "role": "viewer"}
    admin.post("/api/v1/auth/users", json=user).raise_for_status()
    admin.post("/api/v1/auth/login", json={"username": "=1+1", "password": "wrong"})

    answer = admin.get("/api/v1/auth/audit", params={"format": "csv", "target": "=1+1"})
    by_action = admin.get(
        "/api/v1/auth/audit", params={"action": "user_created", "target": "tabled"}
    ).json()["data"]
    of_nobody = admin.get("/api/v1/auth/audit", params={"actor": "nobody"}).json()["data"]

    assert answer.headers["content-type"].startswith("text/csv")
    head, row = answer.text.splitlines()
    assert head.startswith("id,timestamp,actor,")
    assert ",'=1+1," in row
    assert [each["target"] for each in by_action] == ["tabled"]
    assert of_nobody == []


def test_the_log_is_narrowed_to_a_time(admin: httpx.Client) -> None:
    def found(**asked: str) -> list[str]:
        path, wanted = "/api/v1/auth/audit", {"action": "user_created", "limit": "1000", **asked}
        data = admin.get(path, params=wanted).raise_for_status().json()["data"]
        return [each["target"] for each in data if each["target"].startswith("timed")]

    for name in ("timed1", "timed2", "timed3"):
        assert new_user(admin, name).status_code == 201
    [moment] = [
        each["timestamp"]
        for each in admin.get("/api/v1/auth/audit", params={"target": "timed2"}).json()["data"]
    ]

    assert found(since=moment) == ["timed3", "timed2"]
    assert found(until=moment) == ["timed1"]
    assert found(**{"from": moment, "to": moment.replace("20", "30", 1)}) == ["timed3", "timed2"]
    table = admin.get("/api/v1/auth/audit", params={"format": "csv", "until": moment}).text
    assert ",timed1," in table
    assert ",timed2," not in table
    refused = admin.get("/api/v1/auth/audit", params={"since": moment, "until": moment})
    assert refused.status_code == 400
    assert "until" in refused.text
