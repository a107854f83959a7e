"""The call that a copy of a line is kept fresh by."""

from typing import Any, Final

from models.rooms.rules import LANES, Counters, LineState, RoomStatus, Segment, Snapshot
from models.rooms.scripts.calls import Call, Script

_SNAPSHOT: Final = Script("snapshot_line.lua")
# Some 1 MiB in one answer.
SEGMENTS_MAX: Final = 64


def snapshot(room_id: str, *, epoch: str = "", version: int = 0, now_ms: int = 0) -> Call[Snapshot]:
    """Return the numbers of a line and the segments that changed since `version` of `epoch`.

    When it is not all, ask again from the version it names; only the last one's numbers and all
    segments together are of one moment.
    """
    return Call(_SNAPSHOT, room_id, (now_ms, epoch, version, SEGMENTS_MAX), _read)


def _read(answer: Any) -> Snapshot:
    at_ms, version, is_all, pairs, parts = answer
    texts = [each.decode() for each in pairs]
    fields = dict(zip(texts[::2], texts[1::2], strict=True))
    return Snapshot(
        line=_line(fields, at_ms=at_ms),
        version=version,
        is_all=bool(is_all),
        segments=tuple(Segment(*parts[each : each + 4]) for each in range(0, len(parts), 4)),
    )


def _line(fields: dict[str, str], *, at_ms: int) -> LineState:
    def number(name: str) -> int:
        return int(fields.get(name, "0"))

    def by_lane(name: str) -> tuple[int, ...]:
        return tuple(number(f"{name}{lane}") for lane in LANES)

    return LineState(
        at_ms=at_ms,
        status=RoomStatus(fields["status"]),
        epoch=fields["epoch"],
        heads=by_lane("h"),
        tails=by_lane("t"),
        waits=by_lane("w"),
        inside=number("inside"),
        capacity=number("capacity"),
        rate_per_s=float(fields["rate_per_s"]),
        opens_at_ms=number("opens_at_ms"),
        ticked_at_ms=number("ticked_at_ms"),
        hold_until_ms=number("hold_until_ms"),
        counters=Counters(
            joined=by_lane("joined"),
            admitted=number("admitted"),
            cancelled=number("cancelled"),
            expired=number("expired"),
            no_shows=number("no_shows"),
            ended=number("ended"),
            waits_ms=number("waits_ms"),
            peak=number("peak"),
        ),
        fields=fields,
    )
