"""Waiting consumers in order of arrival: the state behind the dispatcher, without any I/O."""

import asyncio
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol

from models.messages.rules import Lease, LeaseRequest

LineKey = tuple[str, str | None]  # queue and type; None asks for any type


class Caller(Protocol):
    """The other end of a waiting request."""

    def has_hung_up(self) -> bool:
        """Say, without waiting, whether nobody would hear the answer."""

    async def hung_up(self) -> None:
        """Return when nobody would hear the answer any more."""


@dataclass(slots=True, eq=False)
class Waiter:
    """One request for one message."""

    request: LeaseRequest
    caller: Caller
    waits: bool  # False: answered after the next try, whatever it brings
    is_in_flight: bool = False
    future: asyncio.Future[Lease | None] = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )

    def give_up(self) -> None:
        """Answer "nothing" now, or when the try that is under way comes back empty."""
        self.waits = False
        if not self.is_in_flight:
            self.answer(None)

    def answer(self, lease: Lease | None) -> None:
        """Answer, unless that was done or the asking task is gone."""
        if not self.future.done():
            self.future.set_result(lease)

    def fail(self, error: Exception) -> None:
        """Answer with an error."""
        if not self.future.done():
            self.future.set_exception(error)


@dataclass(slots=True)
class _Line:
    # In order, and whoever gives up leaves from the middle without a search.
    waiting: OrderedDict[Waiter, None] = field(default_factory=OrderedDict)
    in_flight: int = 0
    asked: int = 0  # for how many a try is worth while

    def __bool__(self) -> bool:
        return bool(self.waiting) or self.in_flight > 0


class Lines:
    """The waiters of one process, a line for each queue and type."""

    def __init__(self) -> None:
        self._lines: Final[dict[LineKey, _Line]] = {}

    def __iter__(self) -> Iterator[Waiter]:
        return iter([waiter for line in self._lines.values() for waiter in line.waiting])

    def join(self, waiter: Waiter) -> None:
        """Put a new waiter at the end of its line, to be tried."""
        line = self._lines.get(_key(waiter))
        if line is None:
            line = self._lines[_key(waiter)] = _Line()
        line.waiting[waiter] = None
        line.asked += 1

    def leave(self, waiter: Waiter) -> None:
        """Take a waiter out that is answered; a repeat changes nothing."""
        line = self._lines.get(_key(waiter))
        if line is None:
            return
        line.waiting.pop(waiter, None)
        if not line:
            del self._lines[_key(waiter)]

    def ask_all(self) -> None:
        """Note that every waiter is worth a try."""
        for line in self._lines.values():
            line.asked = len(line.waiting) + line.in_flight

    def ask(self, arrived: Mapping[LineKey, int]) -> None:
        """Note new messages, counted by queue and type."""
        for (queue, type_), count in arrived.items():
            for key in {(queue, type_), (queue, None)}:
                if line := self._lines.get(key):
                    line.asked += count

    def take_off(self, count_max: int) -> list[list[Waiter]]:
        """Take out up to `count_max` waiters worth a try, grouped by line, first come first."""
        groups: list[list[Waiter]] = []
        for line in self._lines.values():
            count = min(len(line.waiting), line.asked, count_max)
            if count == 0:
                continue
            group = [line.waiting.popitem(last=False)[0] for _ in range(count)]
            line.asked = line.asked - count if line.waiting else 0
            line.in_flight += count
            count_max -= count
            for waiter in group:
                waiter.is_in_flight = True
            groups.append(group)
        return groups

    def land(self, group: list[Waiter]) -> None:
        """Put those of a group that still wait back to the front, in their old order."""
        line = self._lines[_key(group[0])]
        line.in_flight -= len(group)
        for waiter in reversed(group):
            waiter.is_in_flight = False
            if waiter.future.done():
                continue
            if waiter.waits:
                line.waiting[waiter] = None
                line.waiting.move_to_end(waiter, last=False)
            else:
                waiter.answer(None)
        if not line:
            del self._lines[_key(group[0])]


def _key(waiter: Waiter) -> LineKey:
    return waiter.request.queue, waiter.request.type
