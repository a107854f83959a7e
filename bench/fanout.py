"""What the libraries do by themselves: each event of the stream, sent to everybody who is here.

Two ASGI applications for the server's own worker class, `gunicorn -k api.server.Worker`: `bare`
sends to raw WebSockets one after the other, `plain_socketio` is python-socketio's own server. No
rights, no offsets, no rooms, no bound on what waits for a slow reader.
"""

import asyncio
import contextlib
import os
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

import msgspec
import socketio

from api.live.tail import LiveEvent, StreamTail
from models.redis import connect_async

_NAMESPACE: Final = "/messages"

Emit = Callable[[str, Any], Awaitable[None]]


class _Follower:
    """Emits what is appended, as the product reads it."""

    def __init__(self, emit: Emit) -> None:
        self._emit: Final = emit

    async def run(self) -> None:
        client = connect_async(os.environ["STANCHION_REDIS_URL"], answer_timeout_s=None)
        tail = StreamTail(client, "messages", readers_max=1, buffer_max=1)
        reading = asyncio.create_task(tail.run())
        await tail.follow(self)
        await reading

    async def take(self, events: Sequence[LiveEvent]) -> None:
        for live in events:
            await self._emit(live.event.name, live.event.data)

    def lose_place(self) -> None:
        raise RuntimeError("events are missing")


class _Fanout:
    """An application that follows the stream while it runs."""

    def __init__(self, emit: Emit, serve: Callable[[Any, Any, Any], Awaitable[None]]) -> None:
        self._emit: Final = emit
        self._serve: Final = serve
        self._task: asyncio.Task[None] | None = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        else:
            await self._serve(scope, receive, send)

    def drain(self) -> None:
        """Let go of nobody: the load has gone when this ends."""

    async def _live(self, receive: Any, send: Any) -> None:
        while True:
            told = (await receive())["type"]
            if told == "lifespan.startup":
                self._task = asyncio.create_task(_Follower(self._emit).run())
            elif self._task is not None:
                self._task.cancel()
            await send({"type": f"{told}.complete"})
            if told == "lifespan.shutdown":
                return


_senders: Final[set[Any]] = set()


async def _emit_bare(name: str, data: Any) -> None:
    text = msgspec.json.encode({"type": name, "data": data}).decode()
    for send in list(_senders):
        with contextlib.suppress(OSError):  # it went meanwhile
            await send({"type": "websocket.send", "text": text})


async def _serve_bare(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body"})
        return
    await send({"type": "websocket.accept"})
    _senders.add(send)
    try:
        while (await receive())["type"] != "websocket.disconnect":
            pass
    finally:
        _senders.discard(send)


_server: Final = socketio.AsyncServer(async_mode="asgi", namespaces=[_NAMESPACE])


async def _emit_socketio(name: str, data: Any) -> None:
    await _server.emit(name, data, namespace=_NAMESPACE)


bare: Final = _Fanout(_emit_bare, _serve_bare)
plain_socketio: Final = _Fanout(_emit_socketio, socketio.ASGIApp(_server))
