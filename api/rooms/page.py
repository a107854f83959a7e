"""`/wait/{queue_id}`: the page on which visitors wait, take a place, leave, and are led on from.

A GET takes no place, so that who only looks, such as a program that previews links, holds none.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Any, Final

import msgspec
from falcon.asgi import App, Request, Response

from api.auth.limits import RateLimitedError
from api.http import errors, languages
from api.http.caller import Proxies
from api.http.languages import Language
from api.pages.resources import Facts, Page
from api.pages.templates import Markup
from api.rooms.colours import ColoursResource
from api.rooms.page_requests import (
    INSIDE,
    STILL,
    Held,
    address_of,
    give_up,
    held_by,
    keep,
    wants_json,
)
from api.rooms.page_views import View, gaps, view_of, view_of_place
from models.addresses import subscriber_of
from models.errors import (
    ForbiddenError,
    InvalidError,
    StanchionError,
    UnauthenticatedError,
    UnavailableError,
)
from models.rooms.codes import CodeNeededError
from models.rooms.joining import Joining
from models.rooms.refusals import (
    ForeignTokenError,
    MaintenanceError,
    PositionExpiredError,
    PositionNotFoundError,
    RoomClosedError,
    RoomFullError,
)
from models.rooms.registry import Registry
from models.rooms.room import Room, RoomNotFoundError
from models.rooms.service import RoomService
from models.rooms.whereabouts import Entered, Whereabouts

_STILL_RETRY_S: Final = 10
# Who has no code gets in once the room is open to all, and has no reason to ask often.
_UNINVITED_RETRY_S: Final = 60
_STATES: Final = {
    RoomFullError: "full",
    MaintenanceError: "maintenance",
    RoomClosedError: "closed",
}
# A visitor's page says nothing of the installation.
_NOTHING: Final = Facts(version="", address="", flower_url="", needs_key=lambda: False)
_encode: Final = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class WaitFacts:
    """What the page stands on beside the rooms."""

    proxies: Proxies
    parameter: str  # of the address inside, for the token of the session
    now_ms: Callable[[], int]


class WaitPage(Page):
    """`/wait/{queue_id}`: GET shows where somebody stands, POST takes a place as well."""

    name = "wait"
    script = "wait.js"
    layout = "visitor"
    # A crowd loads this page at once: it carries none of the words of the staff's pages.
    spoken = frozenset({"headline", "note", "span", "wait"})

    def __init__(self, about: WaitFacts, registry: Registry, service: RoomService) -> None:
        super().__init__(_NOTHING, _nobody, about.proxies)
        self._about: Final = about
        self._registry: Final = registry
        self._service: Final = service

    async def on_get(  # type: ignore[override]  # this page is one of many: its path says which
        self, req: Request, resp: Response, queue_id: str
    ) -> None:
        """Show the page, or the same as JSON to who prefers that; `?lang=` chooses the language."""
        if lang := req.get_param("lang"):
            self._switch(req, resp, lang)
            return
        language, room = await self._begin(req, resp, queue_id)
        if room is None:
            return
        view = await self._look(req, room, language)
        if view.token is not None:
            self._keep(req, resp, view)
        self._answer(req, resp, language, room, view)

    async def on_head(  # type: ignore[override]  # as above
        self, req: Request, resp: Response, queue_id: str
    ) -> None:
        """Send what a GET would, without the page."""
        await self.on_get(req, resp, queue_id)

    async def on_post(self, req: Request, resp: Response, queue_id: str) -> None:
        """Take a place, or find the one that the token or the cookie stands for."""
        language, room = await self._begin(req, resp, queue_id)
        if room is None:
            return
        view = await self._join(req, room, language)
        if view.token is not None:
            self._keep(req, resp, view)
            if not wants_json(req):
                # A form was sent, so no script runs: from here on the server has the page reloaded.
                resp.status = HTTPStatus.SEE_OTHER
                resp.set_header("Location", address_of(req, still="1"))
                return
        self._answer(req, resp, language, room, view)

    async def on_post_leave(self, req: Request, resp: Response, queue_id: str) -> None:
        """Give the place up; a repeat changes nothing."""
        language, room = await self._begin(req, resp, queue_id)
        if room is None:
            return
        held = held_by(req)
        if held is not None:
            try:
                await self._service.leave(room.id, held.token)
            except UnavailableError:
                raise
            except StanchionError:
                pass  # it is over already
        give_up(resp, room.id)
        if wants_json(req):
            view = view_of(room, language, now_ms=self._about.now_ms(), state="left")
            self._answer(req, resp, language, room, view)
        else:
            resp.status = HTTPStatus.SEE_OTHER
            resp.set_header("Location", address_of(req, left="1"))

    async def refuse(
        self, req: Request, resp: Response, error: RateLimitedError, _params: dict[str, Any]
    ) -> None:
        """Say on the page that many join at the moment; elsewhere, and to programs, as JSON.

        Scripts ask for JSON, so whoever gets here sent the form: the page comes again by itself.
        """
        room_id = req.path.removeprefix("/wait/")
        if room_id == req.path or wants_json(req):
            errors.answer(req, resp, errors.status_of(error), error)
            return
        language, room = await self._begin(req, resp, room_id)
        if room is None:
            return
        resp.status = HTTPStatus.TOO_MANY_REQUESTS
        resp.set_header("Retry-After", str(error.retry_after_s))
        resp.set_header("Refresh", f"{error.retry_after_s}; url={address_of(req)}")
        view = view_of(room, language, now_ms=self._about.now_ms(), state="limited")
        self._answer(req, resp, language, room, view)

    async def _begin(
        self, req: Request, resp: Response, room_id: str
    ) -> tuple[Language, Room | None]:
        """Return the language and the room; no room when people were told that there is none."""
        self._set_headers(resp)
        language = languages.choose(req, self._languages)
        try:
            return language, await self._registry.find(room_id)
        except RoomNotFoundError:
            if wants_json(req):
                raise
            nowhere = Room(id="", name=language.texts["wait.title"], target_url="")
            view = view_of(nowhere, language, now_ms=0, state="missing")
            resp.status = HTTPStatus.NOT_FOUND
            self._answer(req, resp, language, nowhere, view)
            return language, None

    def _set_headers(self, resp: Response) -> None:
        resp.set_headers(self._headers)
        resp.set_header("Cache-Control", "no-store")

    async def _look(self, req: Request, room: Room, language: Language) -> View:
        held, now_ms = held_by(req), self._about.now_ms()
        if held is None:
            state = "left" if req.get_param("left") else "joining"
            return view_of(room, language, now_ms=now_ms, state=state)
        try:
            # A page that the server has reloaded has no other sign of life.
            ask = self._service.beat if req.get_param(STILL) else self._service.status
            found = await ask(room.id, held.token)
        except PositionExpiredError:
            # Who was inside comes for the next time.
            state = "joining" if held.first_position == INSIDE else "expired"
            return view_of(room, language, now_ms=now_ms, state=state)
        except (PositionNotFoundError, UnauthenticatedError, ForeignTokenError):
            # Given up, or a token of before: as somebody who comes for the first time.
            return view_of(room, language, now_ms=now_ms)
        except UnavailableError as error:
            return self._failing(req, room, language, error)
        return self._view(req, language, found, held)

    async def _join(self, req: Request, room: Room, language: Language) -> View:
        held = held_by(req)
        joining = Joining(
            metadata={},
            code=req.get_param("code") or None,
            token=None if held is None else held.token,
            address=subscriber_of(self._proxies.client_address(req)),
        )
        try:
            entered = await self._enter(room, joining)
        except (RoomFullError, MaintenanceError, RoomClosedError) as error:
            return view_of(
                room,
                language,
                now_ms=self._about.now_ms(),
                state=_STATES[type(error)],
                retry_after_s=error.retry_after_s,
            )
        except CodeNeededError:
            return view_of(
                room,
                language,
                now_ms=self._about.now_ms(),
                state="uninvited",
                retry_after_s=_UNINVITED_RETRY_S,
            )
        except UnavailableError as error:
            return self._failing(req, room, language, error)
        return self._view(req, language, entered.whereabouts, None if entered.is_new else held)

    async def _enter(self, room: Room, joining: Joining) -> Entered:
        """Join, with a code that is none or over as somebody without one."""
        try:
            return await self._service.join(room.id, joining)
        except (InvalidError, ForbiddenError):
            if joining.code is None:
                raise
        return await self._service.join(room.id, replace(joining, code=None))

    def _view(
        self, req: Request, language: Language, found: Whereabouts, held: Held | None
    ) -> View:
        return view_of_place(
            found,
            language,
            now_ms=self._about.now_ms(),
            first_position=None if held is None else held.first_position,
            to=req.get_param("to"),
            parameter=self._about.parameter,
        )

    def _failing(
        self, req: Request, room: Room, language: Language, error: UnavailableError
    ) -> View:
        """Return what people see while the line is away; programs are told as elsewhere."""
        if wants_json(req):
            raise error
        now_ms, retry_after_s = self._about.now_ms(), error.retry_after_s
        return view_of(room, language, now_ms=now_ms, state="failing", retry_after_s=retry_after_s)

    def _keep(self, req: Request, resp: Response, view: View) -> None:
        assert view.token is not None
        held = Held(view.token, view.first_position)
        keep(resp, view.queue_id, held, is_secure=self._proxies.is_secure(req))

    def _answer(
        self, req: Request, resp: Response, language: Language, room: Room, view: View
    ) -> None:
        resp.append_header("Vary", "Accept, Authorization")
        if wants_json(req):
            resp.data = _encode(view)
            resp.content_type = "application/json"
            return
        if view.redirect_url is not None:
            resp.set_header("Refresh", f"0; url={view.redirect_url}")
            resp.set_header("Referrer-Policy", "no-referrer")
        elif req.get_param(STILL):
            again_s = min(_STILL_RETRY_S, view.heartbeat_interval_seconds)
            resp.set_header("Refresh", str(max(1, again_s)))
        if view.state == "failing":
            resp.status = HTTPStatus.SERVICE_UNAVAILABLE
            resp.set_header("Retry-After", str(view.retry_after_seconds or 1))
        here = f"/wait/{room.id}" if room.id else "/wait"
        other = next(each for each in self._languages if each is not language)
        version = f"{room.created_at_ms}.{room.version}"
        values = {
            **self._frame(req, language, None),
            **gaps(view, language),
            "title": view.title or view.name,
            "view": _encode(view).decode(),
            "switch": address_of(req, keeps_still=True, lang=other.name),
            "join": address_of(req),
            "leave": f"{here}/leave",
            # A room's id is plain, so that it may stand in HTML as it is.
            "colours": Markup(
                f'<link rel="stylesheet" href="{here}/colours.css?v={version}">' if room.id else ""
            ),
        }
        self._send(req, resp, language, values)

    def _switch(self, req: Request, resp: Response, lang: str) -> None:
        """Remember a language and lead back to the page as it was."""
        self._set_headers(resp)
        chosen = next((each for each in self._languages if each.name == lang), None)
        if chosen:
            languages.remember(resp, chosen, is_secure=self._proxies.is_secure(req))
        resp.status = HTTPStatus.SEE_OTHER
        resp.set_header("Location", address_of(req, keeps_still=True))


def add_routes(
    app: App[Any, Any], about: WaitFacts, registry: Registry, service: RoomService
) -> None:
    """Serve the visitors' page of every room."""
    page = WaitPage(about, registry, service)
    app.add_route("/wait/{queue_id}", page)
    app.add_error_handler(RateLimitedError, page.refuse)
    app.add_route("/wait/{queue_id}/leave", page, suffix="leave")
    app.add_route("/wait/{queue_id}/colours.css", ColoursResource(registry))


async def _nobody(_req: Request) -> None:
    """Visitors are not logged in."""
