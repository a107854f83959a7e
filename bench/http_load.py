"""Load over HTTP/1.1 that costs little itself: keep-alive connections in a process of its own.

What a connection says is a script, a generator: it yields the bytes of a request and is sent the
status and body of the answer, or yields a number and is sent on after so many seconds. Only the
status line and Content-Length are read, so the server has to send one. After a 101 each text frame
of the WebSocket is an answer of its own, and what is yielded may be nothing: to hear the next one.
"""

import asyncio
import gc
import multiprocessing
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from statistics import quantiles
from types import MappingProxyType
from typing import Any, Final

import uvloop

from bench.machine import tree_cpu_s

Answer = tuple[int, bytes]
Script = Generator[bytes | float, Answer | None, None]
NOTHING: Final[Mapping[str, Any]] = MappingProxyType({})
clock: Final = time.perf_counter
_SWITCHING: Final = 101
_NOT_MODIFIED: Final = 304
_TEXT_FRAME: Final = 0x81


class Meter:
    """Counts what the scripts finished, and how long each took."""

    def __init__(self) -> None:
        self.count = 0
        self.times_s: list[float] = []

    def note(self, time_s: float, count: int = 1) -> None:
        """Count one thing done in `time_s`, worth `count`."""
        self.count += count
        self.times_s.append(time_s)


@dataclass(frozen=True, slots=True)
class Load:
    """What came of it in the time that was measured, the warm-up left out."""

    per_s: float
    p50_ms: float
    p99_ms: float
    cpu_share: float  # of one core, by the load itself
    # Of one core, by each of the processes watched with their children.
    cpu_shares: Mapping[str, float] = field(default_factory=dict)


class UnexpectedAnswerError(Exception):
    """A server answered something else than the script can go on with."""


def request(
    method: str, path: str, body: bytes = b"", headers: Mapping[str, str] = NOTHING
) -> bytes:
    """Return the bytes of a request."""
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1"]
    if body:
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


def text_frame(text: bytes) -> bytes:
    """Return a WebSocket frame of a client; its mask is zeros, which change nothing."""
    size = len(text)
    if size < 126:
        head = bytes((0x81, 0x80 | size))
    elif size < 65_536:
        head = b"\x81\xfe" + size.to_bytes(2)
    else:
        head = b"\x81\xff" + size.to_bytes(8)
    return head + b"\0\0\0\0" + text


def expect(answer: Answer | None, status: int) -> bytes:
    """Return the body of an answer with this status; raises UnexpectedAnswerError."""
    assert answer is not None
    if answer[0] != status:
        raise UnexpectedAnswerError(f"expected {status}, got {answer[0]}: {answer[1][:200]!r}")
    return answer[1]


def measure(
    scripts: Callable[[Meter], Sequence[Script]],
    *,
    port: int,
    seconds: float,
    warm_up_s: float = 0.5,
    watched: Mapping[str, int] = NOTHING,
    speaks: type["Connection"] | None = None,
) -> Load:
    """Run scripts, a connection for each, from another process; the scripts must be endless.

    `scripts` is called there, so it has to be a function of a module. `watched` are process ids by
    name; `speaks` splits the answers of another protocol than HTTP. Raises whatever a script
    raises, and UnexpectedAnswerError for a connection lost.
    """
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as apart:
        return apart.submit(
            _run,
            scripts,
            port=port,
            seconds=seconds,
            warm_up_s=warm_up_s,
            watched=dict(watched),
            speaks=speaks or HttpConnection,
        ).result()


def _run(scripts: Callable[[Meter], Sequence[Script]], **options: Any) -> Load:
    gc.disable()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_drive(scripts, **options))


async def _drive(
    scripts: Callable[[Meter], Sequence[Script]],
    *,
    port: int,
    seconds: float,
    warm_up_s: float,
    watched: Mapping[str, int],
    speaks: type["Connection"],
) -> Load:
    loop = asyncio.get_running_loop()
    meter = Meter()
    failed: asyncio.Future[None] = loop.create_future()
    connections = []
    for script in scripts(meter):
        _, connection = await loop.create_connection(
            lambda script=script: speaks(script, failed),  # type: ignore[misc]
            "127.0.0.1",
            port,
        )
        connections.append(connection)
    await _pass(warm_up_s, failed)
    meter.__init__()  # type: ignore[misc]  # the warm-up does not count
    began = _Moment(watched)
    await _pass(seconds, failed)
    ended = _Moment(watched)
    for connection in connections:
        connection.close()
    return _load(meter, began, ended)


