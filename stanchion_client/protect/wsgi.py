"""The middleware for WSGI: Flask, Django, Pyramid and whatever else speaks it."""

from collections.abc import Callable, Iterable
from typing import Any, Final
from urllib.parse import quote
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

import httpx

from stanchion_client.protect.gate import Ask, Gate, Steps, Told, Verdict
from stanchion_client.protect.protection import Protection
from stanchion_client.protect.replies import Reply, cookie_of
from stanchion_client.protect.tokens import Session
from stanchion_client.protect.visits import Visit

ENVIRON_KEY: Final = "stanchion.session"
END_HEADER: Final = "x-stanchion-end"


class WsgiWaitingRoom:
    """Lets through who shows a session of the room; safe for threads.

    The application finds it as `environ["stanchion.session"]`. An answer with the header
    `X-Stanchion-End` ends the session; the header goes no further.
    """

    def __init__(self, app: WSGIApplication, protection: Protection) -> None:
        self._app: Final = app
        self._protection: Final = protection
        self._gate: Final = Gate(protection)
        self._http: Final = httpx.Client(
            base_url=protection.server_url, timeout=protection.timeout_s
        )

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Serve one request."""
        visit = _visit(environ)
        verdict = self._decide(self._gate.decide(visit))
        if isinstance(verdict, Reply):
            return _answer(environ, verdict, start_response)
        environ[ENVIRON_KEY] = verdict
        if verdict is not None:
            start_response = self._starter(visit, verdict, start_response)
        return self._app(environ, start_response)

    def close(self) -> None:
        """Close the connections to Stanchion."""
        self._http.close()

    def _decide(self, steps: Steps) -> Verdict:
        try:
            ask = next(steps)
            while True:
                ask = steps.send(self._ask(ask))
        except StopIteration as decided:
            verdict: Verdict = decided.value
            return verdict

    def _ask(self, ask: Ask) -> Told | None:
        headers = {"Authorization": f"Bearer {ask.token}"} if ask.token else {}
        try:
            answer = self._http.request(ask.method, ask.path, headers=headers, json=ask.body)
            return Told(answer.status_code, answer.json() if answer.content else None)
        except (httpx.HTTPError, ValueError):
            return None

    def _starter(
        self, visit: Visit, session: Session, start_response: StartResponse
    ) -> Callable[..., Any]:
        def start(
            status: str, headers: list[tuple[str, str]], exc_info: Any = None
        ) -> Callable[[bytes], object]:
            kept = [each for each in headers if each[0].lower() != END_HEADER]
            if len(kept) < len(headers):
                self._ask(self._gate.end(session))
            elif session.is_renewed:
                kept.append(("Set-Cookie", cookie_of(visit, self._protection, session)))
            return start_response(status, kept, exc_info)

        return start


def _visit(environ: WSGIEnvironment) -> Visit:
    headers = {
        name[5:].replace("_", "-").lower(): value
        for name, value in environ.items()
        if name.startswith("HTTP_")
    }
    # WSGI hands paths over decoded; what comes back is the same path, encoded anew.
    whole = (environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "")).encode("latin-1")
    return Visit(
        method=environ["REQUEST_METHOD"],
        path=quote(whole, safe="/:@!$&'()*+,;=~-._") or "/",
        query=environ.get("QUERY_STRING", ""),
        headers=headers,
        is_secure=environ.get("wsgi.url_scheme") == "https",
    )


def _answer(
    environ: WSGIEnvironment, reply: Reply, start_response: StartResponse
) -> Iterable[bytes]:
    length = ("Content-Length", str(len(reply.body)))
    start_response(f"{reply.status.value} {reply.status.phrase}", [*reply.headers, length])
    return [] if environ["REQUEST_METHOD"] == "HEAD" else [reply.body]
