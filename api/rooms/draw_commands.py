"""`stanchion rooms code`, `draw` and `verify`: codes from the stores, draws as all see them."""

import argparse
import json
from typing import Any, Final

import jwt
import msgspec

from api.http.reading import read_json
from api.messages.commands import asking
from api.rooms import codes as wire
from api.rooms.admin_commands import actor, show, with_stores
from models.clock import now_ms
from models.database import Database
from models.errors import ConflictError, InvalidError
from models.rooms.draw import ALGORITHM, Draw, LaneDraw, commitment_of
from models.rooms.invitations import Invitations
from models.rooms.registry import Registry
from models.settings import Settings

ACTIONS: Final = ("code", "draw", "verify")


class DrawMismatchError(ConflictError):
    """A draw is not what was committed to, or is not one that can be checked."""

    code = "draw_mismatch"

    def __init__(self, room_id: str, reason: str) -> None:
        super().__init__(room_id, reason)
        self.room_id = room_id
        self.reason = reason

    def __str__(self) -> str:
        return f"draw of {self.room_id}: {self.reason}"


def draw_lots(settings: Settings, options: argparse.Namespace) -> int:
    """Make codes, show a draw, check one."""
    if options.action == "code":
        made = _make_codes(settings, options)
        facts = msgspec.to_builtins(made)
        show(facts, options, [each.code for each in made.codes])
        return 0
    with asking(settings, options) as ask:
        draw = ask("GET", f"/api/v1/queues/{options.id}/draw", None)
    if options.action == "draw":
        show(draw, options, [f"{name:<12} {json.dumps(value)}" for name, value in draw.items()])
        return 0
    checked = _check(draw, options)
    show(checked, options, _lines_of(checked))
    return 0


def _make_codes(settings: Settings, options: argparse.Namespace) -> wire.CodeList:
    given = {
        "priority": options.priority,
        "uses": options.uses,
        "expires_in_seconds": options.expires,
        "count": options.count,
    }
    body = read_json(msgspec.json.encode(given), msgspec.json.Decoder(wire.CodesBody))

    async def make(database: Database, _client: Any) -> wire.CodeList:
        invitations = Invitations(database, Registry(database))
        made = await invitations.make(options.id, wire.wish_of(body), actor(), now_ms=now_ms())
        return wire.list_of(options.id, made)

    return with_stores(settings, make)


def _check(draw: dict[str, Any], options: argparse.Namespace) -> dict[str, Any]:
    """Return what was found; raises DrawMismatchError."""
    room_id = options.id
    if draw["algorithm"] != ALGORITHM:
        raise DrawMismatchError(room_id, f"expected {ALGORITHM}, got {draw['algorithm']}")
    if "secret" not in draw:
        raise DrawMismatchError(room_id, f"drawn at the opening, {draw['opens_at']}")
    secret = bytes.fromhex(draw["secret"])
    expected = options.commitment or draw["commitment"]
    if commitment_of(secret) != expected.lower():
        raise DrawMismatchError(room_id, "the secret is not the one committed to")
    found = {
        "queue_id": room_id,
        "commitment": expected.lower(),
        "commitment_was_given": options.commitment is not None,
        "count": draw["count"],
    }
    return found | (_drawn(secret, draw["lanes"], options.token) if options.token else {})


def _drawn(secret: bytes, lanes: list[dict[str, Any]], token: str) -> dict[str, Any]:
    spans = tuple(LaneDraw(each["first"], each["count"]) for each in lanes)
    try:
        # What it says is checked against nothing: the draw is worked out from what it says.
        claims = jwt.decode(token, options={"verify_signature": False})
        lane, number = int(claims["lane"]), int(claims["number"])
        drawn = spans[lane]
    except (jwt.PyJWTError, KeyError, IndexError, TypeError, ValueError):
        raise InvalidError({"token": "Expected the token of a visitor"}) from None
    if not drawn.first <= number < drawn.first + drawn.count:
        return {"priority": lane, "arrival": number - drawn.first + 1, "was_drawn": False}
    place = Draw(secret, spans).number_of(lane, number)
    return {
        "priority": lane,
        "arrival": number - drawn.first + 1,
        "was_drawn": True,
        "place": place - drawn.first + 1,
        "of": drawn.count,
    }


def _lines_of(checked: dict[str, Any]) -> list[str]:
    lines = ["the secret is the one committed to"]
    if not checked["commitment_was_given"]:
        lines = ["the secret fits the commitment that the server shows now; give yours to be sure"]
    if checked.get("was_drawn"):
        drew = "arrival {arrival} of {of} drew place {place}, priority {priority}"
        lines.append(drew.format(**checked))
    elif "was_drawn" in checked:
        lines.append("this visitor came after the draw, and stands in the order of arrival")
    return lines
