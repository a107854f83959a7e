"""The limit that the HTTP stack sets: read a body, answer one of the same size, do nothing else.

An ASGI application for the server's own worker class, by `gunicorn -k api.server.Worker`: Falcon
without middleware, types or a store.
"""

from http import HTTPStatus
from typing import Any, Final

import falcon.asgi
from falcon.asgi import Request, Response

# As long as what a visitor of a waiting room is told.
_ANSWER: Final = b'{"token": "' + b"x" * 800 + b'"}'


class _Echo:
    async def on_post(self, req: Request, resp: Response) -> None:
        resp.data = await req.stream.read()
        resp.status = HTTPStatus.CREATED

    async def on_get(self, _req: Request, resp: Response) -> None:
        resp.data = _ANSWER


class _Application:
    def __init__(self) -> None:
        self._app: Final[falcon.asgi.App[Any, Any]] = falcon.asgi.App()
        self._app.add_route("/api/queue/message", _Echo())

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self._app(scope, receive, send)

    def drain(self) -> None:
        """Let go of nobody: nobody waits here."""


app: Final = _Application()
