"""Which keys there are: the first ones, their successors, and when the old ones go."""

from dataclasses import asdict
from itertools import pairwise
from typing import Final

from sqlalchemy import Connection

from models.tokens import statements
from models.tokens.keys import StoredKey, make_key

# A key is published this long before it signs: verifiers may cache the set for five minutes, and
# our own processes read it anew each minute.
PUBLISHED_BEFORE_MS: Final = 3_600_000


def read_keys(connection: Connection) -> list[StoredKey]:
    """Return all keys, the oldest first."""
    return [StoredKey(**row._mapping) for row in connection.execute(statements.ALL)]  # noqa: SLF001


def ensure_key(connection: Connection, algorithm: str, *, now_ms: int) -> list[StoredKey]:
    """Make the first key of an algorithm, which signs at once; return all keys.

    Two processes may each make one; both are good.
    """
    keys = read_keys(connection)
    if any(key.algorithm == algorithm and key.signs_from_ms <= now_ms for key in keys):
        return keys
    made = make_key(algorithm, now_ms=now_ms, signs_from_ms=now_ms)
    connection.execute(statements.ADD, asdict(made))
    return [*keys, made]


def rotate(
    connection: Connection, *, rotate_after_ms: int, life_ms_max: int, now_ms: int
) -> tuple[int, int]:
    """Give keys that signed for long enough a successor; delete those whose tokens are all over.

    `life_ms_max` is the longest life of a token. Returns how many were made and deleted. An
    algorithm that nobody used has no key and gets none.
    """
    keys = read_keys(connection)
    made = gone = 0
    for algorithm in sorted({key.algorithm for key in keys}):
        of_algorithm = [key for key in keys if key.algorithm == algorithm]
        if now_ms - of_algorithm[-1].signs_from_ms >= rotate_after_ms:
            signs_from_ms = now_ms + PUBLISHED_BEFORE_MS
            successor = make_key(algorithm, now_ms=now_ms, signs_from_ms=signs_from_ms)
            connection.execute(statements.ADD, asdict(successor))
            made += 1
        for key, next_key in pairwise(of_algorithm):
            # A process may sign with the old key until it reads the new one: an hour more.
            over_ms = next_key.signs_from_ms + life_ms_max + PUBLISHED_BEFORE_MS
            if over_ms <= now_ms:
                connection.execute(statements.DELETE, {"of_kid": key.kid})
                gone += 1
    return made, gone
