"""The draw of a room over HTTP, for everybody."""

from typing import Final

from falcon.asgi import Request, Response
from msgspec import UNSET, Struct, UnsetType

from api.openapi.operations import Answer, operation
from api.rooms import bodies as wire
from models.clock import now_ms
from models.rooms.draw import ALGORITHM
from models.rooms.draw_records import DrawRecord, DrawRecords


class DrawnLane(Struct, frozen=True):
    """Which arrival numbers of a priority were drawn: `count` of them, from `first` on."""

    priority: int
    first: int
    count: int


class DrawView(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A draw: committed, and from the opening on drawn."""

    queue_id: str
    status: str
    algorithm: str
    commitment: str
    opens_at: str
    count: int
    secret: str | UnsetType = UNSET
    lanes: list[DrawnLane] | UnsetType = UNSET


class DrawResource:
    """`/api/v1/queues/{queue_id}/draw`."""

    def __init__(self, records: DrawRecords, *, body_bytes_max: int) -> None:
        self.body_bytes_max = body_bytes_max
        self._records: Final = records

    @operation(
        "Show how places are drawn",
        answers={
            200: Answer(description="The commitment, and once drawn all else", body=DrawView),
            404: Answer(description="No such room, or it does not draw", body=wire.RoomsError),
            429: Answer(description="Too many requests; see Retry-After", body=wire.RoomsError),
            503: Answer(description="The store is away; see Retry-After", body=wire.RoomsError),
        },
    )
    async def on_get(self, _req: Request, resp: Response, queue_id: str) -> None:
        """Return what lets anybody check the draw; needs no token."""
        record = await self._records.of(queue_id, now_ms=now_ms())
        resp.data = wire.encode(_view(record))


def _view(record: DrawRecord) -> DrawView:
    is_drawn = record.secret is not None
    return DrawView(
        queue_id=record.room_id,
        status="drawn" if is_drawn else "committed",
        algorithm=ALGORITHM,
        commitment=record.commitment,
        opens_at=wire.moment(record.opens_at_ms),
        count=record.count,
        secret=record.secret or UNSET,
        lanes=[
            DrawnLane(priority, lane.first, lane.count)
            for priority, lane in enumerate(record.lanes)
        ]
        if is_drawn
        else UNSET,
    )
