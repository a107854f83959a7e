"""Log-in, log-out and me over HTTP, as the contracts of mail and of tickets have them."""

import json
import re

import httpx
import jwt
import pytest

from models.clock import now_ms
from models.database import Database
from tests.people.conftest import ADMIN_KEY, ADMIN_PASSWORD, log_in, token_of

REQUIRED = {"success": False, "error": "Authentication required"}
INVALID_SESSION = {"success": False, "error": "Invalid session"}
COOKIE = re.compile(
    r"session_id=[0-9a-f]{64}; Path=/; Expires=\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT;"
    r" HttpOnly; SameSite=Strict"
)


# Browser -------------------------------------------------------------------------------------


def test_log_in_answers_in_the_contracts_form(client: httpx.Client) -> None:
    answer = log_in(client, "admin", ADMIN_PASSWORD)

    assert answer.status_code == 200
    assert list(answer.json()) == ["success", "data"]
    assert COOKIE.fullmatch(answer.headers["Set-Cookie"])
    user = answer.json()["data"]["user"]
    assert {name: user[name] for name in ("username", "email", "full_name", "is_active")} == {
        "username": "admin",
        "email": "admin@localhost",
        "full_name": "Administrator",
        "is_active": True,
    }
    assert set(user) >= {"id", "last_login_at", "created_at", "updated_at"}


def test_me_is_the_bare_user(admin: httpx.Client) -> None:
    answer = admin.get("/api/v1/auth/me")

    assert answer.status_code == 200
    assert answer.json()["success"] is True
    assert answer.json()["data"]["username"] == "admin"


def test_log_out_ends_the_session_at_the_server(admin: httpx.Client) -> None:
    session = admin.cookies["session_id"]

    answer = admin.post("/api/v1/auth/logout")

    assert answer.json() == {"success": True, "data": {"message": "Logged out successfully"}}
    assert answer.headers["Set-Cookie"] == (
        "session_id=; Path=/; Expires=Thu, 01 Jan 1970 00:00:00 GMT; HttpOnly; SameSite=Strict"
    )
    again = admin.get("/api/v1/auth/me", headers={"Cookie": f"session_id={session}"})
    assert (again.status_code, again.json()) == (401, INVALID_SESSION)


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/api/v1/auth/me"), ("POST", "/api/v1/auth/logout")]
)
def test_without_a_cookie_authentication_is_required(
    client: httpx.Client, method: str, path: str
) -> None:
    answer = client.request(method, path)

    assert (answer.status_code, answer.json()) == (401, REQUIRED)


@pytest.mark.parametrize("session", ["", "x", "0" * 64, "é", "a" * 5_000, '"'])
def test_a_cookie_that_is_no_session_is_refused(client: httpx.Client, session: str) -> None:
    cookie = f"session_id={session}".encode()

    answer = client.get("/api/v1/auth/me", headers={b"Cookie": cookie})

    assert answer.status_code == 401


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (b"", "Invalid request body"),
        (b"x", "Invalid request body"),
        (b"[]", "Invalid request body"),
        (b'{"username": 1, "password": "x"}', "Invalid request body"),
        (b'{"username": "\xff"}', "Invalid request body"),
        (b"[" * 5_000, "Invalid request body"),
        (b"{}", "Username and password are required"),
        (b'{"username": "admin"}', "Username and password are required"),
        (b'{"username": " ", "password": "x"}', "Username and password are required"),
    ],
)
def test_what_is_no_log_in_is_400(client: httpx.Client, body: bytes, sentence: str) -> None:
    answer = client.post("/api/v1/auth/login", content=body)

    assert answer.status_code == 400
    assert answer.json() == {"success": False, "error": sentence}


def test_other_fields_and_content_types_are_let_pass(client: httpx.Client) -> None:
    body = {"username": "admin", "password": ADMIN_PASSWORD, "remember": True}
    for content_type in ("application/x-www-form-urlencoded", "text/plain", "application/json"):
        headers = {"Content-Type": content_type}
        answer = client.post("/api/v1/auth/login", content=json.dumps(body), headers=headers)

        assert answer.status_code == 200


