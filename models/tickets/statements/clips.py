"""Clips of halls: listed without their sounds, read, stored, deleted."""

from collections.abc import Collection
from typing import Any, Final

from sqlalchemy import BigInteger, Connection, Row, bindparam, delete, func, insert, select

from models.tickets.sounds import Clip
from models.tickets.speech import Language
from models.tickets.tables import clip

_OF_BRANCH: Final = bindparam("of_branch", type_=BigInteger)
_FACTS: Final = select(*(column for column in clip.c if column.name != "sound")).order_by(
    clip.c.branch_id, clip.c.language, clip.c.key
)
_COUNT: Final = select(func.count()).select_from(clip).where(clip.c.branch_id == _OF_BRANCH)
_ONE: Final = (
    clip.c.branch_id == _OF_BRANCH,
    clip.c.language == bindparam("of_language"),
    clip.c.key == bindparam("of_key"),
)
_SOUND: Final = select(clip).where(*_ONE)
_DELETE: Final = delete(clip).where(*_ONE)


def clips(
    connection: Connection, *, branch_id: int | None = None, language: Language | None = None
) -> list[Clip]:
    """Return the clips of a branch and language, or all there are."""
    statement = _FACTS
    if branch_id is not None:
        statement = statement.where(clip.c.branch_id == branch_id)
    if language is not None:
        statement = statement.where(clip.c.language == language.value)
    return [_clip(row) for row in connection.execute(statement)]


def count(connection: Connection, branch_id: int) -> int:
    """Return how many clips a branch has."""
    return int(connection.execute(_COUNT, {"of_branch": branch_id}).scalar_one())


def sound_of(
    connection: Connection, branch_id: int, language: Language, key: str
) -> tuple[Clip, bytes] | None:
    """Return one clip and its sound."""
    row = connection.execute(_SOUND, _named(branch_id, language, key)).first()
    return None if row is None else (_clip(row), row.sound)


def sounds(
    connection: Connection, branch_id: int, language: Language, keys: Collection[str]
) -> dict[str, bytes]:
    """Return the sounds of some clips, by their keys."""
    rows = connection.execute(
        select(clip.c.key, clip.c.sound).where(
            clip.c.branch_id == branch_id,
            clip.c.language == language.value,
            clip.c.key.in_(keys),
        )
    )
    return {row.key: row.sound for row in rows}


def store(connection: Connection, new: Clip, sound: bytes) -> None:
    """Store a clip, in place of what had its key."""
    remove(connection, new.branch_id, new.language, new.key)
    row = {
        "branch_id": new.branch_id,
        "language": new.language.value,
        "key": new.key,
        "counter_name": new.counter_name,
        "media_type": new.media_type,
        "size_bytes": new.size_bytes,
        "sha256": new.sha256,
        "sound": sound,
        "stored_at_ms": new.stored_at_ms,
    }
    connection.execute(insert(clip), row)


def remove(connection: Connection, branch_id: int, language: Language, key: str) -> bool:
    """Delete a clip; say whether there was one."""
    return connection.execute(_DELETE, _named(branch_id, language, key)).rowcount > 0


def _named(branch_id: int, language: Language, key: str) -> dict[str, object]:
    return {"of_branch": branch_id, "of_language": language.value, "of_key": key}


def _clip(row: Row[Any]) -> Clip:
    return Clip(
        branch_id=row.branch_id,
        language=Language(row.language),
        key=row.key,
        counter_name=row.counter_name,
        media_type=row.media_type,
        size_bytes=row.size_bytes,
        sha256=row.sha256,
        stored_at_ms=row.stored_at_ms,
    )
