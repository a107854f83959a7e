"""One transaction a request, as many at a time as there are connections: a queue without groups.

The product's own statements, database pool and types, beneath the server's own worker class; no
middleware, no events, no waiting consumers, so that nothing but the grouping speaks against it.
An ASGI application for `gunicorn -k api.server.Worker`; reads the product's environment.
"""

import asyncio
import itertools
import os
import secrets
import threading
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, Final, TypeVar

import falcon.asgi
import msgspec
from falcon.asgi import Request, Response
from sqlalchemy import Connection

from api.messages import bodies as wire
from models.clock import now_ms
from models.database import Database
from models.messages import writes
from models.messages.intake import Enqueue
from models.messages.marks import FROM_THE_START
from models.messages.registry import Registry
from models.messages.rules import (
    ATTEMPTS_DEFAULT,
    LEASE_DEFAULT_MS,
    Held,
    Lease,
    LeaseRequest,
    NewMessage,
    Submission,
    Tally,
    internal_id,
)
from models.messages.statements.counts import bump
from models.messages.statements.lease import lease
from models.settings import load_settings

T = TypeVar("T")

# The pool has so many connections for commits that do not wait for the disk.
_LEASES_AT_ONCE: Final = 3
_decode_new: Final = msgspec.json.Decoder(wire.NewMessageBody).decode
_decode_ack: Final = msgspec.json.Decoder(wire.AckBody).decode


class _Store:
    """Runs one write in one transaction; threads count apart, or they would wait for each other."""

    def __init__(self) -> None:
        settings = load_settings(os.environ)
        self._database: Final = Database(
            settings.database_url,
            connections_max=settings.database_connections_max,
            timeout_s=settings.database_timeout_s,
        )
        self._shards: Final = itertools.count()
        self._local: Final = threading.local()

    async def run(self, work: Callable[[Connection, int], T], *, durable: bool = True) -> T:
        """Run `work` with the counters' shard of its thread."""
        return await self._database.run(
            lambda connection: work(connection, self._shard()), durable=durable
        )

    def _shard(self) -> int:
        if not hasattr(self._local, "shard"):
            self._local.shard = next(self._shards)
        return int(self._local.shard)


class _Message:
    def __init__(self, store: _Store) -> None:
        self._store: Final = store
        self._free: Final = asyncio.Semaphore(_LEASES_AT_ONCE)

    async def on_post(self, req: Request, resp: Response) -> None:
        body = _decode_new(await req.stream.readall())
        new = NewMessage(bytes(body.payload).decode(), type=body.type, priority=body.priority)
        [stored] = await self._store.run(
            lambda connection, shard: _enqueue(shard)(
                connection, [Submission([new])], now_ms=now_ms(), slot=0
            )
        )
        resp.data = wire.encode(wire.queued_message(stored, body))
        resp.status = HTTPStatus.CREATED

    async def on_get(self, _req: Request, resp: Response) -> None:
        asked = LeaseRequest("consumer", f"lt_{secrets.token_urlsafe(16)}")
        async with self._free:
            leases = await self._store.run(
                lambda connection, shard: _lease(connection, asked, shard), durable=False
            )
        if leases:
            resp.data = wire.encode(wire.leased_message(leases[0]))
        else:
            resp.status = HTTPStatus.NOT_FOUND


class _Ack:
    def __init__(self, store: _Store) -> None:
        self._store: Final = store

    async def on_post(self, req: Request, resp: Response) -> None:
        body = _decode_ack(await req.stream.readall())
        held = Held(internal_id(body.id), body.lock_token)
        [at_ms] = await self._store.run(
            lambda connection, shard: writes.Acknowledge(shard)(
                connection, [held], now_ms=now_ms(), slot=0
            )
        )
        assert isinstance(at_ms, int)
        resp.data = wire.encode(wire.Acknowledged(body.id, "acknowledged", wire.moment(at_ms)))


class _Batch:
    def __init__(self, store: _Store) -> None:
        self._store: Final = store

    async def on_post(self, req: Request, resp: Response) -> None:
        bodies = msgspec.json.decode(await req.stream.readall(), type=wire.BatchBody).messages
        messages = [NewMessage(bytes(body.payload).decode(), type=body.type) for body in bodies]
        await self._store.run(
            lambda connection, shard: _enqueue(shard)(
                connection, [Submission(messages)], now_ms=now_ms(), slot=0
            )
        )
        resp.status = HTTPStatus.CREATED


_REGISTRY: Final = Registry()


def _enqueue(shard: int) -> Enqueue:
    return Enqueue(
        shard, _REGISTRY, attempts_default=ATTEMPTS_DEFAULT, lease_default_ms=LEASE_DEFAULT_MS
    )


def _lease(connection: Connection, asked: LeaseRequest, shard: int) -> list[Lease]:
    tally = Tally()
    leases = lease(connection, [asked], FROM_THE_START, now_ms=now_ms(), tally=tally)
    bump(connection, shard, tally)
    return leases


class _Application:
    def __init__(self) -> None:
        store = _Store()
        self._app: Final[falcon.asgi.App[Any, Any]] = falcon.asgi.App()
        self._app.add_route("/api/queue/message", _Message(store))
        self._app.add_route("/api/queue/ack", _Ack(store))
        self._app.add_route("/api/queue/batch", _Batch(store))

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self._app(scope, receive, send)

    def drain(self) -> None:
        """Let go of nobody: nobody waits here."""


app: Final = _Application()
