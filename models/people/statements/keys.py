"""API keys in SQL."""

from typing import Any, Final

from sqlalchemy import Connection, Row, bindparam, delete, insert, select

from models.people.rules import ApiKey, Scope
from models.people.tables import key

_ADD: Final = insert(key).returning(key)
_ALL: Final = select(key).order_by(key.c.id)
_BY_NAME: Final = select(key).where(key.c.name == bindparam("of_name"))
_DELETE: Final = delete(key).where(key.c.name == bindparam("of_name")).returning(key)


def add(connection: Connection, name: str, scope: Scope, digest: str, *, now_ms: int) -> ApiKey:
    """Store a key; the database refuses a name that is taken."""
    row = {"name": name, "scope": scope.value, "digest": digest, "created_at_ms": now_ms}
    return _key(connection.execute(_ADD, row).one())


def read_all(connection: Connection) -> list[ApiKey]:
    """Return all keys, by age."""
    return [_key(row) for row in connection.execute(_ALL)]


def by_name(connection: Connection, name: str) -> ApiKey | None:
    """Return a key by name."""
    row = connection.execute(_BY_NAME, {"of_name": name}).first()
    return None if row is None else _key(row)


def delete_one(connection: Connection, name: str) -> ApiKey | None:
    """Delete a key and return it."""
    row = connection.execute(_DELETE, {"of_name": name}).first()
    return None if row is None else _key(row)


def _key(row: Row[Any]) -> ApiKey:
    return ApiKey(
        id=row.id,
        name=row.name,
        scope=Scope(row.scope),
        digest=row.digest,
        created_at_ms=row.created_at_ms,
    )