def test_a_wrong_password_is_401(client: httpx.Client) -> None:
    answer = log_in(client, "somebody", "wrong")

    assert answer.status_code == 401
    assert answer.json() == {"success": False, "error": "Invalid credentials"}
    assert "Set-Cookie" not in answer.headers


def test_a_planted_session_is_not_taken_over(client: httpx.Client) -> None:
    planted = "ab" * 32
    client.cookies.set("session_id", planted)

    answer = log_in(client, "admin", ADMIN_PASSWORD)

    assert planted not in answer.headers["Set-Cookie"]
    stranger = httpx.get(f"{client.base_url}/api/v1/auth/me", cookies={"session_id": planted})
    assert stranger.status_code == 401


def test_a_session_that_is_over_is_refused(admin: httpx.Client, running_database: Database) -> None:
    with running_database.begin() as connection:
        connection.exec_driver_sql(f"UPDATE people_session SET expires_at_ms = {now_ms() - 1}")

    answer = admin.get("/api/v1/auth/me")

    assert (answer.status_code, answer.json()) == (401, INVALID_SESSION)


def test_the_cookie_is_secure_where_a_trusted_proxy_speaks_tls(client: httpx.Client) -> None:
    body = {"username": "admin", "password": ADMIN_PASSWORD}
    headers = {"X-Forwarded-Proto": "https", "X-Forwarded-For": "203.0.113.9"}

    answer = client.post("/api/v1/auth/login", json=body, headers=headers)

    assert "; Secure; SameSite=Strict" in answer.headers["Set-Cookie"]


# Origins -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
def test_pages_of_other_sites_change_nothing_by_a_visitors_cookie(
    admin: httpx.Client, headers: dict[str, str]
) -> None:
    assert admin.post("/api/v1/auth/logout", headers=headers).status_code == 403
    assert log_in_from(admin, headers).status_code == 403
    assert admin.get("/api/v1/auth/me").status_code == 200


def test_own_pages_may_change_something(admin: httpx.Client) -> None:
    headers = {"Origin": str(admin.base_url).rstrip("/"), "Sec-Fetch-Site": "same-origin"}

    assert admin.post("/api/v1/auth/logout", headers=headers).status_code == 200


def test_own_pages_are_known_behind_a_proxy(admin: httpx.Client) -> None:
    headers = {"Origin": "https://queue.example", "X-Forwarded-Host": "queue.example"}

    assert admin.post("/api/v1/auth/logout", headers=headers).status_code == 200


def test_a_token_is_no_cookie_and_needs_no_origin(client: httpx.Client) -> None:
    token = token_of(client, "admin", ADMIN_PASSWORD)
    headers = {"Authorization": f"Bearer {token}", "Origin": "https://evil.example"}
    body = {"name": "by-token", "scope": "rooms"}

    answer = client.post("/api/v1/auth/keys", json=body, headers=headers)

    assert answer.status_code == 201


def log_in_from(client: httpx.Client, headers: dict[str, str]) -> httpx.Response:
    body = {"username": "admin", "password": ADMIN_PASSWORD}
    return client.post("/api/v1/auth/login", json=body, headers=headers)


# Tokens --------------------------------------------------------------------------------------


@pytest.mark.parametrize("prefix", ["", "/app", "/api", "/app/api"])
@pytest.mark.parametrize("slash", ["", "/"])
def test_a_token_is_given_and_taken_under_each_prefix(
    client: httpx.Client, prefix: str, slash: str
) -> None:
    credentials = {"username": "admin", "password": ADMIN_PASSWORD}

    by_form = client.post(f"{prefix}/auths/login{slash}", data=credentials)
    by_json = client.post(f"{prefix}/auths/login{slash}", json=credentials)

    for answer in (by_form, by_json):
        assert answer.status_code == 200
        assert answer.json()["token_type"] == "bearer"
        headers = {"Authorization": f"Bearer {answer.json()['access_token']}"}
        me = client.get(f"{prefix}/auths/me{slash}", headers=headers)
        assert list(me.json()) == [
            *("id", "username", "full_name", "role", "counter_id", "is_active")
        ]


