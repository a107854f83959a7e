"""What somebody tries who means no good: each comes to nothing, and says so."""

import base64
import gzip
import hashlib
import hmac
import json
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.people.conftest import ADMIN_PASSWORD
from tests.servers import RedisServer, System

DEEP = 200_000
LONG_S = 10.0


@pytest.fixture(scope="module")
def site(migrated_file: Path, new_folder: Callable[[str], Path]) -> Iterator[System]:
    """An API that all of these try, with a password that is known."""
    folder = new_folder("a")
    url = f"sqlite:///{shutil.copy(migrated_file, folder / 'stanchion.db')}"
    settings = {"ADMIN_PASSWORD": ADMIN_PASSWORD, "LOGINS_PER_MINUTE_MAX": "1000"}
    with (
        RedisServer(new_folder("r")) as server,
        System(
            folder, database_url=url, redis_url=server.url, processes=("api",), settings=settings
        ) as system,
    ):
        yield system


@pytest.fixture
def http(site: System) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=site.url, timeout=20) as client:
        yield client


def connect(site: System) -> socket.socket:
    parts = urlsplit(site.url)
    assert parts.hostname is not None
    return socket.create_connection((parts.hostname, parts.port or 80), timeout=LONG_S)


def raw(site: System, text: bytes) -> bytes:
    """Send bytes as they are and return the answer's head, with what came along with it."""
    with connect(site) as connection:
        connection.sendall(text)
        answer = b""
        while b"\r\n\r\n" not in answer and (more := connection.recv(65_536)):
            answer += more
        return answer


def log_in(http: httpx.Client, **headers: str) -> httpx.Response:
    body = {"username": "admin", "password": ADMIN_PASSWORD}
    return http.post("/api/v1/auth/login", json=body, headers=headers)


# Sessions and pages --------------------------------------------------------------------------


def test_a_session_that_was_chosen_before_is_not_taken_over(http: httpx.Client) -> None:
    planted = "planted-by-somebody-else"

    answer = log_in(http, Cookie=f"session_id={planted}")

    assert answer.status_code == 200
    given = answer.cookies["session_id"]
    assert given != planted
    http.cookies.clear()
    shown = {"Cookie": f"session_id={planted}"}
    assert http.get("/api/v1/auth/me", headers=shown).status_code == 401


def test_each_log_in_has_a_session_of_its_own_and_the_log_out_ends_it(http: httpx.Client) -> None:
    first = log_in(http).cookies["session_id"]
    http.cookies.clear()
    second = log_in(http).cookies["session_id"]
    assert first != second

    assert http.post("/api/v1/auth/logout").status_code == 200
    http.cookies.clear()

    for cookie, status in ((second, 401), (first, 200)):
        shown = {"Cookie": f"session_id={cookie}"}
        assert http.get("/api/v1/auth/me", headers=shown).status_code == status


@pytest.mark.parametrize("site_of", ["https://evil.example", "null", "http://127.0.0.1:1"])
def test_a_page_of_another_site_changes_nothing(http: httpx.Client, site_of: str) -> None:
    log_in(http)

    answer = http.post(
        "/api/v1/auth/users",
        json={"username": "mallory", "password": "a long password", "role": "admin"},
        headers={"Origin": site_of},
    )

    assert answer.status_code == 403
    assert "mallory" not in http.get("/api/v1/auth/users").text


@pytest.mark.parametrize(
    "to", ["//evil.example", "https://evil.example", "/\\evil.example", "javascript:alert(1)"]
)
def test_nobody_is_led_to_another_site(http: httpx.Client, to: str) -> None:
    log_in(http)

    for path in ("/login", "/ops", "/officer"):
        answer = http.get(path, params={"next": to, "lang": "vi"}, headers={"Accept": "text/html"})
        target = urlsplit(answer.headers.get("Location", "/"))
        assert (target.scheme, target.netloc) == ("", "")
        assert not answer.headers.get("Location", "/").startswith(("//", "/\\"))


# Names, paths and headers --------------------------------------------------------------------


