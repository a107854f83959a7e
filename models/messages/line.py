"""Waiting consumers in order of arrival: the state behind the dispatcher, without any I/O."""

import asyncio
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from models.messages.rules import Lease, LeaseRequest

LineKey = tuple[str, str | None]  # queue and type; None asks for any type

# No line: says of arrivals that a message came whose time has not come.
DELAYS: Final[LineKey] = ("", None)


class Caller(Protocol):
    """The other end of a waiting request."""

    def has_hung_up(self) -> bool:
        """Say, without waiting, whether nobody would hear the answer."""

    async def hung_up(self) -> None:
        """Return when nobody would hear the answer any more."""


@dataclass(slots=True, eq=False)
class Waiter:
    """One consumer's wish for messages of one line, a request for each; the first ones count."""

    requests: Sequence[LeaseRequest]
    caller: Caller
    waits: bool  # False: answered after the next try, whatever it brings
    is_in_flight: bool = False
    is_served: bool = False
    tried: Sequence[LeaseRequest] = ()  # of the try that is under way
    future: asyncio.Future[list[Lease]] = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )

    @property
    def key(self) -> LineKey:
        """Return the line to wait in."""
        return self.requests[0].queue, self.requests[0].type

    def give_up(self) -> None:
        """Answer "nothing" now, or when the try that is under way comes back empty."""
        self.waits = False
        if not self.is_in_flight:
            self.answer([])

    def answer(self, leases: list[Lease]) -> None:
        """Answer, unless that was done or the asking task is gone."""
        if not self.future.done():
            self.is_served = bool(leases)
            self.future.set_result(leases)

    def fail(self, error: Exception) -> None:
        """Answer with an error."""
        if not self.future.done():
            self.future.set_exception(error)


@dataclass(slots=True)
class _Line:
    # In order, and whoever gives up leaves from the middle without a search.
    waiting: OrderedDict[Waiter, None] = field(default_factory=OrderedDict)
    # In messages, of which a waiter may want several:
    wanted: int = 0  # by those who wait
    in_flight: int = 0  # by those who are being tried
    asked: int = 0  # for how many a try is worth while
    is_probed: bool = False  # if the first one gets something the others are worth a try too

    def __bool__(self) -> bool:
        return bool(self.waiting) or self.in_flight > 0

    def add(self, waiter: Waiter) -> None:
        self.waiting[waiter] = None
        self.wanted += len(waiter.requests)

    def take_first(self, count_max: int) -> Waiter:
        """Take the first waiter out, to be tried for up to `count_max` messages."""
        waiter, _ = self.waiting.popitem(last=False)
        self.wanted -= len(waiter.requests)
        self.in_flight += len(waiter.requests)
        waiter.is_in_flight = True
        waiter.tried = waiter.requests[:count_max]
        return waiter


class Lines:
    """The waiters of one process, a line for each queue and type."""

    def __init__(self) -> None:
        self._lines: Final[dict[LineKey, _Line]] = {}

    def __iter__(self) -> Iterator[Waiter]:
        return iter([waiter for line in self._lines.values() for waiter in line.waiting])

    def join(self, waiter: Waiter) -> None:
        """Put a new waiter at the end of its line, to be tried."""
        line = self._lines.get(waiter.key)
        if line is None:
            line = self._lines[waiter.key] = _Line()
        line.add(waiter)
        line.asked += len(waiter.requests)

    def leave(self, waiter: Waiter) -> None:
        """Take a waiter out that is answered; a repeat changes nothing."""
        line = self._lines.get(waiter.key)
        if line is None:
            return
        if waiter in line.waiting:
            del line.waiting[waiter]
            line.wanted -= len(waiter.requests)
        if not line:
            del self._lines[waiter.key]

    def ask_all(self) -> None:
        """Note that every waiter is worth a try."""
        for line in self._lines.values():
            line.asked = line.wanted + line.in_flight

    def probe(self) -> None:
        """Note that nobody knows of a message: the first of each line is tried for all of it.

        A look for one costs little, for hundreds who wait a lot.
        """
        for line in self._lines.values():
            if line.asked == 0:
                line.asked, line.is_probed = 1, True

    def ask(self, arrived: Mapping[LineKey, int]) -> None:
        """Note new messages, counted by queue and type."""
        for (queue, type_), count in arrived.items():
            for key in {(queue, type_), (queue, None)}:
                if line := self._lines.get(key):
                    line.asked += count

    def take_off(self, count_max: int) -> list[list[Waiter]]:
        """Take out waiters worth a try, for up to `count_max` messages in all.

        Grouped by line, first come first; a line that was served goes behind the others.
        """
        groups: list[list[Waiter]] = []
        for key, line in list(self._lines.items()):
            group: list[Waiter] = []
            # How many a waiter is tried for is its own wish: more may be there than is known of.
            while line.waiting and line.asked > 0 and count_max > 0:
                waiter = line.take_first(count_max)
                line.asked = max(0, line.asked - len(waiter.tried))
                count_max -= len(waiter.tried)
                group.append(waiter)
            if group:
                groups.append(group)
                self._lines[key] = self._lines.pop(key)
                if not line.waiting:
                    line.asked = 0
        return groups

    def land(self, group: list[Waiter]) -> None:
        """Put those of a group that still wait back to the front, in their old order."""
        key = group[0].key
        line = self._lines[key]
        for waiter in reversed(group):
            line.in_flight -= len(waiter.requests)
            waiter.is_in_flight = False
            if waiter.future.done():
                continue
            if waiter.waits:
                line.add(waiter)
                line.waiting.move_to_end(waiter, last=False)
            else:
                waiter.answer([])
        if line.is_probed:
            line.is_probed = False
            if any(waiter.is_served for waiter in group):
                line.asked = line.wanted + line.in_flight
        if not line:
            del self._lines[key]
