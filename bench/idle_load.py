"""Clients that wait, and what they cost the server: one thread, one epoll, no library.

A poll is renewed when it is answered; readers of events and sockets only listen, and answer what
wants an answer. At a stop the clock of each client is read when its connection has ended.
"""

import multiprocessing
import os
import select
import signal
import socket
import struct
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from typing import Final, Self

from bench.machine import tree_anonymous_kib, tree_cpu_s

clock: Final = time.perf_counter
_SENT_AT_ONCE: Final = 50
_READ_BYTES: Final = 65_536
_PATIENCE_S: Final = 60.0
_SETTLE_S: Final = 5.0
_TEXT, _CLOSE, _PING, _PONG = 1, 8, 9, 10


class LostClientError(Exception):
    """A server ended a connection that should have lasted, or did not let a client in."""


@dataclass(frozen=True, slots=True)
class Kind:
    """What a client sends, what says that it is in, and how it goes on."""

    name: str
    request: bytes
    ready: bytes = b""  # nothing: whoever sent its request is in
    is_socket: bool = False
    answers: Mapping[bytes, bytes] = field(default_factory=dict)  # of a socket, by a text's start
    renews: bool = False  # sends its request again when it is answered


def get(path: str) -> bytes:
    """Return a request."""
    return f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()


def upgrade(path: str) -> bytes:
    """Return a request that wants to be a WebSocket."""
    return (
        f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
    ).encode()


POLLS: Final = Kind("long polls", get("/api/queue/message?timeout=60&type=none"), renews=True)
READERS: Final = Kind("SSE readers", get("/api/queue/events"), b"HTTP/1.1 200")
EVERYBODY: Final[Sequence[Kind]] = (
    # First, so that nobody is there to be told of half a million leases.
    Kind(
        "streaming consumers",
        upgrade("/api/queue/stream?prefetch=1"),
        b'{"type":"messages"',
        is_socket=True,
    ),
    POLLS,
    Kind("batch polls", get("/api/queue/messages/batch?timeout=60&type=none"), renews=True),
    READERS,
    Kind("WebSockets", upgrade("/ws/messages"), b'{"type":"connected"', is_socket=True),
    Kind(
        "Socket.IO",
        upgrade("/socket.io/?EIO=4&transport=websocket"),
        b"40/messages,",
        is_socket=True,
        answers={b"0{": b"40/messages,", b"2": b"3"},
    ),
    Kind("idle connections", get("/health"), b"HTTP/1.1 200"),
    Kind("half a head", get("/health")[:-2]),
    Kind(
        "half a body",
        b"POST /api/queue/message HTTP/1.1\r\nHost: localhost\r\n"
        b'Content-Type: application/json\r\nContent-Length: 99\r\n\r\n{"payload"',
    ),
)


@dataclass(frozen=True, slots=True)
class Rest:
    """What waiting clients cost."""

    share: float  # of one core, by the server
    kib: float  # of the server's memory, for each client
    answers: int  # that came meanwhile, to polls


@dataclass(frozen=True, slots=True)
class Stop:
    """When what was open had ended, in ms since SIGTERM."""

    last_ms: Mapping[str, float]  # by kind of client
    resets: int  # connections that ended with RST
    process_ms: float


def measure_rest(kind: Kind, port: int, server_pid: int, *, clients: int, seconds: float) -> Rest:
    """Let clients wait for so long, from another process; raises LostClientError."""
    return _apart(_rest, kind, port, server_pid, clients, seconds)


def measure_stop(port: int, server_pid: int, *, each: int) -> Stop:
    """Stop a server that has so many clients of every kind, from another process."""
    return _apart(_stop, port, server_pid, each)


def _apart(run: Callable[..., object], *arguments: object) -> object:
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as apart:
        return apart.submit(run, *arguments).result()


def _rest(kind: Kind, port: int, server_pid: int, clients: int, seconds: float) -> Rest:
    server_kib = tree_anonymous_kib(server_pid)
    with Crowd(port) as crowd:
        crowd.connect(kind, clients)
        crowd.rest(_SETTLE_S)
        answers, began_s, began_cpu_s = crowd.answers, clock(), tree_cpu_s(server_pid)
        crowd.rest(seconds)
        return Rest(
            share=(tree_cpu_s(server_pid) - began_cpu_s) / (clock() - began_s),
            kib=(tree_anonymous_kib(server_pid) - server_kib) / clients,
            answers=crowd.answers - answers,
        )


def _stop(port: int, server_pid: int, each: int) -> Stop:
    with Crowd(port) as crowd:
        for kind in EVERYBODY:
            crowd.connect(kind, each)
        crowd.rest(_SETTLE_S)
        return crowd.stop(server_pid)


class _Client:
    """One connection: what came and was not understood yet."""

    __slots__ = ("is_ready", "is_upgraded", "kind", "rest", "socket")

    def __init__(self, kind: Kind, opened: socket.socket) -> None:
        self.kind = kind
        self.socket = opened
        self.rest = b""
        self.is_upgraded = False
        self.is_ready = not kind.ready


