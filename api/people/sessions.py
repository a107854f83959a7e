"""Log-in, log-out and me of a browser. Source: the mail contract and its original's wire."""

from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Final

import msgspec
from falcon.asgi import Request, Response

from api.auth.access import Access
from api.auth.callers import COOKIE, actor_of, caller_of
from api.http.reading import Body
from api.openapi.operations import Answer, operation
from api.people import bodies as wire
from models.clock import iso_utc

_USER: Final = ("Session", "Bearer")
_REFUSALS: Final = {
    401: Answer(description="Nobody is logged in", body=wire.AuthError),
    403: Answer(description="The page is another site's", body=wire.AuthError),
}
_TOO_OFTEN: Final = Answer(description="Too many log-ins; see Retry-After", body=wire.AuthError)
_EPOCH: Final = "Thu, 01 Jan 1970 00:00:00 GMT"
_encode: Final = msgspec.json.Encoder().encode


class NewPassword(Body, frozen=True):
    """A password to be, and the one that is."""

    current_password: str
    new_password: str


class _Resource:
    def __init__(self, access: Access, *, body_bytes_max: int, now_ms: Callable[[], int]) -> None:
        self.body_bytes_max = body_bytes_max
        self._people: Final = access.people
        self._proxies: Final = access.proxies
        self._origins: Final = access.origins
        self._now_ms: Final = now_ms


class LoginResource(_Resource):
    """`/api/v1/auth/login`."""

    @operation(
        "Log in",
        body=wire.Credentials,
        body_reader=wire.read_credentials,
        body_example={"username": "admin", "password": "…"},
        answers={
            200: Answer(description="The session is in the cookie", body=wire.LoginAnswer),
            400: Answer(description="A field is missing", body=wire.AuthError),
            **_REFUSALS,
            429: _TOO_OFTEN,
        },
    )
    async def on_post(self, req: Request, resp: Response, *, body: wire.Credentials) -> None:
        """Open a session, which the cookie `session_id` carries; one from before ends."""
        self._origins.check_page(req)  # or a page could log its visitor in as somebody else
        cookies = req.get_cookie_values(COOKIE)
        session = await self._people.open_session(
            actor_of(req, self._proxies, name=body.username),
            body.password,
            replaces=cookies[0] if cookies else None,
            now_ms=self._now_ms(),
        )
        expires_at = datetime.fromtimestamp(session.expires_at_ms / 1000, UTC)
        expires = format_datetime(expires_at, usegmt=True)
        _set_cookie(resp, session.token, expires, is_secure=self._proxies.is_secure(req))
        resp.set_header("Cache-Control", "no-store")
        opened = wire.OpenedSession(iso_utc(session.expires_at_ms), wire.user_body(session.user))
        resp.data = _encode(wire.LoginAnswer(data=opened))


class LogoutResource(_Resource):
    """`/api/v1/auth/logout`."""

    @operation(
        "Log out",
        answers={
            200: Answer(description="The session is over", body=wire.SaidAnswer),
            **_REFUSALS,
        },
        security=("Session",),
    )
    async def on_post(self, req: Request, resp: Response) -> None:
        """End the session at the server, and take the cookie back."""
        caller = caller_of(req)
        if caller.session is not None:
            actor = actor_of(req, self._proxies)
            await self._people.close_session(actor, caller.session, now_ms=self._now_ms())
        _set_cookie(resp, "", _EPOCH, is_secure=self._proxies.is_secure(req))
        resp.data = _encode(wire.SaidAnswer(data=wire.Said("Logged out successfully")))


class MeResource(_Resource):
    """`/api/v1/auth/me`."""

    @operation(
        "Say who is logged in",
        answers={200: Answer(description="The user", body=wire.MeAnswer), **_REFUSALS},
        security=_USER,
    )
    async def on_get(self, req: Request, resp: Response) -> None:
        """Return the user of the session or token."""
        user = caller_of(req).user
        assert user is not None
        resp.set_header("Cache-Control", "no-store")
        resp.data = _encode(wire.MeAnswer(data=wire.user_body(user)))


class PasswordResource(_Resource):
    """`/api/v1/auth/password`."""

    @operation(
        "Change one's password",
        body=NewPassword,
        answers={
            200: Answer(description="It is changed", body=wire.SaidAnswer),
            400: Answer(description="The new password will not do", body=wire.AuthError),
            **_REFUSALS,
            429: _TOO_OFTEN,
        },
        security=_USER,
    )
    async def on_post(self, req: Request, resp: Response, *, body: NewPassword) -> None:
        """Change the password; every other session and every token of the user ends."""
        await self._people.change_password(
            actor_of(req, self._proxies),
            current=body.current_password,
            new=body.new_password,
            kept_session=caller_of(req).session,
            now_ms=self._now_ms(),
        )
        resp.data = _encode(wire.SaidAnswer(data=wire.Said("Password changed")))


def _set_cookie(resp: Response, value: str, expires: str, *, is_secure: bool) -> None:
    """Set the cookie in the original's spelling, to the letter."""
    secure = "; Secure" if is_secure else ""
    resp.append_header(
        "Set-Cookie",
        f"{COOKIE}={value}; Path=/; Expires={expires}; HttpOnly{secure}; SameSite=Strict",
    )
