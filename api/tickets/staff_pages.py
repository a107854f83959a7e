"""The pages of staff: `/officer`, a counter, and `/ops/tickets`, the halls."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final
from urllib.parse import quote

import msgspec
from falcon.asgi import Request, Response

from api.access import Access
from api.auth.callers import Caller
from api.languages import Language
from api.ops.console import ConsolePage
from api.pages import Facts, Page
from api.tickets.callers import is_staff, staff_of
from api.tickets.hall_bodies import CounterView, counter_view
from models.errors import UnauthenticatedError
from models.tickets.service import TicketService

_encode: Final = msgspec.json.Encoder().encode


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Where somebody works, and every counter there is to choose from."""

    counter_id: int | None
    is_bound: bool  # an officer has the own counter and no other
    counters: list[CounterView]


@dataclass(frozen=True, slots=True)
class StaffFacts:
    """What the page stands on beside what every page does."""

    access: Access
    service: TicketService
    now_ms: Callable[[], int]


class StaffPage(Page):
    """A page for users: who is not logged in is led to the log-in and back."""

    def __init__(self, facts: Facts, about: StaffFacts) -> None:
        super().__init__(facts, about.access.name_of, about.access.proxies)
        self._about: Final = about

    async def on_get(self, req: Request, resp: Response) -> None:
        """Send the page, or lead to the log-in."""
        if req.get_param("lang") is None and await self._caller(req) is None:
            resp.status = HTTPStatus.SEE_OTHER
            resp.set_header("Location", f"/login?next={quote(req.path)}")
            resp.set_header("Cache-Control", "no-store")
            return
        await super().on_get(req, resp)

    async def _caller(self, req: Request) -> Caller | None:
        """Return who is logged in; nobody is whose session is over."""
        try:
            return await self._about.access.callers.user_of(req)
        except UnauthenticatedError:
            return None


class OfficerPage(StaffPage):
    """`/officer`: a counter."""

    name = "officer"
    script = "officer.js"

    async def values(
        self, req: Request, language: Language, user_name: str | None
    ) -> Mapping[str, str]:
        """Return where the caller works and how it is there."""
        del language, user_name
        caller = await self._caller(req)
        may = is_staff(caller)
        place = Place(counter_id=None, is_bound=True, counters=[])
        if caller is not None and may:
            staff = staff_of(caller)
            hall = await self._about.service.hall(now_ms=self._about.now_ms())
            place = Place(
                counter_id=staff.counter_id,
                is_bound=staff.is_bound,
                counters=[counter_view(desk) for desk in hall.desks],
            )
        return {
            "place": _encode(place).decode(),
            "hidden_from_staff": "hidden" if may else "",
            "hidden_from_others": "" if may else "hidden",
        }


class HallPage(ConsolePage):
    """`/ops/tickets`: the halls, for supervisors and admins; the script asks for what it shows."""

    name = "hall"
    script = "hall_page.js"
    way = "tickets"
