"""The wire of what is known about rooms: statistics, history, sessions. Source: the contract."""

import csv
import io
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, ClassVar, Final, Literal

from msgspec import Meta, Struct

from api.http.reading import Body
from api.rooms.bodies import moment
from models.rooms.inside import Insider
from models.rooms.room import Room
from models.rooms.rules import Session
from models.rooms.statistics import Point, Stats

_S_MS: Final = 1_000
REASON_DEFAULT: Final = "terminated"

Moment = Annotated[datetime, Meta(tz=True, description="ISO 8601 with an offset or Z")]


class RoomStatsView(Struct, frozen=True, kw_only=True):
    """A room now and today, which is the day of UTC; the mean is of those admitted today."""

    queue_id: str
    status: str
    current_waiting: int
    current_active: int
    total_enqueued_today: int
    total_admitted_today: int
    total_expired_today: int
    total_cancelled_today: int
    total_no_shows_today: int
    avg_wait_time_seconds: int
    peak_queue_size: int
    peak_queue_size_today: int
    admission_rate_actual: float


class RoomHistoryQuery(Body, frozen=True, kw_only=True):
    """Of which time, in which steps; by default the last hour, in some hundred steps."""

    SPELLINGS: ClassVar = {"from": "since", "to": "until"}

    since: Moment | None = None
    until: Moment | None = None
    step: (
        Annotated[int, Meta(ge=60, le=86_400, multiple_of=60, description="seconds, whole minutes")]
        | None
    ) = None
    format: Literal["json", "csv"] = "json"


class RoomPointView(Struct, frozen=True, kw_only=True):
    """One step: what was counted in it, and the largest of what was sampled."""

    at: str
    waiting: int
    active: int
    peak_waiting: int
    enqueued: int
    admitted: int
    expired: int
    cancelled: int
    no_shows: int
    admission_rate: float
    avg_wait_time_seconds: float | None


class RoomHistoryView(Struct, frozen=True, kw_only=True):
    """A room's history; a step in which nothing was sampled is all zeros."""

    queue_id: str
    step_seconds: int
    points: list[RoomPointView]


class RoomSessionsQuery(Body, frozen=True):
    """Which page of the sessions: so many, from the `offset`-th on."""

    limit: Annotated[int, Meta(ge=1, le=500)] = 100
    offset: Annotated[int, Meta(ge=0, le=10_000_000)] = 0


class RoomSessionView(Struct, frozen=True, kw_only=True):
    """Somebody inside; `metadata` is what the visitor said when joining, if that is known."""

    session_id: str
    position_id: str
    priority: int
    started_at: str
    expires_at: str
    last_activity: str
    page_views: int
    metadata: dict[str, Any] | None


class RoomSessionList(Struct, frozen=True, kw_only=True):
    """Sessions under way, those that end first first; `next` is the `offset` that goes on."""

    queue_id: str
    total: int
    sessions: list[RoomSessionView]
    next: int | None


class TerminateBody(Struct, frozen=True):
    """Why a session is ended."""

    reason: Annotated[str, Meta(min_length=1, max_length=200)] = REASON_DEFAULT


class Terminated(Struct, frozen=True):
    """A session that was ended."""

    session_id: str
    terminated_at: str
    reason: str
    status: str = "terminated"


def stats_view(room: Room, stats: Stats) -> RoomStatsView:
    """Show how a room fares."""
    return RoomStatsView(
        queue_id=room.id,
        status=room.status.value,
        current_waiting=stats.waiting,
        current_active=stats.inside,
        total_enqueued_today=stats.today.joined,
        total_admitted_today=stats.today.admitted,
        total_expired_today=stats.today.expired,
        total_cancelled_today=stats.today.cancelled,
        total_no_shows_today=stats.today.no_shows,
        avg_wait_time_seconds=round((stats.today.mean_wait_ms or 0) / _S_MS),
        peak_queue_size=stats.peak,
        peak_queue_size_today=stats.peak_today,
        admission_rate_actual=round(stats.rate_per_s, 2),
    )


def history_view(room_id: str, step_ms: int, points: Sequence[Point]) -> RoomHistoryView:
    """Show what was sampled of a room."""
    return RoomHistoryView(
        queue_id=room_id,
        step_seconds=step_ms // _S_MS,
        points=[_point_view(point, step_ms) for point in points],
    )


def history_csv(view: RoomHistoryView) -> str:
    """Return a history as a table with a head; a missing mean is empty."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\r\n")
    names = RoomPointView.__struct_fields__
    table.writerow(names)
    for point in view.points:
        table.writerow([getattr(point, name) for name in names])
    return text.getvalue()


def session_list(
    room_id: str, total: int, insiders: Sequence[Insider], *, offset: int
) -> RoomSessionList:
    """Show a page of sessions."""
    after = offset + len(insiders)
    return RoomSessionList(
        queue_id=room_id,
        total=total,
        sessions=[_session_view(each) for each in insiders],
        next=after if insiders and after < total else None,
    )


def terminated(session: Session) -> Terminated:
    """Show a session that was ended just now."""
    return Terminated(
        session_id=session.id, terminated_at=moment(session.over_at_ms), reason=session.over
    )


def _point_view(point: Point, step_ms: int) -> RoomPointView:
    counts = point.counts
    mean_ms = counts.mean_wait_ms
    return RoomPointView(
        at=moment(point.at_ms),
        waiting=point.waiting,
        active=point.inside,
        peak_waiting=point.waiting_max,
        enqueued=counts.joined,
        admitted=counts.admitted,
        expired=counts.expired,
        cancelled=counts.cancelled,
        no_shows=counts.no_shows,
        admission_rate=round(counts.admitted * _S_MS / step_ms, 3),
        avg_wait_time_seconds=None if mean_ms is None else round(mean_ms / _S_MS, 1),
    )


def _session_view(insider: Insider) -> RoomSessionView:
    session = insider.session
    return RoomSessionView(
        session_id=session.id,
        position_id=insider.position_id,
        priority=session.place.lane,
        started_at=moment(session.began_at_ms),
        expires_at=moment(session.ends_at_ms),
        last_activity=moment(session.seen_at_ms),
        page_views=session.views,
        metadata=None if insider.details is None else dict(insider.details),
    )
