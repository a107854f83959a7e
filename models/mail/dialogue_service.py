"""Dialogues of attempts, kept in Redis for a while: for who opens a page when it has begun.

Pieces come by tasks that may overtake one another, so each is kept by its first line. A key that
outlives each piece for a moment tells whether somebody still listens to the attempt.
"""

from collections.abc import Sequence
from typing import Final

import msgspec
import redis
import redis.asyncio

from models.errors import UnavailableError
from models.mail.dialogues import LOST_AFTER_S, Dialogue, Piece, joined
from models.mail.rules import check_message_id
from models.redis import RedisAwayError

_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(Piece).decode


def keep(client: "redis.Redis", pieces: Sequence[Piece], *, keep_s: int) -> None:
    """Keep pieces, and which attempt of a message on a host was the last."""
    with client.pipeline(transaction=False) as pipe:
        for each in pieces:
            last, key = _last_key(each.message_id), _key(each.operation_id, each.message_id)
            if each.first == 0:
                pipe.hset(last, each.host, each.operation_id)
                pipe.expire(last, keep_s)
            if each.lines or each.is_over:
                # A bare sign of life has the number of the line that follows it.
                pipe.hset(key, str(each.first), _encode(each))
            pipe.expire(key, keep_s)
            pipe.set(_alive_key(each.operation_id, each.message_id), b"1", ex=LOST_AFTER_S)
        pipe.execute()


class DialogueService:
    """Reads what was said when messages were tried."""

    def __init__(self, client: redis.asyncio.Redis) -> None:
        self._client: Final = client

    async def last(self, message_id: str, *, host: str | None = None) -> Dialogue | None:
        """Return the last attempt that somebody asked for, None when none is kept.

        With several hosts that have such a message and none named, that of any of them. Raises
        InvalidError and MessageNotFoundError for what is no id, and UnavailableError.
        """
        check_message_id(message_id)
        try:
            found = await self._client.hgetall(_last_key(message_id))
            known = {_text(name): _text(value) for name, value in found.items()}
            operation_id = known.get(host) if host else next(iter(known.values()), None)
            if operation_id is None:
                return None
            kept = await self._client.hvals(_key(operation_id, message_id))
            is_alive = await self._client.exists(_alive_key(operation_id, message_id))
        except RedisAwayError as error:
            raise UnavailableError("redis", str(error)) from error
        return joined([_decode(each) for each in kept], is_alive=bool(is_alive))


def _text(raw: bytes | str) -> str:
    return raw if isinstance(raw, str) else raw.decode()


def _last_key(message_id: str) -> str:
    return f"mail:attempt:{message_id}"


def _key(operation_id: str, message_id: str) -> str:
    return f"mail:dialogue:{operation_id}:{message_id}"


def _alive_key(operation_id: str, message_id: str) -> str:
    return f"mail:dialogue_alive:{operation_id}:{message_id}"
