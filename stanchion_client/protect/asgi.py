"""The middleware for ASGI: Starlette, FastAPI, Falcon, Django and whatever else speaks it."""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final

import httpx

from stanchion_client.protect.gate import Ask, Gate, Steps, Told, Verdict
from stanchion_client.protect.protection import Protection
from stanchion_client.protect.replies import Reply, cookie_of
from stanchion_client.protect.tokens import Session
from stanchion_client.protect.visits import Visit

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
SCOPE_KEY: Final = "stanchion.session"
END_HEADER: Final = b"x-stanchion-end"
# Of a WebSocket (RFC 6455, private use): there is no session.
_NO_SESSION: Final = 4401


class AsgiWaitingRoom:
    """Lets through who shows a session of the room.

    The application finds it as `scope["stanchion.session"]`. An answer with the header
    `X-Stanchion-End` ends the session; the header goes no further.
    """

    def __init__(self, app: App, protection: Protection) -> None:
        self._app: Final = app
        self._protection: Final = protection
        self._gate: Final = Gate(protection)
        self._http: httpx.AsyncClient | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] not in {"http", "websocket"}:
            await self._lifespan(scope, receive, send)
            return
        visit = _visit(scope)
        verdict = await self._decide(self._gate.decide(visit))
        if isinstance(verdict, Reply):
            await _answer(scope, verdict, send)
            return
        send_on = send if verdict is None else self._sender(visit, verdict, send)
        await self._app({**scope, SCOPE_KEY: verdict}, receive, send_on)

    async def close(self) -> None:
        """Close the connections to Stanchion."""
        if self._http is not None:
            await self._http.aclose()
            self._http = None

    async def _lifespan(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self._app(scope, receive, send)
        finally:
            await self.close()

    async def _decide(self, steps: Steps) -> Verdict:
        try:
            ask = next(steps)
            while True:
                ask = steps.send(await self._ask(ask))
        except StopIteration as decided:
            verdict: Verdict = decided.value
            return verdict

    async def _ask(self, ask: Ask) -> Told | None:
        if self._http is None:
            self._http = httpx.AsyncClient(
                base_url=self._protection.server_url, timeout=self._protection.timeout_s
            )
        headers = {"Authorization": f"Bearer {ask.token}"} if ask.token else {}
        try:
            answer = await self._http.request(ask.method, ask.path, headers=headers, json=ask.body)
            return Told(answer.status_code, answer.json() if answer.content else None)
        except (httpx.HTTPError, ValueError):
            return None

    def _sender(self, visit: Visit, session: Session, send: Send) -> Send:
        async def send_on(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = list(message.get("headers", ()))
                kept = [each for each in headers if each[0].lower() != END_HEADER]
                if len(kept) < len(headers):
                    await self._ask(self._gate.end(session))
                elif session.is_renewed:
                    cookie = cookie_of(visit, self._protection, session)
                    kept.append((b"set-cookie", cookie.encode()))
                message = {**message, "headers": kept}
            await send(message)

        return send_on


def _visit(scope: Scope) -> Visit:
    raw = scope.get("raw_path")
    # Some servers put the query into it, too.
    path = raw.partition(b"?")[0].decode("latin-1") if raw else scope["path"]
    headers: dict[str, str] = {}
    for name, value in scope["headers"]:
        key = name.decode("latin-1").lower()
        text = value.decode("latin-1")
        headers[key] = f"{headers[key]}; {text}" if key == "cookie" and key in headers else text
    return Visit(
        method=scope.get("method", "GET"),
        path=path,
        query=scope.get("query_string", b"").decode("latin-1"),
        headers=headers,
        is_secure=scope.get("scheme") in {"https", "wss"},
    )


async def _answer(scope: Scope, reply: Reply, send: Send) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": _NO_SESSION})
        return
    headers = [(name.encode(), value.encode("latin-1")) for name, value in reply.headers]
    length = (b"Content-Length", str(len(reply.body)).encode())
    await send(
        {"type": "http.response.start", "status": reply.status, "headers": [*headers, length]}
    )
    body = b"" if scope["method"] == "HEAD" else reply.body
    await send({"type": "http.response.body", "body": body})
