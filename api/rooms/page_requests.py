"""What a browser brings to the visitors' page: its place, a wish for JSON, an address."""

from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qsl, quote, urlencode

from falcon.asgi import Request, Response

from api.rooms.visitors import shown_token

_COOKIE: Final = "stanchion_place"
# Between the position at which a visitor began and the token.
_BETWEEN: Final = "~"
INSIDE: Final = 0  # in the place of that position
STILL: Final = "still"
_QUERY_CHARACTERS_MAX: Final = 2_000
_DAY_S: Final = 24 * 3600


@dataclass(frozen=True, slots=True)
class Held:
    """What the browser brought: its token, and where in line it began."""

    token: str
    first_position: int | None = None


def held_by(req: Request) -> Held | None:
    """Return what Authorization shows, else what the cookie keeps."""
    first, _, token = req.cookies.get(_COOKIE, "").partition(_BETWEEN)
    shown = shown_token(req) or token
    if not shown:
        return None
    is_number = first.isascii() and first.isdigit() and len(first) < 12  # noqa: PLR2004
    return Held(shown, int(first) if is_number and shown == token else None)


def keep(resp: Response, room_id: str, held: Held, *, is_secure: bool) -> None:
    """Let the browser keep a place, out of reach for scripts and for every other path."""
    resp.set_cookie(
        _COOKIE,
        f"{held.first_position or INSIDE}{_BETWEEN}{held.token}",
        max_age=_DAY_S,
        path=f"/wait/{room_id}",
        same_site="Lax",
        secure=is_secure,
        http_only=True,
    )


def give_up(resp: Response, room_id: str) -> None:
    """Have the browser forget a place."""
    resp.unset_cookie(_COOKIE, path=f"/wait/{room_id}", same_site="Lax")


def wants_json(req: Request) -> bool:
    """Say whether a program asks, not a person."""
    return req.client_prefers(("text/html", "application/json")) == "application/json"


def address_of(req: Request, *, keeps_still: bool = False, **parameters: str) -> str:
    """Return this page's address with what it needs of its query, and with `parameters`."""
    wanted = {"to", "code", STILL} if keeps_still else {"to", "code"}
    query = req.query_string[:_QUERY_CHARACTERS_MAX]
    kept = [pair for pair in parse_qsl(query) if pair[0] in wanted]
    every = urlencode([*kept, *parameters.items()])
    path = quote(req.path.removesuffix("/leave"))
    return f"{path}?{every}" if every else path
