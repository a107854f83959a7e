"""`/api/queue/stream`: who may consume over a WebSocket, and what may be asked for.

docs/messages-stream.md is the protocol, api/messages/consumer.py speaks it.
"""

import secrets
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

from falcon.asgi import Request, Response

from api.auth.table import MESSAGES_STREAM, SocketRow
from api.http.errors import HttpError
from api.http.reading import read_values
from api.live.conversation import Conversation
from api.live.member import Entry
from api.live.rights import Rights
from api.messages import bodies as wire
from api.messages.consumer import Consumer, Offer
from api.messages.frames import StreamQuery
from api.openapi.operations import Answer, operation
from models.errors import StanchionError
from models.messages.rules import LeaseRequest

_PREFETCH_DEFAULT: Final = 100
_CREDENTIALS: Final = frozenset({"token", "api_key"})


class MessageStream:
    """Serves the consumers of this process that are connected by a WebSocket."""

    def __init__(self, offer: Offer, rights: Rights) -> None:
        self._offer: Final = offer
        self._rights: Final = rights

    @property
    def at(self) -> SocketRow:
        """Return where it is spoken, and who may."""
        return MESSAGES_STREAM

    async def talk(
        self, conversation: Conversation, entry: Entry, asked: Mapping[str, Any]
    ) -> None:
        """Serve one consumer until it hangs up; raises Closed to close."""
        wanted = {name: value for name, value in asked.items() if name not in _CREDENTIALS}
        try:
            query = read_values(wanted, StreamQuery)
            template = self._template(query)
            prefetch = self._offer.prefetch(
                min(_PREFETCH_DEFAULT, self._offer.prefetch_max)
                if query.prefetch is None
                else query.prefetch
            )
        except StanchionError as error:
            raise conversation.refused(error) from None
        consumer = Consumer(
            self._offer, conversation, entry, template, prefetch=prefetch, at_close=query.at_close
        )
        self._rights.watch(consumer, self.at.who)
        try:
            await consumer.serve()
        finally:
            self._rights.forget(consumer, self.at.who)

    def _template(self, query: StreamQuery) -> LeaseRequest:
        """Return what all of the consumer's requests have in common."""
        seconds = query.ack_timeout_seconds
        return LeaseRequest(
            consumer_id=query.consumer_id or f"consumer_{secrets.token_hex(4)}",
            lock_token="",  # each has its own
            type=query.type,
            lease_ms=self._offer.bounds.lease_ms("ack_timeout_seconds", seconds),
            queue=query.queue,
        )


class StreamResource:
    """What a plain GET of the stream's address is told; the reference describes it too."""

    body_bytes_max = 0

    @operation(
        "Consume over a WebSocket",
        query=StreamQuery,
        answers={
            101: Answer(description="Frames follow; docs/messages-stream.md describes them"),
            400: Answer(description="A field is wrong", body=wire.MessagesError),
            401: Answer(description="The API key is missing or wrong", body=wire.MessagesError),
            426: Answer(description="This is no WebSocket", body=wire.MessagesError),
        },
        security=("ApiKey",),
    )
    async def on_get(self, _req: Request, resp: Response, *, query: StreamQuery) -> None:
        """Send up to `prefetch` messages as they come, and more as they are acknowledged."""
        del query  # it was checked
        resp.set_header("Upgrade", "websocket")
        raise HttpError(HTTPStatus.UPGRADE_REQUIRED, "this address is a WebSocket")