class Crowd:
    """Many clients of one server, of several kinds."""

    def __init__(self, port: int) -> None:
        self.answers = 0
        self._port: Final = port
        self._clients: Final[dict[int, _Client]] = {}
        self._poll: Final = select.epoll()
        self._is_stopping = False
        self._ended_s: Final[dict[str, float]] = {}
        self._resets = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc_info: object) -> None:
        for client in self._clients.values():
            # Without a goodbye, and so without thousands of ports that rest for a minute.
            client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            client.socket.close()
        self._poll.close()

    def connect(self, kind: Kind, count: int) -> None:
        """Connect so many more clients, and wait until the server has let them in."""
        added: list[_Client] = []
        while len(added) < count:
            for _ in range(min(_SENT_AT_ONCE, count - len(added))):
                opened = socket.create_connection(("127.0.0.1", self._port), _PATIENCE_S)
                opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                opened.sendall(kind.request)
                opened.setblocking(False)  # noqa: FBT003
                added.append(_Client(kind, opened))
                self._clients[opened.fileno()] = added[-1]
                self._poll.register(opened.fileno(), select.EPOLLIN)
            self._read_until(lambda: all(client.is_ready for client in added), kind.name)

    def rest(self, seconds: float) -> None:
        """Only answer what wants an answer, and renew polls."""
        until_s = clock() + seconds
        while (left_s := until_s - clock()) > 0:
            self._read(left_s)

    def stop(self, server_pid: int) -> Stop:
        """Let the server stop, and wait until every connection and the process have ended."""
        self._is_stopping = True
        process = os.pidfd_open(server_pid)
        watch = select.poll()
        watch.register(process, select.POLLIN)
        began_s, ended_s = clock(), 0.0
        os.kill(server_pid, signal.SIGTERM)
        while self._clients or not ended_s:
            self._read(0.002)
            if not ended_s and watch.poll(0):
                ended_s = clock()
            if clock() - began_s > _PATIENCE_S:
                raise LostClientError(f"{len(self._clients)} connections are left")
        os.close(process)
        return Stop(
            last_ms={name: (at_s - began_s) * 1e3 for name, at_s in self._ended_s.items()},
            resets=self._resets,
            process_ms=(ended_s - began_s) * 1e3,
        )

    def _read_until(self, is_done: Callable[[], bool], what: str) -> None:
        deadline_s = clock() + _PATIENCE_S
        while not is_done():
            if clock() > deadline_s:
                raise LostClientError(f"waited {_PATIENCE_S:.0f} s in vain: {what}")
            self._read(1.0)

    def _read(self, timeout_s: float) -> None:
        for number, _ in self._poll.poll(timeout_s, 512):
            client = self._clients[number]
            try:
                data = client.socket.recv(_READ_BYTES)
            except ConnectionResetError:
                self._resets += 1
                data = b""
            if not data:
                self._end(client)
            elif client.kind.is_socket:
                self._hear_socket(client, client.rest + data)
            else:
                self._hear_answer(client, client.rest + data)

    def _end(self, client: _Client) -> None:
        if not self._is_stopping:
            raise LostClientError(f"the server closed one of the {client.kind.name}")
        self._ended_s[client.kind.name] = clock()
        del self._clients[client.socket.fileno()]
        client.socket.close()

    def _hear_answer(self, client: _Client, data: bytes) -> None:
        client.rest = b""
        if client.is_ready and not client.kind.renews:
            return
        head, end, body = data.partition(b"\r\n\r\n")
        if not end:
            client.rest = data
            return
        if client.kind.renews:
            length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
            if len(body) < length:
                client.rest = data
                return
            self.answers += 1
            if not self._is_stopping:
                client.socket.send(client.kind.request)
        elif not data.startswith(client.kind.ready):
            raise LostClientError(f"refused: {data[:300]!r}")
        client.is_ready = True

    def _hear_socket(self, client: _Client, data: bytes) -> None:
        if not client.is_upgraded:
            head, end, rest = data.partition(b"\r\n\r\n")
            if end and not head.startswith(b"HTTP/1.1 101 "):
                raise LostClientError(f"refused: {head[:300]!r}")
            client.is_upgraded = bool(end)
            data = rest if end else data
        while client.is_upgraded and (frame := _first_frame(data)):
            kind, content, data = frame
            self._act(client, kind, content)
        client.rest = data

    def _act(self, client: _Client, kind: int, content: bytes) -> None:
        if kind == _TEXT:
            client.is_ready = client.is_ready or content.startswith(client.kind.ready)
            for start, answer in client.kind.answers.items():
                if content.startswith(start):
                    _send(client, _TEXT, answer)
        elif kind == _PING:
            _send(client, _PONG, content)
        elif kind == _CLOSE:
            _send(client, _CLOSE, content)


def _first_frame(data: bytes) -> tuple[int, bytes, bytes] | None:
    """Return kind and content of a frame, which servers do not mask, and what is behind it."""
    if len(data) < 4:
        return None
    start, length = 2, data[1]
    if length == 126:
        start, length = 4, int.from_bytes(data[2:4], "big")
    if len(data) < start + length:
        return None
    return data[0] & 15, data[start : start + length], data[start + length :]


def _send(client: _Client, kind: int, content: bytes) -> None:
    """Send a frame, masked with zeros as a client has to mask."""
    client.socket.send(bytes((0x80 | kind, 0x80 | len(content), 0, 0, 0, 0)) + content)
