"""What visitors are told over a socket, in the words of the contract."""

from typing import Final

from api.live.packets import encode_json
from models.errors import StanchionError, UnauthenticatedError
from models.rooms.estimates import Estimate
from models.rooms.refusals import PositionExpiredError, PositionNotFoundError
from models.rooms.room import Room, RoomNotFoundError

PLACE: Final = "position_update"
ADMITTED: Final = "admitted"
EXPIRED: Final = "expired"

# What a refusal of the room means to who waits in it.
_REASONS: Final[tuple[tuple[type[StanchionError], str], ...]] = (
    (PositionExpiredError, "heartbeat_timeout"),
    (PositionNotFoundError, "cancelled"),
    (RoomNotFoundError, "queue_deleted"),
    (UnauthenticatedError, "token_expired"),
)
TOKEN_EXPIRED: Final = encode_json({"reason": "token_expired"})


def place_data(
    room: Room,
    position: int,
    length: int,
    estimate: Estimate | None,
    *,
    drawn: bool | None = None,
    new_token: str | None = None,
) -> bytes:
    """Return the data of `position_update`; a new token takes the place of the old one."""
    data: dict[str, object] = {
        "position": position,
        "queue_length": length,
        "estimated_wait_seconds": None if estimate is None else estimate.seconds,
        "estimate": range_of(estimate),
        "queue_status": room.status.value,
    }
    if drawn is not None:
        data["drawn"] = drawn
    if new_token is not None:
        data["token"] = new_token
    return encode_json(data)


def range_of(estimate: Estimate | None) -> dict[str, int] | None:
    """Return between what an estimate lies, nine times in ten; None: nobody can say."""
    if estimate is None:
        return None
    return {"low_seconds": estimate.low, "high_seconds": estimate.high}


def admitted_data(session_token: str, redirect_url: str) -> bytes:
    """Return the data of `admitted`."""
    return encode_json({"session_token": session_token, "redirect_url": redirect_url})


def expired_data(error: StanchionError, *, was_admitted: bool = False) -> bytes:
    """Return the data of `expired` for what the room refuses its visitor with."""
    if was_admitted and isinstance(error, PositionExpiredError):
        return encode_json({"reason": "admission_expired"})
    for family, reason in _REASONS:
        if isinstance(error, family):
            return encode_json({"reason": reason})
    return encode_json({"reason": error.code})
