"""AMQP 0-9-1 as far as producers and consumers need it: scripts for http_load.

One channel a connection, persistent messages, publisher confirms. An answer's status is the number
of its method, class and method in one; a delivery comes with its content behind the arguments.
"""

import functools
import itertools
import struct
from collections.abc import Generator, Sequence
from typing import Final

from bench.http_load import Answer, Connection, Meter, Script, UnexpectedAnswerError, clock
from bench.message_load import BATCH, PREFETCH, PRODUCER_PAUSE_S, between, message

QUEUE: Final = "bench"
_END: Final = b"\xce"
_METHOD, _HEADER, _BODY = 1, 2, 3
_START, _TUNE, _OPEN_OK = 10 << 16 | 10, 10 << 16 | 30, 10 << 16 | 41
_CHANNEL_OPEN_OK, _DECLARED, _SELECTED = 20 << 16 | 11, 50 << 16 | 11, 85 << 16 | 11
_QOS_OK, _CONSUMING, _DELIVER, _ACKED = (60 << 16 | each for each in (11, 21, 60, 80))
_FRAME_BYTES: Final = 131_072
_PERSISTENT: Final = struct.pack(">HB", 0x1000, 2)


class AmqpConnection(Connection):
    """Splits frames, and puts a delivery together."""

    _delivery = b""

    def read(self, data: bytes) -> int:
        """Hand on methods as they come, deliveries with their content of one frame."""
        at = 0
        while len(data) >= at + 8:
            kind, size = data[at], int.from_bytes(data[at + 3 : at + 7])
            if len(data) < at + size + 8:
                break
            payload, at = data[at + 7 : at + 7 + size], at + size + 8
            self._take(kind, payload)
        return at

    def _take(self, kind: int, payload: bytes) -> None:
        if kind == _METHOD:
            method = int.from_bytes(payload[:4])
            if method == _DELIVER:
                self._delivery = payload[4:]
            else:
                self.go_on((method, payload[4:]))
        elif kind == _BODY:
            self.go_on((_DELIVER, self._delivery + payload))


def producers(kind: str, connections: int, meter: Meter) -> Sequence[Script]:
    """Publish one message, wait for its confirm, publish the next."""
    return [_produce(kind, _publish(number), 1, meter) for number in range(connections)]


def batch_producers(kind: str, connections: int, meter: Meter) -> Sequence[Script]:
    """Publish BATCH messages at once, wait for the confirms of all."""
    said = b"".join(_publish(number) for number in range(BATCH))
    return [_produce(kind, said, BATCH, meter) for _ in range(connections)]


def consumers(
    kind: str, connections: int, meter: Meter, *, in_hand: int = 1, acks_of: int = 1
) -> Sequence[Script]:
    """Take pushed messages with `in_hand` unacknowledged, and acknowledge `acks_of` at a time.

    An ack has no answer. The time is that from an ack to the next delivery.
    """
    return [_consume(kind, in_hand, acks_of, meter) for _ in range(connections)]


def passers(kind: str, waiting: int, meter: Meter) -> Sequence[Script]:
    """One producer at a light pace, and consumers that wait."""
    sent_at_s: dict[bytes, float] = {}
    waiters = (_wait_for(kind, sent_at_s, meter) for _ in range(waiting))
    return [_produce_slowly(kind, sent_at_s), *waiters]


streams = functools.partial(consumers, in_hand=PREFETCH)
batch_consumers = functools.partial(consumers, in_hand=BATCH, acks_of=BATCH)


def _produce(kind: str, said: bytes, count: int, meter: Meter) -> Script:
    yield from _open(kind)
    _expect((yield _method(85, 10, b"\0")), _SELECTED)
    waiting: set[int] = set()
    for first in itertools.count(1, count):
        began = clock()
        waiting.update(range(first, first + count))
        told = yield said
        while True:
            _settle(waiting, _expect(told, _ACKED))
            if not waiting:
                break
            told = yield b""
        meter.note(clock() - began, count)


def _settle(waiting: set[int], ack: bytes) -> None:
    tag, multiple = struct.unpack(">QB", ack)
    if multiple:
        waiting.difference_update([each for each in waiting if each <= tag])
    else:
        waiting.discard(tag)


