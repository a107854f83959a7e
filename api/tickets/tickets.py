"""Tickets over HTTP: handed out, shown, and moved by officers."""

from collections.abc import Callable
from http import HTTPStatus
from typing import Final

from falcon.asgi import Request, Response

from api.auth.access import Access
from api.openapi.operations import Answer, operation
from api.people.bodies import TicketsError
from api.tickets import bodies as wire
from api.tickets.callers import acting_of, is_staff
from models.tickets.calibrations import Estimate
from models.tickets.desks import Hall
from models.tickets.estimates import estimates
from models.tickets.refusals import TicketNotFoundError
from models.tickets.rules import Status, Ticket
from models.tickets.service import TicketService

_STAFF: Final = ("Bearer", "Session", "ApiKey")
INVALID: Final = Answer(description="A field is wrong, or this cannot be", body=TicketsError)
UNKNOWN: Final = Answer(description="There is no such thing", body=TicketsError)
TOO_OFTEN: Final = Answer(description="Too many requests; see Retry-After", body=TicketsError)
REFUSALS: Final = {
    401: Answer(description="Nobody is logged in", body=TicketsError),
    403: Answer(description="The counter is another officer's", body=TicketsError),
}
_MOVED: Final = {
    200: Answer(description="The ticket as it is now", body=wire.MovedTicket),
    400: INVALID,
    **REFUSALS,
    404: UNKNOWN,
    429: TOO_OFTEN,
}


class _Resource:
    def __init__(
        self,
        service: TicketService,
        access: Access,
        *,
        body_bytes_max: int,
        now_ms: Callable[[], int],
    ) -> None:
        self.body_bytes_max = body_bytes_max
        self._service: Final = service
        self._access: Final = access
        self._now_ms: Final = now_ms


class TicketsResource(_Resource):
    """`/tickets`."""

    @operation(
        "Take a ticket",
        body=wire.NewTicketBody,
        body_example={"counter_id": 1, "procedure_id": 123, "priority": "normal"},
        answers={
            201: Answer(description="The ticket", body=wire.IssuedTicket),
            400: INVALID,
            409: Answer(description="The hall is closed", body=TicketsError),
            429: TOO_OFTEN,
        },
    )
    async def on_post(self, _req: Request, resp: Response, *, body: wire.NewTicketBody) -> None:
        """Hand out a ticket whose number nobody else has on this day; 201 means it is on disk."""
        made = await self._service.issue(
            body.new(), branch_id=body.branch_id, now_ms=self._now_ms()
        )
        resp.status = HTTPStatus.CREATED
        resp.data = wire.encode(wire.issued(made))


class TicketResource(_Resource):
    """`/tickets/{ticket_id}`."""

    @operation(
        "Show a ticket",
        answers={200: Answer(description="The ticket", body=wire.TicketView), 404: UNKNOWN},
    )
    async def on_get(self, req: Request, resp: Response, ticket_id: str) -> None:
        """Return a ticket by its id or by what its paper says, and how many are before it."""
        now_ms = self._now_ms()
        # First of all whether there is one: nobody is refused at what is not there.
        shown = await view_of(self._service, ticket_id, for_staff=False, now_ms=now_ms)
        if is_staff(await self._access.guard.caller_of(req)):
            shown = await view_of(self._service, ticket_id, for_staff=True, now_ms=now_ms)
        resp.set_header("Cache-Control", "no-store")
        resp.data = wire.encode(shown)

    @operation(
        "Move a ticket",
        body=wire.MoveBody,
        body_example={"status": "called"},
        answers=_MOVED,
        security=_STAFF,
    )
    async def on_patch(
        self, req: Request, resp: Response, ticket_id: str, *, body: wire.MoveBody
    ) -> None:
        """Bring a ticket to another status: called, serving, completed or cancelled."""
        done = await self._service.move(
            _id(ticket_id),
            body.move(),
            acting_of(req, self._access.proxies),
            now_ms=self._now_ms(),
        )
        resp.data = wire.encode(wire.moved(done))


