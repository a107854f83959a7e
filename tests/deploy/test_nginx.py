import contextlib
import json
import re
import socket
import threading
from collections.abc import Iterator

import httpx
import pytest
from websockets.sync.client import connect
from websockets.sync.server import ServerConnection, serve

from api.http.errors import _FORMS
from models.settings import Settings
from tests.deploy.conftest import NewNginx
from tests.deploy.house import KEY, House
from tests.deploy.nginx import SHIPPED
from tests.servers import free_port, wait_until

pytestmark = pytest.mark.xdist_group("nginx")

MESSAGE = {"type": "proxied", "payload": {"n": 1}}


@pytest.fixture
def http(house: House) -> Iterator[httpx.Client]:
    with house.client() as client:
        yield client


def raw(port: int, request: bytes) -> bytes:
    """Send bytes and return what comes back until the other end closes."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        connection.sendall(request)
        return b"".join(iter(lambda: connection.recv(65_536), b""))


# Ways through --------------------------------------------------------------------------------


def test_a_message_goes_in_and_out(http: httpx.Client) -> None:
    stored = http.post("/api/queue/message", json=MESSAGE)
    taken = http.get("/api/queue/message?type=proxied")

    assert (stored.status_code, taken.status_code) == (201, 200)
    assert taken.json()["id"] == stored.json()["id"]


def test_a_long_poll_is_answered_by_a_message_that_comes_in_through_the_other_api(
    house: House, http: httpx.Client
) -> None:
    answers: list[httpx.Response] = []
    ask = lambda: answers.append(http.get("/api/queue/message?timeout=20&type=late"))  # noqa: E731
    asking = threading.Thread(target=ask)
    asking.start()
    wait_until(lambda: waiting(house) == 1, "a consumer waits")

    stored = http.post("/api/queue/message", json={**MESSAGE, "type": "late"})
    asking.join()

    assert answers[0].json()["id"] == stored.json()["id"]


def waiting(house: House) -> int:
    pages = [httpx.get(f"{each.url}/metrics").text for each in house.api]
    pattern = r"^stanchion_messages_waiting_consumers (\S+)"
    return sum(int(float(re.findall(pattern, page, re.MULTILINE)[0])) for page in pages)


def test_an_event_stream_shows_what_the_api_changed(http: httpx.Client) -> None:
    with http.stream("GET", "/api/queue/events") as stream:
        lines = stream.iter_lines()
        assert stream.headers["content-type"].startswith("text/event-stream")
        next(lines)  # it has begun
        stored = http.post("/api/queue/message", json={**MESSAGE, "type": "seen"}).json()["id"]

        assert any(stored in line for line in lines)


def test_what_stays_open_goes_to_the_relay_and_the_rest_to_the_api(new_nginx: NewNginx) -> None:
    with (
        answering("api") as api,
        answering("relay") as relay,
        new_nginx(api=[api], relay=[relay]) as nginx,
    ):
        said = {path: httpx.get(f"{nginx.url}{path}").text for path in PATHS}

    assert said == PATHS


PATHS = {
    "/": "api",
    "/health": "api",
    "/api/v1/health": "api",
    "/api/queue/message?timeout=30": "api",
    "/api/queue/batch": "api",
    "/api/v1/queue": "api",
    "/wait/abc": "api",
    "/wsx": "api",
    "/metrics": "api",
    "/socket.io/?EIO=4&transport=polling": "relay",
    "/ws": "relay",
    "/ws?token=t": "relay",
    "/ws/queues/abc": "relay",
    "/api/v1/ws/queues/abc": "relay",
    "/api/queue/events": "relay",
    "/api/queue/events?types=x": "relay",
}


class answering:  # noqa: N801  # read as a verb
    """A server that answers every request with one word."""

    def __init__(self, word: str) -> None:
        self._word = word.encode()

    def __enter__(self) -> str:
        self._listener = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=self._serve, daemon=True).start()
        return f"127.0.0.1:{self._listener.getsockname()[1]}"

    def __exit__(self, *_exc_info: object) -> None:
        self._listener.close()

    def _serve(self) -> None:
        head = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n"
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection:
                connection.recv(65_536)
                connection.sendall(head % len(self._word) + self._word)


def test_a_websocket_goes_through_both_ways(new_nginx: NewNginx) -> None:
    def echo(connection: ServerConnection) -> None:
        for message in connection:
            connection.send(message)

    port = free_port()
    with serve(echo, "127.0.0.1", port) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"127.0.0.1:{port}"
        with (
            new_nginx(api=["127.0.0.1:9"], relay=[address]) as nginx,
            connect(f"ws://127.0.0.1:{nginx.port}/ws/queues/a") as websocket,
        ):
            websocket.send("there and back")

            assert websocket.recv() == "there and back"


# Who asks ------------------------------------------------------------------------------------


def claimed(house: House, address: str, request: bytes) -> bytes:
    """Send a request as a client from elsewhere, which nginx sees at that address."""
    proxied = f"PROXY TCP4 {address} 192.0.2.1 40000 80\r\n".encode()
    return raw(house.nginx.claimed_port, proxied + request)


GET_METRICS = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n%s\r\n"


@pytest.mark.parametrize(
    "claim",
    [
        b"",
        b"X-Forwarded-For: 127.0.0.1\r\n",
        b"X-Forwarded-For: 127.0.0.1, 127.0.0.1\r\nX-Forwarded-For: ::1\r\n",
        b"x-forwarded-for: 127.0.0.1\r\nX-Real-IP: 127.0.0.1\r\nForwarded: for=127.0.0.1\r\n",
        b"X_Forwarded_For: 127.0.0.1\r\n",
        b"Connection: close, X-Forwarded-For\r\n",
    ],
)
def test_a_stranger_cannot_claim_to_be_this_machine(house: House, claim: bytes) -> None:
    answer = claimed(house, "203.0.113.7", GET_METRICS % claim)

    assert answer.split(b" ", 2)[1] in {b"401", b"403"}


def test_this_machine_may_read_metrics_and_so_may_the_key(house: House) -> None:
    shows_key = f"X-API-KEY: {KEY}\r\n".encode()

    local = raw(house.nginx.port, GET_METRICS % b"")
    stranger = claimed(house, "203.0.113.7", GET_METRICS % shows_key)

    assert local.startswith(b"HTTP/1.1 200 ")
    assert stranger.startswith(b"HTTP/1.1 200 ")


def test_an_id_of_the_request_is_kept_and_logged(house: House, http: httpx.Client) -> None:
    answer = http.get("/health", headers={"X-Request-ID": "kept-id.7"})

    assert answer.headers["X-Request-ID"] == "kept-id.7"
    wait_until(lambda: logged(house, "kept-id.7"), "nginx logs the id")
    assert logged(house, "kept-id.7")[0]["path"] == "/health"


def test_a_harmful_id_is_replaced(house: House) -> None:
    head = b'GET /health HTTP/1.1\r\nHost: h\r\nConnection: close\r\nX-Request-ID: a"b\r\n\r\n'

    answer = raw(house.nginx.port, head)

    [given] = re.findall(rb"(?im)^x-request-id: (\S+)\r$", answer)
    assert re.fullmatch(rb"[0-9a-f]{32}", given)


def test_a_token_in_the_query_is_not_logged(house: House, http: httpx.Client) -> None:
    http.get("/health?token=very-secret", headers={"X-Request-ID": "with-token"})

    wait_until(lambda: logged(house, "with-token"), "nginx logs the request")
    assert "very-secret" not in house.nginx.access_log.read_text()


def logged(house: House, request_id: str) -> list[dict[str, str]]:
    lines = map(json.loads, house.nginx.access_log.read_text().splitlines())
    return [line for line in lines if line["request_id"] == request_id]


# Bounds --------------------------------------------------------------------------------------


def test_body_bounds_are_those_of_the_settings() -> None:
    text = (SHIPPED / "stanchion.conf").read_text()
    defaults = Settings()

    sizes = [int(size) << 20 for size in re.findall(r"client_max_body_size (\d+)m;", text)]

    assert sizes == [defaults.body_bytes_max, defaults.batch_body_bytes_max]


@pytest.mark.parametrize("path", [*_FORMS, "/", "/api/queues", "/api/v1/queuex"])
def test_a_body_that_is_too_large_is_refused_in_the_form_of_the_path(
    house: House, http: httpx.Client, path: str
) -> None:
    size = Settings().body_bytes_max + 1

    refused = http.post(f"{path}?with=query", content=b"x" * size)
    unknown = httpx.get(f"{house.api[0].url}{path}/no/such/thing", headers={"X-API-KEY": KEY})

    assert refused.status_code == 413
    assert refused.headers["content-type"].startswith("application/json")
    assert refused.json().keys() == unknown.json().keys()
    assert type(refused.json()["error"]) is type(unknown.json()["error"])
    assert refused.headers["X-Request-ID"]


def test_a_batch_may_be_larger(http: httpx.Client) -> None:
    batch = {"messages": [{"payload": {"pad": "x" * 200_000}} for _ in range(10)]}

    assert http.post("/api/queue/batch", json=batch).status_code in {200, 201}


def test_what_is_no_request_is_refused_in_json(house: House) -> None:
    for request, status in (
        (b"GET / HTTP/1.1\r\n\r\n", b"400"),
        (b"GET /%s HTTP/1.1\r\nHost: h\r\n\r\n" % (b"a" * 70_000), b"414"),
        (b"GET / HTTP/1.1\r\nHost: h\r\nX-Long: %s\r\n\r\n" % (b"a" * 70_000), b"431"),
    ):
        head, _, body = raw(house.nginx.port, request).partition(b"\r\n\r\n")

        assert head.split(b" ", 2)[1] == status
        assert set(json.loads(body)) == {"error", "message"}


@pytest.mark.parametrize(
    "request_start",
    [
        pytest.param(b"GET /health HTTP/1.1\r\nHost: h\r\nX-", id="head"),
        pytest.param(
            b"POST /api/queue/message HTTP/1.1\r\nHost: h\r\nContent-Length: 100\r\n\r\n{",
            id="body",
        ),
    ],
)
def test_a_client_that_sends_too_slowly_is_cut_and_the_api_never_hears_of_it(
    house: House, request_start: bytes
) -> None:
    before = requests_seen(house)

    with socket.create_connection(("127.0.0.1", house.nginx.port), timeout=30) as connection:
        connection.sendall(request_start)
        with contextlib.suppress(ConnectionResetError):
            while connection.recv(65_536):
                pass  # what nginx says before it closes

    assert requests_seen(house) == before


def requests_seen(house: House) -> int:
    pages = [httpx.get(f"{each.url}/metrics").text for each in house.api]
    counts = [
        float(count)
        for page in pages
        for route, count in re.findall(r'_seconds_count\{.*route="(\S+?)".*\} (\S+)', page)
        if route != "/metrics"
    ]
    return int(sum(counts))
