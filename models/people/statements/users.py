"""Users in SQL."""

from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    Connection,
    Row,
    bindparam,
    case,
    func,
    insert,
    select,
    update,
)

from models.people.rules import NewUser, Role, User
from models.people.tables import user

# Binds are named apart from columns, or SQLAlchemy would put them into SET.
_NOW_MS: Final = bindparam("now_ms", type_=BigInteger)
_OF_ID: Final = user.c.id == bindparam("of_id", type_=BigInteger)

_ADD: Final = insert(user).returning(user)
_ALL: Final = select(user).order_by(user.c.id)
_BY_ID: Final = select(user).where(_OF_ID)
_BY_NAME: Final = select(user).where(user.c.username == bindparam("of_username"))
_LOCK_ADMINS: Final = (
    select(user.c.id)
    .where(user.c.role == Role.ADMIN.value, user.c.disabled_at_ms.is_(None))
    .order_by(user.c.id)
    .with_for_update()
)
_COUNT: Final = select(func.count()).select_from(user)
_NOTE_LOGIN: Final = update(user).where(_OF_ID).values(last_login_at_ms=_NOW_MS)
_SET_PASSWORD: Final = (
    update(user)
    .where(_OF_ID)
    .values(password_hash=bindparam("new_hash"), version=user.c.version + 1, updated_at_ms=_NOW_MS)
    .returning(user)
)
# The same password, hashed with more effort: nobody need log in again.
_REHASH: Final = (
    update(user)
    .where(_OF_ID, user.c.password_hash == bindparam("old_hash"))
    .values(password_hash=bindparam("new_hash"))
)
_DISABLED: Final = bindparam("disabled", type_=BigInteger)
_CHANGE: Final = (
    update(user)
    .where(_OF_ID)
    .values(
        full_name=bindparam("new_full_name"),
        role=bindparam("new_role"),
        counter_id=bindparam("new_counter_id", type_=BigInteger),
        disabled_at_ms=case((_DISABLED == 1, func.coalesce(user.c.disabled_at_ms, _NOW_MS))),
        version=user.c.version + _DISABLED,
        updated_at_ms=_NOW_MS,
    )
    .returning(user)
)


def add(connection: Connection, new: NewUser, *, password_hash: str, now_ms: int) -> User:
    """Store a user; the database refuses a name that is taken."""
    row = connection.execute(
        _ADD,
        {
            "username": new.username,
            "full_name": new.full_name,
            "role": new.role.value,
            "counter_id": new.counter_id,
            "password_hash": password_hash,
            "version": 1,
            "created_at_ms": now_ms,
            "updated_at_ms": now_ms,
        },
    ).one()
    return to_user(row)


def count(connection: Connection) -> int:
    """Return how many users there are, disabled ones too."""
    return connection.execute(_COUNT).scalar_one()


def read_all(connection: Connection) -> list[User]:
    """Return all users, by age."""
    return [to_user(row) for row in connection.execute(_ALL)]


def by_id(connection: Connection, user_id: int) -> User | None:
    """Return a user by id."""
    row = connection.execute(_BY_ID, {"of_id": user_id}).first()
    return None if row is None else to_user(row)


def by_name(connection: Connection, username: str) -> tuple[User, str] | None:
    """Return a user by name, with the hash of the password."""
    row = connection.execute(_BY_NAME, {"of_username": username}).first()
    return None if row is None else (to_user(row), row.password_hash)


def note_login(connection: Connection, user_id: int, *, now_ms: int) -> None:
    """Note when a user logged in last."""
    connection.execute(_NOTE_LOGIN, {"of_id": user_id, "now_ms": now_ms})


def set_password(connection: Connection, user_id: int, password_hash: str, *, now_ms: int) -> User:
    """Give a user another password; tokens from before are void with it."""
    change = {"of_id": user_id, "new_hash": password_hash, "now_ms": now_ms}
    return to_user(connection.execute(_SET_PASSWORD, change).one())


def rehash(connection: Connection, user_id: int, old_hash: str, new_hash: str) -> None:
    """Keep the same password by another hash, unless it was changed meanwhile."""
    connection.execute(_REHASH, {"of_id": user_id, "old_hash": old_hash, "new_hash": new_hash})


def change(connection: Connection, changed: User, *, now_ms: int) -> User:
    """Store name, role, counter and state of a user; disabling voids the tokens."""
    row = connection.execute(
        _CHANGE,
        {
            "of_id": changed.id,
            "new_full_name": changed.full_name,
            "new_role": changed.role.value,
            "new_counter_id": changed.counter_id,
            "disabled": 0 if changed.is_active else 1,
            "now_ms": now_ms,
        },
    ).one()
    return to_user(row)


def lock_admins(connection: Connection) -> list[int]:
    """Return the ids of active admins, and keep them so until the transaction ends."""
    return list(connection.execute(_LOCK_ADMINS).scalars())


def to_user(row: Row[Any]) -> User:
    """Return the user that a row of the table holds."""
    return User(
        id=row.id,
        username=row.username,
        full_name=row.full_name,
        role=Role(row.role),
        counter_id=row.counter_id,
        version=row.version,
        is_active=row.disabled_at_ms is None,
        last_login_at_ms=row.last_login_at_ms,
        created_at_ms=row.created_at_ms,
        updated_at_ms=row.updated_at_ms,
    )
