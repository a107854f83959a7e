"""Taking in new messages: a whole transaction of statements, rules and counters."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Final

from msgspec.structs import replace
from sqlalchemy import Connection

from models.errors import StanchionError
from models.messages.policies import QueueSettings
from models.messages.registry import Registry
from models.messages.repeats import Repeats
from models.messages.room import find_refusals
from models.messages.rules import DEFAULT_QUEUE, Enqueued, NewMessage, Submission, Tally
from models.messages.statements import counts, groups
from models.messages.statements.delays import postpone
from models.messages.statements.enqueue import enqueue
from models.messages.statements.queues import hold


class Enqueue:
    """Store submissions of new messages, each all or none.

    One for a queue that is not there, or is full, is refused. How full a queue is, is read from
    the counters: what other transactions write at the same moment may come on top. What was stored
    before under the name that its sender gave it is not stored again.
    """

    def __init__(
        self, shard: int, registry: Registry, *, attempts_default: int, lease_default_ms: int
    ) -> None:
        self._shard: Final = shard
        self._registry: Final = registry
        self._attempts_default: Final = attempts_default
        self._lease_default_ms: Final = lease_default_ms

    def __call__(
        self, connection: Connection, items: Sequence[Submission], *, now_ms: int, slot: int
    ) -> list[Enqueued | StanchionError]:
        """Write the items."""
        names = {new.queue for item in items for new in item.messages}
        settings = self._settings(connection, names, now_ms)
        is_once = any(item.once or any(new.once for new in item.messages) for item in items)
        repeats = Repeats(connection, items, now_ms=now_ms) if is_once else None
        wanted = [repeats.needing_room(item, settings) for item in items] if repeats else items
        taking = _Taking(
            connection,
            now_ms=now_ms,
            refusals=find_refusals(connection, wanted, settings, names),
            defaults={
                name: (
                    of_queue.max_attempts or self._attempts_default,
                    of_queue.lease_ms or self._lease_default_ms,
                )
                for name, of_queue in settings.items()
            },
        )
        outcomes = taking.store_once(items, repeats) if repeats else taking.store_all(items)
        counts.bump(connection, self._shard + slot, taking.tally)
        return outcomes

    def _settings(
        self, connection: Connection, names: set[str], now_ms: int
    ) -> Mapping[str, QueueSettings]:
        """Return the settings of the queues; those that may be deleted are held until the end."""
        known = self._registry.settings(connection, now_ms=now_ms)
        settings = {DEFAULT_QUEUE: known[DEFAULT_QUEUE]}
        if names != {DEFAULT_QUEUE}:
            settings |= hold(connection, names - {DEFAULT_QUEUE})
        return settings


class _Taking:
    """One transaction; `refusals` are by place, `defaults` attempts and length of a lease."""

    def __init__(
        self,
        connection: Connection,
        *,
        now_ms: int,
        refusals: Mapping[int, StanchionError],
        defaults: Mapping[str, tuple[int, int]],
    ) -> None:
        self.tally: Final = Tally()
        self._connection: Final = connection
        self._now_ms: Final = now_ms
        self._refusals: Final = refusals
        self._defaults: Final = defaults

    def store_all(self, items: Sequence[Submission]) -> list[Enqueued | StanchionError]:
        """Store what is not refused."""
        accepted = [item for place, item in enumerate(items) if place not in self._refusals]
        ids = self._store(list(chain.from_iterable(item.messages for item in accepted)))
        outcomes: list[Enqueued | StanchionError] = []
        start = 0
        for place, item in enumerate(items):
            if refusal := self._refusals.get(place):
                outcomes.append(refusal)
                continue
            outcomes.append(Enqueued(ids[start : start + len(item.messages)], self._now_ms))
            start += len(item.messages)
        return outcomes

    def store_once(
        self, items: Sequence[Submission], repeats: Repeats
    ) -> list[Enqueued | StanchionError]:
        """Store what is neither refused nor was stored before."""
        asked = {place: item for place, item in enumerate(items) if place not in self._refusals}
        outcomes: dict[int, Enqueued | StanchionError] = dict(self._refusals)
        plan = _Plan()
        firsts: dict[int, int] = {}  # of requests whose equal stands in this transaction
        for place, item in asked.items():
            if (before := repeats.of_request(item)) is not None:
                outcomes[place] = before
            elif (first := repeats.remember_request(item, place)) is not None:
                firsts[place] = first
            else:
                plan.add(place, item.messages, repeats)
        stored = plan.outcomes(self._store(plan.stored), now_ms=self._now_ms)
        repeats.note([(items[place], outcome) for place, outcome in stored.items()])
        outcomes |= stored
        for place, first in firsts.items():
            outcomes[place] = repeats.of_equal(items[place], items[first], stored[first])
        return [outcomes[place] for place in range(len(items))]

    def _store(self, new: Sequence[NewMessage]) -> list[int]:
        """Store messages where they belong: in line, until they are due, or behind their group."""
        ids = enqueue(self._connection, new, self._defaults, now_ms=self._now_ms, tally=self.tally)
        numbered = list(zip(ids, new, strict=True))
        postpone(
            self._connection,
            {id_: self._now_ms + each.delay_ms for id_, each in numbered if each.delay_ms},
        )
        members = [
            (each.queue, each.group_key, id_)
            for id_, each in numbered
            if each.group_key is not None
        ]
        groups.hold_back(self._connection, groups.enter(self._connection, members))
        return ids


def _set_anew(first: NewMessage, new: NewMessage) -> NewMessage:
    """Return a message as a repeat in the same transaction wants it; see `once.replace`."""
    delay_ms = new.delay_ms or first.delay_ms if first.delay_ms else 0
    return replace(first, payload=new.payload, delay_ms=delay_ms)


@dataclass(slots=True)
class _Plan:
    """Where each message of a transaction comes from.

    `stored` are those to store, `places` says for each submission where its messages stand among
    them, or which one stood there before: its id and its moment.
    """

    stored: list[NewMessage] = field(default_factory=list)
    places: dict[int, list[int | tuple[int, int]]] = field(default_factory=dict)
    repeated: dict[int, set[int]] = field(default_factory=dict)

    def add(self, place: int, messages: Iterable[NewMessage], repeats: Repeats) -> None:
        """Add the messages of a submission; those that were stored before are not stored."""
        places = self.places[place] = []
        repeated = self.repeated[place] = set()
        for turn, new in enumerate(messages):
            if (first := repeats.of_message(new)) is not None:
                places.append((first.ids[0], first.created_at_ms))
                repeated.add(turn)
            elif (equal := repeats.remember(new, len(self.stored))) is not None:
                if new.once is not None and new.once.replaces:
                    self.stored[equal] = _set_anew(self.stored[equal], new)
                places.append(equal)
                repeated.add(turn)
            else:
                places.append(len(self.stored))
                self.stored.append(new)

    def outcomes(self, ids: Sequence[int], *, now_ms: int) -> dict[int, Enqueued]:
        """Return the outcome of each submission, given the ids of what was stored."""
        outcomes: dict[int, Enqueued] = {}
        for place, places in self.places.items():
            found = [(ids[each], now_ms) if isinstance(each, int) else each for each in places]
            outcomes[place] = Enqueued(
                [message_id for message_id, _ in found],
                min(at_ms for _, at_ms in found),
                frozenset(self.repeated[place]),
            )
        return outcomes
