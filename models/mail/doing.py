"""Carries out orders on a mail host: each once, whatever the broker repeats."""

import contextvars
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, Protocol

import structlog

from models.errors import InvalidError
from models.mail.exim import IDS_AT_ONCE_MAX, Exim, EximError
from models.mail.operations import Order, called_off
from models.mail.rules import (
    ATTEMPTED,
    EDITS,
    Action,
    Outcome,
    Result,
    is_message_id,
    is_queue,
)

# Attempts at a time: a slow receiver holds up seven others, and not the whole queue.
_ATTEMPTS_AT_ONCE: Final = 8
# Who asks for deliveries is answered by then, also for those that wait for their turn. Bounces
# take no time worth mentioning, and nobody is told that one was made before it was.
_START_S: Final = {Action.DELIVER: 3.0, Action.BOUNCE: 60.0}
_REMEMBERED_MAX: Final = 1_000

_log = structlog.stdlib.get_logger(__name__)


class Listener(Protocol):
    """Who hears what is said in attempts; called by several threads."""

    def hear(self, operation_id: str, message_id: str, action: Action, line: str) -> None:
        """Take a line of an attempt."""

    def end(self, operation_id: str, message_id: str) -> None:
        """Take note that an attempt is over."""


class Doer:
    """Acts on the messages of one Exim; safe for use by several threads."""

    def __init__(
        self, exim: Exim, *, clock: Callable[[], int], listener: Listener | None = None
    ) -> None:
        self._exim: Final = exim
        self._clock: Final = clock
        self._listener: Final = listener
        self._lock: Final = threading.Lock()
        self._done: Final[OrderedDict[tuple[str, int], list[Outcome]]] = OrderedDict()
        self._begun: Final[set[tuple[str, int]]] = set()
        self._attempts: Final = ThreadPoolExecutor(_ATTEMPTS_AT_ONCE, "mail-attempt")

    def close(self, *, wait: bool = False) -> None:
        """Begin no further attempt; what is under way goes on without us, unless we `wait`."""
        self._attempts.shutdown(wait=wait, cancel_futures=True)

    def do(self, order: Order) -> list[Outcome] | None:
        """Carry out an order and return what came of each message.

        One that was carried out before is not again: its outcomes are returned once more. Of one
        that is being carried out at this moment nothing is known: None. One whose time is over is
        not begun.
        """
        which = order.chunk.operation_id, order.chunk.number
        with self._lock:
            if which in self._done:
                return self._done[which]
            if which in self._begun:
                return None
            if self._clock() > order.expires_at_ms:
                return called_off(order.chunk)
            self._begun.add(which)
        try:
            found = self._act(order)
            with self._lock:
                self._done[which] = found
                while len(self._done) > _REMEMBERED_MAX:
                    self._done.popitem(last=False)
        finally:
            with self._lock:
                self._begun.discard(which)
        return found

    def _act(self, order: Order) -> list[Outcome]:
        chunk = order.chunk
        # An order comes over a network: what is no id goes to no command, nor what is no queue.
        ids = [each for each in chunk.message_ids if is_message_id(each)]
        if not is_queue(chunk.queue) or len(ids) > IDS_AT_ONCE_MAX:
            said = "the order names no queue, or too many messages"
            return [Outcome(message_id=each, result=Result.REFUSED, said=said) for each in ids]
        try:
            if order.action in ATTEMPTED:
                found = self._attempt(order, ids)
            elif order.action in EDITS:
                found = [self._edit(order, each) for each in ids]
            else:
                found = self._exim.act(order.action, ids, queue=chunk.queue)
        except EximError as error:
            return [
                Outcome(message_id=each, result=Result.SILENT, said=error.reason) for each in ids
            ]
        is_repeat = chunk.sends > 0
        return [_goal_reached(each, order.action) if is_repeat else each for each in found]

    def _edit(self, order: Order, message_id: str) -> Outcome:
        try:
            return self._exim.edit(
                order.action, message_id, order.addresses, queue=order.chunk.queue
            )
        except InvalidError as error:
            return Outcome(message_id=message_id, result=Result.REFUSED, said=str(error))

    def _attempt(self, order: Order, message_ids: list[str]) -> list[Outcome]:
        """Start an attempt for each message, and return once all have begun, or time is over."""
        begun = {each: threading.Event() for each in message_ids}
        known: dict[str, Outcome] = {}

        def tell(outcome: Outcome) -> None:
            known.setdefault(outcome.message_id, outcome)
            begun[outcome.message_id].set()

        for each in message_ids:
            # The thread logs and is traced as the order is.
            context = contextvars.copy_context()
            self._attempts.submit(context.run, self._attempt_one, order, each, tell)
        deadline_s = time.monotonic() + _START_S[order.action]
        for has_begun in begun.values():
            has_begun.wait(max(deadline_s - time.monotonic(), 0.0))
        is_promised = order.action is Action.DELIVER
        rest = Result.DONE if is_promised else Result.SILENT
        return [
            known.get(each) or Outcome(message_id=each, result=rest, said="it waits for its turn")
            for each in message_ids
        ]

    def _attempt_one(self, order: Order, message_id: str, tell: Callable[[Outcome], None]) -> None:
        operation_id, action = order.chunk.operation_id, order.action

        def hear(line: str) -> None:
            if self._listener is not None:
                self._listener.hear(operation_id, message_id, action, line)

        try:
            self._exim.attempt(
                action, message_id, queue=order.chunk.queue, started=tell, heard=hear
            )
        except EximError as error:
            _log.warning("mail_not_tried", message_id=message_id, reason=error.reason)
            tell(Outcome(message_id=message_id, result=Result.SILENT, said=error.reason))
        finally:
            if self._listener is not None:
                self._listener.end(operation_id, message_id)


def _goal_reached(outcome: Outcome, action: Action) -> Outcome:
    """Take a message that is gone for removed, where an order may have been carried out before."""
    if action in {Action.REMOVE, Action.BOUNCE} and outcome.result is Result.GONE:
        return Outcome(message_id=outcome.message_id, result=Result.ALREADY, said=outcome.said)
    return outcome
