"""Acting on messages within a request: noted and audited first, then sent, then awaited.

The host answers by way of a worker, which writes what came of each message and wakes us. A hint may
get lost, so who waits also looks twice a second.
"""

import asyncio
import uuid
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from typing import Final

from sqlalchemy import Connection

from models import audit
from models.audit import Actor, Change
from models.database import Database
from models.mail.operations import (
    CHUNKS_AT_ONCE,
    RESEND_MS,
    Chunk,
    Operation,
    OperationLateError,
    OperationNotFoundError,
    Order,
    Report,
    called_off,
    cut,
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
from models.mail.views import HostedMail

_LOOK_S: Final = 0.5
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
        host: str | None = None,
        expires_ms: int,
        now_ms: int,
    ) -> Report:
        """Begin an action; who has no such message is known at once.

        What is known is on disk, and audited under the name `audited`, before anything is sent.
        Raises InvalidError for a text that is no id, MessageIdTakenError, and HostAwayError,
        before anything is noted.
        """
        for number, each in enumerate(message_ids):
            if not is_message_id(each):
                _check(each, number)
        wanted = tuple(dict.fromkeys(message_ids))
        made = Operation(
            id=uuid.uuid4().hex,
            action=action,
            actor=actor.name,
            messages=len(wanted),
            created_at_ms=now_ms,
            expires_at_ms=now_ms + expires_ms,
        )

        def write(connection: Connection) -> tuple[Report, list[Chunk]]:
            known = [each for each in wanted if is_message_id(each)]
            found = _pick(lists.find(connection, known), host)
            _check_hosts(connection, found.values(), now_ms)
            chunks = cut(made.id, [found[each] for each in wanted if each in found])
            operations.add(connection, made, chunks, due_ms=now_ms + RESEND_MS)
            unknown = [
                Outcome(message_id=each, result=Result.GONE, said="unknown id")
                for each in wanted
                if each not in found
            ]
            operations.note_outcomes(connection, made.id, "", unknown, now_ms=now_ms)
            audit.add(connection, actor, *_changes(made, wanted, found, audited), now_ms=now_ms)
            first = chunks[:CHUNKS_AT_ONCE]
            operations.note_sent(connection, first, due_ms=now_ms + RESEND_MS)
            return _report(connection, made.id), first

        report, first = await self._database.run(write)
        for chunk in first:
            await self._send(Order(chunk=chunk, action=action, expires_at_ms=made.expires_at_ms))
        return report

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
                report = await self.report(operation_id)
                if report.operation.finished_at_ms is not None:
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

    async def report(self, operation_id: str) -> Report:
        """Return how far an operation is; raises OperationNotFoundError."""
        return await self._database.read(lambda connection: _report(connection, operation_id))

    async def cancel(self, operation_id: str, *, now_ms: int) -> Report:
        """Call off what has not been sent; what a host works on is finished.

        Raises OperationNotFoundError.
        """

        def write(connection: Connection) -> Report:
            if operations.read(connection, operation_id, lock=True) is None:
                raise OperationNotFoundError(operation_id)
            operations.cancel(connection, operation_id, now_ms=now_ms)
            for each in operations.open_chunks(connection, operation_id):
                if each.sends == 0:
                    operations.settle(connection, each, called_off(each), now_ms=now_ms)
            return _report(connection, operation_id)

        return await self._database.run(write)


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


def _check_hosts(connection: Connection, found: Iterable[HostedMail], now_ms: int) -> None:
    """Raise HostAwayError for the first host that shows no life."""
    wanted = {each.host for each in found}
    for each in lists.hosts(connection):
        if each.name in wanted and not each.is_alive(now_ms=now_ms):
            raise HostAwayError(each.name)


def _changes(
    made: Operation, wanted: Sequence[str], found: dict[str, HostedMail], audited: str
) -> list[Change]:
    return [
        Change(
            action=audited,
            target=each,
            details={
                "operation": made.action.value,
                "operation_id": made.id,
                "message_id": each,
                "host": found[each].host if each in found else None,
            },
        )
        for each in wanted
    ]


def _report(connection: Connection, operation_id: str) -> Report:
    operation = operations.read(connection, operation_id)
    if operation is None:
        raise OperationNotFoundError(operation_id)
    return Report(operation=operation, outcomes=operations.outcomes(connection, operation_id))
