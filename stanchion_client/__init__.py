"""Client of Stanchion's messages queue: `Client` blocks, `AsyncClient` is for an event loop.

Both do the same by the same names. Times are aware datetimes in UTC, spans are seconds.
"""

from stanchion_client.asynchronous import AsyncClient
from stanchion_client.blocking import Client
from stanchion_client.errors import (
    ClientError,
    InvalidRequestError,
    LockLostError,
    NotFoundError,
    OverloadedError,
    RefusedError,
    UnauthorizedError,
    UnreachableError,
)
from stanchion_client.facts import (
    Counts,
    Event,
    Message,
    NewMessage,
    Outcome,
    Queued,
    QueueStatus,
    Returned,
    TypeCounts,
)
from stanchion_client.working import RejectMessage, Work

__all__ = [
    "AsyncClient",
    "Client",
    "ClientError",
    "Counts",
    "Event",
    "InvalidRequestError",
    "LockLostError",
    "Message",
    "NewMessage",
    "NotFoundError",
    "Outcome",
    "OverloadedError",
    "QueueStatus",
    "Queued",
    "RefusedError",
    "RejectMessage",
    "Returned",
    "TypeCounts",
    "UnauthorizedError",
    "UnreachableError",
    "Work",
]
