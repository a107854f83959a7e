"""One try to serve waiting consumers, within one transaction, in a thread of the database."""

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from sqlalchemy import Connection

from models.messages.marks import Look, Start, is_cheap
from models.messages.policies import NO_SETTINGS, QueueSettings
from models.messages.registry import Registry
from models.messages.restraints import TURN_KEPT_MS, restrain
from models.messages.rules import Lease, LeaseRequest, Returned, Tally, lane_of
from models.messages.statements.counts import bump
from models.messages.statements.delays import collect_due, first_due_at_ms
from models.messages.statements.lease import lease, lines_with_messages, newest_id
from models.messages.statements.parameters import is_sqlite
from models.messages.statements.queues import hold
from models.messages.statements.rates import has_turns, hold_rates, set_aside
from models.messages.statements.settle import collect_lapsed, first_lease_end_ms
from models.messages.watch import LapseWatch

_LINES_TRIED_ONE_BY_ONE: Final = 3
# How often a claim tries to get past messages that may not be delivered.
_TRIES_MAX: Final = 50
_ASIDE_AT_ONCE: Final = 500
Group = Sequence[LeaseRequest]


@dataclass(frozen=True, slots=True)
class Claim:
    """What one transaction brought; `looked` is (when, first end) if it looked for lapses."""

    leases: list[Lease]
    lapsed: list[Returned]
    looked: tuple[int, int | None] | None
    unknown: set[str]  # queues that do not exist
    # The same for messages that are due, and the ids of those let into their lines.
    looked_for_due: tuple[int, int | None] | None
    due: list[int]
    looks: list[Look]  # at the lines in turn; none where marks serve nothing
    first_turn_ms: int | None  # of the messages that a rate made wait
    is_unfinished: bool  # messages that may not be delivered were in the way of others
    look_ms: float  # what the look for lapses took, without what it found


@dataclass(frozen=True, slots=True)
class Watches:
    """When to look for what time alone changes."""

    leases: LapseWatch
    delays: LapseWatch


class Claims:
    """Takes messages for groups of consumers; those of a group ask for the same."""

    def __init__(
        self, registry: Registry, *, clock: Callable[[], int], shard: int, rows_max: int
    ) -> None:
        self._registry: Final = registry
        self._clock: Final = clock
        self._shard: Final = shard
        self._rows_max: Final = rows_max

    def take(
        self,
        connection: Connection,
        groups: Sequence[Group],
        starts: Sequence[Start],
        watches: Watches,
        slot: int,
    ) -> Claim:
        """Look for lapsed leases and due messages if one may be there, then lease.

        There is a start for each group.
        """
        now_ms = self._clock()
        tally = Tally()
        queues = {group[0].queue for group in groups}
        settings = self._settings(connection, queues, now_ms)
        held = _hold(
            connection, [name for name in queues & settings.keys() if _holds(settings[name])]
        )
        lapsed: list[Returned] = []
        looked, look_ms = None, 0.0
        if watches.leases.is_due(now_ms):
            began_s = time.monotonic()
            first_ms = first_lease_end_ms(connection)
            look_ms = (time.monotonic() - began_s) * 1000
            if first_ms is not None and first_ms <= now_ms:
                lapsed = self._collect_lapsed(connection, now_ms, tally)
                first_ms = first_lease_end_ms(connection)
            looked = (now_ms, first_ms)
        due, looked_for_due = list[int](), None
        if watches.delays.is_due(now_ms):
            first_ms = first_due_at_ms(connection)
            if first_ms is not None and first_ms <= now_ms:
                due = collect_due(connection, count=self._rows_max, now_ms=now_ms, tally=tally)
                first_ms = first_due_at_ms(connection)
            looked_for_due = (now_ms, first_ms)
        back = min([*due, *(message.id for message in lapsed)], default=None)
        tries = [
            (group, start if back is None else start.lowered(back))
            for group, start in zip(groups, starts, strict=True)
            if _is_open(settings.get(group[0].queue))
        ]
        given = _Given()
        for group, start in _promising(connection, tries):
            of_queue = held.get(group[0].queue)
            given.add(connection, group, start, of_queue, now_ms=now_ms, tally=tally)
        bump(connection, self._shard + slot, tally)
        return Claim(
            given.leases,
            lapsed,
            looked,
            queues - settings.keys(),
            looked_for_due,
            due,
            given.looks,
            min(given.turns, default=None),
            given.is_unfinished,
            look_ms,
        )

    def _collect_lapsed(self, connection: Connection, now_ms: int, tally: Tally) -> list[Returned]:
        settings = self._registry.settings(connection, now_ms=now_ms)
        return collect_lapsed(
            connection, settings, count=self._rows_max, now_ms=now_ms, tally=tally
        )

    def _settings(
        self, connection: Connection, queues: set[str], now_ms: int
    ) -> Mapping[str, QueueSettings]:
        settings = self._registry.settings(connection, now_ms=now_ms)
        if queues <= settings.keys():
            return settings
        self._registry.forget()  # it may have been made a moment ago, in another process
        return self._registry.settings(connection, now_ms=now_ms)


