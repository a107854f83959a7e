"""Visitors over HTTP: they join, ask where they stand, stay, and leave. Source: the contract."""

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

from falcon.asgi import Request, Response
from msgspec import UNSET, UnsetType

from api.http.caller import Proxies
from api.openapi.operations import Answer, operation
from api.rooms import bodies as wire
from models.addresses import subscriber_of
from models.rooms.joining import Joining
from models.rooms.refusals import MissingTokenError
from models.rooms.service import RoomService
from models.rooms.visits import Visits
from models.rooms.whereabouts import Whereabouts

TOKEN: Final = ("Bearer",)
_PAGE_UNLOAD: Final = "page_unload"
_BEARER: Final = "bearer"
INVALID: Final = Answer(description="The body is wrong", body=wire.RoomsError)
UNKNOWN: Final = Answer(description="The token is missing or wrong", body=wire.RoomsError)
FOREIGN: Final = Answer(description="The token is for another room", body=wire.RoomsError)
REFUSALS: Final[Mapping[int, Answer]] = {
    429: Answer(description="Too many requests; see Retry-After", body=wire.RoomsError),
    503: Answer(description="The store is away; see Retry-After", body=wire.RoomsError),
}
_NOT_FOUND: Final = Answer(description="No such room or position", body=wire.RoomsError)
_EXPIRED: Final = Answer(description="The position has expired", body=wire.RoomsError)


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """What the resources of visitors stand on."""

    service: RoomService
    visits: Visits
    proxies: Proxies
    body_bytes_max: int


class VisitorResource:
    """A resource of visitors."""

    def __init__(self, desk: Desk) -> None:
        self.body_bytes_max = desk.body_bytes_max
        self._service: Final = desk.service
        self._visits: Final = desk.visits
        self._proxies: Final = desk.proxies


class EnqueueResource(VisitorResource):
    """`/api/v1/queues/{queue_id}/enqueue`."""

    @operation(
        "Join the line of a room",
        body=wire.EnqueueBody,
        body_reader=wire.reader_of(wire.EnqueueBody),
        body_example={
            "priority": 0,
            "metadata": {"user_id": "user-123", "campaign": "summer-sale"},
        },
        answers={
            200: Answer(description="The place that this visitor has", body=wire.Enqueued),
            201: Answer(description="A new place", body=wire.Enqueued),
            400: INVALID,
            403: Answer(description="The priority needs a code", body=wire.RoomsError),
            404: Answer(description="No such room", body=wire.RoomsError),
            429: REFUSALS[429],
            503: Answer(
                description="The room is full, closed or in maintenance, or the store is away",
                body=wire.RoomsError,
            ),
        },
    )
    async def on_post(
        self, req: Request, resp: Response, queue_id: str, *, body: wire.EnqueueBody
    ) -> None:
        """Take a place; needs no token.

        Who shows a queue token, else an `Idempotency-Key`, else `metadata.user_id` that holds a
        place gets that place with 200.
        """
        wire.check_metadata(body.metadata)
        user_id = body.metadata.get("user_id")
        joining = Joining(
            priority=body.priority,
            metadata=body.metadata,
            code=body.code,
            token=shown_token(req),
            key=req.get_header("Idempotency-Key") or None,
            user_id=None if user_id is None or user_id == "" else str(user_id),
            address=subscriber_of(self._proxies.client_address(req)),
        )
        entered = await self._service.join(queue_id, joining)
        resp.status = HTTPStatus.CREATED if entered.is_new else HTTPStatus.OK
        resp.set_header("Cache-Control", "no-store")
        resp.data = wire.encode(_enqueued(entered.whereabouts))


class StatusResource(VisitorResource):
    """`/api/v1/queues/{queue_id}/status`."""

    @operation(
        "Say where a visitor stands",
        answers={
            200: Answer(description="Waiting, or let in", body=wire.Waiting),
            401: UNKNOWN,
            403: FOREIGN,
            404: _NOT_FOUND,
            410: _EXPIRED,
            **REFUSALS,
        },
        security=TOKEN,
    )
    async def on_get(self, req: Request, resp: Response, queue_id: str) -> None:
        """Return the position, or once let in the session's token and where to go with it."""
        found = await self._service.status(queue_id, token_of(req))
        resp.set_header("Cache-Control", "no-store")
        resp.data = wire.encode(_status(found))


