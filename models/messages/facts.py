"""What live clients are told of messages, and which consumers a change concerns.

Names and data of the events are the contract's; `expire` is ours: a lease ran out.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final

from models.events import Event
from models.messages.acts import Touched
from models.messages.line import DELAYS, LineKey
from models.messages.mass import ActKind, Batch
from models.messages.rules import (
    Enqueued,
    Freed,
    Held,
    Lease,
    MessageState,
    NewMessage,
    Returned,
    Submission,
    public_id,
)

DOMAIN: Final = "messages"


def stored_messages(
    submissions: Sequence[Submission], stored: Sequence[Enqueued]
) -> list[tuple[int, NewMessage]]:
    """Return the messages that are new, each with its id; not those that were there before."""
    return [
        (message_id, new)
        for submission, together in zip(submissions, stored, strict=True)
        if not together.is_repeat
        for turn, (new, message_id) in enumerate(
            zip(submission.messages, together.ids, strict=True)
        )
        if turn not in together.repeated
    ]


def enqueued(messages: Sequence[tuple[int, NewMessage]]) -> list[Event]:
    """Tell of new messages."""
    return [
        Event("enqueue", {"id": public_id(message_id), "type": new.type, "priority": new.priority})
        for message_id, new in messages
    ]


def leased(leases: Sequence[Lease]) -> list[Event]:
    """Tell of messages that consumers took."""
    return [
        Event("dequeue", {"id": public_id(given.id), "consumer_id": given.consumer_id})
        for given in leases
    ]


def acknowledged(helds: Sequence[Held]) -> list[Event]:
    """Tell of messages that were dealt with."""
    return [Event("ack", {"id": public_id(held.id)}) for held in helds]


def rejected(returned: Sequence[Returned]) -> list[Event]:
    """Tell of messages that consumers gave back, and of those that died of it."""
    events = []
    for message in returned:
        events.append(Event("nack", {"id": public_id(message.id), "error": message.error}))
        events += _dead(message)
    return events


def lapsed(returned: Sequence[Returned]) -> list[Event]:
    """Tell of leases that ran out, and of messages that died of it."""
    events = []
    for message in returned:
        events.append(Event("expire", {"id": public_id(message.id)}))
        events += _dead(message)
    return events


def arrivals(messages: Iterable[tuple[int, NewMessage]]) -> dict[LineKey, int]:
    """Count new messages by the lines they concern; those for later are of the line DELAYS."""
    return Counter(DELAYS if new.delay_ms else (new.queue, new.type) for _, new in messages)


def returns(returned: Sequence[Returned]) -> dict[LineKey, int]:
    """Count messages that wait again by the lines they concern; those for later: DELAYS."""
    lines = Counter(
        (message.queue, message.type) if message.state is MessageState.QUEUED else DELAYS
        for message in returned
        if message.state in {MessageState.QUEUED, MessageState.DELAYED}
    )
    lines.update(frees(message.freed for message in returned if message.freed is not None))
    return lines


def edited(touched: Touched) -> list[Event]:
    """Tell of a message that says something else now."""
    return [Event("edit", {"id": public_id(touched.id)})]


def deleted(touched: Touched) -> list[Event]:
    """Tell of a message that is gone."""
    return [Event("delete", {"id": public_id(touched.id)})]


def changed_many(batch: Batch) -> list[Event]:
    """Tell of many messages that changed together, each with where it is now if that is new."""
    act = batch.act
    is_reset = act.kind is ActKind.REDRIVE and act.resets_attempts
    where = {
        "queue": act.queue,
        "status": act.state,
        "attempt_count": 0 if is_reset else None,
    }
    told = {name: value for name, value in where.items() if value is not None}
    return [Event(act.kind.value, {"id": public_id(each), **told}) for each in batch.ids]


def frees(freed: Iterable[Freed]) -> dict[LineKey, int]:
    """Count the messages that are next in their groups by the lines they concern."""
    return Counter((message.queue, message.type) for message in freed)


def _dead(message: Returned) -> list[Event]:
    if message.state is MessageState.DEAD:
        return [Event("dead", {"id": public_id(message.id)})]
    return []
