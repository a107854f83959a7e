"""What a live client's first request says: where it comes from, and what it shows."""

from collections.abc import Mapping
from typing import Any, Final

from falcon.asgi import Request

from api.auth.callers import COOKIE, bearer_of
from api.live.channel import Credentials

_TEXT_MAX: Final = 4_096
_BEARER: Final = "bearer "


class Handshake:
    """The first request of a connection, as the server's scope tells it."""

    def __init__(self, scope: dict[str, Any]) -> None:
        self.request: Final = Request(scope, _receive_nothing)
        self.query: Final[Mapping[str, Any]] = self.request.params

    def credentials(self, said: Mapping[str, Any]) -> Credentials:
        """Return what a client shows: in its first message (`said`), its headers, its address."""
        cookies = self.request.get_cookie_values(COOKIE)
        return Credentials(
            api_key=_first(said.get("api_key"), self.request.get_header("X-API-KEY")),
            token=_first(
                _bare(said.get("token")), bearer_of(self.request), self.query.get("token")
            ),
            session=cookies[0] if cookies else None,
        )


async def _receive_nothing() -> Any:
    """Stand for a body, which nobody reads."""
    return {"type": "http.disconnect"}


def _bare(token: Any) -> Any:
    """Return a token without the word that stands before it in a header, where some leave it."""
    return token[len(_BEARER) :] if str(token)[: len(_BEARER)].lower() == _BEARER else token


def _first(*values: Any) -> str | None:
    for value in values:
        if isinstance(value, str) and value and len(value) <= _TEXT_MAX:
            return value
    return None