class RecallResource(_Resource):
    """`/tickets/{ticket_id}/recall`."""

    @operation("Call again", answers=_MOVED, security=_STAFF)
    async def on_post(self, req: Request, resp: Response, ticket_id: str) -> None:
        """Announce a ticket again that was called; its calls are counted."""
        done = await self._service.recall(
            _id(ticket_id), acting_of(req, self._access.proxies), now_ms=self._now_ms()
        )
        resp.data = wire.encode(wire.moved(done))


class NoShowResource(_Resource):
    """`/tickets/{ticket_id}/no-show`."""

    @operation(
        "Note that nobody came",
        body=wire.NotesBody,
        body_reader=wire.read_notes,
        answers=_MOVED,
        security=_STAFF,
    )
    async def on_post(
        self, req: Request, resp: Response, ticket_id: str, *, body: wire.NotesBody
    ) -> None:
        """Cancel a ticket that was called three times, as `customer_absent`."""
        done = await self._service.no_show(
            _id(ticket_id),
            acting_of(req, self._access.proxies),
            notes=wire.checked_notes(body.notes),
            now_ms=self._now_ms(),
        )
        resp.data = wire.encode(wire.moved(done))


class ParkResource(_Resource):
    """`/tickets/{ticket_id}/park`."""

    @operation(
        "Set a ticket aside",
        body=wire.NotesBody,
        body_reader=wire.read_notes,
        answers=_MOVED,
        security=_STAFF,
    )
    async def on_post(
        self, req: Request, resp: Response, ticket_id: str, *, body: wire.NotesBody
    ) -> None:
        """Set a ticket aside, such as while its holder fetches a paper; it keeps its place."""
        done = await self._service.park(
            _id(ticket_id),
            acting_of(req, self._access.proxies),
            notes=wire.checked_notes(body.notes),
            now_ms=self._now_ms(),
        )
        resp.data = wire.encode(wire.moved(done))


class ReturnResource(_Resource):
    """`/tickets/{ticket_id}/return`."""

    @operation("Let a ticket return", answers=_MOVED, security=_STAFF)
    async def on_post(self, req: Request, resp: Response, ticket_id: str) -> None:
        """Put a ticket that was set aside back to its place in the line."""
        done = await self._service.unpark(
            _id(ticket_id), acting_of(req, self._access.proxies), now_ms=self._now_ms()
        )
        resp.data = wire.encode(wire.moved(done))


class TransferResource(_Resource):
    """`/tickets/{ticket_id}/transfer`."""

    @operation(
        "Send a ticket to another counter",
        body=wire.TransferBody,
        body_example={"counter_id": 2},
        answers=_MOVED,
        security=_STAFF,
    )
    async def on_post(
        self, req: Request, resp: Response, ticket_id: str, *, body: wire.TransferBody
    ) -> None:
        """Put a ticket into another counter's line, where it stands by when it was taken."""
        done = await self._service.transfer(
            _id(ticket_id),
            body.counter_id,
            acting_of(req, self._access.proxies),
            notes=wire.checked_notes(body.notes),
            now_ms=self._now_ms(),
        )
        resp.data = wire.encode(wire.moved(done))


async def view_of(
    service: TicketService, ticket_id: str, *, for_staff: bool, now_ms: int
) -> wire.TicketView:
    """Return a ticket as its page shows it, by its id or by what its paper says.

    Raises TicketNotFoundError.
    """
    ticket, counter = await service.get(int(ticket_id) if wire.is_id(ticket_id) else ticket_id)
    ahead = wait = None
    if ticket.status is Status.WAITING and not ticket.is_parked:
        ahead, wait = _place(await service.hall(now_ms=now_ms), ticket)
    return wire.view(ticket, counter, ahead=ahead, wait=wait, for_staff=for_staff)


def _place(hall: Hall, ticket: Ticket) -> tuple[int | None, Estimate | None]:
    """Return how many are called before a ticket, and how long that will take."""
    for desk in hall.desks:
        if desk.counter.id == ticket.counter_id:
            line = desk.line
            for ahead, each in enumerate(line):
                if each.id == ticket.id:
                    waits = estimates(desk, line[: ahead + 1], now_ms=hall.as_of_ms)
                    return ahead, waits[ahead]
    return None, None


def _id(text: str) -> int:
    """Return the id in an address; raises TicketNotFoundError."""
    if not wire.is_id(text):
        raise TicketNotFoundError(text)
    return int(text)
