"""The pages of staff: `/officer`, a counter, and `/ops/tickets`, the halls."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import msgspec
from falcon.asgi import Request

from api.auth.access import Access
from api.http.languages import Language
from api.ops.console import ConsolePage
from api.pages.resources import Facts
from api.pages.user_page import UserPage
from api.tickets.callers import is_staff, staff_of
from api.tickets.hall_bodies import CounterView, counter_view
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


class OfficerPage(UserPage):
    """`/officer`: a counter."""

    name = "officer"
    script = "officer.js"

    def __init__(self, facts: Facts, about: StaffFacts) -> None:
        super().__init__(facts, about.access)
        self._about: Final = about

    async def values(
        self, req: Request, language: Language, user_name: str | None
    ) -> Mapping[str, str]:
        """Return where the caller works and how it is there."""
        del language, user_name
        caller = await self.caller(req)
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
