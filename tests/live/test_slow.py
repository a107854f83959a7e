"""A client that does not read: it is told, then closed, and nobody else notices."""

import contextlib
import json
import socket
from collections.abc import Iterator

import httpx
import pytest
import redis

from models.events import Event, encode_entry, stream_key
from tests.live.clients import OpenJs, raw
from tests.live.conftest import Live, StartLive
from tests.servers import wait_until

# More than the kernel keeps for both ends of a connection.
BIG = "x" * 60_000
BIG_EVENTS = 200


@contextlib.contextmanager
def deaf(url: str, path: str, hello: str | None = None) -> Iterator[socket.socket]:
    """Open a WebSocket, and never read it; yield its socket."""
    host, _, port = url.removeprefix("http://").partition(":")
    with socket.socket() as raw_socket:
        raw_socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        raw_socket.connect((host, int(port)))
        raw_socket.sendall(
            f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\nUpgrade: websocket\r\n"
            "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n".encode()
        )
        if hello is not None:  # masked with zeros
            raw_socket.sendall(bytes((0x81, 0x80 | len(hello), 0, 0, 0, 0)) + hello.encode())
        yield raw_socket


def publish(live: Live, count: int, text: str) -> None:
    with redis.Redis.from_url(live.system.redis_url) as client:
        for n in range(count):
            event = Event("nack", {"id": f"m{n}", "error": text})
            client.xadd(stream_key("messages"), encode_entry([event]))


@pytest.mark.parametrize(
    ("path", "hello"),
    [
        ("/ws/messages", None),
        ("/socket.io/?EIO=4&transport=websocket", "40/messages,"),
    ],
)
def test_deaf_client_is_closed_and_others_get_everything(
    start_live: StartLive, open_js: OpenJs, path: str, hello: str | None
) -> None:
    live = start_live(SOCKET_BUFFER_BYTES_MAX="262144")
    official = open_js(f"{live.url}/messages", transports=["websocket"])
    official.next("connect")
    with raw(live.url, max_size=None) as reading, deaf(live.url, path, hello):
        reading.next("connected")
        wait_until(lambda: clients(live) == 3, "the deaf client is in")
        for _ in range(BIG_EVENTS):
            publish(live, 1, BIG)
            assert reading.next("nack")["data"]["error"] == BIG
            assert official.next_event("nack")[1]["error"] == BIG

        wait_until(lambda: clients(live) == 2, "the deaf client is out")


def clients(live: Live) -> int:
    """Return how many connections of clients the API holds, by the kernel's own count."""
    port = int(live.url.rpartition(":")[2])
    with open("/proc/net/tcp") as table:  # noqa: PTH123
        rows = [line.split() for line in table][1:]
    return sum(row[1].endswith(f":{port:04X}") and row[3] == "01" for row in rows)


def test_polling_client_that_never_polls_is_bounded(start_live: StartLive) -> None:
    live = start_live(SOCKET_REPLAY_MAX="50")
    with httpx.Client(base_url=live.url) as http:
        opened = http.get("/socket.io/?EIO=4&transport=polling").text
        address = f"/socket.io/?EIO=4&transport=polling&sid={json.loads(opened[1:])['sid']}"
        assert http.post(address, content="40/messages,").text == "OK"
        publish(live, 100, "small")
        with raw(live.url) as other:
            other.next("connected")
            publish(live, 1, "last")
            other.next("nack")
        told = http.get(address).text.split("\x1e")

    assert '42/messages,["resync",{}]' in told
    assert told[-1] == "1"
    assert sum(packet.startswith('42/messages,["nack"') for packet in told) <= 50
