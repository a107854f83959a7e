"""Messages that the house itself puts in, for who wants to be told of something by a queue."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from models.database import Database
from models.events import Event
from models.messages import facts
from models.messages.intake import Enqueue
from models.messages.line import LineKey
from models.messages.registry import Registry
from models.messages.rules import Enqueued, NewMessage, Submission

DOMAIN: Final = facts.DOMAIN
# Of the counters; schedules have the ten before it.
_SHARD: Final = 1_000_020


@dataclass(frozen=True, slots=True)
class Posted:
    """What was put in, to tell of after the commit."""

    events: Sequence[Event]
    arrivals: Mapping[LineKey, int]


def post(
    database: Database,
    messages: Sequence[NewMessage],
    *,
    attempts_default: int,
    lease_default_ms: int,
    now_ms: int,
) -> Posted:
    """Put messages in, each once by its name; those for a queue that is not there, or is full, not.

    Nobody has to want them: making the queue is how somebody says so. Raises UnavailableError.
    """
    enqueue = Enqueue(
        _SHARD, Registry(), attempts_default=attempts_default, lease_default_ms=lease_default_ms
    )
    items = [Submission([each]) for each in messages]
    with database.begin() as connection:
        outcomes = enqueue(connection, items, now_ms=now_ms, slot=0)
    stored = [
        (item, each)
        for item, each in zip(items, outcomes, strict=True)
        if isinstance(each, Enqueued)
    ]
    new = facts.stored_messages([item for item, _ in stored], [each for _, each in stored])
    return Posted(facts.enqueued(new), facts.arrivals(new))
