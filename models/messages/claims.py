"""One try to serve waiting consumers, within one transaction, in a thread of the database."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection

from models.messages.policies import QueueSettings
from models.messages.registry import Registry
from models.messages.rules import LapseWatch, Lease, LeaseRequest, Returned, Tally
from models.messages.statements.counts import bump
from models.messages.statements.delays import collect_due, first_due_at_ms
from models.messages.statements.lease import lease, lines_with_messages
from models.messages.statements.settle import collect_lapsed, first_lease_end_ms

_LINES_TRIED_ONE_BY_ONE: Final = 3
Group = Sequence[LeaseRequest]


@dataclass(frozen=True, slots=True)
class Claim:
    """What one transaction brought; `looked` is (when, first end) if it looked for lapses."""

    leases: list[Lease]
    lapsed: list[Returned]
    looked: tuple[int, int | None] | None
    unknown: set[str]  # queues that do not exist
    # The same for messages that are due, and how many of them were let into their lines.
    looked_for_due: tuple[int, int | None] | None
    due: int


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
        self, connection: Connection, groups: Sequence[Group], watches: Watches, slot: int
    ) -> Claim:
        """Look for lapsed leases and due messages if one may be there, then lease."""
        now_ms = self._clock()
        tally = Tally()
        lapsed: list[Returned] = []
        looked = None
        if watches.leases.is_due(now_ms):
            lapsed = collect_lapsed(connection, count=self._rows_max, now_ms=now_ms, tally=tally)
            looked = (now_ms, first_lease_end_ms(connection))
        due, looked_for_due = 0, None
        if watches.delays.is_due(now_ms):
            first_ms = first_due_at_ms(connection)
            if first_ms is not None and first_ms <= now_ms:
                due = collect_due(connection, count=self._rows_max, now_ms=now_ms, tally=tally)
                first_ms = first_due_at_ms(connection)
            looked_for_due = (now_ms, first_ms)
        queues = {group[0].queue for group in groups}
        settings = self._settings(connection, queues, now_ms)
        open_groups = [group for group in groups if _is_open(settings.get(group[0].queue))]
        leases: list[Lease] = []
        for group in _promising(connection, open_groups):
            leases += lease(connection, group, now_ms=now_ms, tally=tally)
        bump(connection, self._shard + slot, tally)
        return Claim(leases, lapsed, looked, queues - settings.keys(), looked_for_due, due)

    def _settings(
        self, connection: Connection, queues: set[str], now_ms: int
    ) -> Mapping[str, QueueSettings]:
        settings = self._registry.settings(connection, now_ms=now_ms)
        if queues <= settings.keys():
            return settings
        self._registry.forget()  # it may have been made a moment ago, in another process
        return self._registry.settings(connection, now_ms=now_ms)


def _is_open(settings: QueueSettings | None) -> bool:
    return settings is not None and not settings.paused


def _promising(connection: Connection, groups: Sequence[Group]) -> Sequence[Group]:
    """Leave out lines without a message: with many, one question is cheaper than many tries."""
    if len(groups) <= _LINES_TRIED_ONE_BY_ONE:
        return groups
    lines = [(group[0].queue, group[0].type) for group in groups]
    promising = lines_with_messages(connection, lines)
    return [group for group, line in zip(groups, lines, strict=True) if line in promising]
