"""The API's server: what a peer may do to it, and how it stops."""

import asyncio
import contextlib
import functools
import json
import os
import signal
import socket
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from uvicorn import Config, Server

from api.http.cork import Cork
from api.http.protocol import PatientProtocol
from tests.processes import children_of, wait_until_ended
from tests.servers import System, wait_until

HEAD = b"POST /api/queue/message HTTP/1.1\r\nHost: localhost\r\n"


@pytest.fixture
def api(start_api: Callable[..., System]) -> System:
    """One API process."""
    return start_api()


def connect(system: System) -> socket.socket:
    return socket.create_connection(("127.0.0.1", int(system.url.rpartition(":")[2])), 20)


# Stopping ------------------------------------------------------------------------------------


def test_a_stop_answers_who_waits_and_closes_who_rests(api: System) -> None:
    process = api.running["api"]
    with (
        ThreadPoolExecutor(1) as threads,
        httpx.Client(base_url=api.url, timeout=60) as client,
        httpx.stream("GET", f"{api.url}/api/queue/events", timeout=60) as events,
        connect(api) as silent,
        connect(api) as resting,
    ):
        parts = events.iter_raw()
        next(parts)
        resting.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert resting.recv(65_536).startswith(b"HTTP/1.1 200 ")
        poll = threads.submit(client.get, "/api/queue/message", params={"timeout": 60})
        wait_until(
            lambda: "waiting_consumers 1" in client.get("/metrics").text,
            "it waits",
            process=process,
        )
        # SQLite does one thing after the other, so the poll has looked once when this answers.
        client.get("/api/queue/message", params={"timeout": 0, "type": "other"})

        code = process.stop(signal.SIGTERM)

        assert poll.result().status_code == httpx.codes.NOT_FOUND
        assert b"".join(parts) is not None  # to a proper end
        for peer in (silent, resting):
            while peer.recv(65_536):  # until it is closed
                pass
    assert code == 0
    assert {json.loads(line)["level"] for line in process.log().splitlines()} <= {"info"}


def test_who_connected_before_the_stop_is_served(api: System) -> None:
    process = api.running["api"]
    body = json.dumps({"type": "late", "payload": {}}).encode()
    kind = b"Content-Type: application/json\r\n"
    request = HEAD + kind + b"Content-Length: %d\r\n\r\n" % len(body) + body
    [worker] = children_of(process.pid)
    with contextlib.ExitStack() as stack:
        resting = stack.enter_context(connect(api))
        resting.sendall(request)
        assert resting.recv(65_536).startswith(b"HTTP/1.1 201 ")
        os.kill(worker, signal.SIGSTOP)
        late = [stack.enter_context(connect(api)) for _ in range(20)]
        for peer in (resting, *late):
            peer.sendall(request)
        process.send_signal(signal.SIGTERM)
        wait_until(lambda: "Handling signal" in process.log(), "it stops", process=process)
        os.kill(worker, signal.SIGCONT)

        answers = [b"".join(iter(functools.partial(peer.recv, 65_536), b"")) for peer in late]
        answers.append(b"".join(iter(functools.partial(resting.recv, 65_536), b"")))

        assert [answer[:13] for answer in answers] == [b"HTTP/1.1 201 "] * 21
        assert process.wait() == 0


