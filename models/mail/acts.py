"""Acting on messages within a request: noted and audited first, then sent, then awaited.

The host answers by way of a worker, which writes what came of each message and wakes us. A hint may
get lost, so who waits also looks twice a second.
"""

import asyncio
import uuid
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Final

from sqlalchemy import Connection

from models import audit
from models.audit import Actor, Change
from models.database import Database
from models.mail.operations import (
    RESEND_MS,
    Chunk,
    Operation,
    OperationLateError,
    OperationNotFoundError,
    Order,
    Report,
    called_off,
    cut,
    first_of,
    order_of,
)
from models.mail.rules import (
    Action,
    HostAwayError,
    MessageIdTakenError,
    MessageNotFoundError,
    Outcome,
    Result,
    check_message_id,
    is_message_id,
)
from models.mail.statements import lists, operations
from models.mail.views import HostedMail, Spot

_LOOK_S: Final = 0.5
# Of an operation on very many messages so many outcomes are shown, those that failed first.
OUTCOMES_SHOWN_MAX: Final = 1_000
_OUTCOMES_MAX: Final = 100_000
SendOrder = Callable[[Order], Awaitable[None]]


class Acts:
    """Acts on the messages of all hosts; for one event loop."""

    def __init__(self, database: Database, *, send: SendOrder) -> None:
        """`send` hands an order to its host, and may lose it."""
        self._database: Final = database
        self._send: Final = send
        self._waiting: Final[set[asyncio.Event]] = set()

    def wake(self, _arrived: object = None) -> None:
        """Let everybody who waits look."""
        for each in self._waiting:
            each.set()

    async def act(
        self,
        action: Action,
        message_ids: Sequence[str],
        actor: Actor,
        *,
        audited: str,
        addresses: Sequence[str] = (),
        host: str | None = None,
        expires_ms: int,
        now_ms: int,
    ) -> Report:
        """Begin an action; who has no such message is known at once.

        `addresses` are what an edit takes, and were checked. What is known is on disk, and audited
        under the name `audited`, before anything is sent. Raises InvalidError for a text that is no
        id, MessageIdTakenError, and HostAwayError, before anything is noted.
        """
        for number, each in enumerate(message_ids):
            if not is_message_id(each):
                _check(each, number)
        wanted = tuple(dict.fromkeys(message_ids))
        made = new_operation(
            action, actor, len(wanted), addresses=addresses, expires_ms=expires_ms, now_ms=now_ms
        )

        def write(connection: Connection) -> tuple[Report, list[Chunk]]:
            known = [each for each in wanted if is_message_id(each)]
            found = {
                name: each.spot for name, each in _pick(lists.find(connection, known), host).items()
            }
            chunks = begin(connection, made, [found[each] for each in wanted if each in found])
            unknown = [
                Outcome(message_id=each, result=Result.GONE, said="unknown id")
                for each in wanted
                if each not in found
            ]
            operations.note_outcomes(connection, made.id, "", unknown, now_ms=now_ms)
            audit.add(connection, actor, *changes(made, wanted, found, audited), now_ms=now_ms)
            return _report(connection, made.id), chunks

        report, first = await self._database.run(write)
        await self.send(made, first)
        return report

    async def send(self, made: Operation, chunks: Iterable[Chunk]) -> None:
        """Hand chunks to their hosts; what gets lost is sent again by beat."""
        for chunk in chunks:
            await self._send(order_of(made, chunk))

    async def wait(self, operation_id: str, *, timeout_s: float) -> Report:
        """Return what came of all messages of an operation.

        Raises OperationLateError when that is not known within `timeout_s`.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout_s
        woken = asyncio.Event()
        self._waiting.add(woken)
        try:
            while True:
                woken.clear()
                report = await self._database.read(lambda it: _finished(it, operation_id))
                if report is not None:
                    return report
                left_s = deadline - loop.time()
                if left_s <= 0:
                    raise OperationLateError(operation_id)
                try:
                    async with asyncio.timeout(min(left_s, _LOOK_S)):
                        await woken.wait()
                except TimeoutError:
                    continue
        finally:
            self._waiting.discard(woken)

    async def finish(self, begun: Report, *, timeout_s: float, now_ms: Callable[[], int]) -> Report:
        """Return what came of an operation that has just begun, once all of it is known.

        Raises OperationLateError when it is not within `timeout_s`; what was not sent by then is
        called off, and what has not begun on its host expires.
        """
        if begun.operation.finished_at_ms is not None:
            return begun
        try:
            return await self.wait(begun.operation.id, timeout_s=timeout_s)
        except OperationLateError:
            await self.cancel(begun.operation.id, now_ms=now_ms())
            raise

    async def report(self, operation_id: str, *, outcomes_max: int = OUTCOMES_SHOWN_MAX) -> Report:
        """Return how far an operation is; raises OperationNotFoundError."""
        return await self._database.read(
            lambda connection: _report(connection, operation_id, outcomes_max=outcomes_max)
        )

    async def cancel(self, operation_id: str, *, now_ms: int) -> Report:
        """Call off what has not been sent; what a host has begun is finished.

        Raises OperationNotFoundError.
        """

        def write(connection: Connection) -> tuple[Report, list[Chunk]]:
            if operations.read(connection, operation_id, lock=True) is None:
                raise OperationNotFoundError(operation_id)
            operations.cancel(connection, operation_id, now_ms=now_ms)
            there = operations.open_chunks(connection, operation_id)
            for each in there:
                if each.sends == 0:
                    operations.settle(connection, each, called_off(each), now_ms=now_ms)
            return _report(connection, operation_id), [each for each in there if each.sends]

        report, sent = await self._database.run(write)
        if now_ms < report.operation.expires_at_ms:  # else the host knows by its own clock
            await self.send(report.operation, sent)
        return report


def new_operation(
    action: Action,
    actor: Actor,
    messages: int,
    *,
    addresses: Sequence[str] = (),
    expires_ms: int,
    now_ms: int,
) -> Operation:
    """Return an operation that is about to begin."""
    return Operation(
        id=uuid.uuid4().hex,
        action=action,
        addresses=tuple(addresses),
        actor=actor.name,
        messages=messages,
        created_at_ms=now_ms,
        expires_at_ms=now_ms + expires_ms,
    )


def begin(connection: Connection, made: Operation, spots: Sequence[Spot]) -> list[Chunk]:
    """Note an operation and its chunks; return those that are to be sent once this is on disk.

    Raises HostAwayError, before anything is noted.
    """
    now_ms = made.created_at_ms
    _check_hosts(connection, {each.host for each in spots}, now_ms)
    chunks = cut(made, spots)
    # What waits for its turn is due when all is over: until then it is sent by who settles another.
    operations.add(connection, made, chunks, due_ms=made.expires_at_ms + 1)
    first = first_of(chunks)
    operations.note_sent(connection, first, due_ms=now_ms + RESEND_MS)
    return first


def changes(
    made: Operation, wanted: Iterable[str], found: Mapping[str, Spot], audited: str
) -> list[Change]:
    """Return what the audit log keeps of an operation: a row for each message."""
    edit = {"addresses": list(made.addresses)} if made.addresses else {}
    return [
        Change(
            action=audited,
            target=each,
            details={
                "operation": made.action.value,
                "operation_id": made.id,
                "message_id": each,
                "host": found[each].host if each in found else None,
                **edit,
            },
        )
        for each in wanted
    ]


def _check(text: str, number: int) -> None:
    """Raise InvalidError, unless a text is a plain word, which names no message."""
    with suppress(MessageNotFoundError):
        check_message_id(text, field=f"message_ids[{number}]")


def _pick(found: Sequence[HostedMail], host: str | None) -> dict[str, HostedMail]:
    """Return one message for each id; raises MessageIdTakenError when several are meant."""
    picked: dict[str, HostedMail] = {}
    for each in found:
        if host not in {None, each.host}:
            continue
        other = picked.setdefault(each.mail.message_id, each)
        if other is not each:
            raise MessageIdTakenError(each.mail.message_id, sorted((other.host, each.host)))
    return picked


def _check_hosts(connection: Connection, wanted: set[str], now_ms: int) -> None:
    """Raise HostAwayError for the first host that shows no life."""
    for each in lists.hosts(connection):
        if each.name in wanted and not each.is_alive(now_ms=now_ms):
            raise HostAwayError(each.name)


def _finished(connection: Connection, operation_id: str) -> Report | None:
    """Return all that came of an operation once it is over: who waits looks often."""
    operation = operations.read(connection, operation_id)
    if operation is not None and operation.finished_at_ms is None:
        return None
    return _report(connection, operation_id)


def _report(
    connection: Connection, operation_id: str, *, outcomes_max: int = _OUTCOMES_MAX
) -> Report:
    operation = operations.read(connection, operation_id)
    if operation is None:
        raise OperationNotFoundError(operation_id)
    found = operations.outcomes(connection, operation_id, count=outcomes_max)
    return Report(operation=operation, settled=found)
