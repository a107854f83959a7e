"""When messages are tried again, by the hints of the hosts' Exims."""

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Final

from sqlalchemy import Connection, and_, delete, insert, or_, select

from models.mail.log_lines import Event
from models.mail.retry_hints import RetryHint, keys_of
from models.mail.rules import Status
from models.mail.tables import log, retry
from models.mail.views import HostedMail

_KEYS_MAX: Final = 2_000


def replace(connection: Connection, host: str, hints: Iterable[RetryHint]) -> None:
    """Keep what a host's hints are now."""
    connection.execute(delete(retry).where(retry.c.host == host))
    rows = {
        hint.key: {
            "host": host,
            "key": _storable(hint.key),
            "address": hint.address,
            "failed_at_ms": hint.failed_at_ms,
            "tried_at_ms": hint.tried_at_ms,
            "next_at_ms": hint.next_at_ms,
            "is_expired": hint.is_expired,
            "reason": _storable(hint.reason),
        }
        for hint in hints
    }
    if rows:
        connection.execute(insert(retry), list(rows.values()))


def next_of(
    connection: Connection, mails: Sequence[HostedMail]
) -> dict[tuple[str, str], dict[str, int]]:
    """Return when each open recipient of messages is tried next, by host and id.

    Who is missing has no hint: the next queue run tries it. A frozen message is not tried.
    """
    waiting = [each for each in mails if each.mail.status is not Status.FROZEN]
    wanted = {
        (each.host, each.mail.message_id, recipient): keys_of(recipient, each.mail.sender)
        for each in waiting
        for recipient in each.mail.recipients
        if recipient not in each.mail.delivered
    }
    if not wanted:
        return {}
    addresses = _addresses(connection, waiting)
    due = _due(
        connection,
        {each.host for each in waiting},
        {key for keys in wanted.values() for key in keys},
        addresses.values(),
    )
    found: dict[tuple[str, str], dict[str, int]] = {}
    for (host, message_id, recipient), keys in wanted.items():
        moments = [due[host, key] for key in keys if (host, key) in due]
        address = addresses.get((host, message_id, recipient))
        moments += [
            at_ms
            for (of_host, key), at_ms in due.items()
            if address and of_host == host and key in {f"T {address}", f"T {address} {message_id}"}
        ]
        if moments:
            # Exim waits for each of them.
            found.setdefault((host, message_id), {})[recipient] = max(moments)
    return found


def with_next(connection: Connection, mails: Sequence[HostedMail]) -> list[HostedMail]:
    """Return messages with the moment at which the first of their open recipients is tried."""
    due = next_of(connection, mails)
    moments = [due.get((each.host, each.mail.message_id), {}).values() for each in mails]
    return [
        dataclasses.replace(each, next_at_ms=min(found, default=None))
        for each, found in zip(mails, moments, strict=True)
    ]


def _addresses(
    connection: Connection, mails: Sequence[HostedMail]
) -> dict[tuple[str, str, str], str]:
    """Return which address each recipient was last deferred at."""
    ids = [each.mail.message_id for each in mails]
    rows = connection.execute(
        select(log.c.host, log.c.message_id, log.c.recipient, log.c.address)
        .where(log.c.message_id.in_(ids), log.c.event == Event.DEFER.value, log.c.address != "")
        .order_by(log.c.at_ms, log.c.id)
    )
    return {(row.host, row.message_id, row.recipient): row.address for row in rows}


def _due(
    connection: Connection, hosts: Iterable[str], keys: Iterable[str], addresses: Iterable[str]
) -> dict[tuple[str, str], int]:
    """Return when keys are due, by host; hosts as `T address` with the message's id if it has."""
    some = sorted({_storable(key) for key in keys})[:_KEYS_MAX]
    others = sorted(set(addresses))[:_KEYS_MAX]
    rows = connection.execute(
        select(retry.c.host, retry.c.key, retry.c.address, retry.c.next_at_ms).where(
            retry.c.host.in_(sorted(hosts)),
            or_(retry.c.key.in_(some), and_(retry.c.address != "", retry.c.address.in_(others))),
        )
    )
    found: dict[tuple[str, str], int] = {}
    for row in rows:
        key = row.key
        if row.address:
            last = row.key.rpartition(":")[2]
            key = f"T {row.address} {last}" if "-" in last else f"T {row.address}"
        found[row.host, key] = max(found.get((row.host, key), 0), row.next_at_ms)
    return found


def _storable(text: str) -> str:
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}")
