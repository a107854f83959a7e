"""What papers and halls are told of over HTTP: a rating, a paper that failed, an announcement."""

from collections.abc import Callable
from http import HTTPStatus
from typing import Annotated, Final, Literal

from falcon.asgi import Request, Response
from msgspec import Meta, Struct

from api.auth.access import Access
from api.http.reading import Body
from api.openapi.operations import Answer, operation
from api.people.bodies import TicketsError
from api.tickets import bodies as wire
from api.tickets.bodies import Id
from api.tickets.callers import acting_of
from api.tickets.counters import HALL
from api.tickets.tickets import INVALID, REFUSALS, TOO_OFTEN, UNKNOWN
from models.errors import InvalidError
from models.tickets.hall_service import HallService
from models.tickets.rules import Announcement, AnnouncementType, PrintState, check_text
from models.tickets.service import TicketService

_COMMENT_CHARACTERS_MAX: Final = 1_000
_MESSAGE_CHARACTERS_MAX: Final = 500
_SHOWN_S: Final = {AnnouncementType.SYSTEM_MESSAGE: 30, AnnouncementType.EMERGENCY: 120}


class FeedbackBody(Body, frozen=True, kw_only=True):
    """How it was, 5 being best."""

    rating: Annotated[int, Meta(ge=1, le=5)]
    comment: Annotated[str, Meta(max_length=_COMMENT_CHARACTERS_MAX)] | None = None


class FeedbackView(Struct, frozen=True):
    """What was noted."""

    number: int
    rating: int | None


class PrintBody(Body, frozen=True, kw_only=True):
    """What became of the paper."""

    state: PrintState


class PrintView(Struct, frozen=True):
    """What was noted."""

    number: int
    print_state: PrintState | None


class AnnouncementBody(Body, frozen=True, kw_only=True):
    """What to say, to one branch or to all; an emergency is urgent."""

    type: AnnouncementType = AnnouncementType.SYSTEM_MESSAGE
    message: Annotated[str, Meta(min_length=1, max_length=_MESSAGE_CHARACTERS_MAX)]
    message_en: Annotated[str, Meta(min_length=1, max_length=_MESSAGE_CHARACTERS_MAX)] | None = None
    priority: Literal["low", "normal", "high", "urgent"] | None = None
    auto_dismiss: Annotated[int, Meta(ge=1, le=86_400, description="seconds")] | None = None
    branch_id: Id | None = None

    def what(self) -> Announcement:
        """Return it in our words; raises InvalidError."""
        for name, text in (("message", self.message), ("message_en", self.message_en)):
            _check(name, text, _MESSAGE_CHARACTERS_MAX)
        is_urgent = self.type is AnnouncementType.EMERGENCY
        return Announcement(
            type=self.type,
            message=self.message,
            message_en=self.message_en,
            priority=self.priority or ("urgent" if is_urgent else "normal"),
            auto_dismiss_s=self.auto_dismiss or _SHOWN_S[self.type],
        )


class AnnouncementView(Struct, frozen=True):
    """The branches that were told."""

    branch_ids: list[int]


class _Paper:
    def __init__(
        self, service: TicketService, *, body_bytes_max: int, now_ms: Callable[[], int]
    ) -> None:
        self.body_bytes_max = body_bytes_max
        self._service: Final = service
        self._now_ms: Final = now_ms


class FeedbackResource(_Paper):
    """`/tickets/{ticket_id}/feedback`."""

    @operation(
        "Rate a service",
        body=FeedbackBody,
        body_example={"rating": 5},
        answers={
            200: Answer(description="What was noted", body=FeedbackView),
            400: INVALID,
            404: UNKNOWN,
            409: Answer(description="The ticket was not served to its end", body=TicketsError),
            429: TOO_OFTEN,
        },
    )
    async def on_post(
        self, _req: Request, resp: Response, ticket_id: str, *, body: FeedbackBody
    ) -> None:
        """Note how it was for the holder of a paper, by its `public_id`; a repeat replaces it."""
        _check("comment", body.comment, _COMMENT_CHARACTERS_MAX)
        rated = await self._service.rate(
            ticket_id, rating=body.rating, comment=body.comment, now_ms=self._now_ms()
        )
        resp.data = wire.encode(FeedbackView(rated.number, rated.rating))


class PrintResource(_Paper):
    """`/tickets/{ticket_id}/print`."""

    @operation(
        "Note what became of a paper",
        body=PrintBody,
        body_example={"state": "failed"},
        answers={
            200: Answer(description="What was noted", body=PrintView),
            400: INVALID,
            404: UNKNOWN,
            429: TOO_OFTEN,
        },
    )
    async def on_put(
        self, _req: Request, resp: Response, ticket_id: str, *, body: PrintBody
    ) -> None:
        """Note whether a paper came out, by its `public_id`; displays of staff are told."""
        noted = await self._service.note_print(ticket_id, body.state, now_ms=self._now_ms())
        resp.data = wire.encode(PrintView(noted.number, noted.print_state))

    on_post = on_put  # a kiosk that knows two methods


class AnnouncementsResource:
    """`/announcements`."""

    def __init__(
        self,
        hall: HallService,
        access: Access,
        *,
        body_bytes_max: int,
        now_ms: Callable[[], int],
    ) -> None:
        self.body_bytes_max = body_bytes_max
        self._hall: Final = hall
        self._access: Final = access
        self._now_ms: Final = now_ms

    @operation(
        "Say something to a hall",
        body=AnnouncementBody,
        body_example={"type": "system-message", "message": "Nghỉ trưa đến 13:30"},
        answers={
            201: Answer(description="Who was told", body=AnnouncementView),
            400: INVALID,
            **REFUSALS,
            404: UNKNOWN,
        },
        security=HALL,
    )
    async def on_post(self, req: Request, resp: Response, *, body: AnnouncementBody) -> None:
        """Show a message on the displays of a branch or of all; 201 means it is on disk."""
        told = await self._hall.announce(
            body.what(),
            acting_of(req, self._access.proxies),
            branch_id=body.branch_id,
            now_ms=self._now_ms(),
        )
        resp.status = HTTPStatus.CREATED
        resp.data = wire.encode(AnnouncementView(told))


def _check(name: str, text: str | None, characters_max: int) -> None:
    fault = None if text is None else check_text(text, characters_max=characters_max)
    if fault:
        raise InvalidError({name: fault})
