"""Who changed what, from where, and what came of it: kept in SQL, in the change's transaction.

Every domain calls `add` with its own connection, so a change and its entry are stored together or
not at all. `details` hold facts, never passwords, keys or bodies.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, Row

from models.audit import statements

# Larger than any id: a page without a bound starts at the newest entry.
_NEWEST: Final = 9_223_372_036_854_775_807
_NAME_CHARACTERS_MAX: Final = 255


class Outcome(StrEnum):
    """What came of it."""

    DONE = "done"
    REFUSED = "refused"  # by a rule: a wrong password, a lock, a missing right


@dataclass(frozen=True, slots=True, kw_only=True)
class Actor:
    """Who acts, by which credential, and from where."""

    kind: str  # the kind of credential: session, token, key, command, …
    name: str
    id: str | None = None
    address: str = ""
    request_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What somebody did or tried; `action` is a fact such as `user_created`."""

    action: str
    target: str = ""
    outcome: Outcome = Outcome.DONE
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One line of the log."""

    id: int
    at_ms: int
    actor: Actor
    change: Change


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """A time from its first moment up to, and without, its last; None: without bound."""

    since_ms: int | None = None
    until_ms: int | None = None


ALWAYS: Final = Span()


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """Who does something, and the name by which the log knows it."""

    actor: Actor
    action: str


def sign(
    connection: Connection,
    signature: Signature,
    *,
    target: str,
    details: Mapping[str, Any],
    now_ms: int,
) -> None:
    """Note what was done once the caller's transaction commits; details must fit JSON."""
    change = Change(action=signature.action, target=target, details=details)
    add(connection, signature.actor, change, now_ms=now_ms)


def add(connection: Connection, actor: Actor, *changes: Change, now_ms: int) -> None:
    """Note changes by one actor once the caller's transaction commits; details must fit JSON."""
    if changes:
        connection.execute(statements.ADD, [_row(actor, change, now_ms) for change in changes])


def page(
    connection: Connection,
    *,
    before_id: int | None = None,
    count: int,
    span: Span = ALWAYS,
    **of: str | None,
) -> Sequence[Entry]:
    """Return at most `count` entries of a span, the newest first, older than the entry `before_id`.

    `of` are columns (`target`, `actor_name`, `action`) and what each must be; None is anything.
    """
    given = {name: value for name, value in of.items() if value is not None}
    bounds: dict[str, Any] = {"before_id": before_id or _NEWEST, "count": count}
    bounds |= {f"of_{name}": value for name, value in given.items()}
    statement = statements.page_of(given)
    if span != ALWAYS:
        statement = statements.within(statement)
        bounds |= {"since_ms": span.since_ms or 0, "until_ms": span.until_ms or _NEWEST}
    return [_entry(row) for row in connection.execute(statement, bounds)]


def delete_old(connection: Connection, *, before_ms: int, count: int) -> int:
    """Delete at most `count` entries from before a moment; return how many it deleted."""
    bounds = {"before_ms": before_ms, "count": count}
    return connection.execute(statements.DELETE_OLD, bounds).rowcount


def _row(actor: Actor, change: Change, now_ms: int) -> dict[str, Any]:
    return {
        "at_ms": now_ms,
        "actor_kind": actor.kind,
        "actor_id": actor.id,
        "actor_name": actor.name[:_NAME_CHARACTERS_MAX],
        "address": actor.address,
        "action": change.action,
        "target": change.target[:_NAME_CHARACTERS_MAX],
        "outcome": change.outcome.value,
        "details": msgspec.json.encode(change.details).decode(),
        "request_id": actor.request_id,
    }


def _entry(row: Row[Any]) -> Entry:
    return Entry(
        id=row.id,
        at_ms=row.at_ms,
        actor=Actor(
            kind=row.actor_kind,
            name=row.actor_name,
            id=row.actor_id,
            address=row.address,
            request_id=row.request_id,
        ),
        change=Change(
            action=row.action,
            target=row.target,
            outcome=Outcome(row.outcome),
            details=msgspec.json.decode(row.details),
        ),
    )
