"""Log-in and me by bearer token, and the keys that check tokens. Source: the tickets contract."""

from collections.abc import Callable
from typing import Final

import msgspec
from falcon.asgi import Request, Response

from api.auth.callers import ACCESS, actor_of, caller_of
from api.http.caller import Proxies
from api.openapi.operations import Answer, operation
from api.people import bodies as wire
from models.people.service import PeopleService
from models.tokens.issuer import Issuer

_INVALID: Final = Answer(description="A field is missing", body=wire.TicketsError)
_UNKNOWN: Final = Answer(description="Nobody is logged in", body=wire.TicketsError)
_TOO_OFTEN: Final = Answer(description="Too many log-ins; see Retry-After", body=wire.TicketsError)
_encode: Final = msgspec.json.Encoder().encode


class TokenResource:
    """`/app/auths/login`."""

    def __init__(
        self,
        people: PeopleService,
        issuer: Issuer,
        proxies: Proxies,
        *,
        token_s: int,
        body_bytes_max: int,
        now_ms: Callable[[], int],
    ) -> None:
        self.body_bytes_max = body_bytes_max
        self._people: Final = people
        self._issuer: Final = issuer
        self._proxies: Final = proxies
        self._token_s: Final = token_s
        self._now_ms: Final = now_ms

    @operation(
        "Log in for a token",
        body=wire.Credentials,
        body_reader=wire.read_credentials,
        body_example={"username": "officer01", "password": "…"},
        answers={
            200: Answer(description="A bearer token", body=wire.TokenAnswer),
            400: _INVALID,
            401: _UNKNOWN,
            429: _TOO_OFTEN,
        },
    )
    async def on_post(self, req: Request, resp: Response, *, body: wire.Credentials) -> None:
        """Return a bearer token; takes JSON or a form."""
        actor = actor_of(req, self._proxies, name=body.username)
        user = await self._people.log_in(actor, body.password, now_ms=self._now_ms())
        claims = {"sub": str(user.id), "ver": user.version, "role": user.role.value}
        token = await self._issuer.issue(ACCESS, claims, life_ms=self._token_s * 1000)
        resp.set_header("Cache-Control", "no-store")
        resp.data = _encode(wire.TokenAnswer(token, self._token_s))


class MeResource:
    """`/app/auths/me`."""

    body_bytes_max = 0

    @operation(
        "Say whose token it is",
        answers={
            200: Answer(description="The user", body=wire.OfficerBody),
            401: _UNKNOWN,
        },
        security=("Bearer", "Session"),
    )
    async def on_get(self, req: Request, resp: Response) -> None:
        """Return the user of the token or session."""
        user = caller_of(req).user
        assert user is not None
        resp.set_header("Cache-Control", "no-store")
        resp.data = _encode(wire.officer_body(user))


class JwksResource:
    """`/.well-known/jwks.json`."""

    def __init__(self, issuer: Issuer) -> None:
        self._issuer: Final = issuer

    async def on_get(self, _req: Request, resp: Response) -> None:
        """Return the public keys that check our tokens, as RFC 7517 has it."""
        resp.data = _encode(await self._issuer.jwks())
        resp.content_type = "application/json"
        # A key is published an hour before it signs.
        resp.set_header("Cache-Control", "public, max-age=300")
        resp.set_header("Access-Control-Allow-Origin", "*")