@dataclass(slots=True)
class _Given:
    """What a claim brings of one line after the other."""

    leases: list[Lease] = field(default_factory=list)
    looks: list[Look] = field(default_factory=list)
    turns: list[int] = field(default_factory=list)
    is_unfinished: bool = False

    def add(
        self,
        connection: Connection,
        group: Group,
        start: Start,
        held: QueueSettings | None,
        *,
        now_ms: int,
        tally: Tally,
    ) -> None:
        """Lease the next messages of a line; `held` are the settings that restrain, if any do."""
        began_s = time.monotonic()
        given = lease(connection, group, start, now_ms=now_ms, tally=tally)
        if not is_sqlite(connection):
            spent_ms = (time.monotonic() - began_s) * 1000
            self.looks.append(_look(connection, group, start, given, spent_ms))
        if held is None:
            self.leases += given
            return
        restrained = _Restrained(connection, group, start, held, now_ms=now_ms, tally=tally)
        self.leases += restrained.choose(given)
        self.turns += restrained.turns
        self.is_unfinished = self.is_unfinished or restrained.is_unfinished


class _Restrained:
    """Leases of one queue whose messages may not all be delivered now.

    Each one that may not is put out of the way, and the next one is tried for its consumer.
    """

    def __init__(
        self,
        connection: Connection,
        group: Group,
        start: Start,
        settings: QueueSettings,
        *,
        now_ms: int,
        tally: Tally,
    ) -> None:
        self.turns: Final[list[int]] = []
        self.is_unfinished = False
        self._connection: Final = connection
        self._group: Final = group
        self._start: Final = start
        self._settings: Final = settings
        self._now_ms: Final = now_ms
        self._tally: Final = tally

    def choose(self, given: Sequence[Lease]) -> list[Lease]:
        """Return leases that may be, given the first ones."""
        queue, type_ = self._group[0].queue, self._group[0].type
        chosen: list[Lease] = []
        for turn in range(_TRIES_MAX):
            if turn:
                set_aside(self._connection, queue, self._settings, count=_ASIDE_AT_ONCE)
                given = self._next(chosen)
            ruled = restrain(
                self._connection,
                self._settings,
                given,
                line=(queue, type_),
                now_ms=self._now_ms,
                tally=self._tally,
            )
            chosen += ruled.allowed
            if ruled.first_turn_ms is not None:
                self.turns.append(ruled.first_turn_ms)
            if len(ruled.allowed) == len(given):
                return chosen
            # Then only those may go whose turn it is: the others would all get a later one.
            if ruled.is_spent and not has_turns(
                self._connection,
                queue,
                type_,
                since_ms=self._now_ms - TURN_KEPT_MS,
                until_ms=self._now_ms,
            ):
                return chosen
        self.is_unfinished = True
        return chosen

    def _next(self, chosen: Sequence[Lease]) -> list[Lease]:
        used = {each.lock_token for each in chosen}
        rest = [request for request in self._group if request.lock_token not in used]
        return lease(self._connection, rest, self._start, now_ms=self._now_ms, tally=self._tally)


def _holds(settings: QueueSettings) -> bool:
    return settings.restrains and not settings.paused


def _hold(connection: Connection, names: Collection[str]) -> dict[str, QueueSettings]:
    """Return the settings of queues that restrain, and hold these until the commit.

    So no pause ends between this look and the commit that obeys it, and of two claims that pay by
    rates of one queue the second waits. Before anything else is locked, and in one order: who
    deletes a queue, or claims of several, holds it first too, so no two deadlock.
    """
    if not names:
        return {}
    held = hold(connection, names)
    for name in sorted(held):
        if not is_sqlite(connection) and held[name].has_rates:
            hold_rates(connection, name, [("queue", "")])
    return {name: held.get(name, NO_SETTINGS) for name in names}


def _is_open(settings: QueueSettings | None) -> bool:
    return settings is not None and not settings.paused


def _promising(
    connection: Connection, tries: Sequence[tuple[Group, Start]]
) -> Sequence[tuple[Group, Start]]:
    """Leave out lines without a message: with many, one question is cheaper than many tries.

    Not those of which a part is skipped: the question would not skip it.
    """
    asked = [_line(group) for group, start in tries if not start.skips]
    if len(asked) <= _LINES_TRIED_ONE_BY_ONE:
        return tries
    promising = lines_with_messages(connection, asked)
    return [(group, start) for group, start in tries if start.skips or _line(group) in promising]


def _line(group: Group) -> tuple[str, str | None]:
    return group[0].queue, group[0].type


def _look(
    connection: Connection, group: Group, start: Start, given: Sequence[Lease], spent_ms: float
) -> Look:
    ends: dict[int, tuple[int, int]] = {}
    for one in given:
        first, last = ends.get(lane := lane_of(one.priority), (one.id, one.id))
        ends[lane] = (min(first, one.id), max(last, one.id))
    is_short = len(given) < len(group)
    return Look(
        key=_line(group),
        start=start,
        ends=ends,
        asked_count=len(group),
        is_short=is_short,
        # Whose messages others take finds none itself to know the place by.
        newest_id=newest_id(connection) if is_short and not is_cheap(spent_ms, len(group)) else 0,
        spent_ms=spent_ms,
    )
