"""What a room refuses; the codes are those of the rooms' contract."""

from typing import Final

from models.errors import (
    ForbiddenError,
    GoneError,
    NotFoundError,
    UnauthenticatedError,
    UnavailableError,
)
from models.rooms.rules import Entry

# A room in maintenance is looked at again after so long, and a full one: places leave all the time.
_MAINTENANCE_RETRY_S: Final = 30
_FULL_RETRY_S: Final = 10


class MissingTokenError(UnauthenticatedError):
    """The request shows no token."""

    code = "missing_token"

    def __str__(self) -> str:
        return "a token is required: Authorization: Bearer <token>"


class PositionNotFoundError(NotFoundError):
    """The position was given up, or never was in the line."""

    code = "position_not_found"

    def __init__(self, position_id: str) -> None:
        super().__init__(position_id)
        self.position_id = position_id
        self.details = {"position_id": position_id}

    def __str__(self) -> str:
        return f"position {self.position_id} was not found"


class PositionExpiredError(GoneError):
    """The visitor was silent too long, did not come in time when let in, or was in and is out."""

    code = "position_expired"

    def __init__(self, position_id: str, expired_at_ms: int) -> None:
        super().__init__(position_id, expired_at_ms)
        self.position_id = position_id
        self.details = {"position_id": position_id, "expired_at_ms": expired_at_ms}

    def __str__(self) -> str:
        return "Your position in the queue has expired"


class SessionNotFoundError(NotFoundError):
    """There is no such session."""

    code = "session_not_found"

    def __init__(self, session_id: str) -> None:
        super().__init__(session_id)
        self.details = {"session_id": session_id}

    def __str__(self) -> str:
        return f"session {self.details['session_id']} was not found"


class SessionExpiredError(GoneError):
    """The session's time is over, or somebody ended it."""

    code = "session_expired"

    def __init__(self, session_id: str, expired_at_ms: int) -> None:
        super().__init__(session_id, expired_at_ms)
        self.details = {"session_id": session_id, "expired_at_ms": expired_at_ms}

    def __str__(self) -> str:
        return "Your session has expired"


class ForeignTokenError(ForbiddenError):
    """The token is good, and for another room or session."""

    code = "foreign_token"

    def __init__(self, what: str) -> None:
        super().__init__(what)
        self.what = what

    def __str__(self) -> str:
        return f"the token is for another {self.what}"


class RoomClosedError(UnavailableError):
    """The room takes nobody in; unlike a store that is away it says why to everybody."""

    code = "queue_closed"
    sentence = "Queue is closed"

    def __init__(self, room_id: str, retry_after_s: int) -> None:
        super().__init__(room_id, self.sentence, retry_after_s)
        self.args = (room_id, retry_after_s)  # so that the error can be pickled
        self.details = {"queue_id": room_id}

    def __str__(self) -> str:
        return self.sentence

    @property
    def public(self) -> str:
        """Return the sentence for strangers."""
        return self.sentence


class RoomFullError(RoomClosedError):
    """As many wait as the room lets wait."""

    code = "queue_full"
    sentence = "Queue is at maximum capacity"


class MaintenanceError(RoomClosedError):
    """Nobody may join while the room is in maintenance."""

    code = "maintenance_mode"
    sentence = "Queue is in maintenance mode"


def refusal_of(room_id: str, entry: Entry) -> UnavailableError:
    """Return what somebody hears who was given no place."""
    if entry is Entry.FULL:
        return RoomFullError(room_id, _FULL_RETRY_S)
    if entry is Entry.MAINTENANCE:
        return MaintenanceError(room_id, _MAINTENANCE_RETRY_S)
    return RoomClosedError(room_id, _MAINTENANCE_RETRY_S)