@pytest.mark.parametrize(
    "path",
    [
        "/static/../api/cli.py",
        "/static/..%2f..%2fpyproject.toml",
        "/static/%2e%2e/%2e%2e/etc/passwd",
        "/static/app/..\\..\\settings.py",
        "/static//etc/passwd",
        "/static/app/app.css%00.html",
    ],
)
def test_no_file_but_those_listed_is_sent(site: System, path: str) -> None:
    answer = raw(site, f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())

    assert answer.startswith((b"HTTP/1.1 404", b"HTTP/1.1 400"))


def test_an_open_server_answers_to_its_own_names_only(http: httpx.Client) -> None:
    message = {"payload": 1}

    answer = http.post("/api/queue/message", json=message, headers={"Host": "evil.example"})

    assert answer.status_code == 403


@pytest.mark.parametrize("header", ["X-Request-ID", "Accept-Language", "X-Forwarded-For"])
def test_no_header_is_written_by_a_client(http: httpx.Client, site: System, header: str) -> None:
    text = f"GET /health HTTP/1.1\r\nHost: localhost\r\n{header}: a\x0bb: c\r\n\r\n"
    answer = raw(site, text.encode())
    encoded = http.get("/health", headers={header: "a%0d%0aSet-Cookie: b=c"})

    assert b"Set-Cookie" not in answer
    assert b"\x0b" not in answer
    assert "set-cookie" not in encoded.headers


# Bodies --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        b"[" * DEEP,
        b'{"payload":' + b"[" * DEEP + b"]" * DEEP + b"}",
        b'{"payload": ' + b'{"a":' * DEEP + b"1" + b"}" * DEEP + b"}",
        b'{"payload": 1' + b"0" * DEEP + b"}",
    ],
    ids=["open", "lists", "objects", "digits"],
)
def test_a_body_that_is_a_trap_is_refused_or_stored_and_the_server_lives(
    http: httpx.Client, body: bytes
) -> None:
    answer = http.post(
        "/api/queue/message", content=body, headers={"Content-Type": "application/json"}
    )

    assert answer.status_code in {201, 400, 413}
    assert http.get("/health").status_code == 200


def test_a_body_that_grows_when_it_is_unpacked_is_not_unpacked(http: httpx.Client) -> None:
    bomb = gzip.compress(b'{"payload": "' + b"a" * 50_000_000 + b'"}')

    answer = http.post(
        "/api/queue/message",
        content=bomb,
        headers={"Content-Type": "application/json", "Content-Encoding": "gzip"},
    )

    assert answer.status_code == 400


@pytest.mark.parametrize(
    "request_line", [b"GET /api/queue/\xf3 HTTP/1.1", b"GET / HTTP/x", b"\x16\x03\x01"]
)
def test_what_is_no_http_is_refused_in_json(site: System, request_line: bytes) -> None:
    head, _, body = raw(site, request_line + b"\r\nHost: h\r\n\r\n").partition(b"\r\n\r\n")

    assert head.startswith(b"HTTP/1.1 400 Bad Request\r\n")
    assert b"content-type: application/json" in head
    assert "request" in json.dumps(json.loads(body))


@pytest.mark.parametrize("path", ["/api/queue/message", "/nowhere"])
def test_a_body_without_an_end_costs_its_connection(site: System, path: str) -> None:
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    chunk = b"10000\r\n" + b"a" * 65_536 + b"\r\n"
    with connect(site) as connection:
        connection.sendall(head.encode() + b"Transfer-Encoding: chunked\r\n\r\n")
        with pytest.raises(ConnectionError):
            connection.sendall(chunk * 1_000)  # 64 MiB, far more than anybody listens to


def test_a_body_that_is_too_long_is_answered_to_who_sends_all_of_it(http: httpx.Client) -> None:
    answer = http.post(
        "/api/queue/message",
        content=b"a" * 4_000_000,
        headers={"Content-Type": "application/json"},
    )

    assert answer.status_code == 413
    assert http.get("/health").status_code == 200


# Tokens --------------------------------------------------------------------------------------


def segment(value: object) -> str:
    text = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(text).rstrip(b"=").decode()