def test_a_reader_that_does_not_read_holds_no_stop_up(api: System) -> None:
    process = api.running["api"]
    with socket.socket() as deaf, httpx.Client(base_url=api.url, timeout=60) as client:
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        deaf.connect(("127.0.0.1", int(api.url.rpartition(":")[2])))
        deaf.sendall(b"GET /api/queue/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert deaf.recv(12) == b"HTTP/1.1 200"
        messages = [{"type": "t" * 200, "payload": {}}] * 500
        for _ in range(40):  # more than the sockets' buffers hold
            client.post("/api/queue/batch", json={"messages": messages}).raise_for_status()

        code = process.stop(signal.SIGTERM)

    assert code == 0
    assert {json.loads(line)["level"] for line in process.log().splitlines()} <= {"info"}


async def test_a_request_on_its_way_at_the_stop_is_the_last_of_its_connection(
    serving: Server,
) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", serving.config.port)
    request = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
    writer.write(request)
    assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 204 ")
    protocol = await arrived(serving, 0)

    protocol.shutdown()
    writer.write(request)
    answer = await reader.read()

    assert answer.startswith(b"HTTP/1.1 204 ")
    assert b"connection: close" in answer
    writer.close()


def test_a_worker_leaves_when_its_master_is_killed(api: System) -> None:
    process = api.running["api"]
    [worker] = children_of(process.pid)

    os.kill(process.pid, signal.SIGKILL)

    wait_until_ended([worker])
    with pytest.raises(httpx.ConnectError):
        httpx.get(api.url)


# Answering -----------------------------------------------------------------------------------


async def test_an_answer_leaves_in_one_piece() -> None:
    ours, theirs = socket.socketpair()
    theirs.settimeout(0)
    loop = asyncio.get_running_loop()
    transport, _ = await loop.connect_accepted_socket(asyncio.Protocol, ours)
    cork = Cork(transport, loop)

    cork.write(b"head ")
    with pytest.raises(BlockingIOError):
        theirs.recv(100)
    cork.write(b"body")
    cork.flush()
    assert theirs.recv(100) == b"head body"
    cork.write(b"of a stream")
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert theirs.recv(100) == b"of a stream"
    cork.write(b"the end")
    cork.close()
    await asyncio.sleep(0)

    theirs.settimeout(20)
    assert theirs.recv(100) == b"the end"
    assert theirs.recv(100) == b""
    theirs.close()


# Arriving ------------------------------------------------------------------------------------


def test_a_head_without_end_is_refused(api: System) -> None:
    with connect(api) as peer:
        with contextlib.suppress(ConnectionError):
            peer.sendall(HEAD)
            for number in range(20_000):
                peer.sendall(b"X-%d: %s\r\n" % (number, b"x" * 100))

        assert peer.recv(100).startswith(b"HTTP/1.1 431 ")


def test_one_connection_too_many_is_refused_in_the_form_of_its_path(
    start_api: Callable[..., System],
) -> None:
    api = start_api(CONNECTIONS_MAX="2")
    with connect(api) as resting:
        resting.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert resting.recv(65_536).startswith(b"HTTP/1.1 200 ")

        answer = httpx.get(f"{api.url}/api/queue/metrics")

    assert answer.status_code == httpx.codes.SERVICE_UNAVAILABLE
    assert answer.json()["error"] == "Service Unavailable"
    assert answer.json()["code"] == "unavailable"
    assert int(answer.headers["Retry-After"]) >= 1
    assert answer.headers["Connection"] == "close"
    wait_until(lambda: httpx.get(f"{api.url}/health").is_success, "it serves again")


def test_nothing_tells_what_serves(api: System) -> None:
    assert "server" not in httpx.get(f"{api.url}/health").headers


@pytest.fixture
async def serving(unused_tcp_port: int) -> AsyncIterator[Server]:
    """A server within this process, so that a test may say what time it is."""

    async def app(_scope: Any, receive: Any, send: Any) -> None:
        while (await receive()).get("more_body"):
            pass
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body"})

    config = Config(app, port=unused_tcp_port, http=PatientProtocol, lifespan="off", ws="none")
    config.log_config = None
    server = Server(config)
    running = asyncio.create_task(server.serve())
    async with asyncio.timeout(20):
        while not server.started:  # noqa: ASYNC110 (it has no event for that)
            await asyncio.sleep(0.01)
    yield server
    server.should_exit = True
    await running


@pytest.mark.parametrize(
    ("sent", "patience_s"),
    [
        (b"", 20),
        (b"GET / HTTP/1.1\r\n", 20),
        (HEAD + b"Content-Length: 9999999\r\n\r\n", 20),
        (HEAD + b"Content-Length: 9999999\r\n\r\n" + b"x" * 40_960, 30),
    ],
    ids=["silence", "half a head", "no body", "half a body"],
)
async def test_a_request_that_stalls_costs_its_connection(
    serving: Server, sent: bytes, patience_s: float
) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", serving.config.port)
    writer.write(sent)
    now = asyncio.get_running_loop().time()
    protocol = await arrived(serving, len(sent))

    protocol.close_if_stalled(now + patience_s - 1)
    assert not protocol.transport.is_closing()
    protocol.close_if_stalled(now + patience_s + 2)

    assert protocol.transport.is_closing()
    assert await reader.read() == b""
    writer.close()


async def test_an_idle_connection_is_none_that_stalls(serving: Server) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", serving.config.port)
    writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert (await reader.readline()).startswith(b"HTTP/1.1 204 ")
    protocol = await arrived(serving, 0)

    protocol.close_if_stalled(asyncio.get_running_loop().time() + 1_000)

    assert not protocol.transport.is_closing()
    writer.close()


async def arrived(server: Server, size_bytes: int) -> PatientProtocol:
    """Return the server's side of the one connection, once all that was sent is there."""
    async with asyncio.timeout(20):
        while True:
            for protocol in server.server_state.connections:
                if isinstance(protocol, PatientProtocol) and protocol.arrived_bytes >= size_bytes:
                    return protocol
            await asyncio.sleep(0.01)
