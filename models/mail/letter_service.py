"""Asking a mail host what a message says: by a task, whose answer comes through Redis, once."""

import uuid
from collections.abc import Awaitable, Callable
from typing import Final

import msgspec
import redis.asyncio

from models.errors import UnavailableError
from models.mail.rules import HostAwayError
from models.mail.views import Letter, answer_key
from models.redis import RedisAwayError

_decode: Final = msgspec.json.Decoder(Letter | None).decode

# Hands (host, message_id, request_id) to the host; raises UnavailableError.
AskHost = Callable[[str, str, str], Awaitable[None]]


class LetterService:
    """Reads messages that lie on mail hosts; this machine has no spool."""

    def __init__(self, client_for_waiting: redis.asyncio.Redis, *, ask: AskHost) -> None:
        self._client: Final = client_for_waiting
        self._ask: Final = ask

    async def read(self, host: str, message_id: str, *, timeout_s: float) -> Letter | None:
        """Return what a message says, None when it is not there any more.

        Raises HostAwayError when the host does not answer in time, and UnavailableError without
        the broker or Redis.
        """
        request_id = uuid.uuid4().hex
        await self._ask(host, message_id, request_id)
        try:
            found = await self._client.blpop([answer_key(request_id)], timeout=timeout_s)
        except RedisAwayError as error:
            raise UnavailableError("redis", str(error)) from error
        if found is None:
            raise HostAwayError(host)
        letter: Letter | None = _decode(found[1])
        return letter
