"""The waiting list: what displays show, the same bytes for all who ask for the same."""

from collections.abc import Callable, Sequence
from http import HTTPStatus
from typing import Annotated, Final

from falcon.asgi import Request, Response
from msgspec import UNSET, Meta, Struct, UnsetType

from api.http.reading import Body
from api.openapi.operations import Answer, operation
from api.people.bodies import TicketsError
from api.tickets import bodies as wire
from api.tickets.bodies import Id
from models.tickets.desks import Hall
from models.tickets.estimates import average_service_min, waits_min
from models.tickets.facts import seconds_utc
from models.tickets.refusals import CounterNotFoundError
from models.tickets.rules import CounterStatus, Desk, Priority, number_text
from models.tickets.service import TicketService

_MINUTE_MS: Final = 60_000
_BODIES_MAX: Final = 200


class WaitingQuery(Body, frozen=True, kw_only=True):
    """Which counters, how many tickets of each, and how much about each."""

    counter_id: Id | None = None
    branch_id: Id | None = None
    limit: Annotated[int, Meta(ge=0, le=1_000)] = 50
    include_details: bool = False


class CurrentServing(Struct, frozen=True, kw_only=True):
    """Who is at a counter: called, or being served."""

    ticket_id: int
    number: int
    number_text: str
    status: str
    called_at: str | None
    procedure_name: str | None


class WaitingTicket(Struct, frozen=True, kw_only=True):
    """Somebody in line; `wait_time` is what is still expected, in minutes."""

    ticket_id: int
    number: int
    number_text: str
    priority: Priority
    wait_time: int
    waited_minutes: int
    procedure_name: str | UnsetType | None = UNSET
    procedure_id: int | UnsetType | None = UNSET
    created_at: str | UnsetType = UNSET


class CounterLine(Struct, frozen=True, kw_only=True):
    """A counter and its line."""

    counter_id: int
    counter_name: str
    branch_id: int
    status: CounterStatus
    pause_reason: str | None
    paused_until: str | None
    current_serving: CurrentServing | None
    waiting_queue: list[WaitingTicket]
    total_waiting: int
    average_service_time: int


class WaitingList(Struct, frozen=True, kw_only=True):
    """All counters and their lines, as of `last_updated`."""

    counters: list[CounterLine]
    last_updated: str
    total_waiting_all: int


class OneWaitingList(CounterLine, frozen=True, kw_only=True):
    """The same for one counter, whose fields stand at the top as well."""

    counters: list[CounterLine]
    last_updated: str
    total_waiting_all: int


class WaitingResource:
    """`/tickets/waiting`."""

    body_bytes_max = 0

    def __init__(self, service: TicketService, now_ms: Callable[[], int]) -> None:
        self._service: Final = service
        self._now_ms: Final = now_ms
        self._hall: Hall | None = None
        self._bodies: Final[dict[WaitingQuery, bytes]] = {}

    @operation(
        "Show who waits",
        query=WaitingQuery,
        answers={
            200: Answer(description="The lines of all counters", body=WaitingList),
            304: Answer(description="Nothing changed since that ETag"),
            400: Answer(description="A parameter is wrong", body=TicketsError),
            404: Answer(description="There is no such counter", body=TicketsError),
            429: Answer(description="Too many requests; see Retry-After", body=TicketsError),
        },
    )
    async def on_get(self, req: Request, resp: Response, *, query: WaitingQuery) -> None:
        """Return the lines in the order in which people are called, at most `limit` of each."""
        hall = await self._service.hall(now_ms=self._now_ms())
        body = self._body(hall, query)  # or a list of what is not there would be unchanged
        tag = f'"queue-version-{hall.edition.number}"'
        resp.set_header("ETag", tag)
        resp.set_header("Cache-Control", "no-cache")
        if _knows(req.get_header("If-None-Match"), tag):
            resp.status = HTTPStatus.NOT_MODIFIED
            return
        resp.content_type = "application/json"
        resp.data = body

    def _body(self, hall: Hall, query: WaitingQuery) -> bytes:
        if hall is not self._hall or len(self._bodies) >= _BODIES_MAX:
            self._bodies.clear()
            self._hall = hall
        known = self._bodies.get(query)
        if known is None:
            known = self._bodies[query] = wire.encode(waiting_list(hall, query))
        return known


def waiting_list(hall: Hall, query: WaitingQuery) -> WaitingList | OneWaitingList:
    """Return the list that a query asks for; raises CounterNotFoundError."""
    desks = [desk for desk in hall.desks if query.branch_id in {None, desk.counter.branch_id}]
    total = sum(len(desk.waiting) for desk in desks)
    if query.counter_id is not None:
        desks = [desk for desk in desks if desk.counter.id == query.counter_id]
        if not desks:
            raise CounterNotFoundError(query.counter_id)
    lines = [_line(desk, query, as_of_ms=hall.as_of_ms) for desk in desks]
    last_updated = seconds_utc(hall.as_of_ms)
    if query.counter_id is None:
        return WaitingList(counters=lines, last_updated=last_updated, total_waiting_all=total)
    [line] = lines
    fields = {name: getattr(line, name) for name in CounterLine.__struct_fields__}
    return OneWaitingList(
        counters=lines, last_updated=last_updated, total_waiting_all=total, **fields
    )


def _line(desk: Desk, query: WaitingQuery, *, as_of_ms: int) -> CounterLine:
    counter = desk.counter
    return CounterLine(
        counter_id=counter.id,
        counter_name=counter.name,
        branch_id=counter.branch_id,
        status=counter.status,
        pause_reason=counter.pause_reason,
        paused_until=wire.moment(counter.paused_until_ms),
        current_serving=_current(desk),
        waiting_queue=_waiting(desk, query, as_of_ms=as_of_ms),
        total_waiting=len(desk.waiting),
        average_service_time=average_service_min(desk),
    )


def _current(desk: Desk) -> CurrentServing | None:
    current = desk.current
    if current is None:
        return None
    return CurrentServing(
        ticket_id=current.id,
        number=current.number,
        number_text=number_text(current.number),
        status=current.status.value,
        called_at=wire.moment(current.called_at_ms),
        procedure_name=current.procedure_name,
    )


def _waiting(desk: Desk, query: WaitingQuery, *, as_of_ms: int) -> list[WaitingTicket]:
    line = desk.line[: query.limit]
    waits: Sequence[int] = waits_min(desk, line, now_ms=as_of_ms)
    return [
        WaitingTicket(
            ticket_id=each.id,
            number=each.number,
            number_text=number_text(each.number),
            priority=each.priority,
            wait_time=wait,
            waited_minutes=max(0, as_of_ms - each.created_at_ms) // _MINUTE_MS,
            procedure_name=each.procedure_name if query.include_details else UNSET,
            procedure_id=each.procedure_id if query.include_details else UNSET,
            created_at=seconds_utc(each.created_at_ms) if query.include_details else UNSET,
        )
        for each, wait in zip(line, waits, strict=True)
    ]


def _knows(shown: str | None, tag: str) -> bool:
    """Say whether If-None-Match names a tag, weak or not. Source: RFC 9110, 13.1.2."""
    if shown is None:
        return False
    tags = [each.strip().removeprefix("W/") for each in shown.split(",")]
    return "*" in tags or tag in tags
