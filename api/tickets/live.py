"""The live side of tickets: Socket.IO at the namespace `/ws/queue`, in the contract's words.

Who connects is told the state, then what happens, with an offset by which a client that was away is
caught up. A client hears every counter, those of a branch, or one.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import msgspec

from api.auth.callers import Caller
from api.auth.table import TICKETS_SOCKET
from api.live.channel import EVERYBODY, Admission, Channel, Reply
from api.live.channel import Request as Asked
from api.tickets.bodies import ID_MAX, is_id
from api.tickets.waiting import WaitingQuery, waiting_list
from models.errors import InvalidError
from models.events import Event
from models.tickets.facts import DOMAIN, seconds_utc
from models.tickets.refusals import BranchNotFoundError, CounterNotFoundError
from models.tickets.service import TicketService

_ALL: Final = "all"
_BRANCH: Final = "branch:"
_COUNTER: Final = "counter:"
_HALL: Final = "hall:"  # whoever hears anything of a branch: for what concerns all of it
# What a client's script writes for what it does not have.
_NOTHING: Final = ("", "undefined", "null")
_STATE: Final = "initial-queue-state"


class TicketsLive:
    """What displays, kiosks and officers are told while they are connected."""

    def __init__(self, service: TicketService, now_ms: Callable[[], int]) -> None:
        self._service: Final = service
        self._now_ms: Final = now_ms

    def channel(self) -> Channel:
        """Return the channel."""
        return Channel(
            domain=DOMAIN,
            at=TICKETS_SOCKET,
            admit=self._admit,
            rejoin=_rejoin,
            initial=self._initial,
            rooms_of=_rooms_of,
            handlers={
                "subscribe-counter": self._subscribe,
                "unsubscribe-counter": self._unsubscribe,
                "heartbeat": self._heartbeat,
            },
        )

    async def _admit(self, _caller: Caller, asked: Mapping[str, Any]) -> Admission:
        return Admission(rooms=await self._rooms(asked))

    async def _initial(self, admission: Admission) -> Sequence[Event]:
        return [Event(_STATE, await self._state(admission.rooms))]

    async def _subscribe(self, asked: Asked) -> Reply:
        """Hear one counter and no others; the answer is how it is there."""
        data = asked.data if isinstance(asked.data, dict) else {}
        if _id(data, "counter_id") is None:
            raise InvalidError({"counter_id": "Required"})
        rooms = await self._rooms({"counter_id": data["counter_id"]})
        return Reply("subscribed-counter", await self._state(rooms), rooms=rooms)

    async def _unsubscribe(self, _asked: Asked) -> Reply:
        """Hear every counter again."""
        rooms = frozenset({_ALL})
        return Reply("unsubscribed-counter", await self._state(rooms), rooms=rooms)

    async def _heartbeat(self, _asked: Asked) -> Reply:
        """Answer a client that wants to know whether somebody is there."""
        return Reply("heartbeat", {"timestamp": seconds_utc(self._now_ms())})

    async def _rooms(self, asked: Mapping[str, Any]) -> frozenset[str]:
        """Return where somebody is who asks for a counter, a branch, or neither."""
        counter_id, branch_id = _id(asked, "counter_id"), _id(asked, "branch_id")
        if counter_id is None and branch_id is None:
            return frozenset({_ALL})
        hall = await self._service.hall(now_ms=self._now_ms())
        if counter_id is not None:
            branches = [
                desk.counter.branch_id for desk in hall.desks if desk.counter.id == counter_id
            ]
            if not branches:
                raise CounterNotFoundError(counter_id)
            return frozenset({f"{_COUNTER}{counter_id}", f"{_HALL}{branches[0]}"})
        assert branch_id is not None
        if all(branch.id != branch_id for branch in hall.branches):
            raise BranchNotFoundError(branch_id)
        return frozenset({f"{_BRANCH}{branch_id}", f"{_HALL}{branch_id}"})

    async def _state(self, rooms: frozenset[str]) -> dict[str, object]:
        """Return the waiting list of what somebody hears."""
        hall = await self._service.hall(now_ms=self._now_ms())
        query = WaitingQuery(
            counter_id=_named(rooms, _COUNTER),
            branch_id=_named(rooms, _BRANCH),
            include_details=True,
        )
        state: dict[str, object] = msgspec.to_builtins(waiting_list(hall, query))
        return state


async def _rejoin(_caller: Caller, _admission: Admission, chosen: frozenset[str]) -> frozenset[str]:
    return chosen  # a display may hear any counter


def _rooms_of(event: Event) -> Sequence[str]:
    """Return whom an event concerns: its counter, or everybody of its branch."""
    branch_id = event.data.get("branch_id")
    about: Any = event.data.get("ticket") or event.data.get("counter")
    if not isinstance(about, dict):
        return (EVERYBODY,) if branch_id is None else (_ALL, f"{_HALL}{branch_id}")
    ids = [about.get(name) for name in ("counter_id", "old_counter_id")]
    if "counter" in event.data:
        ids = [about["id"]]
    counters = [f"{_COUNTER}{each}" for each in ids if each is not None]
    return (_ALL, f"{_BRANCH}{branch_id}", *counters)


def _named(rooms: frozenset[str], kind: str) -> int | None:
    return next((int(each.removeprefix(kind)) for each in rooms if each.startswith(kind)), None)


def _id(asked: Mapping[str, Any], name: str) -> int | None:
    """Return an id that a client names, as a number or as text; raises InvalidError."""
    shown = asked.get(name)
    if shown is None or (isinstance(shown, str) and shown in _NOTHING):
        return None
    if isinstance(shown, str) and is_id(shown):
        shown = int(shown)
    if not isinstance(shown, int) or isinstance(shown, bool) or not 0 < shown <= ID_MAX:
        raise InvalidError({name: "Expected an id"})
    return shown
