"""The lines of rooms, which live in Redis: each room as it was at one moment.

The file is a sequence of entries, each behind its length in four bytes: the key, when it expires
(Unix milliseconds, -1 for never) and its value as Redis dumps it.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, Final

import msgspec
import redis

from models.backups.manifests import BackupError, NotEmptyError
from models.redis import RedisAwayError

# What belongs to rooms: the set of them, and the keys of each, which share a tag.
_ROOMS: Final = ("rooms:ids", "{q:*")
# Numbers and versions that a database of another time must not meet, and what counts requests.
_PASSING: Final = ("rooms:*", "events:*", "limit:*")
_SCAN: Final = 1_000
_LENGTH_BYTES: Final = 4
_ENTRY_BYTES_MAX: Final = 536_870_912  # the longest string that Redis keeps


class Entry(msgspec.Struct, frozen=True, array_like=True):
    """One key with its value."""

    key: bytes
    expires_at_ms: int
    value: bytes


def copy(client: redis.Redis, path: Path) -> int:
    """Write every room to a file and return how many keys that were.

    Raises BackupError when Redis does not answer.
    """
    count = 0
    try:
        with path.open("wb") as file:
            for keys in _by_room(client):
                for entry in _read(client, keys):
                    encoded = msgspec.msgpack.encode(entry)
                    file.write(len(encoded).to_bytes(_LENGTH_BYTES))
                    file.write(encoded)
                    count += 1
    except RedisAwayError as error:
        raise BackupError("Redis", f"does not answer: {error}") from error
    return count


def require_empty(client: redis.Redis) -> None:
    """Raise NotEmptyError when there are rooms in Redis."""
    if any(True for _ in _by_room(client)):
        raise NotEmptyError("Redis")


def restore(client: redis.Redis, path: Path) -> int:
    """Put the rooms of a file in place of those that are there; return how many keys that were.

    What ended meanwhile stays away. Raises BackupError when Redis refuses, such as one that is
    older than the Redis the copy is from.
    """
    count = 0
    try:
        for pattern in (*_ROOMS, *_PASSING):
            for key in client.scan_iter(pattern, count=_SCAN):
                client.unlink(key)
        with path.open("rb") as file:
            for entry in _entries(file):
                ttl = max(0, entry.expires_at_ms)
                client.restore(entry.key, ttl, entry.value, replace=True, absttl=ttl > 0)
                count += 1
    except RedisAwayError as error:
        raise BackupError("Redis", f"refuses the rooms of the back-up: {error}") from error
    return count


def _by_room(client: redis.Redis) -> Iterator[list[bytes]]:
    """Yield the keys of one room after the other."""
    rooms: dict[bytes, list[bytes]] = {}
    for pattern in _ROOMS:
        for key in client.scan_iter(pattern, count=_SCAN):
            rooms.setdefault(key.partition(b"}")[0], []).append(key)
    yield from rooms.values()


def _read(client: redis.Redis, keys: list[bytes]) -> Iterator[Entry]:
    """Read keys at one moment; those that ended since they were found are left out."""
    with client.pipeline(transaction=True) as pipe:
        for key in keys:
            pipe.dump(key)
            pipe.pexpiretime(key)  # type: ignore[arg-type]  # its types know text only
        answers: list[Any] = pipe.execute()
    for key, value, expires_at_ms in zip(keys, answers[::2], answers[1::2], strict=True):
        if value is not None:
            yield Entry(key, expires_at_ms, value)


def _entries(file: IO[bytes]) -> Iterator[Entry]:
    decoder = msgspec.msgpack.Decoder(Entry)
    while head := file.read(_LENGTH_BYTES):
        length = int.from_bytes(head)
        assert length <= _ENTRY_BYTES_MAX, "the digest of the file was right"
        yield decoder.decode(file.read(length))
