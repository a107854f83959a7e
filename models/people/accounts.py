"""What is done to users and keys, a transaction each, with its entry in the audit log."""

from sqlalchemy import Connection

from models import audit
from models.audit import Actor, Change
from models.people.digests import digest_of
from models.people.logins import user_subject
from models.people.rules import (
    ApiKey,
    KeyExistsError,
    KeyNotFoundError,
    LastAdminError,
    NewUser,
    Role,
    Scope,
    User,
    UserChange,
    UserExistsError,
    UserNotFoundError,
)
from models.people.statements import failures, keys, sessions, users


def add_user(
    connection: Connection, new: NewUser, password_hash: str, actor: Actor, *, now_ms: int
) -> User:
    """Store a user; raises UserExistsError."""
    if users.by_name(connection, new.username) is not None:
        raise UserExistsError(new.username)
    made = users.add(connection, new, password_hash=password_hash, now_ms=now_ms)
    change = Change(action="user_created", target=made.username, details={"role": made.role.value})
    audit.add(connection, actor, change, now_ms=now_ms)
    return made


def set_password(
    connection: Connection,
    user: User,
    password_hash: str,
    actor: Actor,
    *,
    kept_session: str | None,
    now_ms: int,
) -> User:
    """Give a user another password; all sessions but one end, and so do tokens and locks."""
    changed = users.set_password(connection, user.id, password_hash, now_ms=now_ms)
    kept_digest = "" if kept_session is None else digest_of(kept_session)
    sessions.delete_of_user(connection, user.id, but_digest=kept_digest)
    failures.clear(connection, user_subject(user.username))
    change = Change(action="password_changed", target=user.username)
    audit.add(connection, actor, change, now_ms=now_ms)
    return changed


def change_user(
    connection: Connection, username: str, change: UserChange, actor: Actor, *, now_ms: int
) -> User:
    """Change a user; one that is disabled is out at once. No change is none to note.

    Raises UserNotFoundError or LastAdminError.
    """
    admin_ids = users.lock_admins(connection)
    was = read_user(connection, username)
    if not change.as_facts():
        return was
    changed = change.applied_to(was)
    stays = changed.is_active and changed.role is Role.ADMIN
    if admin_ids == [was.id] and not stays:
        raise LastAdminError
    stored = users.change(connection, changed, now_ms=now_ms)
    if not stored.is_active:
        sessions.delete_of_user(connection, stored.id)
    noted = Change(
        action="user_disabled" if was.is_active and not stored.is_active else "user_changed",
        target=username,
        details=change.as_facts(),
    )
    audit.add(connection, actor, noted, now_ms=now_ms)
    return stored


def read_user(connection: Connection, username: str) -> User:
    """Return a user; raises UserNotFoundError."""
    found = users.by_name(connection, username)
    if found is None:
        raise UserNotFoundError(username)
    return found[0]


def add_key(
    connection: Connection, name: str, scope: Scope, secret: str, actor: Actor, *, now_ms: int
) -> ApiKey:
    """Store the digest of a key; raises KeyExistsError."""
    if keys.by_name(connection, name) is not None:
        raise KeyExistsError(name)
    made = keys.add(connection, name, scope, digest_of(secret), now_ms=now_ms)
    change = Change(action="key_created", target=name, details={"scope": scope.value})
    audit.add(connection, actor, change, now_ms=now_ms)
    return made


def revoke_key(connection: Connection, name: str, actor: Actor, *, now_ms: int) -> ApiKey:
    """Delete a key; raises KeyNotFoundError."""
    gone = keys.delete_one(connection, name)
    if gone is None:
        raise KeyNotFoundError(name)
    change = Change(action="key_revoked", target=name, details={"scope": gone.scope.value})
    audit.add(connection, actor, change, now_ms=now_ms)
    return gone
