"""A crowd of WebSocket clients that costs little itself: one thread, one epoll, no library.

It speaks what a client has to: the upgrade, masked answers, pongs, and as much of Engine.IO 4 and
Socket.IO as a Python or JavaScript client says when it connects. Each event is appended to the
stream as the product does, and each client's clock is read when its bytes are here.
"""

import functools
import multiprocessing
import select
import socket
import struct
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from statistics import median
from types import MappingProxyType
from typing import Final, Self

import redis

from bench.machine import tree_anonymous_kib, tree_cpu_s
from models.events import Event, encode_entry, stream_key

clock: Final = time.perf_counter
# As long as the event `ticket-updated` in its contract.
TEXT_CHARACTERS: Final = 300
_CONNECTED_AT_ONCE: Final = 100
_READ_BYTES: Final = 65_536
_PATIENCE_S: Final = 60.0
_SETTLE_S: Final = 2.0
_TEXT, _CLOSE, _PING, _PONG = 1, 8, 9, 10
_NOTHING: Final[Mapping[bytes, bytes]] = MappingProxyType({})


class LostClientError(Exception):
    """A server closed a connection, or did not say what was waited for."""


@dataclass(frozen=True, slots=True)
class Way:
    """How clients connect: what they answer to texts that begin so, and what says they are in.

    Where each client has a path of its own, `paths` are taken in turn.
    """

    path: str
    ready: bytes  # nothing: the upgrade says so
    answers: Mapping[bytes, bytes] = field(default_factory=lambda: dict(_NOTHING))
    paths: Sequence[str] = ()


WEBSOCKET: Final = Way("/ws/messages", b'{"type":"connected"')
SOCKETIO: Final = Way(
    "/socket.io/?EIO=4&transport=websocket",
    b"40/messages,",
    {b"0{": b"40/messages,", b"2": b"3"},
)
BARE: Final = Way("/", b"")


@dataclass(frozen=True, slots=True)
class FanOut:
    """What came of it: medians of the rounds, and the worst of them."""

    p50_ms: float
    last_ms: float
    worst_ms: float
    cpu_us: float  # of the server, for each delivery
    load_cpu_us: float  # of the crowd itself
    kib: float  # of the server's memory, for each connection
    idle_share: float  # of one core, by the server while nothing happens
    idle_texts: int  # that came to all clients meanwhile


@dataclass(frozen=True, slots=True)
class Plan:
    """What is measured."""

    way: Way
    port: int
    server_pid: int
    redis_url: str
    clients: int
    rounds: int
    pause_s: float
    idle_s: float
    domain: str = "messages"
    event: str = "nack"


