"""Messages that may not be delivered yet: their type or group is paused, or its rate is spent.

They are found when a consumer would get them, and are put where they cost the next look nothing:
aside until the pause ends, or among the delayed until it is their turn.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import Connection

from models.messages.policies import QueueSettings
from models.messages.rules import Held, Lease, MessageState, Tally, WaitsFor
from models.messages.statements import rates
from models.messages.statements.put import put_aside, put_delayed
from models.messages.statements.settle import take_back

Line = tuple[str, str | None]  # a queue, and a type or all of them

# A turn that nobody took for so long is over: else all who waited would go at once.
TURN_KEPT_MS: Final = 2_000


@dataclass(slots=True)
class _Ruling:
    """What becomes of leases: `allowed` as they are, the others put away."""

    allowed: list[Lease] = field(default_factory=list)
    paused: list[Lease] = field(default_factory=list)
    later: dict[int, int] = field(default_factory=dict)  # when it is the turn of which, in ms
    is_spent: bool = False


@dataclass(frozen=True, slots=True)
class Ruled:
    """Which leases may be, and when it is the turn of the first of those that got a later one.

    `is_spent` says that a rate is which holds for every message of the line.
    """

    allowed: list[Lease]
    first_turn_ms: int | None
    is_spent: bool


def restrain(
    connection: Connection,
    settings: QueueSettings,
    leases: Sequence[Lease],
    *,
    line: Line,
    now_ms: int,
    tally: Tally,
) -> Ruled:
    """Undo those of a line's new leases that may not be."""
    ruling = _rule(connection, settings, leases, line=line, now_ms=now_ms)
    allowed = {given.id for given in ruling.allowed}
    refused = [given for given in leases if given.id not in allowed]
    rows = take_back(connection, [Held(given.id, given.lock_token) for given in refused])
    aside = {given.id for given in ruling.paused}
    paused: list[dict[str, Any]] = []
    later: list[tuple[dict[str, Any], int]] = []
    for taken in rows:
        row = {**taken, "attempt_count": taken["attempt_count"] - 1}  # nobody saw it
        is_paused = row["id"] in aside
        if is_paused:
            paused.append(row)
        else:
            later.append((row, ruling.later[row["id"]]))
        tally.move(
            row["queue"],
            row["type"],
            source=MessageState.PROCESSING,
            target=MessageState.QUEUED if is_paused else MessageState.DELAYED,
        )
    put_aside(connection, paused, WaitsFor.PAUSE)
    put_delayed(connection, later)
    rates.give_turns(connection, ruling.later)
    return Ruled(ruling.allowed, min(ruling.later.values(), default=None), ruling.is_spent)


def _rule(
    connection: Connection,
    settings: QueueSettings,
    leases: Sequence[Lease],
    *,
    line: Line,
    now_ms: int,
) -> _Ruling:
    ruling = _Ruling()
    rated: list[Lease] = []
    for given in leases:
        if settings.is_paused(given.type, given.group_key):
            ruling.paused.append(given)
        elif settings.rates_of(given.type, given.group_key):
            rated.append(given)
        else:
            ruling.allowed.append(given)
    if rated:
        _charge(connection, settings, rated, ruling, line=line, now_ms=now_ms)
    return ruling


def _charge(
    connection: Connection,
    settings: QueueSettings,
    rated: Sequence[Lease],
    ruling: _Ruling,
    *,
    line: Line,
    now_ms: int,
) -> None:
    """Let rates pay for leases: those that have or get their turn now are allowed."""
    queue, type_ = line
    turns = rates.take_turns(connection, [given.id for given in rated])
    # A turn may come a little early: the clock of another process gave it.
    waited = {id_ for id_, turn_ms in turns.items() if turn_ms > now_ms - TURN_KEPT_MS}
    ruling.allowed += [given for given in rated if given.id in waited]
    fresh = {
        given.id: (given, settings.rates_of(given.type, given.group_key))
        for given in rated
        if given.id not in waited
    }
    buckets = {(kind, name) for _, of_message in fresh.values() for kind, name, _ in of_message}
    spent_us = rates.hold_rates(connection, queue, buckets)
    for given, of_message in fresh.values():
        turn_us = now_ms * 1000
        for kind, name, rate in of_message:
            until_us, may_us = rate.next_us(spent_us[kind, name], now_ms * 1000)
            spent_us[kind, name] = until_us
            turn_us = max(turn_us, may_us)
            is_of_line = kind == "queue" or (kind == "type" and type_ is not None)
            ruling.is_spent = ruling.is_spent or (is_of_line and may_us > now_ms * 1000)
        turn_ms = -(-turn_us // 1000)
        if turn_ms <= now_ms:
            ruling.allowed.append(given)
        else:
            ruling.later[given.id] = turn_ms
    rates.spend(connection, queue, spent_us)
