"""Who calls: the user behind a cookie or a token, the program behind a key."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from falcon.asgi import Request

from api.auth.errors import InvalidSessionError
from api.http.caller import Proxies
from models.audit import Actor
from models.people.rules import ApiKey, User
from models.people.service import PeopleService
from models.tokens.issuer import Issuer
from models.tokens.ring import InvalidTokenError

COOKIE: Final = "session_id"
ACCESS: Final = "access"  # the kind of token that a log-in gives
_BEARER: Final = "bearer "


class Credential(StrEnum):
    """By what a caller is known."""

    SESSION = "session"
    TOKEN = "token"  # noqa: S105  # a kind, not a secret
    KEY = "key"
    ADMIN_KEY = "admin_key"
    MACHINE = "machine"  # an address of loopback
    NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Somebody whose credential was checked; `session` is what the cookie says."""

    credential: Credential
    user: User | None = None
    key: ApiKey | None = None
    session: str | None = None


NOBODY: Final = Caller(credential=Credential.NONE)


class Callers:
    """Finds out who calls; asks the database for each user, so nobody stays in who is out."""

    def __init__(
        self,
        people: PeopleService,
        issuer: Issuer,
        proxies: Proxies,
        *,
        clock: Callable[[], int],
    ) -> None:
        self._people: Final = people
        self._issuer: Final = issuer
        self._clock: Final = clock
        self.proxies: Final = proxies

    async def user_of(self, req: Request) -> Caller | None:
        """Return the user who calls, None if the request shows neither token nor cookie.

        Raises InvalidTokenError, ExpiredTokenError or InvalidSessionError.
        """
        found: Caller | None = getattr(req.context, "shown", NOBODY)
        if found is not NOBODY:
            return found  # asked before about the same request
        token = bearer_of(req)
        cookies = req.get_cookie_values(COOKIE)
        if token is not None:
            found = await self.of_token(token)
        else:
            found = await self.of_session(cookies[0]) if cookies else None
        req.context.shown = found
        return found

    async def of_token(self, token: str) -> Caller:
        """Return the user of a bearer token; raises InvalidTokenError or ExpiredTokenError."""
        claims = await self._issuer.check(token, ACCESS)
        user_id, version = claims.get("sub"), claims.get("ver")
        if not (isinstance(user_id, str) and user_id.isdecimal() and isinstance(version, int)):
            raise InvalidTokenError
        user = await self._people.user_of_token(int(user_id), version)
        if user is None:
            raise InvalidTokenError
        return Caller(credential=Credential.TOKEN, user=user)

    async def of_session(self, session: str) -> Caller:
        """Return the user of a browser's session; raises InvalidSessionError."""
        user = await self._people.user_of_session(session, now_ms=self._clock())
        if user is None:
            raise InvalidSessionError
        return Caller(credential=Credential.SESSION, user=user, session=session)


def bearer_of(req: Request) -> str | None:
    """Return the token in Authorization, None if there is none."""
    shown = req.get_header("Authorization")
    if shown is None or shown[: len(_BEARER)].lower() != _BEARER:
        return None
    return shown[len(_BEARER) :].strip()


def caller_of(req: Request) -> Caller:
    """Return who was let through to this resource."""
    return getattr(req.context, "caller", NOBODY)


def actor_of(req: Request, proxies: Proxies, *, name: str | None = None) -> Actor:
    """Return the caller as the audit log knows it; `name` says who it claims to be."""
    caller = caller_of(req)
    kind, id_ = caller.credential.value, None
    if name is None and caller.user is not None:
        name, id_ = caller.user.username, str(caller.user.id)
    elif name is None and caller.key is not None:
        name, id_ = caller.key.name, str(caller.key.id)
    return Actor(
        kind=kind,
        name=name or "",
        id=id_,
        address=proxies.client_address(req),
        request_id=req.context.request_id,
    )