def forged(http: httpx.Client) -> Iterator[tuple[str, str]]:
    """Yield what passes for a token where somebody is careless, by what it plays on."""
    token = http.post(
        "/app/auths/login", data={"username": "admin", "password": ADMIN_PASSWORD}
    ).json()["access_token"]
    head, claims, signature = token.split(".")
    header = jwt.get_unverified_header(token)
    published = http.get("/.well-known/jwks.json")
    [key] = [each for each in published.json()["keys"] if each["kid"] == header["kid"]]
    pem = jwt.PyJWK.from_dict(key).key.public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )

    def by_secret(secret: bytes, **fields: str) -> str:
        """Sign with a text that everybody knows, as if it were a secret."""
        body = f"{segment({**header, 'alg': 'HS256', **fields})}.{claims}"
        digest = hmac.digest(secret, body.encode(), hashlib.sha256)
        return f"{body}.{segment(digest)}"

    yield "nothing", token  # it is good as it is
    for name in ("none", "None", "nOnE", ""):
        yield "alg none", f"{segment({**header, 'alg': name})}.{claims}."
    yield "no signature", f"{head}.{claims}."
    yield "the public key as a secret", by_secret(pem)
    yield "the published set as a secret", by_secret(published.content)
    yield "an empty secret", by_secret(b"", kid="/dev/null")
    yield "another key id", by_secret(b"x", kid="../../../../etc/hostname")
    mine = ec.generate_private_key(ec.SECP256R1())
    own = json.loads(jwt.algorithms.ECAlgorithm.to_jwk(mine.public_key()))
    body = jwt.decode(token, options={"verify_signature": False})
    for extra in ({"jwk": own}, {"jku": "http://127.0.0.1:9/keys"}, {"x5u": "http://127.0.0.1:9/"}):
        yield "a key that it brings", jwt.encode(body, mine, algorithm="ES256", headers=extra)
    yield "our key id", jwt.encode(body, mine, algorithm="ES256", headers={"kid": header["kid"]})
    yield "other claims", f"{head}.{segment({**body, 'role': 'admin', 'sub': '1'})}.{signature}"
    yield "a signature of zeros", f"{head}.{claims}.{segment(bytes(64))}"
    yield (
        "critical extensions",
        f"{segment({**header, 'crit': ['b64'], 'b64': False})}.{claims}.{signature}",
    )


def test_no_token_but_one_that_we_signed_is_taken(http: httpx.Client) -> None:
    taken: dict[str, int] = {}
    for name, token in forged(http):
        http.cookies.clear()
        answer = http.get("/api/v1/auth/me", headers={"Authorization": f"Bearer {token}"})
        taken[name] = max(taken.get(name, 0), 0) if answer.status_code != 200 else 1
        assert answer.status_code in {200, 401}, (name, answer.text)

    assert taken.pop("nothing") == 1
    assert [name for name, was_taken in taken.items() if was_taken] == []


# Patterns ------------------------------------------------------------------------------------

# Each of these sends a pattern that tries again and again on a way that never ends.
CHARACTERS = (
    "a",
    "0",
    " ",
    "\\",
    '"',
    "(",
    ")",
    ".",
    ":",
    "-",
    "@",
    "<",
    "/",
    "%",
    "\n",
    "a@",
    "0 ",
    ") ",
)
TRY_ALL = """
import importlib, pkgutil, re, sys

found = {}
for package in ("api", "models", "workers"):
    for module in pkgutil.walk_packages([package], f"{package}."):
        if module.name.rpartition(".")[2] in {"asgi", "main", "env"} or ".versions." in module.name:
            continue
        for name, value in vars(importlib.import_module(module.name)).items():
            if isinstance(value, re.Pattern):
                found[f"{module.name}.{name}"] = value
print(len(found))
for name, pattern in sorted(found.items()):
    print(name, flush=True)
    for each in eval(sys.argv[1]):
        text = each * (LENGTH // len(each)) + "\\x01"
        given = text.encode() if isinstance(pattern.pattern, bytes) else text
        pattern.search(given), pattern.match(given), pattern.fullmatch(given)
print("whole")
"""
# What takes the square of it is done in no time; what takes the cube or worse is not.
LENGTH = 2_000


def test_no_pattern_can_be_made_to_run_for_ever() -> None:
    program = TRY_ALL.replace("LENGTH", str(LENGTH))
    tried = subprocess.run(
        [sys.executable, "-c", program, repr(CHARACTERS)],
        cwd=Path(__file__).resolve().parents[2],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )

    lines = tried.stdout.splitlines()
    assert lines[-1:] == ["whole"], tried.stderr[-500:]
    assert int(lines[0]) > 40
