"""`/api/v1/sessions/verify`: whether a request's session is good, for proxies such as nginx."""

from collections.abc import Callable
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import quote

from falcon.asgi import App, Request, Response
from falcon.uri import parse_query_string
from msgspec import Struct

from api.openapi.operations import Answer, operation
from api.rooms import bodies as wire
from api.rooms.visitors import UNKNOWN, shown_token
from models.errors import (
    GoneError,
    NotFoundError,
    StanchionError,
    UnauthenticatedError,
    UnavailableError,
)
from models.rooms.passes import Recent, SessionPass
from models.rooms.refusals import ForeignTokenError, MissingTokenError
from models.rooms.visits import Visits

_TWICE: Final = Answer(description="A parameter is given twice", body=wire.RoomsError)
# How long an end may be unknown here.
_KNOWN_MS: Final = 5_000
# A store that is away is left alone for so long: every visitor would wait for it.
_LEFT_ALONE_MS: Final = 1_000
_KNOWN_MAX: Final = 100_000
_ADDRESS_CHARACTERS_MAX: Final = 2_000


class NotInsideError(UnauthenticatedError):
    """The one who asks may not come in; the sentence is that of the reason.

    Proxies know one answer for all of them, whose status is 401.
    """

    code = "not_inside"

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason

    def __str__(self) -> str:
        return self.reason


class VerifyQuery(Struct, frozen=True):
    """Which room the session must be of; without one, of any."""

    queue_id: str | None = None


class Verifier:
    """Says whether sessions are good: by their tokens, and by what the store said lately."""

    def __init__(self, visits: Visits, *, now_ms: Callable[[], int]) -> None:
        self._visits: Final = visits
        self._now_ms: Final = now_ms
        # When a session was asked for last, and whether it was over by then.
        self._known: Final[Recent[tuple[int, bool]]] = Recent(_KNOWN_MAX)
        self._left_alone_until_ms = 0

    async def check(self, token: str | None, room_id: str | None) -> SessionPass:
        """Return the session of a token; raises StanchionError for none that is good."""
        if room_id is not None:
            await self._visits.expect_room(room_id)
        if token is None:
            raise MissingTokenError
        shown = await self._visits.check(token)
        if room_id is not None and shown.room_id != room_id:
            raise ForeignTokenError("queue")
        now_ms = self._now_ms()
        asked_at_ms, is_over = self._known.get(shown.session_id) or (0, False)
        # What is over stays so.
        if (
            not is_over
            and now_ms - asked_at_ms >= _KNOWN_MS
            and now_ms >= self._left_alone_until_ms
        ):
            is_over = await self._ask(shown, now_ms)
        if is_over:
            raise NotInsideError("the session has ended")
        return shown

    async def _ask(self, shown: SessionPass, now_ms: int) -> bool:
        # Before the answer is there, so that one request asks and the others do not wait.
        self._known.put(shown.session_id, (now_ms, False))
        try:
            await self._visits.read(shown.session_id, shown.token)
        except (GoneError, NotFoundError):
            self._known.put(shown.session_id, (now_ms, True))
            return True
        except UnavailableError:
            self._left_alone_until_ms = now_ms + _LEFT_ALONE_MS
        return False


class VerifyResource:
    """`/api/v1/sessions/verify`."""

    body_bytes_max = 0

    def __init__(self, verifier: Verifier, *, parameter: str) -> None:
        self._verifier: Final = verifier
        self._parameter: Final = parameter

    @operation(
        "Say whether a session is good",
        query=VerifyQuery,
        answers={204: Answer(description="It is"), 400: _TWICE, 401: UNKNOWN},
        security=("Bearer",),
    )
    async def on_get(self, req: Request, resp: Response, *, query: VerifyQuery) -> None:
        """Return 204 for a good session and 401 for none, as `auth_request` of nginx has it.

        The token stands in `X-Stanchion-Session`, `Authorization`, the query, the cookie, or the
        address that the visitor asked for, in `X-Original-URI` or `X-Forwarded-Uri`.
        """
        resp.set_header("Cache-Control", "no-store")
        original = req.get_header("X-Original-URI") or req.get_header("X-Forwarded-Uri") or ""
        try:
            found = await self._verifier.check(self._token(req, original), query.queue_id)
        except UnavailableError:
            raise
        except StanchionError as error:
            if query.queue_id is not None:
                way = _way(query.queue_id, original, self._parameter)
                resp.set_header("X-Stanchion-Wait", way)
            resp.set_header("WWW-Authenticate", 'Bearer realm="waiting room"')
            if isinstance(error, UnauthenticatedError):
                raise
            raise NotInsideError(str(error)) from error
        resp.status = HTTPStatus.NO_CONTENT
        resp.set_header("X-Stanchion-Session-Id", found.session_id)
        resp.set_header("X-Stanchion-Queue-Id", found.room_id)
        resp.set_header("X-Stanchion-Position-Id", found.position_id)

    def _token(self, req: Request, original: str) -> str | None:
        _, _, query = original.partition("?")
        asked = parse_query_string(query).get(self._parameter)
        return (
            req.get_header("X-Stanchion-Session")
            or shown_token(req)
            or req.get_param(self._parameter)
            or (asked if isinstance(asked, str) else None)
            or req.cookies.get(self._parameter)
            or None
        )


def add_routes(
    app: App[Any, Any], visits: Visits, parameter: str, *, now_ms: Callable[[], int]
) -> list[tuple[str, object]]:
    """Serve the path; returns the route for the reference."""
    resource = VerifyResource(Verifier(visits, now_ms=now_ms), parameter=parameter)
    app.add_route("/api/v1/sessions/verify", resource)
    return [("/api/v1/sessions/verify", resource)]


def _way(room_id: str, original: str, parameter: str) -> str:
    """Return the path of the room's page, with the way back."""
    way = f"/wait/{quote(room_id, safe='')}"
    path, _, query = original.partition("?")
    if not path.startswith("/") or len(original) > _ADDRESS_CHARACTERS_MAX:
        return way
    kept = [part for part in query.split("&") if part and not part.startswith(f"{parameter}=")]
    back = f"{path}?{'&'.join(kept)}" if kept else path
    return f"{way}?to={quote(back, safe='')}"