class HeartbeatResource(VisitorResource):
    """`/api/v1/queues/{queue_id}/heartbeat`."""

    @operation(
        "Stay in the line",
        body=wire.HeartbeatBody,
        body_reader=wire.reader_of(wire.HeartbeatBody),
        body_example={"timestamp": 1704067260000, "client_id": "browser-fingerprint-abc123"},
        answers={
            200: Answer(description="Noted", body=wire.Beat),
            400: INVALID,
            401: UNKNOWN,
            403: FOREIGN,
            404: Answer(description="No such room", body=wire.RoomsError),
            410: _EXPIRED,
            **REFUSALS,
        },
        security=TOKEN,
    )
    async def on_post(
        self, req: Request, resp: Response, queue_id: str, *, body: wire.HeartbeatBody
    ) -> None:
        """Note a sign of life; without one for `heartbeat_timeout_seconds` the place is lost.

        With `event` `page_unload` it is a page that goes away, maybe to be loaded again: the place
        is lost sooner unless another sign of life follows. Its token may be in the body.
        """
        token = shown_token(req) or body.token
        if token is None:
            raise MissingTokenError
        if body.event == _PAGE_UNLOAD:
            found = await self._service.fade(queue_id, token)
        else:
            found = await self._service.beat(queue_id, token)
        resp.set_header("Cache-Control", "no-store")
        resp.data = wire.encode(_beat(found))


class PositionResource(VisitorResource):
    """`/api/v1/queues/{queue_id}/position`."""

    @operation(
        "Leave the line",
        answers={
            200: Answer(description="The place is given up", body=wire.Cancelled),
            401: UNKNOWN,
            403: FOREIGN,
            404: _NOT_FOUND,
            **REFUSALS,
        },
        security=TOKEN,
    )
    async def on_delete(self, req: Request, resp: Response, queue_id: str) -> None:
        """Give a place up, or what was kept inside for it; it is not to be had back."""
        left = await self._service.leave(queue_id, token_of(req))
        resp.data = wire.encode(wire.Cancelled(left.position_id, wire.moment(left.at_ms)))


def shown_token(req: Request) -> str | None:
    """Return the token in Authorization, also without the word Bearer; None if there is none."""
    shown = req.get_header("Authorization")
    if not shown:
        return None
    scheme, _, token = shown.strip().partition(" ")
    if not token:
        return None if scheme.lower() == _BEARER else scheme
    return token.strip() if scheme.lower() == _BEARER else None


def token_of(req: Request) -> str:
    """Return the token in Authorization; raises MissingTokenError."""
    token = shown_token(req)
    if token is None:
        raise MissingTokenError
    return token


def _enqueued(found: Whereabouts) -> wire.Enqueued:
    room, visitor, admitted = found.room, found.visitor, found.admitted
    return wire.Enqueued(
        position_id=visitor.position_id,
        queue_id=room.id,
        position=found.position,
        queue_length=found.length,
        estimated_wait_seconds=found.wait_s,
        status="waiting" if admitted is None else "admitted",
        token=visitor.token,
        heartbeat_interval_seconds=wire.seconds(room.heartbeat_interval_ms),
        heartbeat_timeout_seconds=wire.seconds(room.heartbeat_timeout_ms),
        expires_at=wire.moment(visitor.expires_at_ms),
        estimate=_range(found),
        opens_at=_opens_at(found),
        drawn=_drawn(found),
        session_token=UNSET if admitted is None else admitted.token,
        redirect_url=UNSET if admitted is None else room.target_url,
        session_expires_at=UNSET if admitted is None else wire.moment(admitted.expires_at_ms),
    )


def _status(found: Whereabouts) -> wire.Waiting | wire.Admitted:
    room, visitor, admitted = found.room, found.visitor, found.admitted
    if admitted is not None:
        return wire.Admitted(
            position_id=visitor.position_id,
            queue_id=room.id,
            queue_length=found.length,
            session_token=admitted.token,
            redirect_url=room.target_url,
            session_expires_at=wire.moment(admitted.expires_at_ms),
        )
    return wire.Waiting(
        position_id=visitor.position_id,
        queue_id=room.id,
        position=found.position,
        queue_length=found.length,
        estimated_wait_seconds=found.wait_s,
        token=visitor.token,
        expires_at=wire.moment(visitor.expires_at_ms),
        estimate=_range(found),
        opens_at=_opens_at(found),
        drawn=_drawn(found),
    )


def _beat(found: Whereabouts) -> wire.Beat | wire.BeatAdmitted:
    room, visitor, admitted = found.room, found.visitor, found.admitted
    if admitted is not None:
        return wire.BeatAdmitted(
            position_id=visitor.position_id,
            session_token=admitted.token,
            redirect_url=room.target_url,
        )
    return wire.Beat(
        position_id=visitor.position_id,
        position=found.position,
        queue_length=found.length,
        estimated_wait_seconds=found.wait_s,
        token=visitor.token,
        next_heartbeat_seconds=wire.seconds(room.heartbeat_interval_ms),
        estimate=_range(found),
        drawn=_drawn(found),
    )


def _range(found: Whereabouts) -> wire.EstimateRange | UnsetType:
    estimate = found.estimate
    return UNSET if estimate is None else wire.EstimateRange(estimate.low, estimate.high)


def _opens_at(found: Whereabouts) -> str | UnsetType:
    opens_at_ms = found.room.opens_at_ms
    return UNSET if opens_at_ms is None else wire.moment(opens_at_ms)


def _drawn(found: Whereabouts) -> bool | UnsetType:
    return UNSET if found.drawn is None else found.drawn
