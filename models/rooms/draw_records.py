"""What is published of a draw: its commitment before the opening, its secret and counts after."""

from dataclasses import dataclass
from typing import Final

from models.database import Database
from models.errors import NotFoundError
from models.rooms.draw import LaneDraw, commitment_of, secret_of
from models.rooms.registry import Registry
from models.rooms.replica import Replica
from models.rooms.room import Room
from models.rooms.statements import draws as statements

# After the moment of the opening the database is asked this often whether the draw was made.
_ASKED_EVERY_MS: Final = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class DrawRecord:
    """A room's draw, to come or made."""

    room_id: str
    commitment: str
    opens_at_ms: int
    count: int  # how many are drawn; before, how many wait
    secret: str | None = None  # hex; None: not yet drawn
    lanes: tuple[LaneDraw, ...] = ()


class NoDrawError(NotFoundError):
    """The room does not draw lots."""

    code = "no_draw"

    def __init__(self, room_id: str) -> None:
        super().__init__(room_id)
        self.room_id = room_id

    def __str__(self) -> str:
        return f"queue {self.room_id} has no draw"


class DrawRecords:
    """Tells everybody about draws; one that was made is read once and remembered."""

    def __init__(self, database: Database, registry: Registry, replica: Replica) -> None:
        self._database: Final = database
        self._registry: Final = registry
        self._replica: Final = replica
        self._made: Final[dict[str, tuple[bytes, DrawRecord]]] = {}
        self._asked_at_ms: Final[dict[str, int]] = {}

    async def of(self, room_id: str, *, now_ms: int) -> DrawRecord:
        """Return what may be known of a room's draw by now.

        Raises RoomNotFoundError, NoDrawError, or UnavailableError while a store is away.
        """
        room = await self._registry.find(room_id)
        if not room.draw or room.opens_at_ms is None:
            raise NoDrawError(room_id)
        held = self._made.get(room_id)
        if held is not None and held[0] == room.secret:
            return held[1]
        if now_ms >= room.opens_at_ms and (made := await self._read(room, now_ms=now_ms)):
            self._made[room_id] = (room.secret, made)
            return made
        copy = await self._replica.find(room_id)
        return DrawRecord(
            room_id=room_id,
            commitment=commitment_of(secret_of(room.secret)),
            opens_at_ms=room.opens_at_ms,
            count=copy.line.length,
        )

    async def _read(self, room: Room, *, now_ms: int) -> DrawRecord | None:
        if now_ms - self._asked_at_ms.get(room.id, 0) < _ASKED_EVERY_MS:
            return None
        self._asked_at_ms[room.id] = now_ms
        lanes = await self._database.read(lambda connection: statements.read(connection, room))
        if lanes is None:
            return None
        secret = secret_of(room.secret)
        assert room.opens_at_ms is not None
        return DrawRecord(
            room_id=room.id,
            commitment=commitment_of(secret),
            opens_at_ms=room.opens_at_ms,
            count=sum(lane.count for lane in lanes),
            secret=secret.hex(),
            lanes=lanes,
        )
