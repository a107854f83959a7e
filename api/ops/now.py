"""`GET /api/ops/now`: the few numbers that the start page shows to everybody."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Final

import msgspec
from falcon.asgi import Request, Response

from api.auth.guard import Guard
from api.http.languages import Language
from api.openapi.operations import Answer, operation
from api.ops.bodies import (
    NowMail,
    NowMessages,
    NowRooms,
    NowTickets,
    NowView,
    OverviewView,
    RoomLine,
)
from api.ops.overview import Overview
from models.people.rules import Role

# Whoever asks, and however many do: nobody makes the stores count more often.
_KEPT_MS: Final = 2_000
# The page does not wait for a store that hangs.
_PATIENCE_S: Final = 0.5
_MAIL_READERS: Final = (Role.ADMIN, Role.OPERATOR, Role.VIEWER)
_encode: Final = msgspec.json.Encoder().encode


class Now:
    """The overview in a few numbers, looked at every two seconds at most."""

    def __init__(self, overview: Overview, guard: Guard, *, now_ms: Callable[[], int]) -> None:
        self._guard: Final = guard
        self._overview: Final = overview
        self._now_ms: Final = now_ms
        self._lock: Final = asyncio.Lock()
        self._kept: tuple[int, NowView] | None = None

    async def view(self) -> NowView:
        """Return the numbers of two seconds ago or later; takes some 2 s at most."""
        async with self._lock:
            if self._kept is None or not 0 <= self._now_ms() - self._kept[0] < _KEPT_MS:
                view = _short(await self._overview.view())
                self._kept = self._now_ms(), view
            return self._kept[1]

    async def view_for(self, req: Request) -> NowView:
        """Return the numbers as the caller may see them: the mail is for its readers alone."""
        view = await self.view()
        caller = await self._guard.caller_of(req)
        user = None if caller is None else caller.user
        if user is None or user.role not in _MAIL_READERS:
            view = msgspec.structs.replace(view, mail=None)
        return view

    async def sentences(self, language: Language) -> Mapping[str, str]:
        """Return what the start page says of each domain to whoever is no staff."""
        try:
            view = await asyncio.wait_for(self.view(), _PATIENCE_S)
        except TimeoutError:
            view = NowView(at="")
        told = {"messages": view.messages, "rooms": view.rooms, "tickets": view.tickets}
        words = language.script_texts
        return {
            "mail": words["now.mail_guest"],
            **{name: _sentence(language, name, numbers) for name, numbers in told.items()},
        }


class NowResource:
    """`/api/ops/now`."""

    def __init__(self, now: Now) -> None:
        self._now: Final = now

    @operation(
        "Show how many wait",
        answers={200: Answer(description="A few numbers", body=NowView)},
    )
    async def on_get(self, req: Request, resp: Response) -> None:
        """Return how many wait in each kind of queue, two seconds old at most.

        What cannot be seen is null, and so is the mail for whoever may not read it.
        """
        resp.set_header("Cache-Control", "no-store")
        resp.data = _encode(await self._now.view_for(req))


def _short(seen: OverviewView) -> NowView:
    messages, mail, tickets = seen.messages, seen.mail, seen.tickets
    return NowView(
        at=seen.at,
        messages=None
        if messages is None
        else NowMessages(waiting=messages.queued, working=messages.processing, dead=messages.dead),
        rooms=_rooms(seen.rooms),
        mail=None if mail is None else NowMail(waiting=mail.messages, hosts=len(mail.hosts)),
        tickets=None
        if tickets is None
        else NowTickets(waiting=tickets.waiting, open=tickets.counters_open),
    )


def _rooms(lines: list[RoomLine] | None) -> NowRooms | None:
    if lines is None or any(each.waiting is None for each in lines):
        return None
    return NowRooms(
        waiting=sum(each.waiting or 0 for each in lines),
        inside=sum(each.inside or 0 for each in lines),
        open=sum(each.status == "active" for each in lines),
        all=len(lines),
    )


def _sentence(language: Language, name: str, numbers: msgspec.Struct | None) -> str:
    if numbers is None:
        return language.script_texts["now.unknown"]
    sentence = language.script_texts[f"now.{name}"]
    for field, value in msgspec.structs.asdict(numbers).items():
        sentence = sentence.replace(f"{{{field}}}", language.number(value))
    return sentence
