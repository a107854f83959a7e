"""What the middleware answers in place of the site."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from html import escape
from http import HTTPStatus
from typing import Final
from urllib.parse import quote

from stanchion_client.protect.protection import Protection
from stanchion_client.protect.tokens import Session
from stanchion_client.protect.visits import Visit

_RETRY: Final = ("Retry-After", "5")
_NOT_KEPT: Final = ("Cache-Control", "no-store")
_PAGE: Final = """\
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<p>{sentence} <a href="{url}">{link}</a></p>
</html>
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """A whole answer."""

    status: HTTPStatus
    headers: tuple[tuple[str, str], ...]
    body: bytes = b""


def cookie_of(visit: Visit, protection: Protection, session: Session) -> str:
    """Return the Set-Cookie that keeps a session until its end."""
    is_secure = protection.is_cookie_secure
    left_s = session.expires_s - int(datetime.now(tz=UTC).timestamp())
    attributes = [
        f"{protection.cookie}={session.token}",
        f"Max-Age={max(1, left_s)}",
        "Path=/",
        "HttpOnly",
        "SameSite=Lax",
        *(["Secure"] if (visit.is_secure if is_secure is None else is_secure) else []),
    ]
    return "; ".join(attributes)


def welcome(visit: Visit, protection: Protection, session: Session) -> Reply:
    """Keep the session of the address in a cookie, and lead to the address without it."""
    return Reply(
        status=HTTPStatus.SEE_OTHER,
        headers=(
            ("Location", visit.address_without(protection.parameter)),
            ("Set-Cookie", cookie_of(visit, protection, session)),
            # The address that held the token goes to no other site.
            ("Referrer-Policy", "no-referrer"),
            _NOT_KEPT,
        ),
    )


def to_the_room(visit: Visit, protection: Protection) -> Reply:
    """Lead a person to the room, and a program nowhere: it is told where the room is."""
    if _is_program(visit, protection):
        told = {
            "error": "waiting_room",
            "message": "this site is behind a waiting room, and the request shows no session of it",
            "wait_url": protection.wait_url,
        }
        reply = _json(HTTPStatus.UNAUTHORIZED, told)
        asks = ("WWW-Authenticate", 'Bearer realm="waiting room"')
        return replace(reply, headers=(*reply.headers, asks))
    back = quote(visit.address_without(protection.parameter), safe="")
    return Reply(
        status=HTTPStatus.SEE_OTHER,
        headers=(
            ("Location", f"{protection.wait_url}?to={back}"),
            ("Set-Cookie", f"{protection.cookie}=; Max-Age=0; Path=/"),
            _NOT_KEPT,
        ),
    )


def no_session(protection: Protection) -> Reply:
    """Say that the address carries a session that is none: leading to the room might go round."""
    return _page(
        HTTPStatus.UNAUTHORIZED,
        title="Not a session",
        sentence="The session in this address is not good here.",
        url=protection.wait_url,
        link="To the waiting room",
    )


def away(visit: Visit, protection: Protection) -> Reply:
    """Say that nobody can be let in now."""
    if _is_program(visit, protection):
        told = {"error": "waiting_room_away", "message": "the waiting room cannot be reached"}
        reply = _json(HTTPStatus.SERVICE_UNAVAILABLE, told)
        return replace(reply, headers=(*reply.headers, _RETRY))
    reply = _page(
        HTTPStatus.SERVICE_UNAVAILABLE,
        title="Please wait",
        sentence="The waiting room cannot be reached right now.",
        url=visit.address_without(protection.parameter),
        link="Try again",
    )
    return replace(reply, headers=(*reply.headers, _RETRY))


def _is_program(visit: Visit, protection: Protection) -> bool:
    return visit.is_below(protection.programs) or not visit.is_navigation()


def _json(status: HTTPStatus, told: Mapping[str, str]) -> Reply:
    headers = (("Content-Type", "application/json"), _NOT_KEPT)
    return Reply(status=status, headers=headers, body=json.dumps(told).encode())


def _page(status: HTTPStatus, *, title: str, sentence: str, url: str, link: str) -> Reply:
    page = _PAGE.format(title=title, sentence=sentence, url=escape(url), link=link)
    headers = (("Content-Type", "text/html; charset=utf-8"), _NOT_KEPT)
    return Reply(status=status, headers=headers, body=page.encode())