async def _pass(seconds: float, failed: asyncio.Future[None]) -> None:
    await asyncio.wait([failed], timeout=seconds)
    if failed.done():
        failed.result()


class _Moment:
    def __init__(self, watched: Mapping[str, int]) -> None:
        self.at_s = clock()
        self.cpu_s = time.process_time()
        self.cpu_s_of = {name: tree_cpu_s(pid) for name, pid in watched.items()}


def _load(meter: Meter, began: _Moment, ended: _Moment) -> Load:
    seconds = ended.at_s - began.at_s
    if len(meter.times_s) < 2:
        raise UnexpectedAnswerError("nothing was finished in the time that was measured")
    cuts = quantiles(meter.times_s, n=100)
    return Load(
        per_s=meter.count / seconds,
        p50_ms=cuts[49] * 1000,
        p99_ms=cuts[98] * 1000,
        cpu_share=(ended.cpu_s - began.cpu_s) / seconds,
        cpu_shares={
            name: (cpu_s - began.cpu_s_of[name]) / seconds for name, cpu_s in ended.cpu_s_of.items()
        },
    )


class Connection(asyncio.Protocol):
    """Says what its script says, and hands it the answers that `read` finds."""

    def __init__(self, script: Script, failed: asyncio.Future[None]) -> None:
        self._script = script
        self._failed = failed
        self._rest = b""
        self._transport: asyncio.Transport
        self._is_closing = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Say the script's first."""
        self._transport = transport  # type: ignore[assignment]
        self.go_on(None)

    def data_received(self, data: bytes) -> None:
        """Hand on what is whole, keep the rest."""
        if self._rest:
            data = self._rest + data
        self._rest = data[self.read(data) :]

    def read(self, data: bytes) -> int:
        """Hand on the answers that are here by `go_on`; return how many bytes are dealt with."""
        raise NotImplementedError

    def connection_lost(self, _error: Exception | None) -> None:
        """End the measurement, if it was not the load that closed."""
        if not self._is_closing and not self._failed.done():
            self._failed.set_exception(UnexpectedAnswerError("the server closed a connection"))

    def close(self) -> None:
        """Cut the connection off."""
        self._is_closing = True
        self._transport.abort()

    def go_on(self, answer: Answer | None) -> None:
        """Give the script its answer, and say what it says next."""
        if self._is_closing:
            return
        try:
            said = self._script.send(answer)
        except Exception as error:  # noqa: BLE001 -- it ends the measurement
            if not self._failed.done():
                self._failed.set_exception(error)
            return
        if isinstance(said, bytes):
            if said:
                self._transport.write(said)
        else:
            asyncio.get_running_loop().call_later(said, self.go_on, None)


class HttpConnection(Connection):
    """HTTP/1.1, and text frames after a 101."""

    def __init__(self, script: Script, failed: asyncio.Future[None]) -> None:
        super().__init__(script, failed)
        self._is_socket = False

    def read(self, data: bytes) -> int:
        """Hand on an answer if it is here; return how many bytes are dealt with."""
        return self._read_frames(data) if self._is_socket else self._read(data)

    def _read(self, data: bytes) -> int:
        """Hand on an answer if it is here; return how many bytes are dealt with."""
        head_end = data.find(b"\r\n\r\n")
        if head_end < 0:
            return 0
        status, start = int(data[9:12]), head_end + 4
        if status == _SWITCHING:
            self._is_socket = True
            self.go_on((status, b""))
            return start + self._read_frames(data[start:])
        # What is not modified has no body, whatever its head says of the length.
        end = start + (0 if status == _NOT_MODIFIED else _content_length(data, head_end))
        if len(data) < end:
            return 0
        self.go_on((status, data[start:end]))
        return len(data)

    def _read_frames(self, data: bytes) -> int:
        """Hand on the text frames that are here; return how many bytes are dealt with."""
        at = 0
        while len(data) >= at + 2:
            size, start = data[at + 1], at + 2
            if size >= 126:
                start += 2 if size == 126 else 8
                size = int.from_bytes(data[at + 2 : start])
            if len(data) < start + size:
                break
            if data[at] == _TEXT_FRAME:
                self.go_on((_SWITCHING, data[start : start + size]))
            at = start + size
        return at


def _content_length(data: bytes, head_end: int) -> int:
    head = data[:head_end].lower()
    start = head.find(b"\r\ncontent-length:")
    if start < 0:
        raise UnexpectedAnswerError(f"no Content-Length in {head!r}")
    end = head.find(b"\r", start + 2)
    return int(head[start + 17 : end if end >= 0 else head_end])
