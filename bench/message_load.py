"""What producers and consumers of messages say over HTTP: scripts for http_load."""

import itertools
import re
from collections.abc import Sequence
from typing import Final

from bench.http_load import (
    Meter,
    Script,
    UnexpectedAnswerError,
    clock,
    expect,
    request,
    text_frame,
)

PAYLOAD_BYTES: Final = 256
BATCH: Final = 100
PREFETCH: Final = 64
_EMPTY: Final = len('{"data":"","at":000000000}')
PRODUCER_PAUSE_S: Final = 0.01
_WAIT: Final = request("GET", "/api/queue/message?timeout=30")


def producers(connections: int, meter: Meter) -> Sequence[Script]:
    """Enqueue one message a request, each when the one before is answered."""
    return [
        _produce(request("POST", "/api/queue/message", message(number)), 1, meter)
        for number in range(connections)
    ]


def batch_producers(connections: int, meter: Meter) -> Sequence[Script]:
    """Enqueue BATCH messages a request."""
    batch = b'{"messages":[' + b",".join(message(i) for i in range(BATCH)) + b"]}"
    said = request("POST", "/api/queue/batch", batch)
    return [_produce(said, BATCH, meter) for _ in range(connections)]


def consumers(connections: int, meter: Meter) -> Sequence[Script]:
    """Take a message, acknowledge it, take the next; the time is that of both."""
    return [_consume(meter) for _ in range(connections)]


def batch_consumers(connections: int, meter: Meter) -> Sequence[Script]:
    """Take up to BATCH messages, acknowledge all of them at once; the time is that of both."""
    return [_consume_batches(meter) for _ in range(connections)]


def streams(connections: int, meter: Meter) -> Sequence[Script]:
    """Take messages as they are sent, and acknowledge each with a frame of its own.

    The time is that from a message's arrival to the outcome of its ack.
    """
    return [_stream(meter) for _ in range(connections)]


def passers(waiting: int, meter: Meter) -> Sequence[Script]:
    """One producer, a hundred messages a second, and consumers that wait for them.

    The time is that from a message sent to its consumer's answer.
    """
    sent_at_s: dict[bytes, float] = {}
    return [_produce_slowly(sent_at_s), *(_wait_for(sent_at_s, meter) for _ in range(waiting))]


def message(number: int) -> bytes:
    """Return a body whose payload has PAYLOAD_BYTES and carries a number of nine digits."""
    filling = "x" * (PAYLOAD_BYTES - _EMPTY)
    return f'{{"type":"bench","payload":{{"data":"{filling}","at":{number + 10**8}}}}}'.encode()


def _produce(said: bytes, count: int, meter: Meter) -> Script:
    while True:
        began = clock()
        expect((yield said), 201)
        meter.note(clock() - began, count)


def _consume(meter: Meter) -> Script:
    while True:
        began = clock()
        body = expect((yield _WAIT), 200)
        expect((yield _ack(body)), 200)
        meter.note(clock() - began)


def _consume_batches(meter: Meter) -> Script:
    while True:
        began = clock()
        body = expect((yield _WAIT_FOR_MANY), 200)
        held = _HELD.findall(body)
        items = b",".join(b'{"id":"%b","lock_token":"%b"}' % each for each in held)
        said = request("POST", "/api/queue/ack/batch", b'{"messages":[%b]}' % items)
        expect((yield said), 200)
        meter.note(clock() - began, len(held))


def _stream(meter: Meter) -> Script:
    came_at_s: dict[bytes, float] = {}
    expect((yield _UPGRADE), 101)
    said = b""
    while True:
        told = expect((yield said), 101)
        now_s, said = clock(), b""
        if told.startswith(b'{"type":"messages"'):
            ids = _ID.findall(told)
            came_at_s.update(dict.fromkeys(ids, now_s))
            said = b"".join(text_frame(b'{"type":"ack","data":[{"id":"%b"}]}' % one) for one in ids)
        elif told.startswith(b'{"type":"outcomes"'):
            if b'"acknowledged"' not in told:
                raise UnexpectedAnswerError(told)
            meter.note(now_s - came_at_s.pop(between(told, b'"id":"', b'"')))


def _produce_slowly(sent_at_s: dict[bytes, float]) -> Script:
    for number in itertools.count():
        said = request("POST", "/api/queue/message", message(number))
        sent_at_s[b"%d" % (number + 10**8)] = clock()
        expect((yield said), 201)
        yield PRODUCER_PAUSE_S


def _wait_for(sent_at_s: dict[bytes, float], meter: Meter) -> Script:
    while True:
        body = expect((yield _WAIT), 200)
        meter.note(clock() - sent_at_s.pop(between(body, b'"at":', b"}")))
        expect((yield _ack(body)), 200)


def _ack(leased: bytes) -> bytes:
    message_id = between(leased, b'"id":"', b'"')
    lock_token = between(leased, b'"lock_token":"', b'"')
    body = b'{"id":"%b","lock_token":"%b"}' % (message_id, lock_token)
    return _ACK_HEAD % len(body) + body


def between(text: bytes, before: bytes, after: bytes) -> bytes:
    """Return what stands between two marks; raises ValueError without them."""
    start = text.index(before) + len(before)
    return text[start : text.index(after, start)]


_ACK_HEAD: Final = request("POST", "/api/queue/ack", b"x").replace(b": 1\r\n\r\nx", b": %d\r\n\r\n")
_WAIT_FOR_MANY: Final = request("GET", f"/api/queue/messages/batch?count={BATCH}&timeout=30")
_HELD: Final = re.compile(rb'"id":"(msg_\w+)".*?"lock_token":"([^"]+)"')
_ID: Final = re.compile(rb'"id":"(msg_\w+)"')
_UPGRADE: Final = request(
    "GET",
    f"/api/queue/stream?prefetch={PREFETCH}&type=bench",
    headers={
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "MDEyMzQ1Njc4OWFiY2RlZg==",
    },
)
