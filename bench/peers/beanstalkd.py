"""beanstalkd, which syncs its log before each answer: `-b` and `-f0`."""

import functools
import itertools
import shutil
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from bench import rows
from bench.http_load import Connection, Meter, Script, UnexpectedAnswerError, clock
from bench.message_load import PRODUCER_PAUSE_S, between, message
from bench.peers.peer import WAITING, Kind, Loader, Peer, Row, many
from tests.servers import Process, free_port, wait_until

_SAYS_MORE: Final = (b"RESERVED", b"OK")


class BeanstalkConnection(Connection):
    """Answers are lines, some with data behind them."""

    def read(self, data: bytes) -> int:
        """Hand on each answer with its data; all have the status 0."""
        at = 0
        while (end := data.find(b"\r\n", at)) >= 0:
            end += 2
            if data.startswith(_SAYS_MORE, at):
                end += int(data[at:end].rsplit(maxsplit=1)[1]) + 2
                if len(data) < end:
                    break
            answer, at = data[at:end], end
            self.go_on((0, answer))
        return at


def missing() -> str | None:
    """Say what to install."""
    return None if shutil.which("beanstalkd") else "apt-get install beanstalkd"


@contextmanager
def running(folder: Path, seconds: float) -> Iterator[Mapping[str, Row]]:
    """Start one on a log of its own; it has neither batches nor a stream."""
    port = free_port()
    (folder / "log.d").mkdir()
    command = ["beanstalkd", "-l", "127.0.0.1", "-p", str(port), "-b", f"{folder}/log.d", "-f0"]
    process = Process(command, log_path=folder / "log")
    try:
        left = functools.partial(_left, port)
        wait_until(lambda: left() == 0, "beanstalkd answers", process=process)
        fill = many(producers)
        loader = Loader(port, process.pid, seconds, fill, left, BeanstalkConnection)
        yield {
            rows.PASS: lambda: loader.run(many(passers, WAITING)),
            rows.ENQUEUE: lambda: loader.run(fill),
            rows.RECEIVE: lambda: loader.drain(many(consumers)),
        }
    finally:
        process.stop()


def producers(connections: int, meter: Meter) -> Sequence[Script]:
    """Put one message a command, each when the one before is answered."""
    return [_produce(_put(number), meter) for number in range(connections)]


def consumers(connections: int, meter: Meter) -> Sequence[Script]:
    """Reserve a message, delete it, take the next; the time is that of both."""
    return [_consume(meter) for _ in range(connections)]


def passers(waiting: int, meter: Meter) -> Sequence[Script]:
    """One producer at a light pace, and consumers that wait."""
    sent_at_s: dict[bytes, float] = {}
    return [_produce_slowly(sent_at_s), *(_wait_for(sent_at_s, meter) for _ in range(waiting))]


def _produce(said: bytes, meter: Meter) -> Script:
    while True:
        began = clock()
        _expect((yield said), b"INSERTED")
        meter.note(clock() - began)


def _consume(meter: Meter) -> Script:
    while True:
        began = clock()
        told = _expect((yield b"reserve\r\n"), b"RESERVED")
        _expect((yield _delete(told)), b"DELETED")
        meter.note(clock() - began)


def _produce_slowly(sent_at_s: dict[bytes, float]) -> Script:
    for number in itertools.count():
        sent_at_s[b"%d" % (number + 10**8)] = clock()
        _expect((yield _put(number)), b"INSERTED")
        yield PRODUCER_PAUSE_S


def _wait_for(sent_at_s: dict[bytes, float], meter: Meter) -> Script:
    while True:
        told = _expect((yield b"reserve\r\n"), b"RESERVED")
        meter.note(clock() - sent_at_s.pop(between(told, b'"at":', b"}")))
        _expect((yield _delete(told)), b"DELETED")


def _put(number: int) -> bytes:
    body = message(number)
    return b"put 100 0 60 %d\r\n%b\r\n" % (len(body), body)


def _delete(reserved: bytes) -> bytes:
    return b"delete %b\r\n" % reserved.split(maxsplit=2)[1]


def _expect(answer: tuple[int, bytes] | None, word: bytes) -> bytes:
    assert answer is not None
    if not answer[1].startswith(word):
        raise UnexpectedAnswerError(f"expected {word!r}, got {answer[1][:200]!r}")
    return answer[1]


def _left(port: int) -> int:
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(b"stats-tube default\r\n")
        told = connection.makefile("rb")
        size = int(told.readline().split()[1])
        stats = told.read(size)
    return int(between(stats, b"current-jobs-ready: ", b"\n"))


BEANSTALKD: Final = Peer("beanstalkd", Kind.OTHER, missing, running)
