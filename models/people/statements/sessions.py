"""Sessions of browsers in SQL."""

from typing import Final

from sqlalchemy import BigInteger, Connection, bindparam, delete, insert, select

from models.people.rules import User
from models.people.statements.users import to_user
from models.people.tables import session, user

_NOW_MS: Final = bindparam("now_ms", type_=BigInteger)
_OF_DIGEST: Final = session.c.digest == bindparam("of_digest")

_ADD: Final = insert(session)
_READ: Final = (
    select(user)
    .join(session, session.c.user_id == user.c.id)
    .where(_OF_DIGEST, session.c.expires_at_ms > _NOW_MS, user.c.disabled_at_ms.is_(None))
)
_DELETE: Final = delete(session).where(_OF_DIGEST)
_DELETE_OF_USER: Final = delete(session).where(
    session.c.user_id == bindparam("of_user_id", type_=BigInteger),
    session.c.digest != bindparam("but_digest"),
)
_DELETE_EXPIRED: Final = delete(session).where(
    session.c.digest.in_(
        select(session.c.digest).where(session.c.expires_at_ms <= _NOW_MS).limit(bindparam("count"))
    )
)


def add(
    connection: Connection,
    digest: str,
    user_id: int,
    *,
    address: str,
    now_ms: int,
    expires_at_ms: int,
) -> None:
    """Store a session."""
    connection.execute(
        _ADD,
        {
            "digest": digest,
            "user_id": user_id,
            "address": address,
            "created_at_ms": now_ms,
            "expires_at_ms": expires_at_ms,
        },
    )


def user_of(connection: Connection, digest: str, *, now_ms: int) -> User | None:
    """Return the active user of a session that has not expired."""
    row = connection.execute(_READ, {"of_digest": digest, "now_ms": now_ms}).first()
    return None if row is None else to_user(row)


def delete_one(connection: Connection, digest: str) -> bool:
    """Delete a session; say whether there was one."""
    return connection.execute(_DELETE, {"of_digest": digest}).rowcount > 0


def delete_of_user(connection: Connection, user_id: int, *, but_digest: str = "") -> int:
    """Delete the sessions of a user, but for one; return how many."""
    bounds = {"of_user_id": user_id, "but_digest": but_digest}
    return connection.execute(_DELETE_OF_USER, bounds).rowcount


def delete_expired(connection: Connection, *, count: int, now_ms: int) -> int:
    """Delete at most `count` sessions that are over; return how many."""
    return connection.execute(_DELETE_EXPIRED, {"count": count, "now_ms": now_ms}).rowcount
