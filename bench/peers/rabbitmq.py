"""RabbitMQ of Debian: over AMQP with publisher confirms, and through its HTTP API.

Durable queues and persistent messages: a confirm comes when the message is on disk.
"""

import base64
import functools
import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import httpx
from kombu import Connection, Queue

from bench import rows
from bench.http_load import Meter, Script, clock, expect, request
from bench.message_load import BATCH, PREFETCH, PRODUCER_PAUSE_S, between, message
from bench.peers import amqp
from bench.peers.peer import CONNECTIONS, STREAMS, WAITING, Kind, Loader, Peer, Row, many
from tests.deploy.rabbitmq import RabbitmqServer
from tests.servers import free_port, wait_until

_LOGIN: Final = {"Authorization": "Basic " + base64.b64encode(b"guest:guest").decode()}
_POLL_PAUSE_S: Final = 0.01


def missing() -> str | None:
    """Say what to install."""
    return None if RabbitmqServer.is_installed() else "apt-get install rabbitmq-server"


@contextmanager
def over_amqp(kind: str, folder: Path, seconds: float) -> Iterator[Mapping[str, Row]]:
    """Start a node; `kind` is the queue's type."""
    with RabbitmqServer(folder) as server:
        _declare(server.url, kind)
        left = functools.partial(_left, server.url)
        port = int(server.url.rstrip("/").rpartition(":")[2])
        of = functools.partial
        fill = many(of(amqp.batch_producers, kind), STREAMS)
        loader = Loader(port, server.process.pid, seconds, fill, left, amqp.AmqpConnection)
        takers = many(of(amqp.consumers, kind))
        batch_takers = many(of(amqp.batch_consumers, kind), STREAMS)
        streams = many(of(amqp.streams, kind), STREAMS)
        yield {
            rows.PASS: lambda: loader.run(many(of(amqp.passers, kind), WAITING)),
            rows.ENQUEUE: lambda: loader.run(many(of(amqp.producers, kind))),
            rows.BATCH: lambda: loader.run(many(of(amqp.batch_producers, kind))),
            rows.RECEIVE: lambda: loader.drain(takers, CONNECTIONS),
            rows.BATCH_RECEIVE: lambda: loader.drain(batch_takers, STREAMS * BATCH),
            rows.STREAM: lambda: loader.drain(streams, STREAMS * PREFETCH),
        }


@contextmanager
def over_http(folder: Path, seconds: float) -> Iterator[Mapping[str, Row]]:
    """Start a node with the management plugin; it publishes one message a request."""
    port = free_port()
    (folder / "plugins").write_text("[rabbitmq_management].\n")
    (folder / "none.conf").write_text(
        f"management.tcp.ip = 127.0.0.1\nmanagement.tcp.port = {port}\n"
    )
    with RabbitmqServer(folder) as server:
        url = f"http://127.0.0.1:{port}/api/queues/%2F/{amqp.QUEUE}"
        declare = functools.partial(
            httpx.put, url, json={"durable": True}, headers=_LOGIN, timeout=20
        )
        wait_until(lambda: declare().is_success, "the HTTP API answers", process=server.process)
        fill = many(producers)
        left = functools.partial(_left, server.url)
        loader = Loader(port, server.process.pid, seconds, fill, left)
        yield {
            rows.PASS: lambda: loader.run(many(passers, WAITING)),
            rows.ENQUEUE: lambda: loader.run(fill),
            rows.RECEIVE: lambda: loader.drain(many(consumers)),
            rows.BATCH_RECEIVE: lambda: loader.drain(many(batch_consumers, STREAMS)),
        }


def producers(connections: int, meter: Meter) -> Sequence[Script]:
    """Publish one message a request."""
    return [_produce(_publish(number), meter) for number in range(connections)]


def consumers(connections: int, meter: Meter) -> Sequence[Script]:
    """Take and acknowledge one message a request, which the API does in one."""
    return [_consume(1, meter) for _ in range(connections)]


def batch_consumers(connections: int, meter: Meter) -> Sequence[Script]:
    """Take and acknowledge BATCH messages a request."""
    return [_consume(BATCH, meter) for _ in range(connections)]


def passers(waiting: int, meter: Meter) -> Sequence[Script]:
    """One producer at a light pace, and consumers that ask each 10 ms: the API cannot wait."""
    sent_at_s: dict[bytes, float] = {}
    return [_produce_slowly(sent_at_s), *(_ask_for(sent_at_s, meter) for _ in range(waiting))]


def _produce(said: bytes, meter: Meter) -> Script:
    while True:
        began = clock()
        expect((yield said), 200)
        meter.note(clock() - began)


def _consume(count: int, meter: Meter) -> Script:
    said = _get(count)
    while True:
        began = clock()
        taken = expect((yield said), 200).count(b'"payload":')
        if taken:
            meter.note(clock() - began, taken)


def _produce_slowly(sent_at_s: dict[bytes, float]) -> Script:
    for number in itertools.count():
        sent_at_s[b"%d" % (number + 10**8)] = clock()
        expect((yield _publish(number)), 200)
        yield PRODUCER_PAUSE_S


def _ask_for(sent_at_s: dict[bytes, float], meter: Meter) -> Script:
    said = _get(1)
    while True:
        body = expect((yield said), 200)
        if b'"payload":' in body:
            meter.note(clock() - sent_at_s.pop(between(body, b'\\"at\\":', b"}")))
        else:
            yield _POLL_PAUSE_S


def _publish(number: int) -> bytes:
    said = {
        "properties": {"delivery_mode": 2},
        "routing_key": amqp.QUEUE,
        "payload": message(number).decode(),
        "payload_encoding": "string",
    }
    path = "/api/exchanges/%2F/amq.default/publish"
    return request("POST", path, json.dumps(said).encode(), _LOGIN)


def _get(count: int) -> bytes:
    said = {"count": count, "ackmode": "ack_requeue_false", "encoding": "auto"}
    path = f"/api/queues/%2F/{amqp.QUEUE}/get"
    return request("POST", path, json.dumps(said).encode(), _LOGIN)


def _declare(url: str, kind: str) -> None:
    """Make the queue before the clients come: a quorum queue cannot be declared by many at once."""
    with Connection(url) as connection:
        arguments = {"x-queue-type": kind}
        Queue(amqp.QUEUE, channel=connection.channel(), queue_arguments=arguments).queue_declare()


def _left(url: str) -> int:
    with Connection(url) as connection:
        declared = Queue(amqp.QUEUE, channel=connection.channel()).queue_declare(passive=True)
    return int(declared.message_count)


AMQP: Final = Peer("RabbitMQ, AMQP", Kind.OTHER, missing, functools.partial(over_amqp, "classic"))
QUORUM: Final = Peer(
    "RabbitMQ, AMQP, quorum queue", Kind.OTHER, missing, functools.partial(over_amqp, "quorum")
)
HTTP: Final = Peer("RabbitMQ, HTTP API", Kind.HTTP, missing, over_http)