def test_a_token_log_in_is_refused_in_the_tickets_form(client: httpx.Client) -> None:
    client.headers["Accept-Language"] = "en"
    wrong = client.post("/app/auths/login", data={"username": "nobody", "password": "x"})
    missing = client.post("/app/auths/login", data={"username": "nobody"})

    assert (wrong.status_code, wrong.json()) == (
        401,
        {"error": "invalid_credentials", "message": "Invalid credentials", "details": {}},
    )
    assert (missing.status_code, missing.json()["error"]) == (400, "malformed_login")


def test_a_token_can_be_checked_with_the_published_keys(client: httpx.Client) -> None:
    token = token_of(client, "admin", ADMIN_PASSWORD)

    answer = client.get("/.well-known/jwks.json")

    keys = jwt.PyJWKSet.from_dict(answer.json())
    key = keys[jwt.get_unverified_header(token)["kid"]]
    claims = jwt.decode(token, key, algorithms=["ES256"])
    assert claims["exp"] - claims["iat"] == 43_200
    assert "max-age" in answer.headers["Cache-Control"]


def test_a_changed_password_ends_tokens_and_other_sessions(client: httpx.Client) -> None:
    admin = {"X-Admin-Key": ADMIN_KEY}
    body = {"username": "mai", "password": "first password", "role": "officer"}
    client.post("/api/v1/auth/users", json=body, headers=admin).raise_for_status()
    bearer = {"Authorization": f"Bearer {token_of(client, 'mai', 'first password')}"}
    log_in(client, "mai", "first password")
    new = {"current_password": "first password", "new_password": "second password"}

    answer = client.post("/api/v1/auth/password", json=new)

    assert answer.status_code == 200
    assert client.get("/api/v1/auth/me").status_code == 200
    me = httpx.get(f"{client.base_url}/app/auths/me", headers=bearer)
    assert (me.status_code, me.json()["error"]) == (401, "invalid_token")
    assert log_in(client, "mai", "second password").status_code == 200


# Administration ------------------------------------------------------------------------------


def test_an_admin_makes_changes_and_disables_users(admin: httpx.Client) -> None:
    body = {"username": "hoa", "password": "good password", "role": "officer", "counter_id": 2}
    made = admin.post("/api/v1/auth/users", json=body)
    twice = admin.post("/api/v1/auth/users", json=body)
    changed = admin.patch("/api/v1/auth/users/hoa", json={"role": "supervisor"})
    disabled = admin.patch("/api/v1/auth/users/hoa", json={"is_active": False})

    assert (made.status_code, twice.status_code) == (201, 409)
    assert made.json()["data"]["counter_id"] == 2
    assert changed.json()["data"]["role"] == "supervisor"
    assert disabled.json()["data"]["is_active"] is False
    body = {"username": "hoa", "password": "good password"}
    assert httpx.post(f"{admin.base_url}/api/v1/auth/login", json=body).status_code == 401
    names = [user["username"] for user in admin.get("/api/v1/auth/users").json()["data"]]
    assert {"admin", "hoa"} <= set(names)
    assert admin.patch("/api/v1/auth/users/ghost", json={}).status_code == 404
    assert admin.patch("/api/v1/auth/users/admin", json={"is_active": False}).status_code == 409


def test_what_people_do_is_in_the_audit_log(admin: httpx.Client) -> None:
    body = {"name": "audited", "scope": "messages"}
    headers = {"X-Request-ID": "the-request", "X-Forwarded-For": "203.0.113.9"}
    made = admin.post("/api/v1/auth/keys", json=body, headers=headers).json()["data"]["key"]
    admin.delete("/api/v1/auth/keys/audited", headers={**headers, "X-Admin-Key": ADMIN_KEY})

    answer = admin.get("/api/v1/auth/audit", params={"target": "audited", "limit": 2})

    revoked, created = answer.json()["data"]
    facts = ("actor", "credential", "ip_address", "action", "outcome", "request_id")
    assert [created[name] for name in facts] == [
        *("admin", "session", "203.0.113.9", "key_created", "done", "the-request"),
    ]
    assert [revoked[name] for name in facts[:2]] == ["ADMIN_KEY", "admin_key"]
    assert made not in answer.text
