"""Calling scripts: a call is a value, which is run alone or with others in one trip.

Redis is sent a script's digest, and the text when it does not know it (it was restarted).
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Final, Generic, TypeVar

import redis
import redis.asyncio
from redis.exceptions import NoScriptError, ResponseError

from models.lua import read_script
from models.rooms.rules import RoomLostError

T = TypeVar("T")

_OWNER: Final = "rooms"
# Functions that scripts begin with; the first is for all of them.
_KEYS: Final = "room_keys.lua"
AFTER_RESTART: Final = "after_restart.lua"
DRAWN_NUMBERS: Final = "drawn_numbers.lua"
IDENTITY_BUCKETS: Final = "identity_buckets.lua"
SESSION_END: Final = "session_end.lua"


@dataclass(frozen=True, slots=True)
class Script:
    """A file of `lua/`, and what it needs to begin with."""

    name: str
    parts: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """Return what Redis is sent."""
        return _text_of(self)[0]

    @property
    def digest(self) -> str:
        """Return the name that Redis gives to the text."""
        return _text_of(self)[1]


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """A script with its arguments, and how its answer is read; `T` is what comes of it."""

    script: Script
    room_id: str
    arguments: tuple[str | bytes | int | float, ...]
    read: Callable[[Any], T]

    @property
    def key(self) -> str:
        """Return the key that all keys of the room are made from."""
        return room_key(self.room_id)


def room_key(room_id: str) -> str:
    """Return the key of a room's hash; the braces keep all its keys in one slot of a cluster."""
    return f"{{q:{room_id}}}:room"


def run(client: redis.Redis, call: Call[T]) -> T:
    """Run one call, blocking.

    Raises RoomLostError when Redis does not know the room, and what redis-py raises when Redis is
    away; the call may have been done.
    """
    try:
        try:
            answer = client.evalsha(call.script.digest, 1, call.key, *call.arguments)
        except NoScriptError:
            answer = client.eval(call.script.text, 1, call.key, *call.arguments)
    except ResponseError as error:
        raise _translate(call, error) from error
    return call.read(answer)


async def run_async(client: redis.asyncio.Redis, call: Call[T]) -> T:
    """Run one call; raises as `run` does."""
    try:
        try:
            answer = await client.evalsha(call.script.digest, 1, call.key, *call.arguments)
        except NoScriptError:
            answer = await client.eval(call.script.text, 1, call.key, *call.arguments)
    except ResponseError as error:
        raise _translate(call, error) from error
    return call.read(answer)


def run_all(client: redis.Redis, calls: Sequence[Call[T]]) -> list[T | RoomLostError]:
    """Run calls in one trip, blocking; a room that Redis does not know is answered by its error."""
    with client.pipeline(transaction=False) as pipeline:
        for call in calls:
            pipeline.evalsha(call.script.digest, 1, call.key, *call.arguments)
        answers: list[Any] = pipeline.execute(raise_on_error=False) if calls else []
    results: list[T | RoomLostError] = []
    for call, answer in zip(calls, answers, strict=True):
        try:
            is_unknown = isinstance(answer, NoScriptError)
            results.append(run(client, call) if is_unknown else _read(call, answer))
        except RoomLostError as error:
            results.append(error)
    return results


async def run_all_async(
    client: redis.asyncio.Redis, calls: Sequence[Call[T]]
) -> list[T | RoomLostError]:
    """Run calls in one trip; a room that Redis does not know is answered by its error."""
    if not calls:
        return []
    async with client.pipeline(transaction=False) as pipeline:
        for call in calls:
            pipeline.evalsha(call.script.digest, 1, call.key, *call.arguments)
        answers: list[Any] = await pipeline.execute(raise_on_error=False)
    results: list[T | RoomLostError] = []
    for call, answer in zip(calls, answers, strict=True):
        try:
            is_unknown = isinstance(answer, NoScriptError)
            result = await run_async(client, call) if is_unknown else _read(call, answer)
            results.append(result)
        except RoomLostError as error:
            results.append(error)
    return results


@cache
def _text_of(script: Script) -> tuple[str, str]:
    names = (_KEYS, *script.parts, script.name)
    text = "\n".join(read_script(_OWNER, name) for name in names)
    # Redis names scripts by SHA-1; nothing is secured by it.
    return text, hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()


def _read(call: Call[T], answer: Any) -> T:
    if isinstance(answer, ResponseError):
        raise _translate(call, answer) from answer
    if isinstance(answer, BaseException):
        raise answer
    return call.read(answer)


def _translate(call: Call[Any], error: ResponseError) -> Exception:
    return RoomLostError(call.room_id) if "NOROOM" in str(error) else error
