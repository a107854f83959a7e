"""`/ticket/{public_id}`: the page on a phone for who holds a paper; its code leads there."""

from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any, Final

from falcon.asgi import Request, Response

from api.http import languages
from api.http.caller import Proxies
from api.http.languages import Language
from api.pages.resources import Facts, Page
from api.tickets import bodies as wire
from api.tickets.bodies import TicketView
from api.tickets.tickets import view_of
from models.errors import UnavailableError
from models.tickets.refusals import TicketNotFoundError
from models.tickets.rules import CompletionReason, Status
from models.tickets.service import TicketService

# A page without scripts is loaded anew by the browser, seldom once it is over.
_REFRESH_S: Final = 15
_REFRESH_OVER_S: Final = 3_600
_OVER: Final = ("completed", "absent", "cancelled", "missing")
# The page of somebody in the hall says nothing of the installation.
_NOTHING: Final = Facts(version="", address="", flower_url="", needs_key=lambda: False)


class TicketPage(Page):
    """`/ticket/{public_id}`: nobody need log in, since nobody can guess the address."""

    name = "ticket"
    script = "ticket.js"
    layout = "holder"

    def __init__(
        self, service: TicketService, proxies: Proxies, *, now_ms: Callable[[], int]
    ) -> None:
        super().__init__(_NOTHING, _nobody, proxies)
        self._service: Final = service
        self._now_ms: Final = now_ms

    async def on_get(  # type: ignore[override]  # this page is one of many: its path says which
        self, req: Request, resp: Response, public_id: str
    ) -> None:
        """Show how the ticket is now; `?lang=` chooses the language from now on."""
        resp.set_headers(self._headers)
        resp.set_header("Cache-Control", "no-store")
        resp.set_header("Referrer-Policy", "no-referrer")  # the address is the ticket
        if lang := req.get_param("lang"):
            self._switch(req, resp, lang)
            return
        language = languages.choose(req, self._languages)
        shown, state = await self._look(public_id)
        if state == "missing":
            resp.status = HTTPStatus.NOT_FOUND
        elif state == "failing":
            resp.status = HTTPStatus.SERVICE_UNAVAILABLE
            resp.set_header("Retry-After", str(_REFRESH_S))
        values = {**self._frame(req, language, None), **_gaps(shown, state, language)}
        self._send(req, resp, language, {**values, "public_id": public_id if shown else ""})

    async def on_head(  # type: ignore[override]  # as above
        self, req: Request, resp: Response, public_id: str
    ) -> None:
        """Send what a GET would, without the page."""
        await self.on_get(req, resp, public_id)

    async def _look(self, public_id: str) -> tuple[TicketView | None, str]:
        if wire.is_id(public_id):
            return None, "missing"  # an id can be guessed
        try:
            shown = await view_of(self._service, public_id, for_staff=False, now_ms=self._now_ms())
        except TicketNotFoundError:
            return None, "missing"
        except UnavailableError:
            return None, "failing"
        return shown, state_of(shown)


def state_of(shown: TicketView) -> str:
    """Return in one word what the page tells; ticket.js says the same."""
    if shown.status is Status.WAITING:
        return "parked" if shown.parked else "waiting" if shown.ahead else "next"
    if getattr(shown, "completion_reason", None) is CompletionReason.CUSTOMER_ABSENT:
        return "absent"
    return shown.status.value


def _gaps(shown: TicketView | None, state: str, language: Language) -> dict[str, str]:
    words = language.script_texts
    known: Mapping[str, Any] = {
        "n": "" if shown is None else language.number(shown.ahead or 0),
        "counter": "" if shown is None else shown.counter_name,
    }
    is_waiting = shown is not None and shown.ahead is not None
    return {
        "state": state,
        "view": "null" if shown is None else wire.encode(shown).decode(),
        "number": "" if shown is None else shown.number_text,
        "counter": known["counter"],
        "procedure": "" if shown is None else shown.procedure_name or "",
        "headline": words[f"holder.{state}"].format(**known),
        "note": words[f"holder.{state}_note"].format(**known),
        "ahead": known["n"],
        "time": _minutes(shown, language),
        "hidden_without_ticket": "" if shown else "hidden",
        "hidden_without_line": "" if is_waiting else "hidden",
        "refresh": str(_REFRESH_OVER_S if state in _OVER else _REFRESH_S),
    }


def _minutes(shown: TicketView | None, language: Language) -> str:
    """Return how long somebody still waits; the page's script says the same."""
    words = language.script_texts
    low = None if shown is None else shown.estimated_wait_low
    high = None if shown is None else shown.estimated_wait_high
    if low is not None and high is not None and low != high:
        return words["holder.range"].format(low=language.number(low), high=language.number(high))
    middle = 0 if shown is None else shown.estimated_wait_time or 0
    return words["holder.minutes" if middle else "holder.soon"].format(n=language.number(middle))


async def _nobody(_req: Request) -> None:
    """Who holds a paper is not logged in."""