def measure_fan_out(plan: Plan) -> FanOut:
    """Let a crowd connect, rest and listen, from another process; raises LostClientError."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as apart:
        return apart.submit(_run, plan).result()


def _run(plan: Plan) -> FanOut:
    server_kib = tree_anonymous_kib(plan.server_pid)
    with Crowd(plan.way, plan.port) as crowd, redis.Redis.from_url(plan.redis_url) as client:
        crowd.connect(plan.clients)
        crowd.rest(_SETTLE_S)
        grown_kib = tree_anonymous_kib(plan.server_pid) - server_kib
        texts, began_s, began_cpu_s = crowd.texts, clock(), tree_cpu_s(plan.server_pid)
        crowd.rest(plan.idle_s)
        idle_share = (tree_cpu_s(plan.server_pid) - began_cpu_s) / (clock() - began_s)
        idle_texts = crowd.texts - texts
        medians, lasts = [], []
        texts, own_cpu_s = crowd.texts, time.process_time()
        began_cpu_s = tree_cpu_s(plan.server_pid)
        for number in range(plan.rounds):
            name = f"round-{number:06}"
            times_ms = crowd.hear(name.encode(), functools.partial(_append, client, plan, name))
            medians.append(median(times_ms))
            lasts.append(times_ms[-1])
            crowd.rest(plan.pause_s)
        delivered = crowd.texts - texts
        return FanOut(
            p50_ms=median(medians),
            last_ms=median(lasts),
            worst_ms=max(lasts),
            cpu_us=(tree_cpu_s(plan.server_pid) - began_cpu_s) / delivered * 1e6,
            load_cpu_us=(time.process_time() - own_cpu_s) / delivered * 1e6,
            kib=grown_kib / plan.clients,
            idle_share=idle_share,
            idle_texts=idle_texts,
        )


def _append(client: redis.Redis, plan: Plan, name: str) -> None:
    entry = encode_entry([Event(plan.event, {"id": name, "error": "x" * TEXT_CHARACTERS})])
    client.xadd(stream_key(plan.domain), entry, maxlen=10_000, approximate=True)


class _Client:
    """One connection: what came and is not a whole frame yet."""

    __slots__ = ("is_ready", "is_upgraded", "rest", "socket")

    def __init__(self, opened: socket.socket) -> None:
        self.socket = opened
        self.rest = b""
        self.is_upgraded = False
        self.is_ready = False


class Crowd:
    """Many clients of one server."""

    def __init__(self, way: Way, port: int) -> None:
        self.texts = 0
        self._way = way
        self._port = port
        self._clients: dict[int, _Client] = {}
        self._ready = 0
        self._mark = b"\0"
        self._times_s: list[float] = []
        self._poll = select.epoll()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc_info: object) -> None:
        for client in self._clients.values():
            # Without a goodbye, and so without thousands of ports that rest for a minute.
            client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            client.socket.close()
        self._poll.close()

    def connect(self, count: int) -> None:
        """Connect so many more clients, and wait until the server has let them in."""
        wanted = self._ready + count
        while self._ready < wanted:
            aim = min(wanted, self._ready + _CONNECTED_AT_ONCE)
            for _ in range(aim - self._ready):
                opened = socket.create_connection(("127.0.0.1", self._port), _PATIENCE_S)
                opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                opened.sendall(self._upgrade())
                opened.setblocking(False)  # noqa: FBT003
                self._clients[opened.fileno()] = _Client(opened)
                self._poll.register(opened.fileno(), select.EPOLLIN)
            self._read_until(lambda aim=aim: self._ready >= aim, "clients are let in")  # type: ignore[misc]

    def _upgrade(self) -> bytes:
        paths = self._way.paths
        path = paths[len(self._clients) % len(paths)] if paths else self._way.path
        return (
            f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{self._port}\r\n"
            "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
            "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
        ).encode()

    def rest(self, seconds: float) -> None:
        """Only answer what wants an answer."""
        until_s = clock() + seconds
        while (left_s := until_s - clock()) > 0:
            self._read(left_s)

    def hear(
        self, mark: bytes, cause: Callable[[], object], count: int | None = None
    ) -> list[float]:
        """Cause a text with a mark; return after how many ms each client had it, in order.

        Waits for `count` of them, by default all.
        """
        wanted = len(self._clients) if count is None else count
        self._mark, self._times_s = mark, []
        began_s = clock()
        cause()
        self._read_until(lambda: len(self._times_s) >= wanted, "every client has it")
        return [(time_s - began_s) * 1000 for time_s in self._times_s]

    def _read_until(self, is_done: Callable[[], bool], what: str) -> None:
        deadline_s = clock() + _PATIENCE_S
        while not is_done():
            if clock() > deadline_s:
                raise LostClientError(f"waited {_PATIENCE_S:.0f} s in vain: {what}")
            self._read(1.0)

    def _read(self, timeout_s: float) -> None:
        for number, _ in self._poll.poll(timeout_s, 512):
            client = self._clients[number]
            data = client.socket.recv(_READ_BYTES)
            if not data:
                raise LostClientError("the server closed a connection")
            if client.rest:
                data = client.rest + data
            if not client.is_upgraded:
                data = self._upgraded(client, data)
            client.rest = self._frames(client, data)

    def _upgraded(self, client: _Client, data: bytes) -> bytes:
        head, end, rest = data.partition(b"\r\n\r\n")
        if not end:
            client.rest = data
            return b""
        if not head.startswith(b"HTTP/1.1 101 "):
            raise LostClientError(f"refused: {data[:300]!r}")
        client.is_upgraded = True
        if not self._way.ready:
            self._let_in(client)
        return rest

    def _frames(self, client: _Client, data: bytes) -> bytes:
        """Act on whole frames, which servers do not mask; return what is left."""
        at, end = 0, len(data)
        while end - at >= 2:
            start, length = at + 2, data[at + 1]
            if length == 126:
                start += 2
                length = int.from_bytes(data[at + 2 : start], "big")
            elif length == 127:
                start += 8
                length = int.from_bytes(data[at + 2 : start], "big")
            if end < start + length:
                break
            self._act(client, data[at] & 15, data[start : start + length])
            at = start + length
        return data[at:] if at else data

    def _act(self, client: _Client, kind: int, content: bytes) -> None:
        if kind == _TEXT:
            self.texts += 1
            if self._mark in content:
                self._times_s.append(clock())
            elif len(content) < 512 or not client.is_ready:
                self._answer(client, content)
        elif kind == _PING:
            _send(client, _PONG, content)
        elif kind == _CLOSE:
            raise LostClientError(f"the server said goodbye: {content!r}")

    def _answer(self, client: _Client, text: bytes) -> None:
        if not client.is_ready and text.startswith(self._way.ready):
            self._let_in(client)
        for start, answer in self._way.answers.items():
            if text.startswith(start):
                _send(client, _TEXT, answer)

    def _let_in(self, client: _Client) -> None:
        client.is_ready = True
        self._ready += 1


def _send(client: _Client, kind: int, content: bytes) -> None:
    """Send a frame, masked with zeros as a client has to mask."""
    client.socket.send(bytes((0x80 | kind, 0x80 | len(content), 0, 0, 0, 0)) + content)


__all__ = [
    "BARE",
    "SOCKETIO",
    "WEBSOCKET",
    "Crowd",
    "FanOut",
    "LostClientError",
    "Plan",
    "Way",
    "measure_fan_out",
]
