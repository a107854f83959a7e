"""Counters over HTTP: shown, made, changed, paused; and the next one is called."""

from collections.abc import Callable
from http import HTTPStatus
from typing import Final

from falcon.asgi import Request, Response

from api.auth.access import Access
from api.openapi.operations import Answer, operation
from api.people.bodies import TicketsError
from api.tickets import bodies as wire
from api.tickets import hall_bodies as halls
from api.tickets.callers import acting_of
from api.tickets.tickets import INVALID, REFUSALS, UNKNOWN
from models.errors import InvalidError
from models.tickets.hall_service import HallService
from models.tickets.refusals import CounterNotFoundError
from models.tickets.rules import Counter, Desk
from models.tickets.service import TicketService

HALL: Final = ("Bearer", "Session", "ApiKey")
TAKEN: Final = Answer(description="The name is taken", body=TicketsError)
_SHOWN: Final = Answer(description="The counter", body=halls.CounterView)
_CLOSED: Final = Answer(description="The counter is closed", body=TicketsError)


class _Resource:
    def __init__(
        self,
        service: TicketService,
        hall: HallService,
        access: Access,
        *,
        body_bytes_max: int,
        now_ms: Callable[[], int],
    ) -> None:
        self.body_bytes_max = body_bytes_max
        self._service: Final = service
        self._hall: Final = hall
        self._access: Final = access
        self._now_ms: Final = now_ms

    async def _show(self, counter: Counter) -> halls.CounterView:
        hall = await self._service.hall(now_ms=self._now_ms())
        found = [each for each in hall.desks if each.counter.id == counter.id]
        return halls.counter_view(found[0] if found else Desk(counter=counter))


class CountersResource(_Resource):
    """`/counters`."""

    @operation(
        "List the counters",
        query=halls.CounterQuery,
        answers={
            200: Answer(description="The counters", body=halls.CounterList),
            400: INVALID,
        },
    )
    async def on_get(self, _req: Request, resp: Response, *, query: halls.CounterQuery) -> None:
        """Return the counters by age, with who is at each and how many wait."""
        hall = await self._service.hall(now_ms=self._now_ms())
        resp.data = wire.encode(
            halls.CounterList(
                [
                    halls.counter_view(each)
                    for each in hall.desks
                    if query.branch_id in {None, each.counter.branch_id}
                ]
            )
        )

    @operation(
        "Make a counter",
        body=halls.NewCounterBody,
        body_example={"name": "Quầy Tư pháp"},
        answers={201: _SHOWN, 400: INVALID, **REFUSALS, 404: UNKNOWN, 409: TAKEN},
        security=HALL,
    )
    async def on_post(self, req: Request, resp: Response, *, body: halls.NewCounterBody) -> None:
        """Make a counter, which takes people at once."""
        values = {name: each for name, each in halls.given(body).items() if name != "branch_id"}
        made = await self._hall.add_counter(
            values,
            acting_of(req, self._access.proxies),
            branch_id=body.branch_id,
            now_ms=self._now_ms(),
        )
        resp.status = HTTPStatus.CREATED
        resp.data = wire.encode(await self._show(made))


class CounterResource(_Resource):
    """`/counters/{counter_id}`."""

    @operation("Show a counter", answers={200: _SHOWN, 404: UNKNOWN})
    async def on_get(self, _req: Request, resp: Response, counter_id: str) -> None:
        """Return a counter, who is there, and who is set aside."""
        counter = await self._hall.counter(id_of(counter_id))
        resp.data = wire.encode(await self._show(counter))

    @operation(
        "Change a counter",
        body=halls.CounterBody,
        body_example={"status": "offline"},
        answers={200: _SHOWN, 400: INVALID, **REFUSALS, 404: UNKNOWN, 409: TAKEN},
        security=HALL,
    )
    async def on_patch(
        self, req: Request, resp: Response, counter_id: str, *, body: halls.CounterBody
    ) -> None:
        """Rename, open or close a counter, or change how its lines become one."""
        changed = await self._hall.change_counter(
            id_of(counter_id),
            body.values(),
            acting_of(req, self._access.proxies),
            now_ms=self._now_ms(),
        )
        resp.data = wire.encode(await self._show(changed))


class CallNextResource(_Resource):
    """`/counters/{counter_id}/call-next`."""

    @operation(
        "Call the next",
        answers={
            200: Answer(description="Who is called", body=wire.MovedTicket),
            **REFUSALS,
            404: Answer(description="No such counter, or nobody waits", body=TicketsError),
            409: Answer(description="Somebody called is not served yet", body=TicketsError),
        },
        security=HALL,
    )
    async def on_post(self, req: Request, resp: Response, counter_id: str) -> None:
        """Call whoever is next; who is served there is done with. No two call the same."""
        done = await self._service.call_next(
            id_of(counter_id), acting_of(req, self._access.proxies), now_ms=self._now_ms()
        )
        resp.data = wire.encode(wire.moved(done))


class PauseResource(_Resource):
    """`/counters/{counter_id}/pause`."""

    @operation(
        "Pause a counter",
        body=halls.PauseBody,
        body_example={"reason": "Đi họp", "until": "2026-01-31T11:30:00Z"},
        answers={200: _SHOWN, 400: INVALID, **REFUSALS, 404: UNKNOWN, 409: _CLOSED},
        security=HALL,
    )
    async def on_post(
        self, req: Request, resp: Response, counter_id: str, *, body: halls.PauseBody
    ) -> None:
        """Pause a counter: who waits stays in line, and nobody new gets a ticket for it."""
        now_ms = self._now_ms()
        until_ms = None if body.until is None else int(body.until.timestamp() * 1000)
        if until_ms is not None and until_ms <= now_ms:
            raise InvalidError({"until": "Expected a moment to come"})
        paused = await self._hall.pause(
            id_of(counter_id),
            acting_of(req, self._access.proxies),
            reason=body.reason,
            until_ms=until_ms,
            now_ms=now_ms,
        )
        resp.data = wire.encode(await self._show(paused))


class ResumeResource(_Resource):
    """`/counters/{counter_id}/resume`."""

    @operation(
        "End a pause",
        answers={200: _SHOWN, **REFUSALS, 404: UNKNOWN, 409: _CLOSED},
        security=HALL,
    )
    async def on_put(self, req: Request, resp: Response, counter_id: str) -> None:
        """Let a counter take people again; a repeat changes nothing."""
        resumed = await self._hall.resume(
            id_of(counter_id), acting_of(req, self._access.proxies), now_ms=self._now_ms()
        )
        resp.data = wire.encode(await self._show(resumed))

    on_post = on_put  # as the pause is spelled


def id_of(text: str) -> int:
    """Return the id of a counter in an address; raises CounterNotFoundError."""
    if not wire.is_id(text):
        raise CounterNotFoundError(text)
    return int(text)
