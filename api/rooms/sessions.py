"""Sessions over HTTP: what the site, or its visitor, says and asks. Source: the rooms contract."""

from typing import Final

from falcon.asgi import Request, Response
from msgspec import UNSET

from api.openapi.operations import Answer, operation
from api.rooms import bodies as wire
from api.rooms.visitors import INVALID, REFUSALS, TOKEN, UNKNOWN, VisitorResource, token_of

_FOREIGN: Final = Answer(description="The token is of another session", body=wire.RoomsError)
_EXPIRED: Final = Answer(description="The session is over", body=wire.RoomsError)


class SessionResource(VisitorResource):
    """`/api/v1/sessions/{session_id}`."""

    @operation(
        "Show a session",
        answers={
            200: Answer(description="The session goes on", body=wire.SessionBody),
            401: UNKNOWN,
            403: _FOREIGN,
            404: Answer(description="No such session", body=wire.RoomsError),
            410: _EXPIRED,
            **REFUSALS,
        },
        security=TOKEN,
    )
    async def on_get(self, req: Request, resp: Response, session_id: str) -> None:
        """Return a session to who shows its token."""
        session = await self._visits.read(session_id, token_of(req))
        resp.set_header("Cache-Control", "no-store")
        resp.data = wire.encode(
            wire.SessionBody(
                session_id=session_id,
                queue_id=session.room_id,
                position_id=session.position_id,
                status="active",
                started_at=wire.moment(session.started_at_ms),
                expires_at=wire.moment(session.expires_at_ms),
                last_activity=wire.moment(session.active_at_ms),
                page_views=session.page_views,
                remaining_seconds=wire.seconds(session.left_ms),
            )
        )

    @operation(
        "End a session",
        answers={
            200: Answer(description="It is over, maybe since before", body=wire.SessionEnded),
            401: UNKNOWN,
            403: _FOREIGN,
            404: Answer(description="No such session", body=wire.RoomsError),
            410: _EXPIRED,
            **REFUSALS,
        },
        security=TOKEN,
    )
    async def on_delete(self, req: Request, resp: Response, session_id: str) -> None:
        """End a session by its own token: its visitor is done, and the next in line comes in."""
        ended_at_ms = await self._visits.end(session_id, token_of(req))
        resp.data = wire.encode(
            wire.SessionEnded(session_id, "terminated", wire.moment(ended_at_ms))
        )


class ActivityResource(VisitorResource):
    """`/api/v1/sessions/{session_id}/activity`."""

    @operation(
        "Note what a visitor does inside",
        body=wire.ActivityBody,
        body_reader=wire.reader_of(wire.ActivityBody),
        body_example={"action": "page_view", "page": "/checkout", "timestamp": 1704067260000},
        answers={
            200: Answer(description="Noted", body=wire.ActivityNoted),
            400: INVALID,
            401: UNKNOWN,
            403: _FOREIGN,
            404: Answer(description="No such session", body=wire.RoomsError),
            410: _EXPIRED,
            **REFUSALS,
        },
        security=TOKEN,
    )
    async def on_post(
        self, req: Request, resp: Response, session_id: str, *, body: wire.ActivityBody
    ) -> None:
        """Note an action; `page_view`, which is the default, counts as a page view.

        In a room with `session_renewal` the session goes on from now, up to the room's cap; a
        token that ends much sooner is followed by a new one in `session_token`.
        """
        views = 1 if body.action == "page_view" else 0
        session = await self._visits.act(session_id, token_of(req), page_views=views)
        resp.set_header("Cache-Control", "no-store")
        resp.data = wire.encode(
            wire.ActivityNoted(
                session_id=session_id,
                status="active",
                page_views=session.page_views,
                expires_at=wire.moment(session.expires_at_ms),
                session_token=session.new_token or UNSET,
            )
        )
