"""Every word said to Redis about tickets: what displays are told, in order."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import redis
import redis.asyncio

from models.events import stream_key
from models.lua import read_script
from models.tickets.facts import DOMAIN

_SCRIPT: Final = "append_news.lua"
_VERSIONS: Final = f"{stream_key(DOMAIN)}:versions"


@dataclass(frozen=True, slots=True, kw_only=True)
class Append:
    """The events of one change on their way into the stream; no fields: there are none."""

    branch: str  # its key
    version: int
    fields: Mapping[Any, Any]
    is_forced: bool = False  # what is missing before is missing for good


def append(client: redis.Redis, appends: Sequence[Append], *, kept_max: int) -> list[int]:
    """Append in order; returns for each the branch's last version in the stream."""
    with client.pipeline(transaction=False) as pipeline:
        for each in appends:
            pipeline.eval(*_arguments(each, kept_max))
        return [int(answer) for answer in pipeline.execute()]


async def append_async(
    client: redis.asyncio.Redis, appends: Sequence[Append], *, kept_max: int
) -> list[int]:
    """Do as `append` does, from an event loop."""
    async with client.pipeline(transaction=False) as pipeline:
        for each in appends:
            pipeline.eval(*_arguments(each, kept_max))
        return [int(answer) for answer in await pipeline.execute()]


def versions(client: redis.Redis) -> dict[str, int]:
    """Return for each branch, by its key, the last version in the stream."""
    found: dict[bytes, bytes] = client.hgetall(_VERSIONS)  # type: ignore[assignment]
    return {branch.decode(): int(version) for branch, version in found.items()}


def forget_version(client: redis.Redis, branch: str) -> None:
    """Let the stream know nothing of a branch: its database came back from a backup."""
    client.hdel(_VERSIONS, branch)


def _arguments(each: Append, kept_max: int) -> tuple[Any, ...]:
    fields = [part for pair in each.fields.items() for part in pair]
    return (
        read_script("tickets", _SCRIPT),
        2,
        stream_key(DOMAIN),
        _VERSIONS,
        each.branch,
        each.version,
        int(each.is_forced),
        kept_max,
        *fields,
    )
