"""The screens of a hall: `/kiosk`, which hands out tickets, and `/display`, which calls them.

Both need no log-in: what they show hangs on the wall, and what they do anybody in the hall may.
"""

import io
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Final

import msgspec
import segno
from falcon.asgi import Request, Response

from api.http.caller import Proxies
from api.http.languages import Language
from api.pages.resources import Facts, Page, origin_of
from api.tickets.bodies import is_id
from api.tickets.hall_bodies import procedure_view
from api.tickets.waiting import WaitingQuery, waiting_list
from models.errors import UnavailableError
from models.tickets.hall_service import HallService
from models.tickets.refusals import TicketNotFoundError
from models.tickets.service import TicketService

_NOTHING: Final = Facts(version="", address="", flower_url="", needs_key=lambda: False)
_CODE_SCALE: Final = 8  # pixels of a module, before the page sizes it
_encode: Final = msgspec.json.Encoder().encode


class ScreenPage(Page):
    """A page of the hall, rendered with what the hall is at this moment."""

    layout = "screen"

    def __init__(
        self,
        service: TicketService,
        halls: HallService,
        proxies: Proxies,
        *,
        now_ms: Callable[[], int],
    ) -> None:
        super().__init__(_NOTHING, _nobody, proxies)
        self._service: Final = service
        self._halls: Final = halls
        self._now_ms: Final = now_ms


class KioskPage(ScreenPage):
    """`/kiosk`: what somebody came for, then a number and a paper."""

    name = "kiosk"
    script = "kiosk.js"

    async def values(
        self, req: Request, language: Language, user_name: str | None
    ) -> Mapping[str, str]:
        """Return what can be chosen; null while the store is away, the script asks again then."""
        del req, language, user_name
        try:
            hall = await self._service.hall(now_ms=self._now_ms())
            found = await self._halls.procedures()
            counters = {each.id: each for each in await self._halls.counters()}
        except UnavailableError:
            return {"choices": "null"}
        choices = {
            "procedures": [procedure_view(each, counters) for each in found if each.is_active],
            "counters": [{"id": desk.counter.id, "name": desk.counter.name} for desk in hall.desks],
        }
        return {"choices": _encode(choices).decode()}


class DisplayPage(ScreenPage):
    """`/display`: who is called where, and who follows; `?counters=1,2` shows only those."""

    name = "display"
    script = "display.js"

    async def values(
        self, req: Request, language: Language, user_name: str | None
    ) -> Mapping[str, str]:
        """Return how the hall is now, null while that cannot be known."""
        del req, language, user_name
        try:
            hall = await self._service.hall(now_ms=self._now_ms())
        except UnavailableError:
            return {"hall": "null"}
        return {"hall": _encode(waiting_list(hall, WaitingQuery(include_details=True))).decode()}


class CodeResource:
    """`/ticket/{public_id}/code.svg`: what a phone reads off the paper or the kiosk."""

    def __init__(self, service: TicketService, proxies: Proxies, address: str) -> None:
        """`address` is host:port, for who asks without a proper Host."""
        self._service: Final = service
        self._proxies: Final = proxies
        self._address: Final = address

    async def on_get(self, req: Request, resp: Response, public_id: str) -> None:
        """Draw the address of a ticket's page; raises TicketNotFoundError."""
        if is_id(public_id):
            raise TicketNotFoundError(public_id)  # an id can be guessed
        await self._service.get(public_id)
        drawn = io.BytesIO()
        address = f"{origin_of(req, self._proxies, self._address)}/ticket/{public_id}"
        segno.make(address, error="m", micro=False).save(drawn, kind="svg", scale=_CODE_SCALE)
        resp.status = HTTPStatus.OK
        resp.content_type = "image/svg+xml"
        resp.set_header("Cache-Control", "private, max-age=3600")
        resp.set_header("X-Content-Type-Options", "nosniff")
        resp.data = drawn.getvalue()


async def _nobody(_req: Request) -> None:
    return None
