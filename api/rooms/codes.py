"""Codes of a room over HTTP, for its admin."""

from collections.abc import Sequence
from http import HTTPStatus
from typing import Annotated, Any, Final

from falcon.asgi import App, Request, Response
from msgspec import Meta, Struct

from api.auth.callers import actor_of
from api.http.reading import Body
from api.openapi.operations import Answer, operation
from api.rooms import bodies as wire
from api.rooms.admin import ADMIN, INVALID, NO_ROOM, REFUSALS, Office
from models.rooms.codes import USES_MAX, Code
from models.rooms.invitations import COUNT_MAX, Invitations, Wish
from models.rooms.rules import LANES

_S_MS: Final = 1_000
_WEEK_S: Final = 604_800
_LIFE_S_MIN: Final = 60
_LIFE_S_MAX: Final = 315_360_000


class CodesBody(Body, frozen=True, kw_only=True):
    """Which codes to make."""

    priority: Annotated[int, Meta(ge=0, le=LANES[-1], description="3 goes first")] | None = None
    uses: Annotated[
        int, Meta(ge=0, le=USES_MAX, description="for how many places each is good; 0: any number")
    ] = 1
    expires_in_seconds: Annotated[int, Meta(ge=_LIFE_S_MIN, le=_LIFE_S_MAX)] = _WEEK_S
    count: Annotated[int, Meta(ge=1, le=COUNT_MAX)] = 1


class CodeView(Struct, frozen=True):
    """A code and what it gives; `priority` null: an invitation alone."""

    code: str
    priority: int | None
    uses: int
    expires_at: str


class CodeList(Struct, frozen=True):
    """The codes that were made; they are not shown again."""

    queue_id: str
    codes: list[CodeView]


class CodesResource:
    """`/api/v1/admin/queues/{queue_id}/codes`."""

    def __init__(self, office: Office, invitations: Invitations) -> None:
        self.body_bytes_max = office.body_bytes_max
        self._invitations: Final = invitations
        self._proxies: Final = office.proxies
        self._now_ms: Final = office.now_ms

    @operation(
        "Make codes for a room",
        body=CodesBody,
        body_example={"priority": 2, "expires_in_seconds": 604800, "uses": 1, "count": 10},
        answers={
            201: Answer(description="The codes, which are not shown again", body=CodeList),
            400: INVALID,
            404: NO_ROOM,
            **REFUSALS,
        },
        security=ADMIN,
    )
    async def on_post(
        self, req: Request, resp: Response, queue_id: str, *, body: CodesBody
    ) -> None:
        """Make codes that give a priority, or let into a room that is by invitation only."""
        actor = actor_of(req, self._proxies)
        made = await self._invitations.make(queue_id, wish_of(body), actor, now_ms=self._now_ms())
        resp.status = HTTPStatus.CREATED
        resp.set_header("Cache-Control", "no-store")
        resp.data = wire.encode(list_of(queue_id, made))


def add_routes(
    app: App[Any, Any], office: Office, invitations: Invitations
) -> list[tuple[str, object]]:
    """Serve the codes; return the routes."""
    path, resource = "/api/v1/admin/queues/{queue_id}/codes", CodesResource(office, invitations)
    app.add_route(path, resource)
    return [(path, resource)]


def wish_of(body: CodesBody) -> Wish:
    """Return a body in our words."""
    return Wish(
        priority=body.priority,
        uses_max=body.uses,
        life_ms=body.expires_in_seconds * _S_MS,
        count=body.count,
    )


def list_of(room_id: str, made: Sequence[tuple[str, Code]]) -> CodeList:
    """Show codes that were made."""
    return CodeList(
        room_id,
        [
            CodeView(text, code.priority, code.uses_max, wire.moment(code.expires_at_ms))
            for text, code in made
        ],
    )
