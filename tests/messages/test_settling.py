"""What a streaming consumer settles, in this process: how many commits, and what stays in hand."""

import json

from api.messages.bounds import MessageBounds
from api.messages.frames import Ack, AckItem
from api.messages.holdings import Holdings
from api.messages.settling import Settler
from models.messages.rules import Held, NewMessage, public_id
from tests.messages.conftest import Queue

BOUNDS = MessageBounds(
    body_bytes_max=1_000_000,
    batch_body_bytes_max=1_000_000,
    batch_messages_max=1_000,
    attempts_max=10,
    lease_max_s=3_600,
    long_poll_max_s=60,
    dedup_s=300,
    idempotency_s=86_400,
)


async def hold(queue: Queue, holdings: Holdings, count: int) -> list[str]:
    """Put in and take so many messages; return their ids."""
    await queue.put(*[NewMessage("{}") for _ in range(count)])
    ids = []
    for _ in range(count):
        lease = await queue.take()
        assert lease is not None
        holdings.take(Held(lease.id, lease.lock_token), lease.lease_until_ms)
        ids.append(public_id(lease.id))
    return ids


async def test_acks_that_come_together_are_one_commit(queue: Queue) -> None:
    holdings, told = Holdings(), bytearray()
    ids = await hold(queue, holdings, 200)
    before = queue.recorder.commits
    settler = Settler(
        queue.service, BOUNDS, holdings, now_ms=lambda: queue.now_ms, write=told.extend
    )

    for number, message_id in enumerate(ids):
        await settler.submit(Ack([AckItem(message_id)], number))
    assert len(holdings) == 200  # none is let go before it is on disk
    await settler.close()

    assert queue.recorder.commits - before == 1
    assert len(holdings) == 0
    assert await queue.counts() == {"acknowledged": 200}
    assert [answer["ref"] for answer in frames_of(bytes(told))] == list(range(200))


def frames_of(sent: bytes) -> list[dict[str, object]]:
    """Return the JSON of short WebSocket text frames."""
    frames = []
    while sent:
        size, start = sent[1], 2
        if size == 126:
            size, start = int.from_bytes(sent[2:4]), 4
        frames.append(json.loads(sent[start : start + size]))
        sent = sent[start + size :]
    return frames
