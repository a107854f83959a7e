"""Who may stay: what let a live client in is looked at again while the client is connected.

A connection outlives what opened it. A session ends, a token expires, a key is revoked, somebody is
disabled or gets another role: whoever may no longer listen is told so and closed, and whoever is
somebody else by now is closed to come back as who that is.
"""

import asyncio
from typing import Final, Protocol

from api.auth.callers import Caller
from api.auth.table import Who
from api.live.callers import require, standing_of
from api.live.channel import Authenticate, Credentials
from models.errors import StanchionError, UnauthenticatedError, UnavailableError

# Each client is looked at twice in the time that is promised: one that came just after its like
# were looked at is found by the next round.
_ROUNDS: Final = 2

_Group = tuple[Credentials, Who]


class ChangedCallerError(UnauthenticatedError):
    """The credentials are good, and stand for more, less or somebody else since they were shown."""

    code = "changed_caller"

    def __str__(self) -> str:
        return "what you may do has changed: connect again"


class Guest(Protocol):
    """A client that was let in by what it showed."""

    caller: Caller

    @property
    def shown(self) -> Credentials:
        """Return by what it was let in."""

    async def refuse(self, error: StanchionError) -> None:
        """Tell the client why it may no longer be here, and put it out."""


class Rights:
    """Looks again at the credentials of every client of this process, those shared by many once."""

    def __init__(self, find: Authenticate, *, every_s: float) -> None:
        """`every_s`: no later than this after its rights ended a client is closed."""
        self._find: Final = find
        self._every_s: Final = every_s
        self._groups: Final[dict[_Group, set[Guest]]] = {}

    def watch(self, member: Guest, who: Who) -> None:
        """Look after a client, which may be here as one of `who`, until `forget`."""
        self._groups.setdefault((member.shown, who), set()).add(member)

    def forget(self, member: Guest, who: Who) -> None:
        """Look after a client no more; a repeat changes nothing."""
        group = (member.shown, who)
        members = self._groups.get(group, set())
        members.discard(member)
        if not members:
            self._groups.pop(group, None)

    async def run(self) -> None:
        """Go round, until cancelled; the work is spread over the time that a round may take."""
        loop = asyncio.get_running_loop()
        while True:
            groups = list(self._groups)
            step_s = self._every_s / _ROUNDS / (len(groups) + 1)
            due_s = loop.time()
            for group in groups:
                await self._check(group)
                due_s += step_s
                await asyncio.sleep(max(0.0, due_s - loop.time()))
            await asyncio.sleep(step_s)

    async def _check(self, group: _Group) -> None:
        shown, who = group
        try:
            caller = await self._find(shown)
            require(caller, who)
        except UnavailableError:
            return  # nobody can say, so whoever is in stays in
        except StanchionError as error:
            for member in self._members(group):
                await member.refuse(error)
            return
        for member in self._members(group):
            await _renew(member, caller)

    def _members(self, group: _Group) -> list[Guest]:
        return list(self._groups.get(group, ()))


async def _renew(member: Guest, caller: Caller) -> None:
    if standing_of(caller) != standing_of(member.caller):
        await member.refuse(ChangedCallerError())
    else:
        member.caller = caller
