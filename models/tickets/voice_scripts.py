"""Every word said to Redis about what was spoken: kept, and sent to who waits for it."""

from collections.abc import Sequence
from typing import Final, cast

import redis
import redis.asyncio

from models.lua import read_script
from models.tickets.speech import Phrase, digest_of

_SCRIPT: Final = "keep_voice.lua"
_VOICES: Final = "tickets:voices"
_KEEP_MS: Final = 3_600_000
# What could not be spoken is tried again after this, not by every display at every call.
_SILENT_MS: Final = 10_000
# Nobody waits for an answer any longer.
_ANSWER_MS: Final = 10_000
_SILENCE: Final = b""


def keep(
    client: redis.Redis, phrases: Sequence[Phrase], wav: bytes | None, *, kept_max: int, now_ms: int
) -> None:
    """Keep what was spoken, or that it could not be."""
    key = _voice_key(phrases)
    if wav is None:
        client.set(key, _SILENCE, px=_SILENT_MS)
        return
    script = read_script("tickets", _SCRIPT)
    client.eval(script, 2, _VOICES, key, wav, _KEEP_MS, now_ms, kept_max)


def kept(client: redis.Redis, phrases: Sequence[Phrase]) -> bytes | None:
    """Return what was spoken before, None if nothing was."""
    found: bytes | None = client.get(_voice_key(phrases))  # type: ignore[assignment]
    return found or None


def answer(client: redis.Redis, request_id: str, wav: bytes | None) -> None:
    """Send what was spoken to who waits for it."""
    with client.pipeline() as pipeline:
        pipeline.rpush(_answer_key(request_id), _SILENCE if wav is None else wav)
        pipeline.pexpire(_answer_key(request_id), _ANSWER_MS)
        pipeline.execute()


async def find(client: redis.asyncio.Redis, phrases: Sequence[Phrase]) -> bytes | None:
    """Return what was spoken before, nothing of it if it could not be, None if nobody tried."""
    found = await client.get(_voice_key(phrases))
    return cast("bytes | None", found)  # no connection of ours decodes


async def wait(
    client_for_waiting: redis.asyncio.Redis, request_id: str, *, timeout_s: float
) -> bytes | None:
    """Return what a worker spoke, nothing of it if it could not, None if it was not in time."""
    found = await client_for_waiting.blpop([_answer_key(request_id)], timeout=timeout_s)
    return None if found is None else cast("bytes", found[1])


def _voice_key(phrases: Sequence[Phrase]) -> str:
    return f"{_VOICES}:{digest_of(phrases)}"


def _answer_key(request_id: str) -> str:
    return f"tickets:spoken:{request_id}"
