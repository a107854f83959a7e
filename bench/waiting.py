"""The limit that the HTTP stack sets for those who wait: the same waits, and nothing behind them.

An ASGI application for the server's own worker class, by `gunicorn -k api.server.Worker`: Falcon
without middleware, types, a store or a stream. A poll is a timer; a reader of events is sent as
much as the product's each five seconds.
"""

import asyncio
from collections.abc import AsyncIterator
from http import HTTPStatus
from typing import Any, Final

import falcon.asgi
from falcon.asgi import Request, Response, SSEvent

_READING_EVERY_S: Final = 5.0
_READING: Final = b'{"queued":0,"processing":0,"acknowledged":0,"dead":0,"archived":0}'


class _Poll:
    async def on_get(self, req: Request, resp: Response) -> None:
        await asyncio.sleep(req.get_param_as_int("timeout", default=0))
        resp.data = b"{}"
        resp.status = HTTPStatus.NOT_FOUND


class _Events:
    async def on_get(self, _req: Request, resp: Response) -> None:
        resp.sse = _readings()


async def _readings() -> AsyncIterator[SSEvent]:
    while True:
        yield SSEvent(event="metrics", data=_READING)
        await asyncio.sleep(_READING_EVERY_S)


class _Application:
    def __init__(self) -> None:
        self._app: Final[falcon.asgi.App[Any, Any]] = falcon.asgi.App()
        self._app.add_route("/api/queue/message", _Poll())
        self._app.add_route("/api/queue/events", _Events())

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self._app(scope, receive, send)

    def drain(self) -> None:
        """Let go of nobody: the load has gone when this ends."""


app: Final = _Application()