def _consume(kind: str, in_hand: int, acks_of: int, meter: Meter) -> Script:
    told = yield from _subscribe(kind, in_hand)
    began, taken = clock(), 0
    while True:
        tag = _tag(_expect(told, _DELIVER))
        taken += 1
        if taken % acks_of:
            told = yield b""
        else:
            now_s = clock()
            meter.note(now_s - began, acks_of)
            began = now_s
            told = yield _ack(tag, multiple=acks_of > 1)


def _produce_slowly(kind: str, sent_at_s: dict[bytes, float]) -> Script:
    yield from _open(kind)
    _expect((yield _method(85, 10, b"\0")), _SELECTED)
    for number in itertools.count():
        sent_at_s[b"%d" % (number + 10**8)] = clock()
        _expect((yield _publish(number)), _ACKED)
        yield PRODUCER_PAUSE_S


def _wait_for(kind: str, sent_at_s: dict[bytes, float], meter: Meter) -> Script:
    told = yield from _subscribe(kind, 1)
    while True:
        delivery = _expect(told, _DELIVER)
        meter.note(clock() - sent_at_s.pop(between(delivery, b'"at":', b"}")))
        told = yield _ack(_tag(delivery), multiple=False)


def _open(kind: str) -> Generator[bytes | float, Answer | None, None]:
    """Log in, open the channel and declare the durable queue."""
    login = b"\0\0\0\0" + _short("PLAIN") + _long(b"\0guest\0guest") + _short("en_US")
    tuning = struct.pack(">HIH", 1, _FRAME_BYTES, 0)
    table = _short("x-queue-type") + b"S" + _long(kind.encode())
    declare = b"\0\0" + _short(QUEUE) + b"\x02" + _long(table)
    _expect((yield b"AMQP\0\0\x09\x01"), _START)
    _expect((yield _method(10, 11, login, channel=0)), _TUNE)
    opening = _method(10, 31, tuning, channel=0)
    _expect((yield opening + _method(10, 40, _short("/") + b"\0\0", channel=0)), _OPEN_OK)
    _expect((yield _method(20, 10, b"\0")), _CHANNEL_OPEN_OK)
    _expect((yield _method(50, 10, declare)), _DECLARED)


def _subscribe(kind: str, in_hand: int) -> Generator[bytes | float, Answer | None, Answer | None]:
    """Ask for deliveries and return the first; the warm-up is long enough for all to come."""
    yield from _open(kind)
    _expect((yield _method(60, 10, struct.pack(">IHB", 0, in_hand, 0))), _QOS_OK)
    consume = b"\0\0" + _short(QUEUE) + _short("") + b"\0" + _long(b"")
    _expect((yield _method(60, 20, consume)), _CONSUMING)
    return (yield b"")


def _publish(number: int) -> bytes:
    body = message(number)
    header = struct.pack(">HHQ", 60, 0, len(body)) + _PERSISTENT
    method = _method(60, 40, b"\0\0" + _short("") + _short(QUEUE) + b"\0")
    return method + _frame(_HEADER, header) + _frame(_BODY, body)


def _ack(tag: int, *, multiple: bool) -> bytes:
    return _method(60, 80, struct.pack(">QB", tag, multiple))


def _tag(delivery: bytes) -> int:
    start = 1 + delivery[0]  # behind the consumer's name
    return int.from_bytes(delivery[start : start + 8])


def _method(of_class: int, method: int, arguments: bytes, channel: int = 1) -> bytes:
    return _frame(_METHOD, struct.pack(">HH", of_class, method) + arguments, channel)


def _frame(kind: int, payload: bytes, channel: int = 1) -> bytes:
    return struct.pack(">BHI", kind, channel, len(payload)) + payload + _END


def _short(text: str) -> bytes:
    return bytes((len(text),)) + text.encode()


def _long(text: bytes) -> bytes:
    return len(text).to_bytes(4) + text


def _expect(answer: Answer | None, method: int) -> bytes:
    assert answer is not None
    if answer[0] != method:
        raise UnexpectedAnswerError(
            f"expected {method >> 16}.{method & 0xFFFF}, got {answer[0] >> 16}.{answer[0] & 0xFFFF}"
            f": {answer[1][:200]!r}"
        )
    return answer[1]
