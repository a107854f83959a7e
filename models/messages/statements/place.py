"""Putting many messages that were taken out where an act wants them, each in turn in its group."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import Connection, Table

from models.messages import tables
from models.messages.mass import Act, ActKind
from models.messages.rules import MessageState, Tally, WaitsFor
from models.messages.statements.groups import advance, enter, heads_of, hold, members_of
from models.messages.statements.put import put_aside, put_dead, put_delayed, put_ready, store

Row = Mapping[str, Any]
Taken = Sequence[tuple[Table, Row]]

_STATE_OF: Final = dict(tables.STATES)
_IN_GROUPS: Final = frozenset({MessageState.QUEUED, MessageState.DELAYED, MessageState.PROCESSING})


@dataclass(frozen=True, slots=True)
class Turns:
    """An act, and where it has a rate its turns: the first of a transaction; 0 is at `start_ms`."""

    act: Act
    start_ms: int
    first: int

    def due_at_ms(self, place: int) -> int:
        """Return when the message at a place of its transaction is due."""
        return self.act.due_at_ms(self.start_ms, self.first + place)


@dataclass(slots=True)
class Placed:
    """Where messages came to wait: how many in each line, and the first id in each queue.

    `later` counts those that have a due time, `freed` those let in whose group went on.
    """

    lines: Counter[tuple[str, str | None]] = field(default_factory=Counter)
    first_ids: dict[str, int] = field(default_factory=dict)
    later: int = 0
    freed: int = 0

    def note_ready(self, rows: Iterable[Row]) -> None:
        """Note messages that are in line."""
        for row in rows:
            queue = row["queue"]
            self.lines[queue, row["type"]] += 1
            self.first_ids[queue] = min(row["id"], self.first_ids.get(queue, row["id"]))


def leave(connection: Connection, taken: Taken, placed: Placed) -> None:
    """Let the groups go on whose heads were taken out of their queue or died."""
    # All at once, so that the groups are locked in one order.
    freed = advance(connection, [head for table, row in taken for head in heads_of(table, [row])])
    placed.freed += len(freed)
    placed.note_ready(freed)


def place(
    connection: Connection,
    turns: Turns,
    taken: Taken,
    *,
    now_ms: int,
    tally: Tally,
) -> Placed:
    """Put messages that were taken out where an act wants them; say where they wait now.

    A message of a group that has a head waits behind it, whatever due time it would have.
    """
    act, placed = turns.act, Placed()
    goes_on = [(table, row) for table, row in taken if _leaves(act, row)]
    rows = [(table, _changed(act, table, row)) for table, row in taken]
    comers = members_of(
        row
        for (table, old), (_, row) in zip(taken, rows, strict=True)
        if (act.state or _STATE_OF[table]) in _IN_GROUPS
        and (table is tables.dead or old["queue"] != row["queue"])
    )
    if comers:
        leavers = [head for table, row in goes_on for head in heads_of(table, [row])]
        hold(connection, [*leavers, *comers])
    leave(connection, goes_on, placed)
    for table, row in rows:
        tally.move(row["queue"], row["type"], target=act.state or _STATE_OF[table])
    if act.state is MessageState.DEAD:
        _put_dead(connection, act, rows, now_ms=now_ms)
        return placed
    behind = set(enter(connection, comers))
    put_aside(connection, [row for _, row in rows if row["id"] in behind], WaitsFor.GROUP)
    _put(connection, turns, rows, behind, placed)
    return placed


def _put(
    connection: Connection,
    turns: Turns,
    rows: Taken,
    behind: set[int],
    placed: Placed,
) -> None:
    """Put those that do not wait behind their group where they belong."""
    act = turns.act
    ready: list[Row] = []
    delayed: list[tuple[Row, int]] = []
    dead: list[Row] = []
    for place_, (table, row) in enumerate(rows):
        state = act.state or _STATE_OF[table]
        if row["id"] in behind:
            continue
        if state is MessageState.DEAD:
            dead.append(row)
        elif state is MessageState.DELAYED:
            is_kept = act.rate_per_s is None
            delayed.append((row, row["due_at_ms"] if is_kept else turns.due_at_ms(place_)))
        else:
            ready.append(row)
    put_ready(connection, ready)
    put_delayed(connection, delayed)
    store(connection, tables.dead, dead)  # they lie where they lay, in another queue
    placed.note_ready(ready)
    placed.later += len(delayed)


def _put_dead(connection: Connection, act: Act, rows: Taken, *, now_ms: int) -> None:
    """Lay messages by; those that are dead already keep why and since when."""
    store(connection, tables.dead, [row for table, row in rows if table is tables.dead])
    died = [{**row, "last_error": act.reason} for table, row in rows if table is not tables.dead]
    put_dead(connection, died, now_ms=now_ms)


def _leaves(act: Act, row: Row) -> bool:
    """Say whether a message is in its group no more."""
    goes = act.kind is ActKind.DELETE or act.state is MessageState.DEAD
    return goes or act.queue not in {None, row["queue"]}


def _changed(act: Act, table: Table, row: Row) -> Row:
    changed = dict(row)
    if act.queue is not None:
        changed["queue"] = act.queue
    if act.resets_attempts and table is tables.dead:
        changed["attempt_count"] = 0
    return changed
