"""Who joins: as whom, in which lane, and what the store is asked for it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from models.rooms import codes, identities
from models.rooms.room import Room

NOBODY: Final = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Joining:
    """What somebody says and shows who wants to join."""

    address: str  # the client's, IPv6 by /64
    priority: int = 0
    metadata: Mapping[str, str | int | float | bool]
    code: str | None = None
    token: str | None = None  # in Authorization
    key: str | None = None  # in Idempotency-Key
    user_id: str | None = None  # in the metadata


def lane_of(room: Room, joining: Joining, *, now_ms: int) -> tuple[int, codes.Code | None]:
    """Return the lane of somebody who joins, and the code that was shown for it.

    Raises what `codes` raises for a code that is not good, or a priority that needs one.
    """
    code = None
    if joining.code is not None:
        code = codes.check(room.secret, joining.code, now_ms=now_ms)
    lane = codes.lane_of(
        joining.priority,
        code,
        public_priority_max=room.public_priority_max,
        invite_only=room.invite_only,
    )
    return lane, code


def digest_of(room: Room, joining: Joining, code: codes.Code | None) -> bytes:
    """Return as whom the store knows somebody; NOBODY, and each time is a new place.

    Whoever shows the same again has the same place: the first that is there of a key, a user's id,
    a code for one place, and where the room says so the address.
    """
    if joining.key is not None:
        return identities.digest(room.secret, "key", joining.key)
    if joining.user_id is not None:
        return identities.digest(room.secret, "user", joining.user_id)
    if code is not None and code.identity is not None:
        return identities.digest(room.secret, "code", code.identity)
    if room.identify_by_ip:
        return identities.digest(room.secret, "address", joining.address)
    return NOBODY
