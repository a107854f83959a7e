"""What a log-in does to the tables, a transaction each: locks, failures, sessions."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from sqlalchemy import Connection

from models import audit
from models.addresses import subscriber_of
from models.audit import Actor, Change, Outcome
from models.people.digests import digest_of
from models.people.passwords import is_outdated
from models.people.rules import LockedOutError, LoginPolicy, User, lock_ms
from models.people.statements import failures, sessions, users


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """A log-in before its password was looked at."""

    actor: Actor  # named as the caller names itself
    user: User | None
    password_hash: str | None


def begin(connection: Connection, actor: Actor, *, now_ms: int) -> Attempt:
    """Look up whom a log-in is about; raises LockedOutError while the name or address is locked."""
    subjects = [subject for subject, _ in _subjects(actor, LoginPolicy())]
    locked_ms = failures.locked_until_ms(connection, subjects) - now_ms
    if locked_ms > 0:
        raise LockedOutError("failed log-ins", 0, -(-locked_ms // 1000))
    found = users.by_name(connection, actor.name)
    if found is None:
        return Attempt(actor=actor, user=None, password_hash=None)
    return Attempt(actor=actor, user=found[0], password_hash=found[1])


def note_failure(
    connection: Connection, attempt: Attempt, policy: LoginPolicy, *, now_ms: int
) -> None:
    """Count a failure against the name and the address, and lock what failed too often."""
    for subject, failures_max in _subjects(attempt.actor, policy):
        count = failures.count(connection, subject, now_ms=now_ms)
        if locked_ms := lock_ms(policy, count, failures_max):
            failures.lock(connection, subject, until_ms=now_ms + locked_ms)
    change = Change(
        action="login_failed",
        target=attempt.actor.name,
        outcome=Outcome.REFUSED,
        details={"reason": _reason(attempt)},
    )
    audit.add(connection, attempt.actor, change, now_ms=now_ms)


def note_locked(connection: Connection, actor: Actor, *, now_ms: int) -> None:
    """Note that somebody tried while the name or the address is locked."""
    change = Change(
        action="login_failed",
        target=actor.name,
        outcome=Outcome.REFUSED,
        details={"reason": "locked"},
    )
    audit.add(connection, actor, change, now_ms=now_ms)


def note_success(
    connection: Connection, attempt: Attempt, *, new_hash: str | None, now_ms: int
) -> User:
    """Forget the failures of the name, and return the user as of before this log-in.

    The address keeps its failures: who has one account could else guess at others for ever.
    """
    user, old_hash = attempt.user, attempt.password_hash
    assert user is not None
    assert old_hash is not None
    if new_hash is not None and is_outdated(old_hash):
        users.rehash(connection, user.id, old_hash, new_hash)
    failures.clear(connection, user_subject(user.username))
    users.note_login(connection, user.id, now_ms=now_ms)
    actor = replace(attempt.actor, id=str(user.id))
    audit.add(
        connection, actor, Change(action="login_success", target=user.username), now_ms=now_ms
    )
    return user


def open_session(
    connection: Connection,
    user: User,
    token: str,
    *,
    replaces: str | None,
    address: str,
    now_ms: int,
    expires_at_ms: int,
) -> None:
    """Store a session; the one that the browser had before ends."""
    if replaces is not None:
        sessions.delete_one(connection, digest_of(replaces))
    sessions.add(
        connection,
        digest_of(token),
        user.id,
        address=address,
        now_ms=now_ms,
        expires_at_ms=expires_at_ms,
    )


def user_subject(username: str) -> str:
    """Return the name under which a user's failures are counted."""
    return f"user:{username[:100]}"


def _subjects(actor: Actor, policy: LoginPolicy) -> Iterator[tuple[str, int]]:
    yield user_subject(actor.name), policy.user_failures_max
    if actor.address:
        yield f"address:{subscriber_of(actor.address)}", policy.address_failures_max


def _reason(attempt: Attempt) -> str:
    if attempt.user is None:
        return "user_not_found"
    return "invalid_password" if attempt.user.is_active else "user_disabled"
